package graph

import (
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Property tests draw the same cases every time; -rapid.seed=0 draws new ones.
func init() {
	if err := flag.Set("rapid.seed", "1"); err != nil {
		panic(err)
	}
}

// param is a parameter of that shape, every element 1.
func param(name string, shape ...int) *Param {
	n := 1
	for _, d := range shape {
		n *= d
	}
	p := &Param{Name: name, Shape: shape, Data: make([]float64, n)}
	for i := range p.Data {
		p.Data[i] = 1
	}
	return p
}

func batchNorm(c int) *BatchNorm {
	return &BatchNorm{Weight: param("weight", c), Bias: param("bias", c), Mean: param("mean", c), Var: param("var", c), Eps: 1e-3}
}

// small is input 3x5x7 → conv 4 → batchnorm → silu → depthwise → add → pool → linear.
func small(t testing.TB) *Graph {
	t.Helper()
	b := NewBuilder("small")
	x := b.Add("input", &Input{Shape: Shape{3, 5, 7}})
	x = b.Add("conv", &Conv{Weight: param("conv.weight", 4, 3, 3, 3), Stride: 2, Groups: 1}, x)
	x = b.Add("bn", batchNorm(4), x)
	a := b.Add("bn.act", &Activation{SiLU}, x)
	x = b.Add("dw", &Conv{Weight: param("dw.weight", 4, 1, 5, 5), Bias: param("dw.bias", 4), Stride: 1, Groups: 4}, a)
	x = b.Add("sum", &Add{}, x, a)
	x = b.Add("mean", &Pool{}, x)
	x = b.Add("fc", &Linear{Weight: param("fc.weight", 10, 4), Bias: param("fc.bias", 10)}, x)
	g, err := b.Graph(x)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestBuilder(t *testing.T) {
	g := small(t)
	want := []Shape{{3, 5, 7}, {4, 3, 4}, {4, 3, 4}, {4, 3, 4}, {4, 3, 4}, {4, 3, 4}, {4, 1, 1}, {10, 1, 1}}
	for i, n := range g.Nodes {
		if n.Shape != want[i] || n.ID != ID(i) || n.Yields != n.Name {
			t.Errorf("node %d: %+v, want shape %v", i, *n, want[i])
		}
	}
	if g.InputShape() != want[0] || g.OutputShape() != want[7] {
		t.Errorf("input %v, output %v", g.InputShape(), g.OutputShape())
	}
	// conv 3·4 pixels · 4·27, depthwise 12 · 4·25, linear 40.
	if got, want := g.TotalMACs(), int64(12*108+12*100+40); got != want {
		t.Errorf("%d multiply-adds, want %d", got, want)
	}
	if got, want := g.NumParams(), int64(108+16+104+50); got != want {
		t.Errorf("%d parameters, want %d", got, want)
	}
	if got := fmt.Sprint(g.Users()); got != "[[1] [2] [3] [4 5] [5] [6] [7] []]" {
		t.Errorf("users %s", got)
	}
	if got := fmt.Sprint(g.InputShapes(g.Node(5))); got != "[4x3x4 4x3x4]" {
		t.Errorf("input shapes %s", got)
	}
}

// TestFragment: a part of a network has as many inputs as it needs.
func TestFragment(t *testing.T) {
	b := NewBuilder("fragment")
	x := b.Add("map", &Input{Shape: Shape{4, 2, 2}, Inner: true})
	gate := b.Add("gate", &Input{Shape: Shape{4, 1, 1}, Inner: true})
	g, err := b.Graph(b.Add("scaled", &Scale{}, x, gate))
	if err != nil {
		t.Fatal(err)
	}
	if g.Input != x || fmt.Sprint(g.Inputs()) != "[0 1]" || Attrs(g.Node(gate).Op) != "inner" {
		t.Errorf("input %d, inputs %v, attributes %q", g.Input, g.Inputs(), Attrs(g.Node(gate).Op))
	}
}

func TestBuilderErrors(t *testing.T) {
	b := NewBuilder("bad")
	x := b.Add("input", &Input{Shape: Shape{3, 4, 4}})
	b.Add("sum", &Add{}, x, 17)
	b.Add("later", &Pool{}, x)
	if b.Shape(x) != (Shape{}) {
		t.Errorf("shape %v after an error, want none", b.Shape(x))
	}
	if _, err := b.Graph(x); err == nil || !strings.Contains(err.Error(), `bad: node "sum" reads node 17`) {
		t.Errorf("error %v, want the first one", err)
	}
	b = NewBuilder("pictures")
	b.Add("one", &Input{Shape: Shape{3, 4, 4}})
	x = b.Add("two", &Input{Shape: Shape{3, 4, 4}})
	if _, err := b.Graph(x); err == nil || !strings.Contains(err.Error(), `"one": is an input but not the graph's`) {
		t.Errorf("error %v, want one that names the first picture", err)
	}
	b = NewBuilder("inner first")
	b.Add("inner", &Input{Shape: Shape{3, 4, 4}, Inner: true})
	x = b.Add("picture", &Input{Shape: Shape{3, 4, 4}})
	if _, err := b.Graph(x); err == nil || !strings.Contains(err.Error(), "2 inputs, want 1") {
		t.Errorf("error %v, want the order of inputs", err)
	}
	b = NewBuilder("twice")
	x = b.Add("input", &Input{Shape: Shape{1, 1, 1}})
	x = b.Add("input", &Pool{}, x)
	if _, err := b.Graph(x); err == nil || !strings.Contains(err.Error(), "used twice") {
		t.Errorf("error %v, want a name used twice", err)
	}
}

// TestInfer gives every op what it must refuse.
func TestInfer(t *testing.T) {
	m, v := Shape{4, 3, 3}, Shape{4, 1, 1}
	dense := func(edit func(*Conv)) *Conv {
		c := &Conv{Weight: param("w", 6, 4, 1, 1), Stride: 1, Groups: 1}
		edit(c)
		return c
	}
	seOf := func(edit func(*SE)) *SE {
		s := &SE{ReduceWeight: param("rw", 2, 4, 1, 1), ReduceBias: param("rb", 2), ExpandWeight: param("ew", 4, 2, 1, 1), ExpandBias: param("eb", 4)}
		edit(s)
		return s
	}
	for _, test := range []struct {
		name string
		op   Op
		in   []Shape
		want string // of the error; "" for none
		out  Shape
	}{
		{"input", &Input{Shape: Shape{3, 2, 1}}, nil, "", Shape{3, 2, 1}},
		{"input with input", &Input{Shape: Shape{3, 2, 1}}, []Shape{m}, "takes no inputs", Shape{}},
		{"input of nothing", &Input{Shape: Shape{3, 0, 1}}, nil, "positive", Shape{}},
		{"conv", dense(func(*Conv) {}), []Shape{m}, "", Shape{6, 3, 3}},
		{"conv stride", dense(func(c *Conv) { c.Stride = 2 }), []Shape{m}, "", Shape{6, 2, 2}},
		{"conv pool", dense(func(c *Conv) { c.Pool = true }), []Shape{m}, "", Shape{6, 1, 1}},
		{"conv gate residual", dense(func(c *Conv) { c.Gate, c.Residual = true, true }), []Shape{m, v, {6, 3, 3}}, "", Shape{6, 3, 3}},
		{"conv inputs", dense(func(*Conv) {}), []Shape{m, m}, "takes 1 inputs", Shape{}},
		{"conv gate missing", dense(func(c *Conv) { c.Gate = true }), []Shape{m}, "takes 2 inputs", Shape{}},
		{"conv gate shape", dense(func(c *Conv) { c.Gate = true }), []Shape{m, m}, "gate has shape", Shape{}},
		{"conv residual shape", dense(func(c *Conv) { c.Residual = true }), []Shape{m, m}, "residual has shape", Shape{}},
		{"conv channels", dense(func(*Conv) {}), []Shape{{5, 3, 3}}, "takes 4 channels, got 5", Shape{}},
		{"conv no weight", &Conv{Stride: 1, Groups: 1}, []Shape{m}, "weight", Shape{}},
		{"conv not square", &Conv{Weight: param("w", 6, 4, 1, 3), Stride: 1, Groups: 1}, []Shape{m}, "weight", Shape{}},
		{"conv stride 0", dense(func(c *Conv) { c.Stride = 0 }), []Shape{m}, "positive", Shape{}},
		{"conv bias", dense(func(c *Conv) { c.Bias = param("b", 5) }), []Shape{m}, "bias b has 5 values", Shape{}},
		{"conv grouped", &Conv{Weight: param("w", 4, 2, 1, 1), Stride: 1, Groups: 2}, []Shape{m}, "only dense and depthwise", Shape{}},
		{"depthwise", &Conv{Weight: param("w", 4, 1, 3, 3), Stride: 2, Groups: 4}, []Shape{m}, "", Shape{4, 2, 2}},
		{"depthwise multiplier", &Conv{Weight: param("w", 8, 1, 3, 3), Stride: 2, Groups: 4}, []Shape{m}, "only dense and depthwise", Shape{}},
		{"batchnorm", batchNorm(4), []Shape{m}, "", m},
		{"batchnorm width", batchNorm(5), []Shape{m}, "5 values, want 4", Shape{}},
		{"batchnorm inputs", batchNorm(4), nil, "takes 1 input", Shape{}},
		{"activation", &Activation{SiLU}, []Shape{m}, "", m},
		{"activation inputs", &Activation{SiLU}, []Shape{m, m}, "takes 1 input", Shape{}},
		{"pool", &Pool{}, []Shape{m}, "", v},
		{"pool inputs", &Pool{}, nil, "takes 1 input", Shape{}},
		{"scale", &Scale{}, []Shape{m, v}, "", m},
		{"scale gate", &Scale{}, []Shape{m, {5, 1, 1}}, "gate has shape", Shape{}},
		{"scale inputs", &Scale{}, []Shape{m}, "takes 2 inputs", Shape{}},
		{"add", &Add{}, []Shape{m, m}, "", m},
		{"add shapes", &Add{}, []Shape{m, v}, "of one shape", Shape{}},
		{"add inputs", &Add{}, []Shape{m}, "takes 2 inputs", Shape{}},
		{"se", seOf(func(*SE) {}), []Shape{m}, "", v},
		{"se reduce", seOf(func(s *SE) { s.ReduceWeight = param("rw", 3, 4, 1, 1) }), []Shape{m}, "do not fit", Shape{}},
		{"se expand", seOf(func(s *SE) { s.ExpandBias = param("eb", 5) }), []Shape{m}, "do not fit", Shape{}},
		{"linear", &Linear{Weight: param("w", 9, 4)}, []Shape{v}, "", Shape{9, 1, 1}},
		{"linear map", &Linear{Weight: param("w", 9, 4)}, []Shape{m}, "takes one vector", Shape{}},
		{"linear width", &Linear{Weight: param("w", 9, 5)}, []Shape{v}, "want [out, 4]", Shape{}},
		{"linear bias", &Linear{Weight: param("w", 9, 4), Bias: param("b", 4)}, []Shape{v}, "want 9", Shape{}},
	} {
		out, err := test.op.infer(test.in)
		switch {
		case test.want == "" && (err != nil || out != test.out):
			t.Errorf("%s: %v, %v, want %v", test.name, out, err, test.out)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
}

// TestCheckFindsDamage damages a good graph in every way that Check knows.
func TestCheckFindsDamage(t *testing.T) {
	if err := small(t).Check(); err != nil {
		t.Fatal(err)
	}
	for want, damage := range map[string]func(*Graph){
		"has ID 9":              func(g *Graph) { g.Nodes[2].ID = 9 },
		"has no name":           func(g *Graph) { g.Nodes[2].Yields = "" },
		"used twice":            func(g *Graph) { g.Nodes[3].Name = "conv" },
		"want an earlier one":   func(g *Graph) { g.Nodes[4].Inputs = []ID{4} },
		"inferred 4x3x4":        func(g *Graph) { g.Nodes[1].Shape.H++ },
		"is an input but not":   func(g *Graph) { g.Input = 1 },
		"0 inputs, want 1":      func(g *Graph) { *g = Graph{} },
		"is not a node":         func(g *Graph) { g.Output = 8 },
		"has 107 values":        func(g *Graph) { p := g.Nodes[1].Op.(*Conv).Weight; p.Data = p.Data[:107] },
		"of one shape":          func(g *Graph) { g.Nodes[5].Inputs = g.Nodes[5].Inputs[:1] },
		"batchnorm mean has 3 ": func(g *Graph) { g.Nodes[2].Op.(*BatchNorm).Mean = param("mean", 3) },
	} {
		g := small(t)
		damage(g)
		if err := g.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestSamePad checks the padding against its definition: every output's window overlaps the map, the last
// element is covered when the kernel is as large as the stride, no padding is superfluous, and the odd
// element goes after.
func TestSamePad(t *testing.T) {
	for _, test := range []struct{ n, k, s, before, after int }{
		{240, 3, 2, 0, 1}, {60, 5, 2, 1, 2}, {15, 5, 2, 2, 2}, {65, 3, 2, 1, 1}, {33, 5, 2, 2, 2},
		{7, 3, 1, 1, 1}, {7, 5, 1, 2, 2}, {1, 5, 2, 2, 2}, {1, 3, 2, 1, 1}, {2, 3, 2, 0, 1}, {5, 1, 1, 0, 0}, {6, 1, 2, 0, 0},
	} {
		if got := SamePad(test.n, test.k, test.s); got != (Pad{test.before, test.after}) {
			t.Errorf("%d elements, kernel %d, stride %d: %+v, want %d before, %d after", test.n, test.k, test.s, got, test.before, test.after)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n, k, s := rapid.IntRange(1, 400).Draw(t, "n"), rapid.IntRange(1, 9).Draw(t, "kernel"), rapid.IntRange(1, 4).Draw(t, "stride")
		p := SamePad(n, k, s)
		outs := (n + s - 1) / s
		if p.Before < 0 || p.After-p.Before < 0 || p.After-p.Before > 1 {
			t.Fatalf("padding %+v, want equal or one more after", p)
		}
		if got := (n+p.Before+p.After-k)/s + 1; n+p.Before+p.After >= k && got != outs && k >= s {
			t.Fatalf("%+v makes %d outputs, want %d", p, got, outs)
		}
		if last := (outs-1)*s + k - p.Before; p.Before+p.After > 0 && last != n+p.After {
			t.Fatalf("%+v: last window ends at %d of %d", p, last, n+p.After)
		}
		conv := &Conv{Weight: param("w", 1, 1, k, k), Stride: s, Groups: 1}
		if out, err := conv.infer([]Shape{{1, n, 1}}); err != nil || out.H != outs {
			t.Fatalf("output %v, %v, want %d rows", out, err, outs)
		}
	})
}

func TestText(t *testing.T) {
	g := small(t)
	var text, dot strings.Builder
	if err := g.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if err := g.WriteDOT(&dot); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"graph small: 8 nodes, input 3x5x7, output 10x1x1, 2536 multiply-adds", "3x3/2", "5x5/1 depthwise bias", "eps=0.001", "silu", "%4 %3"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("text lacks %q:\n%s", want, &text)
		}
	}
	if lines := strings.Count(text.String(), "\n"); lines != len(g.Nodes)+2 {
		t.Errorf("%d lines, want %d", lines, len(g.Nodes)+2)
	}
	if got := strings.Count(dot.String(), "->"); got != 8 || !strings.HasPrefix(dot.String(), `digraph "small" {`) || !strings.HasSuffix(dot.String(), "}\n") {
		t.Errorf("%d edges, want 8:\n%s", got, &dot)
	}
	fused := &Conv{Weight: param("w", 6, 4, 1, 1), Bias: param("b", 6), Stride: 1, Groups: 1, Act: SiLU, Gate: true, Residual: true, Pool: true}
	if got := Attrs(fused); got != "1x1/1 gate bias silu residual mean" {
		t.Errorf("attributes %q", got)
	}
	if got := Act(9).String(); got != "Act(9)" {
		t.Errorf("unknown activation is %q", got)
	}
}

// TestOps: kinds are distinct, and every op_X.go of this package has its op in the list.
func TestOps(t *testing.T) {
	files, err := filepath.Glob("op_*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no op_*.go here: %v", err)
	}
	want := map[string]bool{}
	for _, f := range files {
		want[strings.TrimSuffix(strings.TrimPrefix(f, "op_"), ".go")] = true
	}
	seen := map[string]bool{}
	for _, op := range Ops() {
		if seen[op.Kind()] {
			t.Errorf("%s is listed twice", op.Kind())
		}
		if !want[op.Kind()] {
			t.Errorf("%s has no file op_%s.go", op.Kind(), op.Kind())
		}
		seen[op.Kind()] = true
	}
	for kind := range want {
		if !seen[kind] {
			t.Errorf("%s is not listed", kind)
		}
	}
}
