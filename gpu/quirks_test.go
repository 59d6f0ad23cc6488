package gpu

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/shaders"
)

// quirkCases has for every row of the table, in its order, devices that it means and devices that it must not.
var quirkCases = []struct {
	means, spares []netplan.Caps
}{{
	means: []netplan.Caps{
		{DriverName: "llvmpipe", DriverInfo: "Mesa 22.3.6 (LLVM 15.0.6)", DriverVersion: 1},
		{DriverName: "llvmpipe", DriverInfo: "Mesa 24.3.4 (LLVM 15.0.6)", DriverVersion: 1},
		{DriverName: "llvmpipe"},
	},
	spares: []netplan.Caps{
		{DriverName: "llvmpipe", DriverInfo: "Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6)", DriverVersion: 1},
		{DriverName: "radv", DriverVersion: 22<<22 | 3<<12},
		{DriverName: "SwiftShader driver", DriverVersion: 5 << 22},
	},
}, {
	means: []netplan.Caps{
		{DriverName: "llvmpipe", DriverInfo: "Mesa 22.3.6 (LLVM 15.0.6)", DriverVersion: 1},
		{DriverName: "llvmpipe", DriverInfo: "Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6)", DriverVersion: 1},
	},
	spares: []netplan.Caps{
		{DriverName: "llvmpipe", DriverInfo: "Mesa 26.1.6-1~bpo13+1 (LLVM 19.1.7)", DriverVersion: 1},
		{DriverName: "radv", DriverVersion: 22<<22 | 3<<12},
		{DriverName: "SwiftShader driver", DriverVersion: 5 << 22},
	},
}, {
	means: []netplan.Caps{{DriverName: "MoltenVK", VendorID: vendorAMD, SubgroupSize: 64, SubgroupShuffle: true}},
	spares: []netplan.Caps{
		{DriverName: "MoltenVK", VendorID: vendorAMD, SubgroupSize: 32, SubgroupShuffle: true},
		{DriverName: "MoltenVK", VendorID: 0x106b, SubgroupSize: 32, SubgroupShuffle: true},
		{DriverName: "radv", VendorID: vendorAMD, SubgroupSize: 64, SubgroupShuffle: true},
	},
}}

// TestEveryQuirk: each row edits the devices it means, by itself, and no others; and says where it is from.
func TestEveryQuirk(t *testing.T) {
	if len(quirkCases) != len(quirks) {
		t.Fatalf("%d rows and cases for %d", len(quirks), len(quirkCases))
	}
	for i, q := range quirks {
		for _, c := range quirkCases[i].means {
			edited := c
			reasons := applyQuirks(&edited, quirks)
			if !slices.ContainsFunc(reasons, func(r string) bool { return strings.HasPrefix(r, q.reason) }) || cmp.Equal(c, edited) {
				t.Errorf("%s: no effect on %+v: %v", q.reason, c, reasons)
			}
		}
		for _, c := range quirkCases[i].spares {
			edited := c
			if reasons := applyQuirks(&edited, quirks[i:i+1]); reasons != nil || !cmp.Equal(c, edited) {
				t.Errorf("%s: applies to %+v", q.reason, c)
			}
		}
		if !strings.HasPrefix(q.source, "https://") && !strings.HasPrefix(q.source, "gpu.Test") && q.source != "bench/RESULTS.md" {
			t.Errorf("%s: source %q, want a public thread, a test or, for speed, the results", q.reason, q.source)
		}
	}
}

// TestNoQuirks: with the switch Caps are the driver's own, everywhere; without it the table's.
func TestNoQuirks(t *testing.T) {
	raw := open(t, Options{NoQuirks: true})
	if len(raw.Info().Quirks) != 0 {
		t.Errorf("NoQuirks: %v applied", raw.Info().Quirks)
	}
	want := raw.Caps()
	reasons := applyQuirks(&want, quirks)
	edited := open(t, Options{})
	if diff := cmp.Diff(want, edited.Caps()); diff != "" || !cmp.Equal(reasons, edited.Info().Quirks) {
		t.Errorf("with quirks %v, want %v (-want +got):\n%s", edited.Info().Quirks, reasons, diff)
	}
	list, err := DevicesWithoutQuirks()
	if err != nil {
		t.Fatal(err)
	}
	if got := list[raw.Info().Index]; !cmp.Equal(got.Caps, raw.Caps()) || got.Quirks != nil {
		t.Errorf("DevicesWithoutQuirks: got %+v, want %+v", got.Caps, raw.Caps())
	}
	if reasons == nil {
		t.Logf("no row means %s", want.Name)
	}
}

// TestLongLoops measures what Caps.MaxLoopIterations is for: a kernel that loops once per pixel gives the right
// sum up to that bound, and on devices without one far beyond. Where the bound is stated, it must be needed.
func TestLongLoops(t *testing.T) {
	d := open(t, Options{})
	right := func(pixels int) bool {
		s := graph.Shape{C: 1, H: 1, W: pixels}
		e := testExecutor(t, d, testPlan(s), ExecutorOptions{MaxBatch: 1})
		x := testInput(s, 1, 1)
		for i := range x {
			x[i] = float32(1 + i%3) // every pixel counts, and the sum is exact
		}
		return slices.Equal(mustRun(t, e, x, 1), testWant(s, x, 1))
	}
	bound := d.Caps().MaxLoopIterations
	if bound == 0 {
		for _, n := range []int{65_535, 65_537, 200_000} {
			if !right(n) {
				t.Errorf("%s: %d iterations: wrong sum; a quirk is missing", d.Info(), n)
			}
		}
		return
	}
	if !right(bound) {
		t.Errorf("%s: %d iterations: wrong sum within the bound", d.Info(), bound)
	}
	if right(bound + 1000) {
		t.Errorf("%s: %d iterations: right sum; the quirk is not needed", d.Info(), bound+1000)
	}
}

// TestCapabilities: kernels that declare what the device lacks, or what is unknown, are refused.
func TestCapabilities(t *testing.T) {
	module := func(caps ...byte) *shaders.Kernel {
		code := make([]byte, 20)
		for _, c := range caps {
			code = append(code, 17, 0, 2, 0, c, 0, 0, 0)
		}
		return &shaders.Kernel{Name: "k", Code: append(code, 14, 0, 3, 0, 9, 0, 0, 0, 9, 0, 0, 0)} // OpMemoryModel: not one
	}
	none, all := netplan.Caps{}, netplan.Caps{Float16: true, Storage16: true, SubgroupBasic: true, SubgroupShuffle: true}
	for _, c := range []struct {
		caps []byte
		c    netplan.Caps
		says string
	}{
		{[]byte{1}, none, ""},
		{[]byte{1, 9}, all, ""},
		{[]byte{1, 9, 61, 65}, all, ""},
		{[]byte{1, 9}, none, "Float16"},
		{[]byte{1, 65}, netplan.Caps{SubgroupBasic: true}, "GroupNonUniformShuffle"},
		{[]byte{1, 200}, all, "capability 200"},
	} {
		err := checkCapabilities(module(c.caps...), &c.c)
		if (err == nil) != (c.says == "") || err != nil && (!errors.Is(err, ErrFeature) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("capabilities %v: got %v, want %q", c.caps, err, c.says)
		}
	}
}

func TestLoader(t *testing.T) {
	openLoud(t, Options{}).Close() // skip without a device
	info, err := Loader()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(info.File); err != nil || !strings.Contains(info.File, "vulkan") || !strings.HasPrefix(info.Version, "1.") {
		t.Errorf("got %+v, %v", info, err)
	}
	if err := TryDriver("libm.so.6"); err == nil || !strings.Contains(err.Error(), "no Vulkan driver") {
		t.Errorf("libm: got %v", err)
	}
	if err := TryDriver("/nonexistent.so"); err == nil || !strings.Contains(err.Error(), "/nonexistent.so") {
		t.Errorf("got %v", err)
	}
}
