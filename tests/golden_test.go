package tests

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/cpuref"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/tests/oracle"
	"github.com/vkinfer/vkinfer/weights"
)

// open reads a checkpoint.
func open(t testing.TB, path string) *weights.StateDict {
	t.Helper()
	sd, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return sd
}

// specOf returns the variant of that name; "tiny" is the oracle's small network of the family, whose
// stages are those of EfficientNet with other depths and widths (tiny/index.json, "about").
func specOf(t testing.TB, name string) *models.Spec {
	t.Helper()
	if name != "tiny" {
		s, err := models.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := &models.Spec{Name: "tiny", Stages: []models.Stage{
		{Kernel: 3, Stride: 1, Repeats: 2}, {Kernel: 3, Stride: 2, Repeats: 2}, {Kernel: 5, Stride: 2, Repeats: 1},
		{Kernel: 3, Stride: 2, Repeats: 1}, {Kernel: 5, Stride: 1, Repeats: 1}, {Kernel: 5, Stride: 2, Repeats: 2},
		{Kernel: 3, Stride: 1, Repeats: 1},
	}}
	for _, l := range oracle.Layers(t, "tiny/tiny_structure.txt") {
		s.Entries = append(s.Entries, models.Entry{Name: l.Name, Shape: l.Shape})
	}
	return s
}

// buildCase returns the case's graph, unfused.
func buildCase(t testing.TB, c oracle.Case) *graph.Graph {
	t.Helper()
	g, err := specOf(t, c.Model).Build(open(t, c.Checkpoint), c.H, c.W)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// fused returns g folded and fused.
func fused(t testing.TB, g *graph.Graph) *graph.Graph {
	t.Helper()
	g, err := netplan.RunPasses(g, "fold", "fuse")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// run executes g and returns the logits.
func run[T cpuref.Float](t testing.TB, g *graph.Graph, input []float32, n int) []T {
	t.Helper()
	y, err := cpuref.Run(t.Context(), g, convert[T](input), n, cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return y
}

func convert[T cpuref.Float](x []float32) []T {
	out := make([]T, len(x))
	for i, v := range x {
		out[i] = T(v)
	}
	return out
}

// checkFloat64 judges float64 logits, checkFloat32 float32 ones.
func checkFloat64(t *testing.T, got, want []float64, classes int) {
	t.Helper()
	plain, _ := oracle.LogitErrors(got, want, classes)
	t.Logf("float64: plain %.1e", plain)
	if plain > oracle.Float64Logits {
		t.Errorf("float64 logits: relative error %.3g, want at most %.0e", plain, oracle.Float64Logits)
	}
}

func checkFloat32(t *testing.T, got []float32, want []float64, classes int) {
	t.Helper()
	plain, centred := oracle.LogitErrors(got, want, classes)
	t.Logf("float32: plain %.1e, centred %.1e", plain, centred)
	if plain > oracle.Float32Logits || centred > oracle.Float32LogitsCentred {
		t.Errorf("float32 logits: relative error %.3g, centred %.3g, want at most %.0e and %.0e",
			plain, centred, oracle.Float32Logits, oracle.Float32LogitsCentred)
	}
	for i := 0; i < len(want); i += classes {
		if g, w := oracle.ArgMax(got[i:i+classes]), oracle.ArgMax(want[i:i+classes]); g != w {
			t.Errorf("image %d: best class %d, want %d", i/classes, g, w)
		}
	}
}

// TestGoldenLogits runs every case of the oracle, as built and fused, in both precisions.
func TestGoldenLogits(t *testing.T) {
	for _, c := range slices.Concat(oracle.TinyCases(t), oracle.Cases(t)) {
		t.Run(c.Model+"/"+c.Name, func(t *testing.T) {
			if testing.Short() && c.N*c.H*c.W > 100*170 {
				t.Skip("a large case, with -short")
			}
			g := buildCase(t, c)
			in, want := c.Input(t), c.Logits(t)
			checkFloat64(t, run[float64](t, g, in, c.N), want, c.Classes)
			checkFloat32(t, run[float32](t, g, in, c.N), want, c.Classes)
			checkFloat32(t, run[float32](t, fused(t, g), in, c.N), want, c.Classes)
		})
	}
}

// TestGoldenTrace compares every intermediate value that PyTorch recorded, by node name in the unfused
// graph and by Yields in the fused one.
func TestGoldenTrace(t *testing.T) {
	for _, c := range slices.Concat(oracle.TinyCases(t), oracle.Cases(t)) {
		if len(c.Trace()) == 0 {
			continue
		}
		t.Run(c.Model+"/"+c.Name, func(t *testing.T) {
			g := buildCase(t, c)
			in := c.Input(t)
			checkTrace[float64](t, g, c, in)
			if testing.Short() && c.Model != "tiny" {
				return
			}
			checkTrace[float32](t, g, c, in)
			checkTrace[float32](t, fused(t, g), c, in, "se_out", "project_bn", "head")
		})
	}
}

// checkTrace runs g and compares the recorded values; those whose last word is in fusedAway may be missing.
func checkTrace[T cpuref.Float](t *testing.T, g *graph.Graph, c oracle.Case, in []float32, fusedAway ...string) {
	t.Helper()
	values := map[string][]T{}
	shapes := map[string]graph.Shape{}
	keep := func(n *graph.Node, v []T) { values[n.Yields], shapes[n.Yields] = v, n.Shape }
	if _, err := cpuref.Trace(t.Context(), g, convert[T](in), c.N, cpuref.Options{}, keep); err != nil {
		t.Fatal(err)
	}
	_, isFloat64 := any(T(0)).(float64)
	worst, worstName, compared := 0.0, "", 0
	for _, v := range c.Trace() {
		i := slices.IndexFunc(v.Nodes(), func(name string) bool { return values[name] != nil })
		if i < 0 {
			if !slices.Contains(fusedAway, v.Name[strings.LastIndex(v.Name, ".")+1:]) {
				t.Errorf("%s: none of the nodes %q is in the graph", v.Name, v.Nodes())
			}
			continue
		}
		name := v.Nodes()[i]
		if s := shapes[name]; s.C != v.Shape[1] || s.NumElements()*c.N != product(v.Shape) {
			t.Errorf("%s: node %s has shape %v, want %v", v.Name, name, s, v.Shape)
			continue
		}
		compared++
		e := oracle.RelL2(values[name], v.Values(t))
		// The recorded values are float32 themselves and v.Torch away from the truth.
		if gate := 1.5*v.Torch + 1e-9; isFloat64 && e > gate {
			t.Errorf("%s: float64 error %.3g against values that are %.3g off, want at most %.3g", v.Name, e, v.Torch, gate)
		}
		if e > oracle.Float32Block {
			t.Errorf("%s: error %.3g, want at most %.0e", v.Name, e, oracle.Float32Block)
		}
		if e > worst {
			worst, worstName = e, v.Name
		}
	}
	if compared < len(c.Trace())*3/4 {
		t.Errorf("compared only %d of %d values", compared, len(c.Trace()))
	}
	t.Logf("%T, %d nodes: %d values, worst error %.1e in %s", T(0), len(g.Nodes), compared, worst, worstName)
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// TestGoldenPictures runs the pictures' reference tensors and compares the logits.
func TestGoldenPictures(t *testing.T) {
	pictures := oracle.Pictures(t)
	if testing.Short() {
		pictures = pictures[:2]
	}
	g, err := specOf(t, "efficientnet_b1_pruned").Build(open(t, filepath.Join(oracle.Dir(t), "checkpoints/efficientnet_b1_pruned.pth")), 240, 240)
	if err != nil {
		t.Fatal(err)
	}
	g = fused(t, g)
	for i, p := range pictures {
		t.Run(p.Name, func(t *testing.T) {
			in, want := p.Input(t, "b1"), p.Logits(t, "b1")
			checkFloat32(t, run[float32](t, g, in, 1), want, 1000)
			if i%4 == 0 {
				checkFloat64(t, run[float64](t, g, in, 1), want, 1000)
			}
		})
	}
}

// TestTrainedCheckpointBuilds reads a checkpoint that was really trained, with its own number of classes.
func TestTrainedCheckpointBuilds(t *testing.T) {
	sd := open(t, filepath.Join(oracle.Dir(t), "trained/efficientnet_b3_pruned_cattle15_derived.pth"))
	s := models.Identify(sd)
	if s == nil || s.Name != "efficientnet_b3_pruned" {
		t.Fatalf("identified as %v, want efficientnet_b3_pruned", s)
	}
	g, err := s.Build(sd, s.Transform.Size, s.Transform.Size)
	if err != nil {
		t.Fatal(err)
	}
	if want := (graph.Shape{C: 15, H: 1, W: 1}); g.OutputShape() != want {
		t.Errorf("output %v, want %v", g.OutputShape(), want)
	}
	fused(t, g)
}
