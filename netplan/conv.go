package netplan

import (
	"fmt"
	"math"
	"slices"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// actCode maps an activation to the ACT specialization constant (shaders/activation.glsl).
func actCode(a graph.Act) uint32 { return uint32(a) }

func specBool(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// conv chooses the kernel of a convolution.
func (l *lowering) conv(n *graph.Node, op *graph.Conv) error {
	in := l.g.Node(n.Inputs[0])
	switch {
	case op.Bias == nil:
		return fmt.Errorf("convolution without a bias; was the graph folded?")
	case op.Act == graph.Sigmoid:
		return fmt.Errorf("no kernel for a convolution with a sigmoid, which would leave 0.5 in the padding lanes")
	case op.Depthwise() && !op.Gate && !op.Residual && !op.Pool:
		return l.convDepthwise(n, op, in)
	case op.Groups == 1 && op.Kernel() == 1 && op.Stride == 1:
		if op.Pool {
			return l.convPool(n, op, in)
		}
		return l.conv1x1(n, op, in)
	case op.Groups == 1 && l.plan.Tensors[l.tensorOf[in.ID]].Layout == NCHW && in.Shape.C == 3 && !op.Gate && !op.Residual && !op.Pool:
		return l.convStem(n, op, in)
	}
	return fmt.Errorf("no kernel for a convolution %s of %d channels", graph.Attrs(op), in.Shape.C)
}

// convStem: shaders/conv_stem.comp.
func (l *lowering) convStem(n *graph.Node, op *graph.Conv, in *graph.Node) error {
	const (
		lanes = 64
		strip = 4 // output pixels a lane computes at once
	)
	out := l.tensor(n, NHWC8)
	l.tensorOf[n.ID] = out
	c := pad8(n.Shape.C)
	py, px := graph.SamePad(in.Shape.H, op.Kernel(), op.Stride), graph.SamePad(in.Shape.W, op.Kernel(), op.Stride)
	d := Dispatch{
		Kernel: l.kernel("conv_stem"),
		Spec:   []uint32{lanes, 1, 1, uint32(op.Kernel()), uint32(op.Stride), actCode(op.Act)},
		Push: []uint32{0, uint32(in.Shape.H), uint32(in.Shape.W), uint32(n.Shape.H), uint32(n.Shape.W),
			uint32(py.Before), uint32(px.Before), uint32(c / 4)},
		Bind:   []Binding{l.input(n, 0), l.packConv(op), l.packVector(op.Bias), {Tensor: out}},
		Groups: [3]Groups{fixed(ceilDiv(n.Shape.H*ceilDiv(n.Shape.W, strip), lanes)), fixed(c / 8), perImage},
	}
	if err := l.dispatch(n, d); err != nil || l.normalization == nil {
		return err
	}
	return l.pictureStem(n, in, d)
}

// pictureStem makes, from the stem's dispatch d, the one that reads pictures.
func (l *lowering) pictureStem(n, in *graph.Node, d Dispatch) error {
	t := l.addTensor(Tensor{Name: "pictures", Shape: in.Shape, Layout: HWC, DType: Uint8})
	d.Kernel = l.kernel("conv_stem_pictures")
	d.Push = append(slices.Clone(d.Push), uint32(l.plan.Tensors[t].Stride/4))
	for _, v := range append(l.normalization.Scale[:], l.normalization.Offset[:]...) {
		d.Push = append(d.Push, math.Float32bits(v))
	}
	d.Bind, d.Bytes = slices.Clone(d.Bind), 0
	d.Bind[0] = Binding{Tensor: t}
	d, err := l.complete(n, d)
	if err != nil {
		return err
	}
	// Each byte once, instead of an element of the precision.
	d.Least += int64(in.Shape.NumElements()) * (Uint8.Size() - l.stored.Size())
	l.plan.Pictures = &Pictures{Tensor: t, Dispatch: d}
	return nil
}

// convDepthwise: shaders/conv_dw.comp.
func (l *lowering) convDepthwise(n *graph.Node, op *graph.Conv, in *graph.Node) error {
	const (
		strip     = 4    // output pixels of a patch's row
		tilesMost = 1024 // rows of sums of an image
	)
	out := l.tensor(n, NHWC8)
	l.tensorOf[n.ID] = out
	c4 := pad8(n.Shape.C) / 4
	lx := depthwiseLanes(c4)
	lanes, rows := 64, 4
	if l.plan.Kernels == KernelsShared {
		// Half the registers, so that a GPU has twice the lanes at work to hide the memory's latency.
		lanes, rows = 128, 2
	}
	ly := lanes / lx
	height := rows / op.Stride // rows of a patch
	patches := ceilDiv(n.Shape.H, height) * ceilDiv(n.Shape.W, strip)
	perLane := ceilDiv(patches, ly*tilesMost)
	tiles := ceilDiv(patches, ly*perLane)
	if err := l.loops(perLane + ly); err != nil {
		return err
	}
	sums := Binding{Tensor: out}
	pool := l.pooledBySE(n)
	if pool {
		sums.Tensor = l.addTensor(Tensor{Name: n.Name + ".sums", Shape: graph.Shape{C: n.Shape.C, H: tiles, W: 1}, Layout: Tiles})
		if l.sums == nil {
			l.sums = map[graph.ID]int{}
		}
		l.sums[n.ID] = sums.Tensor
	}
	py, px := graph.SamePad(in.Shape.H, op.Kernel(), op.Stride), graph.SamePad(in.Shape.W, op.Kernel(), op.Stride)
	return l.dispatch(n, Dispatch{
		Kernel: l.kernel("conv_dw"),
		Spec:   []uint32{uint32(lx), uint32(ly), 1, uint32(op.Kernel()), uint32(op.Stride), actCode(op.Act), specBool(pool), uint32(height), uint32(perLane)},
		Push: []uint32{0, uint32(in.Shape.H), uint32(in.Shape.W), uint32(n.Shape.H), uint32(n.Shape.W),
			uint32(py.Before), uint32(px.Before), uint32(c4), uint32(tiles)},
		Bind:   []Binding{l.input(n, 0), l.packConv(op), l.packVector(op.Bias), {Tensor: out}, sums},
		Groups: [3]Groups{fixed(ceilDiv(c4, lx)), fixed(tiles), perImage},
	})
}

// depthwiseLanes returns how many groups of four channels lie side by side in a workgroup: the number
// that leaves the fewest lanes idle.
func depthwiseLanes(c4 int) int {
	best := 8
	for _, lx := range []int{16, 4} {
		if ceilDiv(c4, lx)*lx < ceilDiv(c4, best)*best {
			best = lx
		}
	}
	return best
}

// pooledBySE reports whether a squeeze-and-excitation reads n.
func (l *lowering) pooledBySE(n *graph.Node) bool {
	for _, u := range l.g.Nodes {
		if _, ok := u.Op.(*graph.SE); ok && u.Inputs[0] == n.ID {
			return true
		}
	}
	return false
}
