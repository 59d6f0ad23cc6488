package tests

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/tests/conformance"
)

// small is a network of made-up weights for small odd inputs, with n images of noise.
func small(t testing.TB, dev *gpu.Device, n int) conformance.Subject {
	t.Helper()
	g, err := smallGraph()
	if err != nil {
		t.Fatal(err)
	}
	return conformance.Subject{Graph: g, Device: dev, Candidate: conformance.Candidates()[0], Input: noise(5, n*g.InputShape().NumElements()), N: n}
}

var smallGraph = sync.OnceValues(func() (*graph.Graph, error) {
	spec, err := models.Lookup("efficientnet_b1_pruned")
	if err != nil {
		return nil, err
	}
	return spec.Build(spec.Synth(9), 35, 50)
})

// TestInvariances: slots, neighbours, splits, placements, executors and the like do not matter.
func TestInvariances(t *testing.T) {
	dev := device(t)
	s := small(t, dev, 4)
	checks, err := conformance.Invariances(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		t.Logf("%s, %d runs: %s", c.Name, c.Runs, c.Verdict)
		if !c.OK() {
			t.Errorf("%s: %s", c.Name, c.Verdict)
		}
	}
	if len(checks) < 12 {
		t.Errorf("only %d checks", len(checks))
	}
	s.Input, s.N = s.Input[:len(s.Input)/4], 1
	if _, err := conformance.Invariances(t.Context(), s, nil); err == nil || !strings.Contains(err.Error(), "at least 2 images") {
		t.Errorf("one image: got %v, want an error", err)
	}
}

// TestSwitches runs every combination of switches.
func TestSwitches(t *testing.T) {
	dev := device(t)
	cands := conformance.CandidatesFor(dev.Caps())
	if testing.Short() { // only those that the planner would choose on this device
		cands = slices.DeleteFunc(cands, func(c conformance.Candidate) bool { return c.Options.Kernels != "" })
	}
	rows, err := conformance.Switches(t.Context(), small(t, dev, 2), cands, nil)
	if err != nil {
		t.Fatal(err)
	}
	ran, not := 0, 0
	for _, r := range rows {
		t.Logf("%+v", r)
		if !r.OK() {
			t.Errorf("%+v", r)
		}
		if r.Available {
			ran++
		} else {
			not++
		}
	}
	want := 4 // staging × arena × debug
	if dev.Caps().HostVisible {
		want = 8
	}
	if ran < want {
		t.Errorf("%d rows ran, want at least %d", ran, want)
	}
	// Today the planner has kernels for the wholly fused network only; a row that runs is news.
	if ran != want || not != 5 {
		t.Logf("%d rows ran, %d are not available", ran, not)
	}
}

// TestProcesses: other processes get the same bits.
func TestProcesses(t *testing.T) {
	const variable = "VKINFER_TEST_PRINT_HASH"
	dev := device(t)
	s := small(t, dev, 3)
	hash, err := conformance.LogitsHash(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv(variable) == "1" {
		fmt.Println("hash", hash)
		return
	}
	for range 2 {
		self := self()
		cmd := exec.CommandContext(t.Context(), self[0], append(self[1:], "-test.run=^TestProcesses$")...)
		cmd.Env = append(os.Environ(), variable+"=1")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if !bytes.Contains(out, []byte("hash "+hash+"\n")) {
			t.Errorf("another process prints\n%swant hash %s", out, hash)
		}
	}
	s.Input = slices.Concat(s.Input[len(s.Input)/3:], s.Input[:len(s.Input)/3])
	other, err := conformance.LogitsHash(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if other == hash {
		t.Error("another order of the images has the same hash, so the comparison shows nothing")
	}
}

// self is the command that started this process, without arguments: the program, or what starts it, such as
// another dynamic linker (go test -exec).
func self() []string {
	b, _ := os.ReadFile("/proc/self/cmdline")
	if all := strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00"); len(all) > len(os.Args) {
		return all[:len(all)-len(os.Args)+1]
	}
	return os.Args[:1:1]
}

// TestAgree compares classes over pictures, and notices when the device runs another network.
func TestAgree(t *testing.T) {
	dev := device(t)
	s := small(t, dev, 4)
	per := len(s.Input) / 4
	pictures := func(yield func(string, []float32) bool) {
		for i := range 4 {
			if !yield(fmt.Sprint("noise ", i), s.Input[i*per:][:per]) {
				return
			}
		}
	}
	a, err := conformance.Agree(t.Context(), s, pictures)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", *a)
	if !a.OK() || a.Pictures != 4 || a.Top1+len(a.Flips) < 4 || a.MaxError == 0 {
		t.Errorf("%+v", *a)
	}
	none := func(func(string, []float32) bool) {}
	if _, err := conformance.Agree(t.Context(), s, none); err == nil {
		t.Error("no pictures: want an error")
	}
}

// TestFingerprint: kernels round to nearest here, and figures of the driver are filled in.
func TestFingerprint(t *testing.T) {
	f, err := conformance.NewFingerprint(t.Context(), device(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", *f)
	if f.Device == "" || f.Driver == "" || f.APIVersion == "" || len(f.Kernels) != 16 || f.Floats.Denormals == "" {
		t.Errorf("%+v", *f)
	}
	if f.Type == "cpu" && f.Floats.Rounding != "nearest" {
		t.Errorf("a CPU that rounds to %s", f.Floats.Rounding)
	}
	if f.Storage16 && f.Floats.Halves != "nearest" {
		t.Errorf("16-bit results are rounded to %s; the kernels ask for nearest", f.Floats.Halves)
	}
}

// TestPlansAreSound checks the plans that devices run for hazards, at many sizes.
func TestPlansAreSound(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {16, 16}, {33, 64}, {240, 240}, {97, 300}} {
		for _, model := range []string{"efficientnet_b1_pruned", "efficientnet_b2_pruned", "efficientnet_b3_pruned"} {
			g, err := specOf(t, model).BuildShape(size[0], size[1])
			if err != nil {
				t.Fatal(err)
			}
			for _, opts := range []netplan.Options{{}, {KeepAll: true}, {Guard: 512}, {KeepAll: true, Guard: 4096}} {
				p, err := netplan.Lower(fused(t, g), netplan.MinimalCaps(), opts)
				if err != nil {
					t.Fatal(err)
				}
				if err := conformance.CheckPlan(p); err != nil {
					t.Errorf("%v at %v: %v", opts, size, err)
				}
			}
		}
	}
}
