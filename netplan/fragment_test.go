package netplan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// fragmentOf returns the part of g that computes the given node from inner inputs.
func fragmentOf(t *testing.T, g *graph.Graph, n *graph.Node) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder(g.Model)
	var in []graph.ID
	for _, id := range n.Inputs {
		in = append(in, b.Add(g.Node(id).Name, &graph.Input{Shape: g.Node(id).Shape, Inner: id != g.Input}))
	}
	f, err := b.Graph(b.AddYielding(n.Name, n.Yields, n.Op, in...))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFragmentsLowerLikeTheirNetwork: a layer alone gets the dispatch that it gets in its network, but for
// the numbers of tensors and weights.
func TestFragmentsLowerLikeTheirNetwork(t *testing.T) {
	for i, s := range append(models.All(), models.All()...) {
		opts := netplan.Options{Kernels: []string{netplan.KernelsLane, netplan.KernelsShared}[i/len(models.All())]}
		g := fused(t, s, s.Transform.Size, s.Transform.Size)
		whole, err := netplan.Lower(g, netplan.MinimalCaps(), opts)
		if err != nil {
			t.Fatal(err)
		}
		alone := 0
		for _, d := range whole.Dispatches {
			var node *graph.Node
			for _, n := range g.Nodes {
				if n.Name == d.Node {
					node = n
				}
			}
			op, isConv := node.Op.(*graph.Conv)
			if _, isSE := node.Op.(*graph.SE); isSE || isConv && op.Depthwise() {
				continue // a depthwise convolution makes sums for the gate, so both only exist together
			}
			alone++
			p, err := netplan.Lower(fragmentOf(t, g, node), netplan.MinimalCaps(), opts)
			if err != nil {
				t.Fatal(err)
			}
			got := p.Dispatches[0]
			for i := range got.Bind {
				if w := d.Bind[i]; got.Bind[i].Size != w.Size || got.Bind[i].Write != w.Write || (got.Bind[i].Tensor < 0) != (w.Tensor < 0) {
					t.Errorf("%s %s: binding %d is %+v, in the network %+v", s.Name, node.Name, i, got.Bind[i], w)
				}
			}
			got.Bind, got.Barrier = d.Bind, d.Barrier
			if diff := cmp.Diff(d, got); diff != "" {
				t.Errorf("%s %s (-network +alone):\n%s", s.Name, node.Name, diff)
			}
		}
		if alone < len(whole.Dispatches)/3 {
			t.Errorf("%s: only %d of %d dispatches were compared", s.Name, alone, len(whole.Dispatches))
		}
	}
}

// TestFragmentInputs: the layouts and lifetimes of several inputs.
func TestFragmentInputs(t *testing.T) {
	b := graph.NewBuilder("fragment")
	one := func(shape ...int) *graph.Param {
		n := 1
		for _, d := range shape {
			n *= d
		}
		return &graph.Param{Shape: shape, Data: make([]float64, n)}
	}
	x := b.Add("x", &graph.Input{Shape: graph.Shape{C: 3, H: 4, W: 5}, Inner: true})
	gate := b.Add("gate", &graph.Input{Shape: graph.Shape{C: 3, H: 1, W: 1}, Inner: true})
	residual := b.Add("residual", &graph.Input{Shape: graph.Shape{C: 9, H: 4, W: 5}, Inner: true})
	y := b.Add("y", &graph.Conv{Weight: one(9, 3, 1, 1), Bias: one(9), Stride: 1, Groups: 1, Gate: true, Residual: true}, x, gate, residual)
	g, err := b.Graph(y)
	if err != nil {
		t.Fatal(err)
	}
	p, err := netplan.Lower(g, netplan.MinimalCaps(), netplan.Options{KeepAll: true, Guard: 1000})
	if err != nil {
		t.Fatal(err)
	}
	layouts := []netplan.Layout{netplan.NHWC8, netplan.Vector, netplan.NHWC8, netplan.NHWC8}
	for i, l := range layouts {
		if x := p.Tensors[i]; x.Layout != l || i < 3 && x.First != -1 {
			t.Errorf("tensor %s has layout %v and lives from %d, want %v", x.Name, x.Layout, x.First, l)
		}
	}
	if got := p.InputElements(); got != 60+3+180 {
		t.Errorf("%d input elements, want 243", got)
	}
	if diff := cmp.Diff([]int{0, 1, 2}, p.InputTensors()); diff != "" {
		t.Error(diff)
	}
	for i, a := range p.Tensors {
		if a.Offset < 1000 || a.Offset+a.Stride+1000 > p.ArenaBytes || a.Offset%256 != 0 {
			t.Errorf("tensor %s at %d of %d bytes in an arena of %d, want a guard of 1000 around it", a.Name, a.Offset, a.Stride, p.ArenaBytes)
		}
		for _, b := range p.Tensors[:i] {
			if a.Offset < b.Offset+b.Stride+1000 && b.Offset < a.Offset+a.Stride+1000 {
				t.Errorf("tensors %s and %s are less than 1000 bytes apart", a.Name, b.Name)
			}
		}
	}
}

// TestInnerStem: the stem's kernel reads planes, which only a picture is stored in.
func TestInnerStem(t *testing.T) {
	b := graph.NewBuilder("fragment")
	x := b.Add("x", &graph.Input{Shape: graph.Shape{C: 3, H: 8, W: 8}, Inner: true})
	w := &graph.Param{Shape: []int{8, 3, 3, 3}, Data: make([]float64, 216)}
	x = b.Add("stem", &graph.Conv{Weight: w, Bias: &graph.Param{Shape: []int{8}, Data: make([]float64, 8)}, Stride: 2, Groups: 1}, x)
	g, err := b.Graph(x)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := netplan.Lower(g, netplan.MinimalCaps(), netplan.Options{}); err == nil || !strings.Contains(err.Error(), "no kernel for a convolution 3x3/2") {
		t.Errorf("got %v, want no kernel", err)
	}
}
