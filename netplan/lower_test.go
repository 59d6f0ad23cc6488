package netplan_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/shaders"
)

var update = flag.Bool("update", false, "rewrite the golden plan files")

func fused(t testing.TB, s *models.Spec, h, w int) *graph.Graph {
	t.Helper()
	g, err := s.BuildShape(h, w)
	if err != nil {
		t.Fatal(err)
	}
	if g, err = netplan.RunPasses(g, "fold", "fuse"); err != nil {
		t.Fatal(err)
	}
	return g
}

const mostTexels = 1 << 20

func lower(t testing.TB, s *models.Spec, h, w int, opts netplan.Options) *netplan.Plan {
	t.Helper()
	caps := netplan.MinimalCaps()
	if opts.Kernels == netplan.KernelsTexel {
		caps.MaxTexelElements = mostTexels // 65536, which every device promises, are too few
		caps.SubgroupShuffle, caps.SubgroupSize, caps.TexelReads = true, 8, true
	}
	p, err := netplan.Lower(fused(t, s, h, w), caps, opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestGoldenPlans compares the plans of the three networks with committed dumps, so that no change of the
// planner goes unnoticed. `go test ./netplan -run Golden -update` rewrites them.
func TestGoldenPlans(t *testing.T) {
	cases := []struct {
		model string
		h, w  int
		opts  netplan.Options
	}{{model: "efficientnet_b1_pruned", h: 240, w: 240}, {model: "efficientnet_b2_pruned", h: 260, w: 260}, {model: "efficientnet_b3_pruned", h: 300, w: 300},
		{model: "efficientnet_b1_pruned", h: 97, w: 161}, {model: "efficientnet_b1_pruned", h: 240, w: 240, opts: netplan.Options{Kernels: netplan.KernelsLane}},
		{model: "efficientnet_b1_pruned", h: 240, w: 240, opts: netplan.Options{Kernels: netplan.KernelsTexel, Precision: netplan.PrecisionAMP}},
		{model: "efficientnet_b1_pruned", h: 240, w: 240, opts: netplan.Options{Precision: netplan.PrecisionAMP, Pictures: &netplan.Normalization{Scale: [3]float32{2, 3, 4}, Offset: [3]float32{-1, -2, -3}}, Resize: &netplan.DefaultResizing}}}
	for _, c := range cases {
		s, err := models.Lookup(c.model)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := lower(t, s, c.h, c.w, c.opts).WriteText(&got); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", strings.Join(slices.DeleteFunc([]string{c.model, fmt.Sprintf("%dx%d", c.h, c.w), c.opts.Precision, c.opts.Kernels}, func(s string) bool { return s == "" }), "_")+".plan")
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got.String()); d != "" {
			t.Errorf("%s differs (-want +got):\n%s", file, d)
		}
	}
}

// TestPlanBytes holds the plans to the byte count of the fused form (float32 is twice fp16's; the bound
// allows the float32 input and the padding to 8 channels).
func TestPlanBytes(t *testing.T) {
	levelC := map[string]float64{"efficientnet_b1_pruned": 25.9e6, "efficientnet_b2_pruned": 38.0e6, "efficientnet_b3_pruned": 49.8e6}
	for _, s := range models.All() {
		p := lower(t, s, s.Transform.Size, s.Transform.Size, netplan.Options{})
		if r := float64(p.Bytes) / (2 * levelC[s.Name]); r > 1.05 {
			t.Errorf("%s moves %d bytes per image, %.3f of the fused form's count", s.Name, p.Bytes, r)
		}
		if p.MACs != fused(t, s, s.Transform.Size, s.Transform.Size).TotalMACs() {
			t.Errorf("%s: the plan's multiply-adds %d are not the graph's", s.Name, p.MACs)
		}
	}
}

func drawPlan(t *rapid.T) *netplan.Plan {
	s := rapid.SampledFrom(models.All()).Draw(t, "model")
	h, w := rapid.IntRange(1, 130).Draw(t, "h"), rapid.IntRange(1, 130).Draw(t, "w")
	g, err := s.BuildShape(h, w)
	if err != nil {
		t.Fatal(err)
	}
	if g, err = netplan.RunPasses(g, "fold", "fuse"); err != nil {
		t.Fatal(err)
	}
	p, err := netplan.Lower(g, netplan.MinimalCaps(), netplan.Options{KeepAll: rapid.Bool().Draw(t, "keepAll"),
		Precision: rapid.SampledFrom([]string{"", netplan.PrecisionAMP}).Draw(t, "precision"),
		Kernels:   rapid.SampledFrom([]string{netplan.KernelsLane, netplan.KernelsShared}).Draw(t, "kernels"),
		Pictures:  rapid.SampledFrom([]*netplan.Normalization{nil, {}}).Draw(t, "pictures")})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPlanInvariants checks plans of random sizes against rules written anew: tensors that live at once
// do not overlap, every hazard has a barrier after it, reads follow writes, push words fit the kernels.
func TestPlanInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		checkPlacement(t, p)
		checkHazards(t, p)
		checkDispatches(t, p)
	})
}

func checkPlacement(t *rapid.T, p *netplan.Plan) {
	for i, a := range p.Tensors {
		if a.Offset%256 != 0 || a.Offset+a.Stride > p.ArenaBytes {
			t.Fatalf("tensor %s at %d of %d bytes in an arena of %d", a.Name, a.Offset, a.Stride, p.ArenaBytes)
		}
		for _, b := range p.Tensors[:i] {
			meet := a.Offset < b.Offset+b.Stride && b.Offset < a.Offset+a.Stride
			if meet && a.First <= b.Last && b.First <= a.Last {
				t.Fatalf("tensors %s and %s share memory while both live", a.Name, b.Name)
			}
		}
	}
}

// checkHazards keeps, for every 32 bytes of the arena, the dispatch that wrote and the one that read it
// last, and the number of barriers there had been by then.
func checkHazards(t *rapid.T, p *netplan.Plan) {
	type mark struct{ wrote, wroteBy, read int }
	cells := make([]mark, p.ArenaBytes/32)
	for i := range cells {
		cells[i] = mark{wrote: -1, wroteBy: -1, read: -1}
	}
	in := p.Tensors[p.InputTensor]
	for c := in.Offset / 32; c < (in.Offset+in.Stride+31)/32; c++ {
		cells[c].wroteBy = 1 << 20 // the upload, ordered by the executor
	}
	barriers := 0
	for i, d := range p.Dispatches {
		if d.Barrier {
			barriers++
		}
		for _, write := range []bool{false, true} {
			for _, b := range d.Bind {
				if b.Tensor < 0 || b.Write != write {
					continue
				}
				x := p.Tensors[b.Tensor]
				for c := x.Offset / 32; c < (x.Offset+x.Stride+31)/32; c++ {
					m := &cells[c]
					switch {
					case !write && m.wroteBy < 0:
						t.Fatalf("dispatch %d %s reads %s, which nothing wrote", i, d.Node, x.Name)
					case m.wrote == barriers && m.wroteBy != i:
						t.Fatalf("dispatch %d %s touches %s without a barrier after its writer %d", i, d.Node, x.Name, m.wroteBy)
					case write && m.read == barriers:
						t.Fatalf("dispatch %d %s overwrites %s without a barrier after its reader", i, d.Node, x.Name)
					}
					if write {
						m.wrote, m.wroteBy = barriers, i
					}
				}
			}
		}
		for _, b := range d.Bind {
			if b.Tensor >= 0 && !b.Write {
				x := p.Tensors[b.Tensor]
				for c := x.Offset / 32; c < (x.Offset+x.Stride+31)/32; c++ {
					cells[c].read = barriers
				}
			}
		}
	}
}

func checkDispatches(t *rapid.T, p *netplan.Plan) {
	for i, d := range p.Dispatches {
		k, ok := shaders.Lookup(d.Kernel)
		if !ok || len(k.Bindings) != len(d.Bind) || k.PushBytes != 4*len(d.Push) || len(k.Spec) != len(d.Spec) {
			t.Fatalf("dispatch %d does not fit kernel %s", i, d.Kernel)
		}
		for j, b := range d.Bind {
			if b.Write != k.Bindings[j].Write {
				t.Fatalf("dispatch %d binding %d: write %v, kernel %s says %v", i, j, b.Write, d.Kernel, k.Bindings[j].Write)
			}
			if b.Tensor < 0 && (b.Offset%256 != 0 || b.Size < 4 || b.Offset+b.Size > int64(len(p.Weights))) {
				t.Fatalf("dispatch %d binding %d: weights %d+%d of %d", i, j, b.Offset, b.Size, len(p.Weights))
			}
		}
	}
}

// TestLowerLimits: what a device lacks is said, not ignored.
func TestLowerLimits(t *testing.T) {
	s := models.All()[0]
	g := fused(t, s, 240, 240)
	cases := map[string]struct {
		change func(*netplan.Caps)
		want   string
	}{
		"lanes":   {func(c *netplan.Caps) { c.MaxWorkgroupInvocations = 64 }, "workgroups of 64"},
		"shared":  {func(c *netplan.Caps) { c.MaxSharedMemory = 8192 }, "8192 bytes of shared memory"},
		"range":   {func(c *netplan.Caps) { c.MaxStorageBufferRange = 1 << 20 }, "1048576"},
		"weights": {func(c *netplan.Caps) { c.MaxStorageBufferRange = 4 << 20 }, "weights of classifier"},
		"memory":  {func(c *netplan.Caps) { c.MaxAllocation = 1 << 20 }, "arena bytes"},
		"groups":  {func(c *netplan.Caps) { c.MaxWorkgroupCount[0] = 20 }, "workgroups on axis 0"},
	}
	for name, c := range cases {
		caps := netplan.MinimalCaps()
		c.change(&caps)
		if _, err := netplan.Lower(g, caps, netplan.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	unfused, err := s.BuildShape(64, 64)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := netplan.Lower(unfused, netplan.MinimalCaps(), netplan.Options{}); err == nil || !strings.Contains(err.Error(), "conv_stem") {
		t.Errorf("unfused graph: error %v, want one that names conv_stem", err)
	}
}

// TestMaxBatch: the batch a plan promises keeps every limit, and one more breaks one.
func TestMaxBatch(t *testing.T) {
	caps := netplan.MinimalCaps()
	for i, s := range slices.Repeat(models.All(), len(netplan.Kernels)) {
		p := lower(t, s, s.Transform.Size, s.Transform.Size, netplan.Options{Kernels: netplan.Kernels[i/len(models.All())]})
		fits := func(n int) bool {
			ok := int64(n)*p.ArenaBytes <= caps.MaxAllocation
			for _, x := range p.Tensors {
				ok = ok && int64(n)*x.Stride <= caps.MaxStorageBufferRange
			}
			for _, d := range p.Dispatches {
				for a, g := range d.Groups {
					ok = ok && g.For(n) <= caps.MaxWorkgroupCount[a]
				}
				for _, b := range d.Bind {
					if b.Texel && b.Tensor >= 0 {
						ok = ok && int64(n)*p.Tensors[b.Tensor].Stride <= mostTexels*p.TexelOf(b).Bytes()
					}
				}
			}
			return ok
		}
		if !fits(p.MaxBatch) || fits(p.MaxBatch+1) {
			t.Errorf("%s: MaxBatch %d fits: %v, one more: %v", s.Name, p.MaxBatch, fits(p.MaxBatch), fits(p.MaxBatch+1))
		}
	}
}

// TestFewTexels: a device whose texel buffers are too small is told of by name, with what to do.
func TestFewTexels(t *testing.T) {
	s := models.All()[0]
	caps := netplan.MinimalCaps()
	caps.SubgroupShuffle, caps.SubgroupSize = true, 8
	_, err := netplan.Lower(fused(t, s, s.Transform.Size, s.Transform.Size), caps, netplan.Options{Kernels: netplan.KernelsTexel})
	if err == nil || !strings.Contains(err.Error(), "minimal Vulkan 1.0") || !strings.Contains(err.Error(), "use other kernels than texel") {
		t.Errorf("error %v, want one that names the device and says to use other kernels", err)
	}
}

// TestPacking reads packed weights back through the layouts that the shaders document.
func TestPacking(t *testing.T) {
	b := graph.NewBuilder("packing")
	seq := func(name string, shape ...int) *graph.Param {
		n := 1
		for _, d := range shape {
			n *= d
		}
		p := &graph.Param{Name: name, Shape: shape, Data: make([]float64, n)}
		for i := range p.Data {
			p.Data[i] = float64(float32(i) + 1.1) // all bits of the mantissa count
		}
		return p
	}
	x := b.Add("input", &graph.Input{Shape: graph.Shape{C: 3, H: 9, W: 7}})
	stem := seq("stem", 5, 3, 3, 3)
	x = b.Add("stem", &graph.Conv{Weight: stem, Bias: seq("b", 5), Stride: 2, Groups: 1}, x)
	point := seq("point", 11, 5, 1, 1)
	x = b.Add("point", &graph.Conv{Weight: point, Bias: seq("b", 11), Stride: 1, Groups: 1}, x)
	dw := seq("dw", 11, 1, 5, 5)
	x = b.Add("dw", &graph.Conv{Weight: dw, Bias: seq("b", 11), Stride: 1, Groups: 11}, x)
	g, err := b.Graph(x)
	if err != nil {
		t.Fatal(err)
	}
	p, err := netplan.Lower(g, netplan.MinimalCaps(), netplan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := func(d, bind, i int) float64 {
		w := p.Dispatches[d].Bind[bind]
		if int64(4*i) >= w.Size {
			t.Fatalf("dispatch %d binding %d has %d bytes, reading element %d", d, bind, w.Size, i)
		}
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(p.Weights[w.Offset+int64(4*i):])))
	}
	for tap := range 9 {
		for c := range 3 {
			for n := range 8 {
				want := 0.0
				if n < 5 {
					want = stem.Data[(n*3+c)*9+tap]
				}
				if got := at(0, 1, (tap*3+c)*8+n); got != want {
					t.Fatalf("stem tap %d in %d out %d: %v, want %v", tap, c, n, got, want)
				}
			}
		}
	}
	for k := range 8 {
		for n := range 16 {
			want := 0.0
			if k < 5 && n < 11 {
				want = point.Data[n*5+k]
			}
			if got := at(1, 1, k*16+n); got != want {
				t.Fatalf("1x1 in %d out %d: %v, want %v", k, n, got, want)
			}
		}
	}
	for tap := range 25 {
		for n := range 16 {
			want := 0.0
			if n < 11 {
				want = dw.Data[n*25+tap]
			}
			if got := at(2, 1, tap*16+n); got != want {
				t.Fatalf("depthwise tap %d channel %d: %v, want %v", tap, n, got, want)
			}
		}
	}
	if at(1, 2, 10) != float64(float32(10)+1.1) || at(1, 2, 11) != 0 {
		t.Error("bias is not padded with zeros")
	}
}

// TestOverwriting: a dispatch that needs nothing of the one before, but lies where that one reads, waits for it.
func TestOverwriting(t *testing.T) {
	b := graph.NewBuilder("overwriting")
	conv := func(in graph.ID, name string, from, to int, residual ...graph.ID) graph.ID {
		return b.Add(name, &graph.Conv{Weight: &graph.Param{Name: name, Shape: []int{to, from, 1, 1}, Data: make([]float64, to*from)},
			Bias: &graph.Param{Name: name + ".bias", Shape: []int{to}, Data: make([]float64, to)}, Stride: 1, Groups: 1, Residual: len(residual) > 0},
			append([]graph.ID{in}, residual...)...)
	}
	x := b.Add("x", &graph.Input{Shape: graph.Shape{C: 8, H: 9, W: 9}, Inner: true})
	y := b.Add("y", &graph.Input{Shape: graph.Shape{C: 8, H: 9, W: 9}, Inner: true})
	fromX := conv(x, "fromX", 8, 8)
	g, err := b.Graph(conv(conv(y, "fromY", 8, 8), "out", 8, 8, fromX))
	if err != nil {
		t.Fatal(err)
	}
	p, err := netplan.Lower(g, netplan.MinimalCaps(), netplan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	read, written := p.Tensors[p.Dispatches[0].Bind[0].Tensor], p.Tensors[p.Dispatches[1].Bind[3].Tensor]
	if read.Name != "x" || written.Name != "fromY" || read.Offset != written.Offset {
		t.Fatalf("%s at %d, then %s at %d: the plan does not have what this tests", read.Name, read.Offset, written.Name, written.Offset)
	}
	if !p.Dispatches[1].Barrier {
		t.Error("no barrier before what was read is overwritten")
	}
}

// TestPlanJSON keeps the keys that scripts read.
func TestPlanJSON(t *testing.T) {
	p := lower(t, models.All()[0], 64, 64, netplan.Options{})
	var buf bytes.Buffer
	if err := p.WriteJSON(&buf); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(buf.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"macs_per_image": float64(p.MACs), "bytes_per_image": float64(p.Bytes), "arena_bytes": float64(p.ArenaBytes), "dispatches": float64(len(p.Dispatches))}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %v, want %v", k, got[k], v)
		}
	}
	if len(got["kernels"].([]any)) != len(p.Dispatches) {
		t.Error("kernels does not list every dispatch")
	}
}

// TestPlanDOT: every dispatch is a node with an edge into it.
func TestPlanDOT(t *testing.T) {
	p := lower(t, models.All()[0], 64, 64, netplan.Options{})
	var buf bytes.Buffer
	if err := p.WriteDOT(&buf); err != nil {
		t.Fatal(err)
	}
	for i := range p.Dispatches {
		if !strings.Contains(buf.String(), fmt.Sprintf("-> d%d [", i)) {
			t.Errorf("dispatch %d has no edge into it", i)
		}
	}
	if strings.Contains(buf.String(), "  ->") || !strings.Contains(buf.String(), "-> output") {
		t.Error("an edge starts nowhere, or nothing leads to the output")
	}
}
