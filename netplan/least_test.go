package netplan

import (
	"math"
	"testing"

	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// TestLeastBytes compares the least bytes of the networks with a count made from their layer tables by other
// means: 25.9, 38.0 and 49.8 MB an image in 16-bit elements. The plans may be at most 5 % above.
func TestLeastBytes(t *testing.T) {
	for name, want := range map[string]float64{"efficientnet_b1_pruned": 25.9, "efficientnet_b2_pruned": 38.0, "efficientnet_b3_pruned": 49.8} {
		p, g := leastPlan(t, name, 0)
		if got := float64(p.Least) / 2e6; math.Abs(got-want) > 0.05 {
			t.Errorf("%s: %.3f MB in 16-bit elements, want %.1f", name, got, want)
		}
		if over := p.OverLeast(); over <= 0 || over > 0.05 {
			t.Errorf("%s: %.2f %% over the least, want more than 0 and at most 5", name, 100*over)
		}
		amp, err := Lower(g, MinimalCaps(), Options{Precision: PrecisionAMP, Pictures: &Normalization{}})
		if err != nil {
			t.Fatal(err)
		}
		bytes, least := amp.PictureBytes()
		if over := float64(bytes)/float64(least) - 1; 2*amp.Least != p.Least || over <= 0 || over > 0.05 {
			t.Errorf("%s: amp: at least %d bytes, in float32 %d, and from pictures %.2f %% over the least; want half, and more than 0 and at most 5", name, amp.Least, p.Least, 100*over)
		}
		if float64(bytes) > 1.05e6*want {
			t.Errorf("%s: amp moves %d bytes for a picture, want at most 5 %% above %.1f MB", name, bytes, want)
		}
		var sum int64
		for i, d := range p.Dispatches {
			sum += d.Least
			if d.Least > d.Bytes {
				t.Errorf("%s: dispatch %d, %s, moves %d bytes of at least %d", name, i, d.Node, d.Bytes, d.Least)
			}
		}
		if sum != p.Least {
			t.Errorf("%s: the dispatches' sum is %d, the plan's %d", name, sum, p.Least)
		}
		for _, n := range g.Nodes { // half the element, half the bytes
			if 2*leastBytes(g, n, Float16.Size()) != leastBytes(g, n, Float32.Size()) {
				t.Errorf("%s: %s: 16-bit elements are not half as many bytes", name, n.Name)
			}
		}
	}
}

// TestLeastBytesOfNodes: a residual that is also the input counts once, gates and sums never, and a map stays
// one when it has shrunk to a pixel.
func TestLeastBytesOfNodes(t *testing.T) {
	_, g := leastPlan(t, "efficientnet_b1_pruned", 32)
	at := map[string]*graph.Node{}
	for _, n := range g.Nodes {
		at[n.Name] = n
	}
	elements := func(names ...string) (sum int64) {
		for _, n := range names {
			sum += 4 * int64(at[n].Shape.NumElements())
		}
		return sum
	}
	for name, want := range map[string]int64{
		"blocks.1.1.se.gate":  0,
		"classifier":          0,
		"conv_head":           elements("blocks.6.1.conv_pwl"),
		"blocks.1.1.conv_pwl": elements("blocks.1.1.conv_pwl", "blocks.1.1.conv_dw", "blocks.1.0.conv_pwl"),
		"blocks.6.1.conv_dw":  elements("blocks.6.1.conv_dw", "blocks.6.1.conv_pw"),
	} {
		n := at[name]
		if n == nil {
			t.Fatalf("the network has no node %s", name)
		}
		if got := leastBytes(g, n, 4); got != want {
			t.Errorf("%s: %d bytes, want %d", name, got, want)
		}
	}
	if s := at["blocks.6.1.conv_dw"].Shape; s.H*s.W != 1 {
		t.Errorf("blocks.6.1.conv_dw is %v, want a map of a pixel", s)
	}
	twice := &graph.Node{ID: 1, Name: "twice", Op: at["blocks.1.1.conv_pwl"].Op, Inputs: []graph.ID{0, 0}, Shape: graph.Shape{C: 2, H: 3, W: 3}}
	in := &graph.Node{ID: 0, Name: "in", Op: &graph.Input{Shape: graph.Shape{C: 2, H: 3, W: 3}}, Shape: graph.Shape{C: 2, H: 3, W: 3}}
	if got := leastBytes(&graph.Graph{Nodes: []*graph.Node{in, twice}}, twice, 4); got != 2*18*4 {
		t.Errorf("a map that is read twice: %d bytes, want %d", got, 2*18*4)
	}
}

func leastPlan(t *testing.T, name string, size int) (*Plan, *graph.Graph) {
	t.Helper()
	spec, err := models.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	if size == 0 {
		size = spec.Transform.Size
	}
	g, err := spec.BuildShape(size, size)
	if err != nil {
		t.Fatal(err)
	}
	if g, err = RunPasses(g, "fold", "fuse"); err != nil {
		t.Fatal(err)
	}
	p, err := Lower(g, MinimalCaps(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p, g
}
