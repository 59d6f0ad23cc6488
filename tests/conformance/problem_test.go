package conformance

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/cpuref"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/weights/float16"
)

func mustCases(t *testing.T) []Case {
	t.Helper()
	all, err := Cases()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestCasesAreComplete: every kernel launch of every network is in exactly one case, and cases are distinct.
func TestCasesAreComplete(t *testing.T) {
	all := mustCases(t)
	seen := map[string]int{}
	names := map[string]bool{}
	for _, c := range all {
		if names[c.Name] {
			t.Errorf("%s is there twice", c.Name)
		}
		names[c.Name] = true
		for _, l := range c.Layers {
			seen[l]++
			if c.Reduced > 0 {
				seen[strings.TrimSuffix(l, ".conv_dw")+".se.gate"]++
			}
		}
		if got, err := FindCase(c.Name); err != nil || got.Layers[0] != c.Layers[0] {
			t.Errorf("FindCase(%q) gives %v, %v", c.Name, got.Name, err)
		}
	}
	dispatches := 0
	for _, s := range models.All() {
		g, err := s.BuildShape(s.Transform.Size, s.Transform.Size)
		if err != nil {
			t.Fatal(err)
		}
		if g, err = netplan.RunPasses(g, "fold", "fuse"); err != nil {
			t.Fatal(err)
		}
		p, err := netplan.Lower(g, netplan.MinimalCaps(), netplan.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range p.Dispatches {
			dispatches++
			if n := seen[s.Name+"/"+d.Node]; n != 1 {
				t.Errorf("%s %s is in %d cases, want 1", s.Name, d.Node, n)
			}
		}
	}
	t.Logf("%d cases for %d dispatches", len(all), dispatches)
	if _, err := FindCase("conv1x1"); err == nil || !strings.Contains(err.Error(), "no case") {
		t.Errorf("a name that is none: %v", err)
	}
}

// TestCutKeepsWhatMatters: a cut map has the real one's padding, its ragged edges and its kind of dispatch.
func TestCutKeepsWhatMatters(t *testing.T) {
	cut := 0
	var whole []string // maps of which every smaller one has another class of dispatches
	for _, c := range mustCases(t) {
		in, err := c.cut()
		if err != nil {
			t.Fatal(err)
		}
		if in == c.In {
			if max(in.H, in.W) > maxCut+2 {
				whole = append(whole, c.Name)
			}
			continue
		}
		cut++
		stock, small := c.layer(c.In), c.layer(in)
		if in.H == in.W || in.W%8 != c.In.W%8 || small.out.W%4 != stock.out.W%4 || in.C != c.In.C {
			t.Errorf("%s is cut to %v, output %v from %v", c.Name, in, small.out, stock.out)
		}
		for axis, pair := range map[string][2]graph.Pad{
			"rows":    {graph.SamePad(c.In.H, c.Kernel, c.Stride), graph.SamePad(in.H, c.Kernel, c.Stride)},
			"columns": {graph.SamePad(c.In.W, c.Kernel, c.Stride), graph.SamePad(in.W, c.Kernel, c.Stride)},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s: padding of %s is %v at stock size, %v when cut to %v", c.Name, axis, pair[0], pair[1], in)
			}
		}
	}
	t.Logf("%d cases cut; whole though large: %v", cut, whole)
	if len(whole) > cut/10 {
		t.Errorf("%d cases were cut, %d were not", cut, len(whole))
	}
}

// sample returns a few cases of every kind, small enough for slow arithmetic.
func sample(t *testing.T) []Case {
	t.Helper()
	var out []Case
	count := map[string]int{}
	for _, c := range mustCases(t) {
		if key := c.Kind + map[bool]string{true: " gate"}[c.Gate]; count[key] < 2 && c.In.C*c.Out < 1<<19 || c.Kind == "head" && count[key] < 1 {
			count[key]++
			out = append(out, c)
		}
	}
	return out
}

// TestReferencesAgree compares the references of both modes with package cpuref, which knows nothing of them.
func TestReferencesAgree(t *testing.T) {
	for _, c := range sample(t) {
		for _, mode := range Modes() {
			precision := netplan.PrecisionFloat32
			if len(c.Name)%2 == 0 { // half of the cases with the numbers of amp
				precision = netplan.PrecisionAMP
			}
			pr, err := newProblem(c, mode, precision, c.Kind == "stem" && len(c.Name)%3 == 0, false, 11)
			if err != nil {
				t.Fatal(err)
			}
			pr.solve([]int{images})
			for i := range 2 {
				var y []float64
				for _, n := range pr.graph.Nodes {
					var in [][]float64
					switch n.Name {
					case nodeY:
						for _, part := range [][]float64{pr.x[i], pr.gate[i], pr.residual[i]} {
							if part != nil {
								in = append(in, part)
							}
						}
					case nodeSE:
						in = [][]float64{y}
					default:
						continue
					}
					got, err := cpuref.Eval(pr.graph, n, in, 1, cpuref.Options{})
					if err != nil {
						t.Fatal(err)
					}
					want := pr.y[i].value
					tolerance := 1e-12
					if n.Name == nodeSE {
						if mode == Real {
							sums := fill(c.Out, func(o int) float64 {
								sum := 0.0
								for _, v := range y[o*len(y)/c.Out:][:len(y)/c.Out] {
									sum += v
								}
								return sum
							})
							want = boundedSE(c, sums, len(y)/c.Out, pr.p).value
						} else {
							want, tolerance = pr.gates[i].value, 1e-40 // the gates' units are that far from their thresholds
						}
					} else if mode == Exact && c.Kind != "head" {
						tolerance = 0
					}
					y = got
					for j, w := range want {
						if math.Abs(got[j]-w) > tolerance*(1+math.Abs(w)) {
							t.Fatalf("%s %s: node %s of image %d: element %d is %v, cpuref says %v", c.Name, mode, n.Name, i, j, w, got[j])
						}
					}
				}
			}
		}
	}
}

// TestExactIsExact: the sum of the magnitudes of everything that any order of summation can meet stays
// within float32's integers, and inputs are not all alike.
func TestExactIsExact(t *testing.T) {
	for _, full := range []bool{false, true} {
		for _, c := range mustCases(t) {
			pr := &problem{c: c, layer: c.layer(c.In), mode: Exact, p: c.zeros()}
			if !full {
				in, err := c.cut()
				if err != nil {
					t.Fatal(err)
				}
				pr.layer = c.layer(in)
			}
			if m, err := pr.magnitude(); err != nil || m < 3 {
				t.Errorf("%s: integers up to %v, %v", c.Name, m, err)
			}
			pr.half = true
			if m, err := pr.magnitude(); err != nil || m < 1 {
				t.Errorf("%s: 16 bits: integers up to %v, %v", c.Name, m, err)
			}
		}
	}
	for _, c := range sample(t) {
		testExactIsExact(t, c, netplan.PrecisionFloat32)
		testExactIsExact(t, c, netplan.PrecisionAMP)
	}
	// The longest sums that 16 bits must hold.
	testExactIsExact(t, Case{Name: "long", Kind: "conv1x1", In: graph.Shape{C: 2301, H: 2, W: 3}, Out: 64, Kernel: 1, Stride: 1, Gate: true, Residual: true}, netplan.PrecisionAMP)
}

func testExactIsExact(t *testing.T, c Case, precision string) {
	t.Helper()
	pr, err := newProblem(c, Exact, precision, false, false, 3)
	if err != nil {
		t.Fatal(err)
	}
	x := absolute(pr.x[0])
	for j, g := range pr.gate[0] {
		for k := range pr.layer.in.H * pr.layer.in.W {
			x[j*pr.layer.in.H*pr.layer.in.W+k] *= g
		}
	}
	pixels := pr.layer.out.H * pr.layer.out.W
	total := make([]float64, c.Out)
	largest := 0.0
	for j, s := range convolve(pr.layer, x, absolute(pr.p.w)) {
		s += math.Abs(pr.p.bias[j/pixels])
		if pr.residual[0] != nil {
			s += math.Abs(pr.residual[0][j])
		}
		largest = max(largest, s)
		total[j/pixels] += s
	}
	if pr.storesHalf() {
		values := append(append(append([]float64{}, pr.x[0]...), pr.residual[0]...), pr.p.w...)
		pr.solve([]int{images})
		for _, v := range append(values, pr.y[0].value...) {
			if float64(float16.ToFloat32(float16.FromFloat32(float32(v)))) != v {
				t.Errorf("%s: 16 bits do not hold %v", c.Name, v)
			}
		}
		if largest > largestHalf {
			t.Errorf("%s: sums in 16 bits reach %v", c.Name, largest)
		}
	}
	if largest > largestExact || (c.Kind == "head" || c.Reduced > 0) && slices.Max(total) > largestExact {
		t.Errorf("%s: sums reach %v and %v", c.Name, largest, slices.Max(total))
	}
	if c.Reduced > 0 {
		ones := 0.0
		for i := range images {
			for _, g := range pr.gates[i].value {
				ones += g
			}
		}
		if share := ones / float64(images*c.Out); share < 0.2 || share > 0.8 {
			t.Errorf("%s: %.0f %% of the gates are open; want about half", c.Name, 100*share)
		}
	}
}

// TestSeeds: the same seed gives the same numbers, another one others.
func TestSeeds(t *testing.T) {
	c := sample(t)[1]
	for _, mode := range Modes() {
		var x [3][]float32
		for i, seed := range []uint64{5, 5, 6} {
			pr, err := newProblem(c, mode, netplan.PrecisionFloat32, false, false, seed)
			if err != nil {
				t.Fatal(err)
			}
			x[i] = pr.input(3)
			for _, v := range pr.p.w {
				x[i] = append(x[i], float32(v))
			}
		}
		if !slices.Equal(x[0], x[1]) || slices.Equal(x[0], x[2]) {
			t.Errorf("%s: seeds do not decide the numbers", mode)
		}
	}
}

// TestBoundsHold sums products in float32 in several orders, with and without fused multiply-adds: no error
// exceeds its bound, and the largest is no negligible part of it.
func TestBoundsHold(t *testing.T) {
	for _, c := range sample(t) {
		if c.Kind == "head" || c.Kernel > 1 || c.Gate || c.Residual {
			continue
		}
		pr, err := newProblem(c, Real, netplan.PrecisionFloat32, false, false, 2)
		if err != nil {
			t.Fatal(err)
		}
		pr.solve([]int{1})
		pixels := pr.layer.out.H * pr.layer.out.W
		worst := 0.0
		for name, sum := range orders {
			for j, want := range pr.y[0].value {
				var products [][2]float32
				for k := range c.In.C {
					products = append(products, [2]float32{float32(pr.x[0][k*pixels+j%pixels]), float32(pr.p.w[j/pixels*c.In.C+k])})
				}
				z := sum(products) + float32(pr.p.bias[j/pixels])
				y := z
				if c.Act == graph.SiLU {
					y = z / (1 + float32(math.Exp(float64(-z))))
				}
				ratio := math.Abs(float64(y)-want) / pr.y[0].bound[j]
				if !(ratio <= 1) {
					t.Fatalf("%s, %s: element %d is %v, want %v within %v", c.Name, name, j, y, want, pr.y[0].bound[j])
				}
				worst = max(worst, ratio)
			}
		}
		if worst < 0.002 {
			t.Errorf("%s: the largest error is %.4f of its bound: the bound says nothing", c.Name, worst)
		}
	}
}

// orders are ways in which a kernel may add up products.
var orders = map[string]func([][2]float32) float32{
	"in order": func(p [][2]float32) (s float32) {
		for _, v := range p {
			s += float32(v[0] * v[1])
		}
		return s
	},
	"backwards, fused": func(p [][2]float32) (s float32) {
		for _, v := range slices.Backward(p) {
			s = float32(math.FMA(float64(v[0]), float64(v[1]), float64(s)))
		}
		return s
	},
	"in 16 parts": func(p [][2]float32) (s float32) {
		for lane := range 16 {
			var part float32
			for i := lane; i < len(p); i += 16 {
				part += float32(p[i][0] * p[i][1])
			}
			s += part
		}
		return s
	},
}

// TestActivateBounds: activations in float32 whose exp is as bad as Vulkan allows stay within the bound.
func TestActivateBounds(t *testing.T) {
	for _, act := range []graph.Act{graph.SiLU, graph.Sigmoid} {
		for z := -30.0; z <= 30; z += 0.013 {
			zf := float64(float32(z))
			want, bound := activate(act, zf, 0)
			for _, sign := range []float64{-1, 1} {
				e := math.Exp(-zf) * (1 + sign*(3+2*math.Abs(zf))*u)
				y := 1 / ((1 + e) * (1 + sign*u)) * (1 - sign*2.5*u)
				if act == graph.SiLU {
					y *= zf
				}
				if d := math.Abs(y - want); !(d <= bound) || bound > 100*u*(math.Abs(want)+1e-30)+tiny {
					t.Fatalf("%v(%v): off by %v, bound %v", act, zf, d, bound)
				}
			}
			// An argument that is itself off.
			if moved, _ := activate(act, zf+1e-3, 0); math.Abs(moved-want) > func() float64 { _, b := activate(act, zf, 1e-3); return b }() {
				t.Fatalf("%v(%v): the bound does not cover an error of the argument", act, zf)
			}
		}
	}
}
