package netplan

import "github.com/vkinfer/vkinfer/netplan/graph"

// linear: shaders/linear.comp.
func (l *lowering) linear(n *graph.Node, op *graph.Linear) error {
	const lanes = 32
	images := 1 // of a workgroup
	if l.plan.Kernels == KernelsShared {
		images = 8
	}
	out := l.tensor(n, Vector)
	l.tensorOf[n.ID] = out
	k, c := pad8(op.Weight.Shape[1]), pad8(n.Shape.C)
	bias := op.Bias
	if bias == nil {
		bias = &graph.Param{Name: n.Name + ".bias", Shape: []int{n.Shape.C}, Data: make([]float64, n.Shape.C)}
	}
	if err := l.loops(5*ceilDiv(k/4, lanes) + lanes); err != nil {
		return err
	}
	return l.dispatch(n, Dispatch{
		Kernel: l.kernelFloat32("linear"),
		Spec:   []uint32{lanes, 1, 1, uint32(images)},
		Push:   []uint32{0, uint32(k / 4), uint32(c / 4)},
		Bind:   []Binding{l.input(n, 0), l.packMatrix(op.Weight), l.packVector(bias), {Tensor: out}},
		Groups: [3]Groups{fixed(c / 8), {PerImage: 1, Tile: images}, one},
	})
}
