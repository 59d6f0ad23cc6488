package cpuref

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// block is an inverted residual block of odd widths with random weights, then pooling and a classifier.
func block(t testing.TB, h, w int) *graph.Graph {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	random := func(shape ...int) *graph.Param {
		n := 1
		for _, d := range shape {
			n *= d
		}
		p := &graph.Param{Name: "p", Shape: shape, Data: make([]float64, n)}
		for i := range p.Data {
			p.Data[i] = rng.Float64() - 0.4
		}
		return p
	}
	b := graph.NewBuilder("block")
	in := b.Add("input", &graph.Input{Shape: graph.Shape{C: 3, H: h, W: w}})
	in = b.Add("stem", &graph.Conv{Weight: random(7, 3, 3, 3), Stride: 2, Groups: 1}, in)
	x := b.Add("expand", &graph.Conv{Weight: random(13, 7, 1, 1), Stride: 1, Groups: 1}, in)
	variance := random(13)
	for i := range variance.Data {
		variance.Data[i] = variance.Data[i]*variance.Data[i] + 0.1
	}
	x = b.Add("bn", &graph.BatchNorm{Weight: random(13), Bias: random(13), Mean: random(13), Var: variance, Eps: 1e-3}, x)
	x = b.Add("act", &graph.Activation{Func: graph.SiLU}, x)
	x = b.Add("dw", &graph.Conv{Weight: random(13, 1, 5, 5), Bias: random(13), Stride: 1, Groups: 13, Act: graph.SiLU}, x)
	g := b.Add("gate", &graph.SE{ReduceWeight: random(3, 13, 1, 1), ReduceBias: random(3), ExpandWeight: random(13, 3, 1, 1), ExpandBias: random(13)}, x)
	y := b.Add("scaled", &graph.Scale{}, x, g)
	y = b.Add("project", &graph.Conv{Weight: random(7, 13, 1, 1), Stride: 1, Groups: 1, Gate: true, Residual: true}, y, g, in)
	y = b.Add("mean", &graph.Pool{}, y)
	out, err := b.Graph(b.Add("fc", &graph.Linear{Weight: random(5, 7), Bias: random(5)}, y))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func noise[T Float](n int) []T {
	rng := rand.New(rand.NewPCG(2, 2))
	out := make([]T, n)
	for i := range out {
		out[i] = T(rng.Float64()*2 - 1)
	}
	return out
}

// trace returns every node's value.
func trace[T Float](t testing.TB, g *graph.Graph, in []T, n, workers int) [][]T {
	t.Helper()
	var out [][]T
	if _, err := Trace(context.Background(), g, in, n, Options{Workers: workers}, func(_ *graph.Node, v []T) { out = append(out, v) }); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSameBits: neither the number of workers nor the rest of the batch changes a bit of any node.
func TestSameBits(t *testing.T) {
	t.Run("float32", testSameBits[float32])
	t.Run("float64", testSameBits[float64])
}

func testSameBits[T Float](t *testing.T) {
	g := block(t, 23, 18)
	const n = 5
	per := g.InputShape().NumElements()
	in := noise[T](n * per)
	batch := trace(t, g, in, n, 1)
	for _, workers := range []int{2, 3, 64} {
		for i, v := range trace(t, g, in, n, workers) {
			if !slices.Equal(v, batch[i]) {
				t.Errorf("%s: other bits with %d workers", g.Nodes[i].Name, workers)
			}
		}
	}
	for image := range n {
		for i, v := range trace(t, g, in[image*per:][:per], 1, 2) {
			if !slices.Equal(v, batch[i][image*len(v):][:len(v)]) {
				t.Errorf("%s: image %d has other bits alone", g.Nodes[i].Name, image)
			}
		}
	}
}

// TestFloat32IsFloat32: the float32 run differs from float64 by what float32 rounding costs, not more,
// and not by nothing.
func TestFloat32IsFloat32(t *testing.T) {
	g := block(t, 40, 40)
	in := noise[float32](g.InputShape().NumElements())
	in64 := make([]float64, len(in))
	for i, v := range in {
		in64[i] = float64(v)
	}
	a, b := trace(t, g, in, 1, 2), trace(t, g, in64, 1, 2)
	for i := range a {
		var e, ref float64
		for j := range a[i] {
			e += math.Pow(float64(a[i][j])-b[i][j], 2)
			ref += b[i][j] * b[i][j]
		}
		if rel := math.Sqrt(e / ref); rel > 1e-6 || (i > 0 && rel < 1e-9) {
			t.Errorf("%s: relative difference %.2g, want 1e-9 to 1e-6", g.Nodes[i].Name, rel)
		}
	}
}

func TestTraceGivesEveryNode(t *testing.T) {
	g := block(t, 9, 8)
	in := noise[float32](2 * g.InputShape().NumElements())
	var seen []graph.ID
	var last []float32
	out, err := Trace(context.Background(), g, in, 2, Options{}, func(n *graph.Node, v []float32) {
		seen = append(seen, n.ID)
		if len(v) != 2*n.Shape.NumElements() {
			t.Errorf("%s: %d elements, want %d", n.Name, len(v), 2*n.Shape.NumElements())
		}
		last = v
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != len(g.Nodes) || !slices.IsSorted(seen) {
		t.Errorf("nodes %v, want all %d in order", seen, len(g.Nodes))
	}
	if !slices.Equal(out, last) {
		t.Error("the result is not the last node's value")
	}
	run, err := Run(context.Background(), g, in, 2, Options{})
	if err != nil || !slices.Equal(run, out) {
		t.Errorf("Run gives %v, %v, Trace %v", run, err, out)
	}
}

// TestEvalNodeByNode: feeding each node with the values of a trace gives the trace.
func TestEvalNodeByNode(t *testing.T) {
	g := block(t, 12, 11)
	in := noise[float32](3 * g.InputShape().NumElements())
	values := trace(t, g, in, 3, 2)
	for _, n := range g.Nodes {
		xs := [][]float32{in}
		if n.ID != g.Input {
			xs = nil
			for _, id := range n.Inputs {
				xs = append(xs, values[id])
			}
		}
		got, err := Eval(g, n, xs, 3, Options{})
		if err != nil || !slices.Equal(got, values[n.ID]) {
			t.Errorf("%s: another value, error %v", n.Name, err)
		}
		if _, err := Eval(g, n, append(xs, in), 3, Options{}); err == nil || !strings.Contains(err.Error(), n.Name) {
			t.Errorf("%s with an input too many: error %v", n.Name, err)
		}
		xs[0] = xs[0][1:]
		if _, err := Eval(g, n, xs, 3, Options{}); err == nil || !strings.Contains(err.Error(), "elements, want") {
			t.Errorf("%s with a short input: error %v", n.Name, err)
		}
		if _, err := Eval(g, n, xs, -1, Options{}); err == nil {
			t.Errorf("%s with batch -1: no error", n.Name)
		}
	}
}

func TestRunErrors(t *testing.T) {
	g := block(t, 9, 8)
	in := noise[float32](g.InputShape().NumElements())
	for want, run := range map[string]func() ([]float32, error){
		"input has 215 elements, want 216 for 1 images of 3x9x8": func() ([]float32, error) { return Run(context.Background(), g, in[1:], 1, Options{}) },
		"input has 216 elements, want 432 for 2 images":          func() ([]float32, error) { return Run(context.Background(), g, in, 2, Options{}) },
		"batch of 0 images":  func() ([]float32, error) { return Run[float32](context.Background(), g, nil, 0, Options{}) },
		"batch of -1 images": func() ([]float32, error) { return Run(context.Background(), g, in, -1, Options{}) },
		"graph: block: node 0": func() ([]float32, error) {
			bad := block(t, 9, 8)
			bad.Nodes[0].Shape.C = 1
			return Run(context.Background(), bad, in, 1, Options{})
		},
	} {
		_, err := run()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "cpuref: ") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestCancel(t *testing.T) {
	g := block(t, 9, 8)
	in := noise[float32](g.InputShape().NumElements())
	ctx, cancel := context.WithCancel(context.Background())
	nodes := 0
	_, err := Trace(ctx, g, in, 1, Options{}, func(n *graph.Node, _ []float32) {
		if nodes++; n.Name == "dw" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "stopped before node gate") || nodes != 6 {
		t.Errorf("error %v after %d nodes, want context.Canceled after 6", err, nodes)
	}
	if _, err := Run(ctx, g, in, 1, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// TestMemoryIsFreed: a long chain of large maps never holds more than a few of them.
func TestMemoryIsFreed(t *testing.T) {
	b := graph.NewBuilder("chain")
	s := graph.Shape{C: 1, H: 1 << 10, W: 1 << 10} // 4 MiB a map
	x := b.Add("input", &graph.Input{Shape: s})
	first := x
	for i := range 30 {
		x = b.Add("act"+string(rune('A'+i)), &graph.Activation{Func: graph.Sigmoid}, x)
	}
	x = b.Add("sum", &graph.Add{}, x, first)
	g, err := b.Graph(x)
	if err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, most := m.HeapAlloc, uint64(0)
	in := noise[float32](s.NumElements())
	if _, err := Trace(context.Background(), g, in, 1, Options{}, func(*graph.Node, []float32) {
		runtime.GC()
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
	}); err != nil {
		t.Fatal(err)
	}
	if held := (most - before) >> 20; held > 20 {
		t.Errorf("held %d MiB, want the input and three maps at most, 4 MiB each", held)
	}
}
