package graph

import "fmt"

// Activation applies a function to every element.
type Activation struct{ Func Act }

// Kind returns "activation".
func (*Activation) Kind() string { return "activation" }

func (op *Activation) attrs() string { return op.Func.String() }

func (op *Activation) infer(in []Shape) (Shape, error) {
	if len(in) != 1 {
		return Shape{}, fmt.Errorf("activation takes 1 input, got %d", len(in))
	}
	return in[0], nil
}

func (*Activation) params() []*Param          { return nil }
func (*Activation) macs([]Shape, Shape) int64 { return 0 }
