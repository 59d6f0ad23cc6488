package cpuref

import (
	"flag"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// Property tests draw the same cases every time; -rapid.seed=0 draws new ones.
func init() {
	if err := flag.Set("rapid.seed", "1"); err != nil {
		panic(err)
	}
}

// definition computes one output element of an op straight from its definition, in float64: an oracle
// written the other way round (from the output, one element at a time, on explicitly padded planes).
func definition(op graph.Op, shapes []graph.Shape, x [][]float64) []float64 {
	at := func(i, c, y, z int) float64 { // zero outside of the map
		s := shapes[i]
		if y < 0 || y >= s.H || z < 0 || z >= s.W {
			return 0
		}
		return x[i][c*s.H*s.W+y*s.W+z]
	}
	var out []float64
	switch op := op.(type) {
	case *graph.Conv:
		m, k := op.MapShape(shapes[0]), op.Kernel()
		top := max((m.H-1)*op.Stride+k-shapes[0].H, 0) / 2
		left := max((m.W-1)*op.Stride+k-shapes[0].W, 0) / 2
		per := op.Weight.Shape[1]
		for o := range m.C {
			mean := 0.0
			for p := range m.H * m.W {
				sum := 0.0
				for t := range per * k * k {
					c, ky, kx := t/(k*k), t/k%k, t%k
					if op.Groups > 1 {
						c = o
					}
					v := at(0, c, p/m.W*op.Stride+ky-top, p%m.W*op.Stride+kx-left)
					if op.Gate {
						v *= x[1][c]
					}
					sum += v * op.Weight.Data[o*per*k*k+t]
				}
				if op.Bias != nil {
					sum += op.Bias.Data[o]
				}
				switch op.Act {
				case graph.SiLU:
					sum /= 1 + math.Exp(-sum)
				case graph.Sigmoid:
					sum = 1 / (1 + math.Exp(-sum))
				}
				if op.Residual {
					sum += x[len(x)-1][o*m.H*m.W+p]
				}
				mean += sum / float64(m.H*m.W)
				if !op.Pool {
					out = append(out, sum)
				}
			}
			if op.Pool {
				out = append(out, mean)
			}
		}
	case *graph.SE:
		c, r := shapes[0].C, op.Reduced()
		for o := range c {
			z := op.ExpandBias.Data[o]
			for j := range r {
				h := op.ReduceBias.Data[j]
				for i := range c {
					for y := range shapes[0].H {
						for w := range shapes[0].W {
							h += op.ReduceWeight.Data[j*c+i] * at(0, i, y, w) / float64(shapes[0].H*shapes[0].W)
						}
					}
				}
				z += op.ExpandWeight.Data[o*r+j] * h / (1 + math.Exp(-h))
			}
			out = append(out, 1/(1+math.Exp(-z)))
		}
	case *graph.Linear:
		for o := range op.Weight.Shape[0] {
			sum := 0.0
			for i, v := range x[0] {
				sum += op.Weight.Data[o*len(x[0])+i] * v
			}
			if op.Bias != nil {
				sum += op.Bias.Data[o]
			}
			out = append(out, sum)
		}
	}
	return out
}

// integers draws n small whole numbers: their products and sums are exact in float32, in any order.
func integers(t *rapid.T, n int, name string) []float64 {
	out := make([]float64, n)
	seed := rapid.Uint32().Draw(t, name)
	for i := range out {
		seed = seed*1664525 + 1013904223
		out[i] = float64(int(seed>>24)%9) - 4
	}
	return out
}

func drawParam(t *rapid.T, name string, shape ...int) *graph.Param {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return &graph.Param{Name: name, Shape: shape, Data: integers(t, n, name)}
}

// drawConv draws a convolution with any of its attributes.
func drawConv(t *rapid.T, acts []graph.Act) (*graph.Conv, []graph.Shape) {
	in := graph.Shape{C: rapid.IntRange(1, 9).Draw(t, "C"), H: rapid.IntRange(1, 9).Draw(t, "H"), W: rapid.IntRange(1, 9).Draw(t, "W")}
	k := rapid.IntRange(1, 5).Draw(t, "kernel")
	op := &graph.Conv{Stride: rapid.IntRange(1, 3).Draw(t, "stride"), Groups: 1, Act: rapid.SampledFrom(acts).Draw(t, "act"),
		Gate: rapid.Bool().Draw(t, "gate"), Residual: rapid.Bool().Draw(t, "residual"), Pool: rapid.Bool().Draw(t, "pool")}
	if in.C > 1 && rapid.Bool().Draw(t, "depthwise") {
		op.Groups = in.C
		op.Weight = drawParam(t, "weight", in.C, 1, k, k)
	} else {
		op.Weight = drawParam(t, "weight", rapid.IntRange(1, 5).Draw(t, "out"), in.C, k, k)
	}
	if rapid.Bool().Draw(t, "biased") {
		op.Bias = drawParam(t, "bias", op.Weight.Shape[0])
	}
	shapes := []graph.Shape{in}
	if op.Gate {
		shapes = append(shapes, graph.Shape{C: in.C, H: 1, W: 1})
	}
	if op.Residual {
		shapes = append(shapes, op.MapShape(in))
	}
	return op, shapes
}

// drawBatch draws the inputs of n images and returns them per image and joined.
func drawBatch(t *rapid.T, shapes []graph.Shape, n int) (images [][][]float64, joined [][]float64) {
	joined = make([][]float64, len(shapes))
	for range n {
		var image [][]float64
		for i, s := range shapes {
			v := integers(t, s.NumElements(), "x")
			image = append(image, v)
			joined[i] = append(joined[i], v...)
		}
		images = append(images, image)
	}
	return images, joined
}

// agree compares Eval on a batch with the definition on each image, in both precisions.
func agree(t *rapid.T, op graph.Op, shapes []graph.Shape, exact bool) {
	n := rapid.IntRange(1, 3).Draw(t, "batch")
	workers := rapid.IntRange(1, 4).Draw(t, "workers")
	images, joined := drawBatch(t, shapes, n)
	var want []float64
	for _, image := range images {
		want = append(want, definition(op, shapes, image)...)
	}
	tolerance64, tolerance32 := 1e-13, 2e-6
	if exact {
		tolerance64, tolerance32 = 0, 0
	}
	if err := compare(evalRapid[float64](t, op, shapes, joined, n, workers), want, tolerance64); err != nil {
		t.Fatalf("float64: %v", err)
	}
	if err := compare(evalRapid[float32](t, op, shapes, joined, n, workers), want, tolerance32); err != nil {
		t.Fatalf("float32: %v", err)
	}
}

func evalRapid[T Float](t *rapid.T, op graph.Op, shapes []graph.Shape, x [][]float64, n, workers int) []T {
	g := &graph.Graph{Model: "test"}
	node := &graph.Node{ID: graph.ID(len(shapes)), Name: "op", Op: op}
	xs := make([][]T, len(x))
	for i, s := range shapes {
		g.Nodes = append(g.Nodes, &graph.Node{ID: graph.ID(i), Op: &graph.Input{Shape: s}, Shape: s})
		node.Inputs = append(node.Inputs, graph.ID(i))
		xs[i] = toT[T](x[i])
	}
	g.Nodes = append(g.Nodes, node)
	y, err := Eval(g, node, xs, n, Options{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	return y
}

func compare[T Float](got []T, want []float64, tolerance float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d elements, want %d", len(got), len(want))
	}
	scale := 1.0
	for _, w := range want {
		scale = max(scale, math.Abs(w))
	}
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= tolerance*scale) {
			return fmt.Errorf("element %d is %v, want %v", i, got[i], w)
		}
	}
	return nil
}

// TestConvDefinition: whole numbers, so every intermediate value is exact and a wrong index is a wrong
// number.
func TestConvDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		op, shapes := drawConv(t, []graph.Act{graph.Identity})
		agree(t, op, shapes, !op.Pool) // a mean is not whole
	})
}

func TestConvActivatedDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		op, shapes := drawConv(t, []graph.Act{graph.SiLU, graph.Sigmoid})
		agree(t, op, shapes, false)
	})
}

func TestSEDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := graph.Shape{C: rapid.IntRange(1, 9).Draw(t, "C"), H: rapid.IntRange(1, 6).Draw(t, "H"), W: rapid.IntRange(1, 6).Draw(t, "W")}
		r := rapid.IntRange(1, 5).Draw(t, "R")
		agree(t, &graph.SE{ReduceWeight: drawParam(t, "rw", r, s.C, 1, 1), ReduceBias: drawParam(t, "rb", r),
			ExpandWeight: drawParam(t, "ew", s.C, r, 1, 1), ExpandBias: drawParam(t, "eb", s.C)}, []graph.Shape{s}, false)
	})
}

func TestLinearDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, out := rapid.IntRange(1, 70).Draw(t, "in"), rapid.IntRange(1, 20).Draw(t, "out")
		op := &graph.Linear{Weight: drawParam(t, "w", out, in)}
		if rapid.Bool().Draw(t, "biased") {
			op.Bias = drawParam(t, "b", out)
		}
		agree(t, op, []graph.Shape{{C: in, H: 1, W: 1}}, true)
	})
}

// TestConvLinear: conv(a·x + b·y) = a·conv(x) + b·conv(y), exactly for whole numbers.
func TestConvLinear(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		op, shapes := drawConv(t, []graph.Act{graph.Identity})
		op.Gate, op.Residual, op.Pool, op.Bias = false, false, false, nil
		shapes = shapes[:1]
		a, b := float64(rapid.IntRange(-3, 3).Draw(t, "a")), float64(rapid.IntRange(-3, 3).Draw(t, "b"))
		x, y := integers(t, shapes[0].NumElements(), "x"), integers(t, shapes[0].NumElements(), "y")
		mixed := make([]float64, len(x))
		for i := range x {
			mixed[i] = a*x[i] + b*y[i]
		}
		cx, cy := evalRapid[float32](t, op, shapes, [][]float64{x}, 1, 1), evalRapid[float32](t, op, shapes, [][]float64{y}, 1, 1)
		for i, got := range evalRapid[float32](t, op, shapes, [][]float64{mixed}, 1, 1) {
			if want := float32(a)*cx[i] + float32(b)*cy[i]; got != want {
				t.Fatalf("element %d is %v, want %v", i, got, want)
			}
		}
	})
}

// TestConvMirrored: TensorFlow's padding is not symmetric, so mirroring picture and kernel mirrors the
// result only where the padding is even.
func TestConvMirrored(t *testing.T) {
	mirror := func(v []float64, w int) []float64 {
		v = slices.Clone(v)
		for i := 0; i < len(v); i += w {
			slices.Reverse(v[i : i+w])
		}
		return v
	}
	rapid.Check(t, func(t *rapid.T) {
		w, k, s := rapid.IntRange(1, 12).Draw(t, "W"), rapid.IntRange(1, 5).Draw(t, "kernel"), rapid.IntRange(1, 3).Draw(t, "stride")
		shape := graph.Shape{C: 1, H: 3, W: w}
		op := &graph.Conv{Weight: drawParam(t, "w", 1, 1, k, k), Stride: s, Groups: 1}
		mirrored := &graph.Conv{Weight: &graph.Param{Shape: op.Weight.Shape, Data: mirror(op.Weight.Data, k)}, Stride: s, Groups: 1}
		pad := graph.SamePad(w, k, s)
		if pad.Before != pad.After || (op.MapShape(shape).W-1)*s+k != w+pad.Before+pad.After {
			t.Skip("the windows do not lie symmetrically")
		}
		x := integers(t, shape.NumElements(), "x")
		got := evalRapid[float64](t, mirrored, []graph.Shape{shape}, [][]float64{mirror(x, w)}, 1, 1)
		want := mirror(evalRapid[float64](t, op, []graph.Shape{shape}, [][]float64{x}, 1, 1), op.MapShape(shape).W)
		if !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}
