package tests

import (
	"os"
	"sync"
	"testing"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/tests/oracle"
)

var (
	deviceOnce sync.Once
	theDevice  *gpu.Device
	deviceErr  error
)

// device returns the device all tests of this package share: the one $VKINFER_DEVICE names, or the best.
// Without one the test is skipped; VKINFER_REQUIRE_DEVICE=1 turns the skip into a failure. Whatever the
// validation layers say during a test (VKINFER_VALIDATION=1) fails it.
func device(t testing.TB) *gpu.Device {
	t.Helper()
	deviceOnce.Do(func() { theDevice, deviceErr = gpu.Open(gpu.Options{Device: deviceName()}) })
	if deviceErr != nil {
		if os.Getenv("VKINFER_REQUIRE_DEVICE") == "1" {
			t.Fatalf("no Vulkan device and VKINFER_REQUIRE_DEVICE=1: %v", deviceErr)
		}
		t.Skipf("no Vulkan device: %v", deviceErr)
	}
	t.Cleanup(func() {
		for _, m := range theDevice.Messages() {
			t.Errorf("validation: %v", m)
		}
	})
	return theDevice
}

// eachPrecision runs a test of the device in every precision.
func eachPrecision(t *testing.T, f func(t *testing.T, opts netplan.Options)) {
	t.Helper()
	for _, p := range []string{netplan.PrecisionFloat32, netplan.PrecisionAMP} {
		t.Run(p, func(t *testing.T) { f(t, netplan.Options{Precision: p}) })
	}
}

// checkPrecision holds a batch of logits to the gates of the plan that made them.
func checkPrecision(t *testing.T, exec *gpu.Executor, got []float32, want []float64, classes int) {
	t.Helper()
	if exec.Plan().Precision == netplan.PrecisionFloat32 {
		checkFloat32(t, got, want, classes)
		return
	}
	plain, centred := oracle.LogitErrors(got, want, classes)
	t.Logf("amp: plain %.2e, centred %.2e", plain, centred)
	plainToo := oracle.HasOffset(plain, centred) || knownDevice(t)
	if !(centred <= oracle.AMPLogitsCentred) || plainToo && !(plain <= oracle.AMPLogits) {
		t.Errorf("amp logits: relative error %.3g, centred %.3g, want at most %.0e and %.1e", plain, centred, oracle.AMPLogits, oracle.AMPLogitsCentred)
	}
	for i := 0; i < len(want); i += classes {
		row := want[i : i+classes]
		if g, w := oracle.ArgMax(got[i:i+classes]), oracle.ArgMax(row); g != w && row[w]-row[g] > oracle.AMPMargin {
			t.Errorf("image %d: best class %d, want %d, which is %.3f above it", i/classes, g, w, row[w]-row[g])
		}
	}
}

// executor lowers the unfused graph g and prepares it for batches of up to n.
func executor(t testing.TB, g *graph.Graph, opts netplan.Options, n int) *gpu.Executor {
	t.Helper()
	dev := device(t)
	plan, err := netplan.Lower(fused(t, g), dev.Caps(), opts)
	if err != nil {
		t.Fatal(err)
	}
	exec, err := gpu.NewExecutor(dev, plan, gpu.ExecutorOptions{MaxBatch: n, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := exec.Close(); err != nil {
			t.Error(err)
		}
	})
	return exec
}

// runDevice runs n images and returns the logits.
func runDevice(t testing.TB, exec *gpu.Executor, input []float32, n int) []float32 {
	t.Helper()
	y, err := exec.Run(t.Context(), input, n)
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// knownDevice reports whether the gate of plain errors is meant for amp's logits without a common offset. For them it is seven
// times as strict as the centred one, and about what rounding maps to 16 bits costs by chance: it holds on every CPU driver
// that was tried, and others are judged by the centred one.
func knownDevice(t testing.TB) bool { return device(t).Caps().Type == "cpu" }

func deviceName() string { return os.Getenv("VKINFER_DEVICE") }
