package graph

import "fmt"

// Linear is a fully connected layer on a vector: y = W·x + b.
type Linear struct {
	Weight *Param // [out, in]
	Bias   *Param // [out], or nil
}

// Kind returns "linear".
func (*Linear) Kind() string { return "linear" }

func (*Linear) attrs() string { return "" }

func (op *Linear) infer(in []Shape) (Shape, error) {
	if len(in) != 1 || in[0].H != 1 || in[0].W != 1 {
		return Shape{}, fmt.Errorf("linear takes one vector, got %v", in)
	}
	if len(op.Weight.Shape) != 2 || op.Weight.Shape[1] != in[0].C {
		return Shape{}, fmt.Errorf("linear weight %s has shape %v, want [out, %d]", op.Weight.Name, op.Weight.Shape, in[0].C)
	}
	if op.Bias != nil && len(op.Bias.Data) != op.Weight.Shape[0] {
		return Shape{}, fmt.Errorf("linear bias %s has %d values, want %d", op.Bias.Name, len(op.Bias.Data), op.Weight.Shape[0])
	}
	return Shape{op.Weight.Shape[0], 1, 1}, nil
}

func (op *Linear) params() []*Param {
	if op.Bias == nil {
		return []*Param{op.Weight}
	}
	return []*Param{op.Weight, op.Bias}
}

func (op *Linear) macs([]Shape, Shape) int64 { return int64(len(op.Weight.Data)) }
