package conformance

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
)

// TestMeasure: the worst element is the one nearest to, or farthest beyond, its own bound; NaN is beyond all.
func TestMeasure(t *testing.T) {
	s := graph.Shape{C: 2, H: 1, W: 2}
	nan := float32(math.NaN())
	want := bounded{[]float64{1, 2, 3, 4}, []float64{0.1, 0.1, 0.001, 0.1}}
	for _, test := range []struct {
		got   []float32
		bad   int
		index [4]int
		ratio float64
	}{
		{[]float32{1, 2, 3, 4}, 0, [4]int{}, 0},
		{[]float32{1.05, 2, 3, 4}, 0, [4]int{}, 0.5},
		{[]float32{1, 2, 3.002, 4.09}, 1, [4]int{0, 1, 0, 0}, 2},
		{[]float32{1, 2.5, 3.001953125, 4}, 2, [4]int{0, 0, 0, 1}, 5},
		{[]float32{1, nan, 3.002, 4}, 2, [4]int{0, 0, 0, 1}, math.NaN()},
		{[]float32{1, 2, 3, float32(math.Inf(1))}, 1, [4]int{0, 1, 0, 1}, math.Inf(1)},
	} {
		var m measure
		f := m.add(s, test.got, 1, func(int) bounded { return want })
		if (f == nil) != (test.bad == 0) || f != nil && (f.Bad != test.bad || f.Index != test.index) {
			t.Errorf("%v: %+v, want %d bad, the worst at %v", test.got, f, test.bad, test.index)
		}
		if math.Abs(m.ratio-test.ratio) > 1e-3*test.ratio && !(math.IsNaN(m.ratio) && math.IsNaN(test.ratio)) {
			t.Errorf("%v: ratio %v, want %v", test.got, m.ratio, test.ratio)
		}
	}
	var m measure
	if f := m.add(s, []float32{1}, 1, func(int) bounded { return want }); f == nil || f.What != "1 values, want 4" {
		t.Errorf("too few values: %+v", f)
	}
	exact := bounded{[]float64{0, 0, 0, 0}, []float64{0, 0, 0, 0}}
	if f := m.add(s, []float32{0, float32(math.Copysign(0, -1)), 0, 1e-45}, 1, func(int) bounded { return exact }); f == nil || f.Bad != 1 || f.Index != [4]int{0, 1, 0, 1} {
		t.Errorf("exact mode: %+v, want the last element only", f)
	}
}

// TestPattern draws the errors that broken kernels leave.
func TestPattern(t *testing.T) {
	s := graph.Shape{C: 40, H: 8, W: 12}
	for want, bad := range map[string]func(image, row, channel int) bool{ // row: pixel of the image
		"all of it":                    func(int, int, int) bool { return true },
		"whole images: 1 of 3":         func(i, _, _ int) bool { return i == 2 },
		"bands of 64 rows: 1 of 5":     func(i, r, _ int) bool { return i*96+r >= 64 && i*96+r < 128 },
		"bands of 32 rows: 2 of 9":     func(i, r, _ int) bool { return (i*96+r)/32%4 == 3 },
		"rows of the map: 3 of 24":     func(_, r, _ int) bool { return r/12 == 7 },
		"bands of 8 channels: 1 of 5":  func(_, _, c int) bool { return c/8 == 4 },
		"bands of 4 channels: 1 of 10": func(_, _, c int) bool { return c/4 == 3 },
		"whole channels: 2 of 40":      func(_, _, c int) bool { return c == 3 || c == 17 },
		"16x16 tiles: 1 of 54":         func(i, r, c int) bool { return (i*96+r)/16 == 5 && c/16 == 1 },
		"8x8 tiles: 2 of 180":          func(i, r, c int) bool { return (i*96+r)/8 == 5 && (c/8 == 1 || c/8 == 3) },
		"whole pixels: 3 of 288":       func(_, r, _ int) bool { return r == 50 },
		"groups of 4 channels: 1 of 2880": func(i, r, c int) bool {
			return i == 1 && r == 50 && c/4 == 2
		},
		"scattered": func(i, r, c int) bool { return (i*7919+r*131+c*31)%11 == 0 },
	} {
		var list []int
		for at := range 3 * s.NumElements() {
			p := place(at, s)
			if bad(p[0], p[2]*s.W+p[3], p[1]) {
				list = append(list, at)
			}
		}
		got, drawing := pattern(s, 3, list)
		if got != want {
			t.Errorf("pattern %q, want %q\n%s", got, want, drawing)
		}
		if lines := strings.Split(drawing, "\n"); want == "whole images: 1 of 3" && (lines[1] != strings.Repeat(".", 40) || lines[16] != strings.Repeat("#", 40)) {
			t.Errorf("drawing:\n%s", drawing)
		}
	}
}

// TestFigure: JSON knows no infinity.
func TestFigure(t *testing.T) {
	for _, f := range []float64{0, 1.5, -2e-30, math.NaN(), math.Inf(1)} {
		b, err := json.Marshal(Figure(f))
		if err != nil {
			t.Fatal(err)
		}
		var back Figure
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		finite := !math.IsNaN(f) && !math.IsInf(f, 0)
		if finite && float64(back) != f || !finite && (string(b) != "null" || !math.IsNaN(float64(back))) {
			t.Errorf("%v becomes %s becomes %v", f, b, back)
		}
	}
}

// TestCheckPlan: small plans with one fault each.
func TestCheckPlan(t *testing.T) {
	tensor := func(name string, offset int64) netplan.Tensor {
		return netplan.Tensor{Name: name, Shape: graph.Shape{C: 8, H: 1, W: 8}, Stride: 256, Offset: offset}
	}
	read := func(t int) netplan.Binding { return netplan.Binding{Tensor: t} }
	write := func(t int) netplan.Binding { return netplan.Binding{Tensor: t, Write: true} }
	plan := func() *netplan.Plan {
		return &netplan.Plan{Model: "chain", OutputTensor: 2, ArenaBytes: 768,
			Tensors: []netplan.Tensor{tensor("in", 0), tensor("mid", 256), tensor("out", 512)},
			Dispatches: []netplan.Dispatch{
				{Node: "a", Bind: []netplan.Binding{read(0), {Tensor: -1}, write(1)}},
				{Node: "b", Bind: []netplan.Binding{read(1), write(2)}, Barrier: true},
			}}
	}
	for want, edit := range map[string]func(*netplan.Plan){
		"":                           func(*netplan.Plan) {},
		"no barrier between a and b": func(p *netplan.Plan) { p.Dispatches[1].Barrier = false },
		"b reads mid, which nothing": func(p *netplan.Plan) { p.Dispatches[0].Bind[2].Tensor = 2 },
		"b reads in, which mid has overwritten": func(p *netplan.Plan) {
			p.Tensors[1].Offset, p.Dispatches[1].Bind[0].Tensor, p.Dispatches[0].Bind[0].Tensor = 0, 0, -1
		},
		"b reads what it writes, out":      func(p *netplan.Plan) { p.Tensors[2].Offset = 256 },
		"the result is out, which nothing": func(p *netplan.Plan) { p.Dispatches = p.Dispatches[:1] },
	} {
		p := plan()
		edit(p)
		err := CheckPlan(p)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
