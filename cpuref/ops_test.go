package cpuref

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

func param(shape []int, v ...float64) *graph.Param {
	return &graph.Param{Name: "p", Shape: shape, Data: v}
}

// opCase is one op on inputs so small that a person can check the result.
type opCase struct {
	name string
	op   graph.Op
	in   []graph.Shape
	x    [][]float64
	want []float64
}

var sig = func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// opCases has one row or more for every op; TestEveryOp fails for an op without.
func opCases() []opCase {
	row3, vec2 := graph.Shape{C: 1, H: 1, W: 3}, graph.Shape{C: 2, H: 1, W: 1}
	map22 := graph.Shape{C: 1, H: 2, W: 2}
	two := graph.Shape{C: 2, H: 1, W: 2}
	return []opCase{
		{"input", &graph.Input{Shape: row3}, []graph.Shape{row3}, [][]float64{{1, 2, 3}}, []float64{1, 2, 3}},
		{"conv 1x1, two channels to one", &graph.Conv{Weight: param([]int{1, 2, 1, 1}, 10, 100), Stride: 1, Groups: 1},
			[]graph.Shape{two}, [][]float64{{1, 2, 3, 4}}, []float64{310, 420}},
		{"conv 3x3 on a row: zero above and below", &graph.Conv{Weight: param([]int{1, 1, 3, 3}, 0, 0, 0, 1, 10, 100, 0, 0, 0), Stride: 1, Groups: 1},
			[]graph.Shape{row3}, [][]float64{{1, 2, 3}}, []float64{210, 321, 32}},
		// Four elements, kernel 3, stride 2: no padding before, one after.
		{"conv stride 2, even: padding after", &graph.Conv{Weight: param([]int{1, 1, 3, 3}, 0, 0, 0, 1, 10, 100, 0, 0, 0), Stride: 2, Groups: 1},
			[]graph.Shape{{C: 1, H: 1, W: 4}}, [][]float64{{1, 2, 3, 4}}, []float64{321, 43}},
		// Three elements: one before, one after.
		{"conv stride 2, odd: padding both sides", &graph.Conv{Weight: param([]int{1, 1, 3, 3}, 0, 0, 0, 1, 10, 100, 0, 0, 0), Stride: 2, Groups: 1},
			[]graph.Shape{row3}, [][]float64{{1, 2, 3}}, []float64{210, 32}},
		{"conv 1x1 stride 2 skips", &graph.Conv{Weight: param([]int{1, 1, 1, 1}, 1), Stride: 2, Groups: 1},
			[]graph.Shape{row3}, [][]float64{{1, 2, 3}}, []float64{1, 3}},
		{"conv depthwise", &graph.Conv{Weight: param([]int{2, 1, 1, 1}, 2, 3), Stride: 1, Groups: 2},
			[]graph.Shape{two}, [][]float64{{1, 2, 3, 4}}, []float64{2, 4, 9, 12}},
		{"conv bias", &graph.Conv{Weight: param([]int{2, 1, 1, 1}, 1, 1), Bias: param([]int{2}, 10, 20), Stride: 1, Groups: 1},
			[]graph.Shape{row3}, [][]float64{{1, 2, 3}}, []float64{11, 12, 13, 21, 22, 23}},
		{"conv gate before the weights", &graph.Conv{Weight: param([]int{1, 2, 1, 1}, 1, 10), Stride: 1, Groups: 1, Gate: true},
			[]graph.Shape{two, vec2}, [][]float64{{1, 2, 3, 4}, {0.5, 2}}, []float64{60.5, 81}},
		{"conv bias before the activation", &graph.Conv{Weight: param([]int{1, 1, 1, 1}, 1), Bias: param([]int{1}, -2), Stride: 1, Groups: 1, Act: graph.Sigmoid},
			[]graph.Shape{row3}, [][]float64{{1, 2, 3}}, []float64{sig(-1), 0.5, sig(1)}},
		{"conv residual after the activation", &graph.Conv{Weight: param([]int{1, 1, 1, 1}, 0), Stride: 1, Groups: 1, Act: graph.Sigmoid, Residual: true},
			[]graph.Shape{row3, row3}, [][]float64{{1, 2, 3}, {10, 20, 30}}, []float64{10.5, 20.5, 30.5}},
		{"conv mean of the activated map", &graph.Conv{Weight: param([]int{1, 1, 1, 1}, 1), Stride: 1, Groups: 1, Act: graph.Sigmoid, Pool: true},
			[]graph.Shape{row3}, [][]float64{{-1, 0, 1}}, []float64{0.5}},
		{"conv with everything", &graph.Conv{Weight: param([]int{1, 2, 1, 1}, 1, 10), Bias: param([]int{1}, 5), Stride: 1, Groups: 1, Gate: true, Residual: true, Pool: true},
			[]graph.Shape{two, vec2, {C: 1, H: 1, W: 2}}, [][]float64{{1, 2, 3, 4}, {2, 1}, {100, 200}}, []float64{(2 + 30 + 5 + 100 + 4 + 40 + 5 + 200) / 2.}},
		{"batchnorm", &graph.BatchNorm{Weight: param([]int{2}, 3, -1), Bias: param([]int{2}, 1, 2), Mean: param([]int{2}, 2, 0), Var: param([]int{2}, 3.75, 0), Eps: 0.25},
			[]graph.Shape{two}, [][]float64{{2, 4, 1, -1}}, []float64{1, 4, 0, 4}},
		{"silu", &graph.Activation{Func: graph.SiLU}, []graph.Shape{row3}, [][]float64{{-1, 0, 2}}, []float64{-sig(-1), 0, 2 * sig(2)}},
		{"sigmoid", &graph.Activation{Func: graph.Sigmoid}, []graph.Shape{row3}, [][]float64{{-1, 0, 2}}, []float64{sig(-1), 0.5, sig(2)}},
		{"identity", &graph.Activation{}, []graph.Shape{row3}, [][]float64{{-1, 0, 2}}, []float64{-1, 0, 2}},
		{"pool", &graph.Pool{}, []graph.Shape{map22}, [][]float64{{1, 2, 3, 5}}, []float64{2.75}},
		{"scale", &graph.Scale{}, []graph.Shape{two, vec2}, [][]float64{{1, 2, 3, 4}, {10, 100}}, []float64{10, 20, 300, 400}},
		{"add", &graph.Add{}, []graph.Shape{two, two}, [][]float64{{1, 2, 3, 4}, {10, 20, 30, 40}}, []float64{11, 22, 33, 44}},
		{"se", &graph.SE{ReduceWeight: param([]int{1, 2, 1, 1}, 2, 0), ReduceBias: param([]int{1}, -1), ExpandWeight: param([]int{2, 1, 1, 1}, 1, -1), ExpandBias: param([]int{2}, 0, 1)},
			[]graph.Shape{two}, [][]float64{{1, 2, 7, 7}}, []float64{sig(2 * sig(2)), sig(1 - 2*sig(2))}},
		{"linear", &graph.Linear{Weight: param([]int{3, 2}, 1, 0, 0, 1, 2, 3), Bias: param([]int{3}, 10, 20, 30)},
			[]graph.Shape{vec2}, [][]float64{{4, 5}}, []float64{14, 25, 53}},
		{"linear without bias", &graph.Linear{Weight: param([]int{1, 2}, 2, 3)}, []graph.Shape{vec2}, [][]float64{{4, 5}}, []float64{23}},
	}
}

// nodeOf makes a graph whose last node is op, reading inputs of those shapes. Only the first can be the
// graph's input, so the others are pooled from it or nothing at all: the node is for Eval.
func nodeOf(t testing.TB, op graph.Op, in []graph.Shape) (*graph.Graph, *graph.Node) {
	t.Helper()
	g := &graph.Graph{Model: "test"}
	n := &graph.Node{Name: "op", Yields: "op", Op: op}
	for i, s := range in {
		g.Nodes = append(g.Nodes, &graph.Node{ID: graph.ID(i), Name: "x", Yields: "x", Op: &graph.Input{Shape: s}, Shape: s})
		n.Inputs = append(n.Inputs, graph.ID(i))
	}
	n.ID = graph.ID(len(in))
	g.Nodes = append(g.Nodes, n)
	if input, ok := op.(*graph.Input); ok {
		n.Inputs, n.Shape = nil, input.Shape
	}
	return g, n
}

func toT[T Float](v []float64) []T {
	out := make([]T, len(v))
	for i, x := range v {
		out[i] = T(x)
	}
	return out
}

// eval1 evaluates one op on n images.
func eval1[T Float](t testing.TB, op graph.Op, in []graph.Shape, x [][]float64, n, workers int) []T {
	t.Helper()
	g, node := nodeOf(t, op, in)
	xs := make([][]T, len(x))
	for i := range x {
		xs[i] = toT[T](x[i])
	}
	before := make([][]T, len(xs))
	for i := range xs {
		before[i] = slices.Clone(xs[i])
	}
	y, err := Eval(g, node, xs, n, Options{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	for i := range xs {
		if !slices.Equal(xs[i], before[i]) {
			t.Fatalf("%s changed its input %d", op.Kind(), i)
		}
	}
	return y
}

func near[T Float](got []T, want []float64, tolerance float64) bool {
	return slices.EqualFunc(got, want, func(a T, b float64) bool {
		return math.Abs(float64(a)-b) <= tolerance*math.Max(1, math.Abs(b))
	})
}

func TestOpsByHand(t *testing.T) {
	for _, c := range opCases() {
		t.Run(c.name, func(t *testing.T) {
			if got := eval1[float64](t, c.op, c.in, c.x, 1, 1); !near(got, c.want, 1e-15) {
				t.Errorf("float64: %v, want %v", got, c.want)
			}
			if got := eval1[float32](t, c.op, c.in, c.x, 1, 1); !near(got, c.want, 1e-7) {
				t.Errorf("float32: %v, want %v", got, c.want)
			}
		})
	}
}

// TestEveryOp: the list of ops is closed, and each has its row above and its case in eval.
func TestEveryOp(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range opCases() {
		tested[c.op.Kind()] = true
	}
	for _, op := range graph.Ops() {
		if !tested[op.Kind()] {
			t.Errorf("%s has no row in opCases", op.Kind())
		}
	}
}

// TestActivationsFarOut: no overflow, no NaN, and monotonous tails.
func TestActivationsFarOut(t *testing.T) {
	x := []float64{-1e30, -1000, -745, -110, -90, -40, 40, 90, 1000, 1e30, math.Copysign(0, -1), 0}
	n := graph.Shape{C: 1, H: 1, W: len(x)}
	for _, workers := range []int{1, 3} {
		for i, got := range eval1[float32](t, &graph.Activation{Func: graph.SiLU}, []graph.Shape{n}, [][]float64{x}, 1, workers) {
			want := float32(x[i] / (1 + math.Exp(-x[i])))
			if got != want || math.Signbit(float64(got)) != math.Signbit(x[i]) {
				t.Errorf("float32 silu(%g) = %g, want %g", x[i], got, want)
			}
		}
		for i, got := range eval1[float64](t, &graph.Activation{Func: graph.Sigmoid}, []graph.Shape{n}, [][]float64{x}, 1, workers) {
			if want := sig(x[i]); math.Abs(got-want) > 1e-15*want && want > 1e-300 {
				t.Errorf("sigmoid(%g) = %g, want %g", x[i], got, want)
			}
			if math.IsNaN(got) || got < 0 || got > 1 {
				t.Errorf("sigmoid(%g) = %g", x[i], got)
			}
		}
	}
	// Where 1/(1+exp(-x)) has already become zero for lack of range, exp(x) has not.
	if got := sigmoid(-740); got == 0 {
		t.Errorf("sigmoid(-740) = 0, want %g", math.Exp(-740))
	}
	if !math.IsNaN(silu(math.NaN())) {
		t.Error("silu hides a NaN")
	}
}

// TestUnknownActivation: an activation of a later version is an error, not silence.
func TestUnknownActivation(t *testing.T) {
	s := graph.Shape{C: 1, H: 1, W: 1}
	w := param([]int{1, 1, 1, 1}, 1)
	for _, op := range []graph.Op{&graph.Activation{Func: 77}, &graph.Conv{Weight: w, Stride: 1, Groups: 1, Act: 77}} {
		g, n := nodeOf(t, op, []graph.Shape{s})
		if _, err := Eval(g, n, [][]float32{{1}}, 1, Options{}); err == nil {
			t.Errorf("%s with Act(77): no error", op.Kind())
		}
	}
}

// TestMeanOfLargeMap: a float32 mean does not lose digits on a large map.
func TestMeanOfLargeMap(t *testing.T) {
	s := graph.Shape{C: 1, H: 1000, W: 1000}
	x := make([]float64, s.NumElements())
	for i := range x {
		x[i] = float64(float32(0.1)) + float64(i%2)*1000
	}
	want := (2*float64(float32(0.1)) + 1000) / 2
	want = float64(float32(want))
	if got := eval1[float32](t, &graph.Pool{}, []graph.Shape{s}, [][]float64{x}, 1, 1)[0]; math.Abs(float64(got)-want) > 1e-4 {
		t.Errorf("mean %v, want %v", got, want)
	}
}

// TestRunWholeGraph runs a graph of several ops through Run and by hand.
func TestRunWholeGraph(t *testing.T) {
	b := graph.NewBuilder("two")
	x := b.Add("input", &graph.Input{Shape: graph.Shape{C: 1, H: 1, W: 2}})
	y := b.Add("conv", &graph.Conv{Weight: param([]int{1, 1, 1, 1}, 2), Stride: 1, Groups: 1}, x)
	z := b.Add("sum", &graph.Add{}, y, x)
	b.Add("unused", &graph.Pool{}, z)
	g, err := b.Graph(z)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Run(context.Background(), g, []float64{1, 2, 3, 4}, 2, Options{})
	if err != nil || !slices.Equal(got, []float64{3, 6, 9, 12}) {
		t.Errorf("%v, %v, want [3 6 9 12]", got, err)
	}
}
