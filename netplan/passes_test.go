package netplan_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vkinfer/vkinfer/cpuref"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// Property tests draw the same cases every time; -rapid.seed=0 draws new ones.
func init() {
	if err := flag.Set("rapid.seed", "1"); err != nil {
		panic(err)
	}
}

// smallSpec is a network of the family with ragged widths of a few channels, made up here.
func smallSpec() *models.Spec {
	s := &models.Spec{Name: "small"}
	add := func(name string, shape ...int) { s.Entries = append(s.Entries, models.Entry{Name: name, Shape: shape}) }
	norm := func(name string, c int) {
		for _, e := range []string{"weight", "bias", "running_mean", "running_var"} {
			add(name+"."+e, c)
		}
		add(name + ".num_batches_tracked")
	}
	add("conv_stem.weight", 5, 3, 3, 3)
	norm("bn1", 5)
	in := 5
	for i, st := range []struct{ kernel, stride, repeats, out, mid, reduced int }{
		{3, 1, 2, 5, 0, 2}, {3, 2, 2, 6, 11, 1}, {5, 2, 1, 9, 13, 3}, {5, 1, 2, 7, 17, 2},
	} {
		s.Stages = append(s.Stages, models.Stage{Kernel: st.kernel, Stride: st.stride, Repeats: st.repeats})
		for j := range st.repeats {
			p := fmt.Sprintf("blocks.%d.%d.", i, j)
			mid, dwNorm, project, projectNorm := in, "bn1", "conv_pw", "bn2"
			if i > 0 {
				mid = st.mid + j
				add(p+"conv_pw.weight", mid, in, 1, 1)
				norm(p+"bn1", mid)
				dwNorm, project, projectNorm = "bn2", "conv_pwl", "bn3"
			}
			add(p+"conv_dw.weight", mid, 1, st.kernel, st.kernel)
			norm(p+dwNorm, mid)
			add(p+"se.conv_reduce.weight", st.reduced, mid, 1, 1)
			add(p+"se.conv_reduce.bias", st.reduced)
			add(p+"se.conv_expand.weight", mid, st.reduced, 1, 1)
			add(p+"se.conv_expand.bias", mid)
			add(p+project+".weight", st.out, mid, 1, 1)
			norm(p+projectNorm, st.out)
			in = st.out
		}
	}
	add("conv_head.weight", 21, in, 1, 1)
	norm("bn2", 21)
	add("classifier.weight", 10, 21)
	add("classifier.bias", 10)
	return s
}

// values runs g and returns every node's value by the unfused node it is the value of.
func values[T cpuref.Float](t testing.TB, g *graph.Graph, in []T, n int) map[string][]T {
	t.Helper()
	out := map[string][]T{}
	if _, err := cpuref.Trace(t.Context(), g, in, n, cpuref.Options{}, func(node *graph.Node, v []T) { out[node.Yields] = v }); err != nil {
		t.Fatal(err)
	}
	return out
}

func noise[T cpuref.Float](n int) []T {
	rng := rand.New(rand.NewPCG(3, 4))
	out := make([]T, n)
	for i := range out {
		out[i] = T(rng.Float64()*2 - 1)
	}
	return out
}

// relative is |a - b| / |b|, 0 for equal values.
func relative[T cpuref.Float](a, b []T) float64 {
	if slices.Equal(a, b) {
		return 0
	}
	var e, ref float64
	for i := range b {
		e += math.Pow(float64(a[i])-float64(b[i]), 2)
		ref += math.Pow(float64(b[i]), 2)
	}
	return math.Sqrt(e / ref)
}

// TestPassesKeepResults runs the reference before and after every row of the table: each value that is
// still there is the same, to the last bit unless the row is a folding one.
func TestPassesKeepResults(t *testing.T) {
	specs := []*models.Spec{smallSpec()}
	if !testing.Short() {
		specs = append(specs, models.All()[0])
	}
	for _, s := range specs {
		t.Run(s.Name, func(t *testing.T) {
			g, err := s.Build(s.Synth(5), 37, 50)
			if err != nil {
				t.Fatal(err)
			}
			const n = 2
			in, in32 := noise[float64](n*3*37*50), noise[float32](n*3*37*50)
			before, before32 := values(t, g, in, n), values(t, g, in32, n)
			for _, p := range netplan.Passes {
				next, err := p.Run(g)
				if err != nil {
					t.Fatal(err)
				}
				if err := next.Check(); err != nil {
					t.Fatalf("%s: %v", p.Name, err)
				}
				if len(next.Nodes) >= len(g.Nodes) {
					t.Errorf("%s: %d nodes of %d are left: it found nothing", p.Name, len(next.Nodes), len(g.Nodes))
				}
				if next.TotalMACs() != g.TotalMACs() {
					t.Errorf("%s: %d multiply-adds, want %d as before", p.Name, next.TotalMACs(), g.TotalMACs())
				}
				after, after32 := values(t, next, in, n), values(t, next, in32, n)
				worst := 0.0
				for name, v := range after {
					want, ok := before[name]
					if !ok {
						t.Fatalf("%s: a node yields %s, which was not there before", p.Name, name)
					}
					worst = max(worst, relative(v, want))
					if p.Stage == "fuse" && (!slices.Equal(v, want) || !slices.Equal(after32[name], before32[name])) {
						t.Errorf("%s: %s has other bits", p.Name, name)
					}
				}
				if worst > 1e-12 {
					t.Errorf("%s: relative error %.3g, want at most 1e-12", p.Name, worst)
				}
				t.Logf("%-10s %3d nodes to %3d, worst relative error %.1g", p.Name, len(g.Nodes), len(next.Nodes), worst)
				again, err := p.Run(next)
				if err != nil || len(again.Nodes) != len(next.Nodes) {
					t.Errorf("%s: a second run changes the graph again, error %v", p.Name, err)
				}
				g, before, before32 = next, after, after32
			}
			checkFused(t, s, g)
		})
	}
}

// checkFused: in the final form there are but convolutions, gates and the classifier, with everything
// fused where it belongs.
func checkFused(t *testing.T, s *models.Spec, g *graph.Graph) {
	t.Helper()
	kinds, residuals, gates, pools, silus := map[string]int{}, 0, 0, 0, 0
	for _, n := range g.Nodes {
		kinds[n.Op.Kind()]++
		if c, ok := n.Op.(*graph.Conv); ok {
			for _, count := range []struct {
				is bool
				n  *int
			}{{c.Residual, &residuals}, {c.Gate, &gates}, {c.Pool, &pools}, {c.Act == graph.SiLU, &silus}} {
				if count.is {
					*count.n++
				}
			}
			if c.Bias == nil {
				t.Errorf("%s has no bias", n.Name)
			}
		}
	}
	blocks := 0
	for _, st := range s.Stages {
		blocks += st.Repeats
	}
	expanded := blocks - s.Stages[0].Repeats
	if want := map[string]int{"input": 1, "conv": 2 + 2*blocks + expanded, "se": blocks, "linear": 1}; fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("ops %v, want %v", kinds, want)
	}
	if residuals != blocks-len(s.Stages) || gates != blocks || pools != 1 || silus != 2+blocks+expanded {
		t.Errorf("%d residuals, %d gates, %d means, %d silu, want %d, %d, 1, %d",
			residuals, gates, pools, silus, blocks-len(s.Stages), blocks, 2+blocks+expanded)
	}
	if g.Node(g.Output).Yields != "classifier" {
		t.Errorf("the result is %s, want classifier", g.Node(g.Output).Yields)
	}
}

func TestStages(t *testing.T) {
	g, err := smallSpec().BuildShape(32, 32)
	if err != nil {
		t.Fatal(err)
	}
	folded, err := netplan.Fold(g)
	if err != nil {
		t.Fatal(err)
	}
	fused, err := netplan.Fuse(folded)
	if err != nil {
		t.Fatal(err)
	}
	both, err := netplan.RunPasses(g, "fold", "fuse")
	if err != nil {
		t.Fatal(err)
	}
	var a, b strings.Builder
	if err := fused.WriteText(&a); err != nil {
		t.Fatal(err)
	}
	if err := both.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if a.String() != b.String() {
		t.Errorf("Fuse(Fold) and RunPasses differ:\n%s\n%s", &a, &b)
	}
	for _, n := range folded.Nodes {
		if n.Op.Kind() == "batchnorm" {
			t.Errorf("%s is left after folding", n.Name)
		}
	}
	for _, p := range netplan.Passes {
		if p.Stage != "fold" && p.Stage != "fuse" || p.Name == "" || p.Doc == "" {
			t.Errorf("pass %+v lacks a stage, name or text", p)
		}
	}
}

// draft builds random graphs: every op on any earlier values whose shapes fit, most of which no pass may
// touch, because a value is read twice, is the result, or is followed by something else.
type draft struct {
	t   *rapid.T
	b   *graph.Builder
	rng *rand.Rand
	ids []graph.ID
}

func (d *draft) param(shape ...int) *graph.Param {
	p := &graph.Param{Name: "p", Shape: shape, Data: make([]float64, 1)}
	for _, s := range shape {
		p.Data = make([]float64, len(p.Data)*s)
	}
	for i := range p.Data {
		p.Data[i] = d.rng.Float64()*2 - 1
	}
	return p
}

// positive is param for variances.
func (d *draft) positive(c int) *graph.Param {
	p := d.param(c)
	for i, v := range p.Data {
		p.Data[i] = v*v + 0.05
	}
	return p
}

// pick draws an earlier node whose shape fits; late nodes are likelier.
func (d *draft) pick(fits func(graph.Shape) bool) (graph.ID, bool) {
	var from []graph.ID
	for _, id := range d.ids {
		if fits(d.b.Shape(id)) {
			from = append(from, id)
		}
	}
	if len(from) == 0 {
		return 0, false
	}
	if rapid.IntRange(0, 3).Draw(d.t, "late") > 0 {
		return from[len(from)-1], true
	}
	return rapid.SampledFrom(from).Draw(d.t, "from"), true
}

func (d *draft) step(i int) {
	name := fmt.Sprintf("n%d", i)
	x, _ := d.pick(func(graph.Shape) bool { return true })
	s := d.b.Shape(x)
	vector := func(g graph.Shape) bool { return g == graph.Shape{C: s.C, H: 1, W: 1} }
	switch rapid.IntRange(0, 8).Draw(d.t, "op") {
	case 0, 1:
		k := rapid.SampledFrom([]int{1, 1, 3}).Draw(d.t, "kernel")
		op := &graph.Conv{Weight: d.param(rapid.SampledFrom([]int{s.C, s.C, 2, 4}).Draw(d.t, "out"), s.C, k, k), Stride: rapid.SampledFrom([]int{1, 1, 2}).Draw(d.t, "stride"), Groups: 1}
		if rapid.Bool().Draw(d.t, "biased") {
			op.Bias = d.param(op.Weight.Shape[0])
		}
		x = d.b.Add(name, op, x)
	case 2:
		x = d.b.Add(name, &graph.Conv{Weight: d.param(s.C, 1, 3, 3), Stride: 1, Groups: s.C}, x)
	case 3:
		x = d.b.Add(name, &graph.BatchNorm{Weight: d.param(s.C), Bias: d.param(s.C), Mean: d.param(s.C), Var: d.positive(s.C), Eps: 1e-3}, x)
	case 4:
		x = d.b.Add(name, &graph.Activation{Func: rapid.SampledFrom([]graph.Act{graph.SiLU, graph.Sigmoid, graph.Identity}).Draw(d.t, "act")}, x)
	case 5:
		x = d.b.Add(name, &graph.Pool{}, x)
	case 6:
		y, ok := d.pick(vector)
		if !ok {
			return
		}
		x = d.b.Add(name, &graph.Scale{}, x, y)
	case 7:
		y, _ := d.pick(func(o graph.Shape) bool { return o == s })
		x = d.b.Add(name, &graph.Add{}, x, y)
	case 8: // squeeze and excitation in whole, the form a pass looks for, on any value
		p := d.b.Add(name+"p", &graph.Pool{}, x)
		r := d.b.Add(name+"r", &graph.Conv{Weight: d.param(2, s.C, 1, 1), Bias: d.param(2), Stride: 1, Groups: 1}, p)
		a := d.b.Add(name+"a", &graph.Activation{Func: graph.SiLU}, r)
		e := d.b.Add(name+"e", &graph.Conv{Weight: d.param(s.C, 2, 1, 1), Bias: d.param(s.C), Stride: 1, Groups: 1}, a)
		g := d.b.Add(name+"g", &graph.Activation{Func: graph.Sigmoid}, e)
		d.ids = append(d.ids, p, r, a, e, g)
		x = d.b.Add(name, &graph.Scale{}, x, g)
	}
	d.ids = append(d.ids, x)
}

// TestPassesOnAnyGraph: whatever the graph, no pass changes its result, and no pass fails, not even a second time.
func TestPassesOnAnyGraph(t *testing.T) {
	hits := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		d := &draft{t: rt, b: graph.NewBuilder("draft"), rng: rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))}
		d.ids = append(d.ids, d.b.Add("input", &graph.Input{Shape: graph.Shape{C: 3, H: 5, W: 4}}))
		for i := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			d.step(i)
		}
		output := d.ids[len(d.ids)-1]
		if rapid.IntRange(0, 4).Draw(rt, "early result") == 0 {
			output = rapid.SampledFrom(d.ids).Draw(rt, "result")
		}
		g, err := d.b.Graph(output)
		if err != nil {
			rt.Fatal(err)
		}
		in := noise[float64](2 * 60)
		want, err := cpuref.Run(t.Context(), g, in, 2, cpuref.Options{Workers: 1})
		if err != nil {
			rt.Fatal(err)
		}
		for _, p := range slices.Concat(netplan.Passes, netplan.Passes) {
			next, err := p.Run(g)
			if err != nil {
				rt.Fatalf("%s: %v", p.Name, err)
			}
			hits[p.Name] += len(g.Nodes) - len(next.Nodes)
			got, err := cpuref.Run(t.Context(), next, in, 2, cpuref.Options{Workers: 1})
			if err != nil {
				rt.Fatalf("%s: %v", p.Name, err)
			}
			if e := scaled(got, want); !(e <= 1e-12) || next.Node(next.Output).Yields != g.Node(g.Output).Yields {
				rt.Fatalf("%s: error %.3g, result %s, was %s", p.Name, e, next.Node(next.Output).Yields, g.Node(g.Output).Yields)
			}
			g = next
		}
	})
	for _, p := range netplan.Passes {
		if hits[p.Name] == 0 {
			t.Errorf("no graph gave pass %s anything to do", p.Name)
		}
	}
	t.Logf("nodes merged: %v", hits)
}

// scaled is the largest difference in units of the largest value, or of 1.
func scaled(got, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	worst, scale := 0.0, 1.0
	for i := range want {
		d := math.Abs(got[i] - want[i])
		if math.IsNaN(d) {
			return d
		}
		worst, scale = max(worst, d), max(scale, math.Abs(want[i]))
	}
	return worst / scale
}

// TestTwoResiduals: a convolution takes one residual, however often the pass runs.
func TestTwoResiduals(t *testing.T) {
	b := graph.NewBuilder("sums")
	x := b.Add("input", &graph.Input{Shape: graph.Shape{C: 1, H: 1, W: 2}})
	y := b.Add("conv", &graph.Conv{Weight: &graph.Param{Shape: []int{1, 1, 1, 1}, Data: []float64{10}}, Stride: 1, Groups: 1}, x)
	y = b.Add("sum1", &graph.Add{}, y, x)
	g, err := b.Graph(b.Add("sum2", &graph.Add{}, y, x))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if g, err = netplan.Fuse(g); err != nil {
			t.Fatal(err)
		}
	}
	got, err := cpuref.Run(t.Context(), g, []float64{1, 2}, 1, cpuref.Options{})
	if err != nil || !slices.Equal(got, []float64{12, 24}) || len(g.Nodes) != 3 {
		t.Errorf("%v from %d nodes, error %v, want [12 24] from 3", got, len(g.Nodes), err)
	}
}
