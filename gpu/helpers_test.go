package gpu

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"testing"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/shaders"
)

// configurations are the ways to move data that every test of results goes through.
var configurations = map[string]Options{
	"direct":      {},
	"staging":     {ForceStaging: true},
	"noncoherent": {treatNonCoherent: true},
	"apart":       {ForceStaging: true, loadApart: true},
}

// driverVariables are read so that go's test cache knows which driver a result came from.
var driverVariables = []string{"VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VKINFER_LIBVULKAN", "VK_LAYER_PATH"}

// open opens the device that VKINFER_DEVICE names, or the best one, with validation wherever the layer is
// installed. The test fails if the layer has anything to say until the device is closed, leaks included.
// Without a device the test is skipped, or fails where VKINFER_REQUIRE_DEVICE=1.
func open(t testing.TB, opts Options) *Device {
	t.Helper()
	d := openLoud(t, opts)
	t.Cleanup(func() {
		d.Close()
		for _, m := range d.Messages() {
			t.Errorf("validation: %v", m)
		}
	})
	return d
}

// openLoud is open for tests that expect messages: it leaves closing and Messages to them.
func openLoud(t testing.TB, opts Options) *Device {
	t.Helper()
	for _, v := range driverVariables {
		os.Getenv(v)
	}
	if opts.Device == "" {
		opts.Device = os.Getenv("VKINFER_DEVICE")
	}
	opts.Validation = opts.Validation || haveValidation()
	d, err := Open(opts)
	skipWithoutDevice(t, err)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func skipWithoutDevice(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, ErrNoLoader) || errors.Is(err, ErrNoDriver) || errors.Is(err, ErrNoDevice) {
		if os.Getenv("VKINFER_REQUIRE_DEVICE") == "1" {
			t.Fatalf("no Vulkan device and VKINFER_REQUIRE_DEVICE=1: %v", err)
		}
		t.Skipf("no Vulkan device: %v", err)
	}
}

func haveValidation() bool {
	return openLoader() == nil && shimHasLayer(validationLayer)
}

// needValidation skips tests of the validation itself where the layer is not installed.
func needValidation(t testing.TB) {
	t.Helper()
	if !haveValidation() {
		if os.Getenv("VKINFER_VALIDATION") == "1" {
			t.Fatalf("%s is not installed and VKINFER_VALIDATION=1", validationLayer)
		}
		t.Skipf("%s is not installed", validationLayer)
	}
}

// testKernel finds the kernels of testdata.
func testKernel(name string) (*shaders.Kernel, bool) {
	code, err := os.ReadFile("testdata/" + name + ".spv")
	if err != nil {
		return nil, false
	}
	r, err := shaders.Reflect(code)
	if err != nil {
		return nil, false
	}
	return &shaders.Kernel{Name: name, Code: code, Reflection: r}, true
}

const (
	testFactor = 3
	testLanes  = 32
)

// testWeight is the weight of a channel.
func testWeight(c int) float32 { return float32(c%5 - 2) }

// testPlan packs an image (t0) into NHWC8 (t1) and reduces that to a vector (t2):
// logits[c] = 3 · weight[c] · Σ pixels. All values are small integers, so results are exact.
func testPlan(s graph.Shape) *netplan.Plan {
	padded := (s.C + 7) / 8 * 8
	pixels := s.H * s.W
	p := &netplan.Plan{Model: "test", Precision: "float32", Input: s, Classes: s.C, MaxBatch: 1000, InputTensor: 0, OutputTensor: 2}
	p.Tensors = []netplan.Tensor{
		{Name: "input", Yields: "input", Shape: s, Layout: netplan.NCHW, Stride: int64(4 * s.NumElements())},
		{Name: "packed", Yields: "packed", Shape: s, Layout: netplan.NHWC8, Stride: int64(4 * padded * pixels)},
		{Name: "sums", Yields: "sums", Shape: graph.Shape{C: s.C, H: 1, W: 1}, Layout: netplan.Vector, Stride: int64(4 * padded)},
	}
	for i := range p.Tensors {
		p.Tensors[i].Offset = p.ArenaBytes
		p.ArenaBytes += alignUp(p.Tensors[i].Stride, 256)
	}
	// The first 256 bytes are nobody's, so that offsets into the weights are tested.
	p.Weights = append(make([]byte, 256), floatBytes(padded, func(c int) float32 {
		if c < s.C {
			return testWeight(c)
		}
		return 0
	})...)
	push := []uint32{0, uint32(s.C), uint32(pixels)}
	one := netplan.Groups{Fixed: 1, Tile: 1}
	p.Dispatches = []netplan.Dispatch{{
		Node: "packed", Kernel: "pack", Spec: []uint32{testLanes, 1, 1, testFactor}, Push: push,
		Bind:   []netplan.Binding{{Tensor: 0}, {Tensor: 1, Write: true}},
		Groups: [3]netplan.Groups{{PerImage: pixels * padded, Tile: testLanes}, one, one},
	}, {
		Node: "sums", Kernel: "reduce", Spec: []uint32{testLanes, 1, 1, 0, 0}, Push: push, Barrier: true,
		Bind:   []netplan.Binding{{Tensor: 1}, {Tensor: -1, Offset: 256, Size: int64(4 * padded), Texel: true}, {Tensor: 2, Write: true}},
		Groups: [3]netplan.Groups{{Fixed: 64, PerImage: padded, Tile: testLanes}, one, one},
	}}
	return p
}

func floatBytes(n int, f func(int) float32) []byte {
	var b []byte
	for i := range n {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f(i)))
	}
	return b
}

// testInput makes n images of small integers.
func testInput(s graph.Shape, n, seed int) []float32 {
	x := make([]float32, n*s.NumElements())
	state := uint32(seed)*2654435761 + 1
	for i := range x {
		state = state*1664525 + 1013904223
		x[i] = float32(int(state>>24)%17 - 8)
	}
	return x
}

// testWant computes what testPlan should.
func testWant(s graph.Shape, x []float32, n int) []float32 {
	want := make([]float32, n*s.C)
	for i := range want {
		for _, v := range x[i*s.H*s.W : (i+1)*s.H*s.W] {
			want[i] += testFactor * v
		}
		want[i] *= testWeight(i % s.C)
	}
	return want
}

var testShape = graph.Shape{C: 11, H: 3, W: 5}

// testExecutor prepares a plan with the kernels of testdata.
func testExecutor(t testing.TB, d *Device, p *netplan.Plan, opts ExecutorOptions) *Executor {
	t.Helper()
	opts.lookup = testKernel
	e, err := NewExecutor(d, p, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func mustRun(t testing.TB, e *Executor, x []float32, n int) []float32 {
	t.Helper()
	y, err := e.Run(t.Context(), x, n)
	if err != nil {
		t.Fatal(err)
	}
	return y
}
