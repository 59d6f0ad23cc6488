package gpu

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/shaders"
)

// bareDevice is a device without Vulkan: the minimum that Vulkan promises.
func bareDevice() *Device {
	d := &Device{probed: probed{maxStorageBuffers: 4, maxTexelBuffers: 4, texelAlignment: 256}}
	d.info.Caps = netplan.MinimalCaps()
	return d
}

func TestCheckPlan(t *testing.T) {
	cases := []struct {
		name  string
		edit  func(*netplan.Plan)
		batch int
		says  string // "" for a plan that is fine
	}{
		{"fine", func(*netplan.Plan) {}, 8, ""},
		{"precision", func(p *netplan.Plan) { p.Precision = "int8" }, 1, `missing feature: precision "int8"`},
		{"no arena", func(p *netplan.Plan) { p.ArenaBytes = 0 }, 1, "an arena of 0 bytes"},
		{"odd arena", func(p *netplan.Plan) { p.ArenaBytes += 2 }, 1, "multiple of 4"},
		{"outside", func(p *netplan.Plan) { p.Tensors[1].Offset = p.ArenaBytes }, 1, "tensor packed: bytes"},
		{"negative", func(p *netplan.Plan) { p.Tensors[1].Offset = -256 }, 1, "tensor packed: bytes"},
		{"unaligned", func(p *netplan.Plan) { p.Tensors[1].Offset = 16 }, 1, "multiple of 256"},
		{"stride", func(p *netplan.Plan) { p.Tensors[1].Stride -= 4 }, 1, "wanted 960"},
		{"range", func(*netplan.Plan) {}, 1 << 18, "binds at most 134217728"},
		{"input index", func(p *netplan.Plan) { p.InputTensor = 7 }, 1, "tensor 7 of 3"},
		{"output index", func(p *netplan.Plan) { p.OutputTensor = -1 }, 1, "tensor -1 of 3"},
		{"input layout", func(p *netplan.Plan) { p.InputTensor, p.Tensors[1].Layout = 1, netplan.Tiles }, 1, "tensor packed, 11x3x5 tiles; wanted a map or a vector"},
		{"input shape", func(p *netplan.Plan) { p.Input.W++ }, 1, "wanted 11x3x6"},
		{"output layout", func(p *netplan.Plan) { p.OutputTensor, p.Tensors[1].Layout = 1, netplan.Tiles }, 1, "tensor packed, 11x3x5 tiles"},
		{"output shape", func(p *netplan.Plan) { p.OutputTensor, p.Tensors[1].Shape.C = 1, 12 }, 1, "a vector of 11 classes"},
		{"feed", func(p *netplan.Plan) { p.Feeds = []int{3} }, 1, "tensor 3 of 3"},
		{"classes", func(p *netplan.Plan) { p.Classes = 12 }, 1, "a vector of 12 classes"},
		{"nothing to do", func(p *netplan.Plan) { p.Dispatches = nil }, 1, "no dispatches"},
		{"kernel", func(p *netplan.Plan) { p.Dispatches[0].Kernel = "nope" }, 1, `no kernel "nope"`},
		{"bindings", func(p *netplan.Plan) { p.Dispatches[0].Bind = p.Dispatches[1].Bind }, 1, "3 bindings; kernel pack has 2"},
		{"write", func(p *netplan.Plan) { p.Dispatches[0].Bind[1].Write = false }, 1, "binding 1 has Write false, Texel false; kernel pack (Y) has true, false"},
		{"push", func(p *netplan.Plan) { p.Dispatches[0].Push = []uint32{0} }, 1, "4 push bytes; kernel pack takes 12"},
		{"spec", func(p *netplan.Plan) { p.Dispatches[0].Spec = []uint32{32, 1, 1} }, 1, "3 specialization constants; kernel pack has 4"},
		{"no lanes", func(p *netplan.Plan) { p.Dispatches[0].Spec[0] = 0 }, 1, "workgroup of 0 on axis 0"},
		{"lanes", func(p *netplan.Plan) { p.Dispatches[0].Spec[2] = 65 }, 1, "workgroup of 65 on axis 2"},
		{"all lanes", func(p *netplan.Plan) { p.Dispatches[0].Spec = []uint32{64, 2, 2, 3} }, 1, "256 invocations; this device allows 128"},
		{"tile", func(p *netplan.Plan) { p.Dispatches[0].Groups[1].Tile = 0 }, 1, "tile 0"},
		{"groups", func(p *netplan.Plan) { p.Dispatches[0].Groups[1].Fixed = 65536 }, 1, "65536 workgroups on axis 1"},
		{"groups of a batch", func(p *netplan.Plan) { p.Dispatches[0].Groups[0] = netplan.Groups{PerImage: 10000, Tile: 1} }, 8, "80000 workgroups on axis 0 at batch 8"},
		{"tensor", func(p *netplan.Plan) { p.Dispatches[0].Bind[0].Tensor = 3 }, 1, "binding 0 is tensor 3 of 3"},
		{"tensor offset", func(p *netplan.Plan) { p.Dispatches[0].Bind[0].Offset = 4 }, 1, "4 bytes into its tensor"},
		{"weights written", func(p *netplan.Plan) { p.Dispatches[0].Bind[1] = netplan.Binding{Tensor: -1, Write: true, Size: 4} }, 1, "writes the weights"},
		{"weights range", func(p *netplan.Plan) { p.Dispatches[1].Bind[1].Size++ }, 1, "bytes 256 to 321 of 320"},
		{"weights empty", func(p *netplan.Plan) { p.Dispatches[1].Bind[1].Size = 0 }, 1, "bytes 256 to 256"},
		{"weights alignment", func(p *netplan.Plan) {
			p.Dispatches[1].Bind[1] = netplan.Binding{Tensor: -1, Offset: 128, Size: 4, Texel: true}
		}, 1, "byte 128 of the weights; wanted a multiple of 256"},
	}
	for _, c := range cases {
		p := testPlan(testShape)
		c.edit(p)
		err := checkPlan(p, bareDevice(), testKernel, c.batch)
		if c.says == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || !errors.Is(err, ErrPlan) && !errors.Is(err, ErrFeature) {
			t.Errorf("%s: got %v; want ErrPlan that says %q", c.name, err, c.says)
		}
	}
}

// TestCheckPlanAgainstDevice: the same plan, smaller devices.
func TestCheckPlanAgainstDevice(t *testing.T) {
	for says, edit := range map[string]func(*Device){
		"the device at most 8":                         func(d *Device) { d.info.Caps.MaxPushConstants = 8 },
		"storage buffers; this device binds at most 1": func(d *Device) { d.probed.maxStorageBuffers = 1 },
		"texel buffers; this device binds at most 0":   func(d *Device) { d.probed.maxTexelBuffers = 0 },
		"this device binds at most 32":                 func(d *Device) { d.info.Caps.MaxStorageBufferRange = 32 },
	} {
		d := bareDevice()
		edit(d)
		if err := checkPlan(testPlan(graph.Shape{C: 1, H: 1, W: 1}), d, testKernel, 8); !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v; want ErrPlan that says %q", err, says)
		}
	}
}

// TestCheckTexels: a plan of texel buffers, damaged or for smaller devices.
func TestCheckTexels(t *testing.T) {
	roomy := func() *Device {
		d := bareDevice()
		d.info.Caps.MaxTexelElements, d.info.Caps.SubgroupBasic, d.info.Caps.SubgroupShuffle, d.info.Caps.SubgroupSize = 1<<16, true, true, 8
		return d
	}
	for says, edit := range map[string]func(*netplan.Plan, *Device){
		"": func(*netplan.Plan, *Device) {},
		"binding 0 has Write false, Texel false; kernel conv1x1_texel_f32 (x) has false, true": func(p *netplan.Plan, _ *Device) { p.Dispatches[0].Bind[0].Texel = false },
		"5 texel buffers; this device binds at most 4":                                         func(_ *netplan.Plan, d *Device) { d.probed.maxTexelBuffers = 4 },
		"binding 0 is 30 texels at batch 1; this device reads at most 29":                      func(_ *netplan.Plan, d *Device) { d.info.Caps.MaxTexelElements = 29 },
		"begins at byte 512; wanted a multiple of 1024 for texels":                             func(_ *netplan.Plan, d *Device) { d.probed.texelAlignment = 1024 },
		"binding 0 is 488 bytes; wanted whole texels of 16":                                    func(p *netplan.Plan, _ *Device) { p.Tensors[0].Stride += 8 },
	} {
		d := roomy()
		d.probed.maxTexelBuffers = 5
		p := texelPlan(t, d.Caps())
		edit(p, d)
		err := checkPlan(p, d, shaders.Lookup, 1)
		if (err == nil) != (says == "") || err != nil && (!errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), says)) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

// texelPlan is the plan of one 1×1 convolution by kernels that read texel buffers: 6 channels of 3×5 pixels to 11.
func texelPlan(t *testing.T, caps netplan.Caps) *netplan.Plan {
	t.Helper()
	param := func(name string, shape ...int) *graph.Param {
		n := 1
		for _, s := range shape {
			n *= s
		}
		return &graph.Param{Name: name, Shape: shape, Data: make([]float64, n)}
	}
	b := graph.NewBuilder("texels")
	x := b.Add("x", &graph.Input{Shape: graph.Shape{C: 6, H: 3, W: 5}, Inner: true})
	g, err := b.Graph(b.Add("y", &graph.Conv{Weight: param("w", 11, 6, 1, 1), Bias: param("b", 11), Stride: 1, Groups: 1}, x))
	if err != nil {
		t.Fatal(err)
	}
	p, err := netplan.Lower(g, caps, netplan.Options{Kernels: netplan.KernelsTexel})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestExecutorChecks: what checkPlan refuses, NewExecutor refuses.
func TestExecutorChecks(t *testing.T) {
	d := open(t, Options{})
	p := testPlan(testShape)
	p.Dispatches[0].Kernel = "conv1x1_f32" // of the real table, which this executor does not look at
	if _, err := NewExecutor(d, p, ExecutorOptions{lookup: testKernel}); !errors.Is(err, ErrPlan) {
		t.Errorf("got %v, want ErrPlan", err)
	}
	p = testPlan(testShape)
	if _, err := NewExecutor(d, p, ExecutorOptions{}); !errors.Is(err, ErrPlan) { // the real table has no kernel "pack"
		t.Errorf("got %v, want ErrPlan", err)
	}
	p.MaxBatch = 3
	if e := testExecutor(t, d, p, ExecutorOptions{MaxBatch: 100}); e.MaxBatch() != 3 {
		t.Errorf("MaxBatch is %d, want the plan's 3", e.MaxBatch())
	}
}

// TestPipelinesAreShared: equal kernels with equal constants are compiled once.
func TestPipelinesAreShared(t *testing.T) {
	d := open(t, Options{})
	p := testPlan(testShape)
	p.Dispatches = append(p.Dispatches, p.Dispatches...)
	p.Dispatches[2].Barrier = true
	p.Dispatches[2].Spec = []uint32{testLanes, 1, 1, testFactor + 1}
	e := testExecutor(t, d, p, ExecutorOptions{})
	if s := e.Stats(); s.Dispatches != 4 || s.Pipelines != 3 {
		t.Errorf("got %d pipelines for %d dispatches, want 3 for 4", s.Pipelines, s.Dispatches)
	}
	x := testInput(testShape, 1, 1)
	want := testWant(testShape, x, 1)
	for i := range want { // the second round multiplies by 4 instead of 3
		want[i] = want[i] / testFactor * (testFactor + 1)
	}
	for i, v := range mustRun(t, e, x, 1) {
		if v != want[i] {
			t.Fatalf("logit %d is %v, want %v", i, v, want[i])
		}
	}
}

// TestTestKernels: the tests' own kernels are what their sources declare.
func TestTestKernels(t *testing.T) {
	k, ok := testKernel("reduce")
	if !ok || k.PushBytes != 12 || len(k.Spec) != 5 || len(k.Bindings) != 3 || k.Bindings[0] != (shaders.Binding{Name: "X"}) || !k.Bindings[2].Write {
		t.Errorf("got %+v", k)
	}
}

// TestTestKernelsAreCompiled compiles the sources anew; only one version of the compiler gives these bytes.
func TestTestKernelsAreCompiled(t *testing.T) {
	if out, err := exec.Command("glslangValidator", "--version").Output(); err != nil || !strings.Contains(string(out), ":12.0.0") {
		t.Skipf("glslangValidator 12.0.0 is not here (%v)", err)
	}
	for _, name := range []string{"pack", "reduce"} {
		out := filepath.Join(t.TempDir(), name)
		if msg, err := exec.Command("glslangValidator", "--quiet", "--target-env", "vulkan1.1", "-o", out, "testdata/"+name+".comp").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, msg)
		}
		want, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if k, _ := testKernel(name); !bytes.Equal(k.Code, want) {
			t.Errorf("testdata/%s.spv is not what the source compiles to; run testdata/compile.sh", name)
		}
	}
}
