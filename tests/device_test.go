package tests

import (
	"os"
	"sync"
	"testing"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
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

func deviceName() string { return os.Getenv("VKINFER_DEVICE") }
