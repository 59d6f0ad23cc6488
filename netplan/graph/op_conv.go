package graph

import (
	"fmt"
	"strings"
)

// Act is an activation function.
type Act uint8

// The activation functions of the family.
const (
	Identity Act = iota
	SiLU         // x·sigmoid(x), also called swish
	Sigmoid      // 1/(1+exp(-x))
)

func (a Act) String() string {
	switch a {
	case Identity:
		return "identity"
	case SiLU:
		return "silu"
	case Sigmoid:
		return "sigmoid"
	}
	return fmt.Sprintf("Act(%d)", uint8(a))
}

// Conv is a 2-D convolution with TensorFlow's "SAME" padding, dense (Groups = 1) or depthwise
// (Groups = C). In an unfused graph only Weight and Bias are set; the passes add the rest:
//
//	y = act(conv(x · gate) + bias) + residual, then averaged over the map when Pool is set
//
// Inputs: x, then the gate (C×1×1) if Gate, then the residual (the output's shape) if Residual.
type Conv struct {
	Weight *Param // [Cout, Cin/Groups, K, K]
	Bias   *Param // [Cout], or nil
	Stride int
	Groups int

	// Beta is the bias of the BatchNorm that was folded into the convolution, [Cout], or nil: what a channel of
	// conv(x) + bias is on average, over the pictures that the network was trained on.
	Beta *Param

	Act      Act
	Gate     bool
	Residual bool
	Pool     bool // the output is C×1×1: the mean over the map of the activated values
}

// Kind returns "conv".
func (*Conv) Kind() string { return "conv" }

// Kernel returns the side of the square kernel.
func (op *Conv) Kernel() int { return op.Weight.Shape[3] }

// Depthwise reports whether every channel has its own kernel.
func (op *Conv) Depthwise() bool { return op.Groups > 1 && op.Weight.Shape[1] == 1 }

// Pad is the padding of one axis.
type Pad struct{ Before, After int }

// SamePad returns TensorFlow's "SAME" padding of an axis of n elements: the output has
// ceil(n/stride) elements, the odd element of padding goes after.
func SamePad(n, kernel, stride int) Pad {
	out := (n + stride - 1) / stride
	total := max((out-1)*stride+kernel-n, 0)
	return Pad{Before: total / 2, After: total - total/2}
}

func (op *Conv) attrs() string {
	var sb strings.Builder
	k := op.Kernel()
	fmt.Fprintf(&sb, "%dx%d/%d", k, k, op.Stride)
	if op.Groups > 1 {
		sb.WriteString(" depthwise")
	}
	if op.Gate {
		sb.WriteString(" gate")
	}
	if op.Bias != nil {
		sb.WriteString(" bias")
	}
	if op.Act != Identity {
		sb.WriteString(" " + op.Act.String())
	}
	if op.Residual {
		sb.WriteString(" residual")
	}
	if op.Pool {
		sb.WriteString(" mean")
	}
	return sb.String()
}

// MapShape returns the shape of the convolution's map for an input of shape in, before Pool.
func (op *Conv) MapShape(in Shape) Shape {
	return Shape{C: op.Weight.Shape[0], H: (in.H + op.Stride - 1) / op.Stride, W: (in.W + op.Stride - 1) / op.Stride}
}

func (op *Conv) infer(in []Shape) (Shape, error) {
	want := 1
	if op.Gate {
		want++
	}
	if op.Residual {
		want++
	}
	if len(in) != want {
		return Shape{}, fmt.Errorf("conv takes %d inputs, got %d", want, len(in))
	}
	w := op.Weight
	if w == nil || len(w.Shape) != 4 || w.Shape[2] != w.Shape[3] {
		return Shape{}, fmt.Errorf("conv weight must have shape [Cout, Cin/groups, K, K]")
	}
	if op.Stride < 1 || op.Groups < 1 {
		return Shape{}, fmt.Errorf("conv stride %d, groups %d, want positive", op.Stride, op.Groups)
	}
	if op.Groups > 1 && (op.Groups != in[0].C || w.Shape[0] != in[0].C) {
		return Shape{}, fmt.Errorf("conv with %d groups on %d channels to %d: only dense and depthwise convolutions are known", op.Groups, in[0].C, w.Shape[0])
	}
	if w.Shape[1]*op.Groups != in[0].C {
		return Shape{}, fmt.Errorf("conv %s takes %d channels, got %d", w.Name, w.Shape[1]*op.Groups, in[0].C)
	}
	if op.Bias != nil && len(op.Bias.Data) != w.Shape[0] {
		return Shape{}, fmt.Errorf("conv bias %s has %d values, want %d", op.Bias.Name, len(op.Bias.Data), w.Shape[0])
	}
	if op.Beta != nil && len(op.Beta.Data) != w.Shape[0] {
		return Shape{}, fmt.Errorf("conv mean %s has %d values, want %d", op.Beta.Name, len(op.Beta.Data), w.Shape[0])
	}
	out := op.MapShape(in[0])
	if op.Gate && in[1] != (Shape{in[0].C, 1, 1}) {
		return Shape{}, fmt.Errorf("conv gate has shape %v, want %dx1x1", in[1], in[0].C)
	}
	if op.Residual && in[len(in)-1] != out {
		return Shape{}, fmt.Errorf("conv residual has shape %v, want %v", in[len(in)-1], out)
	}
	if op.Pool {
		out.H, out.W = 1, 1
	}
	return out, nil
}

func (op *Conv) params() []*Param {
	if op.Bias == nil {
		return []*Param{op.Weight}
	}
	return []*Param{op.Weight, op.Bias}
}

func (op *Conv) macs(in []Shape, _ Shape) int64 {
	m := op.MapShape(in[0])
	return int64(m.H) * int64(m.W) * int64(len(op.Weight.Data))
}
