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
	tiles := l.plan.Tensors[sums].Shape.H
	lanes, channelLanes := l.seLanes(c/4, tiles)
	turns := ceilDiv(c/4, lanes)
	if err := l.loops(turns*(tiles+1) + lanes/channelLanes + ceilDiv(r, lanes/split)*(ceilDiv(c/4, split)+split+1) + turns*(r+1)); err != nil {
		return err
	}
	return l.dispatch(n, Dispatch{
		Kernel: l.kernelFloat32("se"),
		Spec:   []uint32{uint32(lanes), 1, 1, uint32(channelLanes)},
		Push:   []uint32{0, uint32(c / 4), uint32(r), uint32(tiles), uint32(in.H * in.W)},
		Bind: []Binding{{Tensor: sums}, l.packRows(op.ReduceWeight), l.packVector(op.ReduceBias),
			l.packMatrix(op.ExpandWeight), l.packVector(op.ExpandBias), {Tensor: out}},
		Groups: [3]Groups{perImage, one, one},
	})
}

// seLanes returns how many lanes a workgroup has, and how many of them lie side by side over groups of four channels.
// An image has one workgroup, so that on a device with many lanes it is a large one, and rows of lanes share the tiles
// of maps with few channels.
func (l *lowering) seLanes(c4, tiles int) (lanes, channelLanes int) {
	const most = 512
	lanes = 128
	if l.plan.Kernels != KernelsShared {
		return lanes, lanes
	}
	for lanes < most && 2*lanes <= min(l.caps.MaxWorkgroupInvocations, l.caps.MaxWorkgroupSize[0]) {
		lanes *= 2
	}
	for channelLanes = 8; channelLanes < c4 || lanes/channelLanes > tiles; {
		channelLanes *= 2
	}
	if channelLanes > min(lanes/2, 256) {
		channelLanes = lanes // each adds up all tiles, of several groups if need be
	}
	return lanes, channelLanes
}
