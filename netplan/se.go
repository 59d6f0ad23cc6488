package netplan

import (
	"fmt"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// The sizes that shaders/se.comp keeps in shared memory.
const (
	seMaxChannels = 3328
	seMaxReduced  = 128
)

// se: shaders/se.comp.
func (l *lowering) se(n *graph.Node, op *graph.SE) error {
	const lanes = 128
	sums, ok := l.sums[n.Inputs[0]]
	if !ok {
		return fmt.Errorf("squeeze-and-excitation of %s, want a depthwise convolution, whose kernel makes the sums", l.g.Node(n.Inputs[0]).Name)
	}
	c, r := pad8(n.Shape.C), op.Reduced()
	if c > seMaxChannels || r > seMaxReduced {
		return fmt.Errorf("squeeze-and-excitation of %d channels reduced to %d, want at most %d and %d", n.Shape.C, r, seMaxChannels, seMaxReduced)
	}
	out := l.tensor(n, Vector)
	l.tensorOf[n.ID] = out
	in := l.g.Node(n.Inputs[0]).Shape
	const split = 16 // lanes that share a dot product
	tiles, turns := l.plan.Tensors[sums].Shape.H, ceilDiv(c/4, lanes)
	if err := l.loops(turns*(tiles+1) + ceilDiv(r, lanes/split)*(ceilDiv(c/4, split)+split+1) + turns*(r+1)); err != nil {
		return err
	}
	return l.dispatch(n, Dispatch{
		Kernel: "se_f32",
		Spec:   []uint32{lanes, 1, 1},
		Push:   []uint32{0, uint32(c / 4), uint32(r), uint32(l.plan.Tensors[sums].Shape.H), uint32(in.H * in.W)},
		Bind: []Binding{{Tensor: sums}, l.packRows(op.ReduceWeight), l.packVector(op.ReduceBias),
			l.packMatrix(op.ExpandWeight), l.packVector(op.ExpandBias), {Tensor: out}},
		Groups: [3]Groups{perImage, one, one},
	})
}
