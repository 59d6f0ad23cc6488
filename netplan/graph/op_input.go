package graph

import "fmt"

// Input is what comes from outside: the picture (planes R, G, B after normalisation), or a value of a
// larger network of which the graph is a fragment, as when one layer runs by itself.
type Input struct {
	Shape Shape
	Inner bool // a value from within a network, not a picture
}

// Kind returns "input".
func (*Input) Kind() string { return "input" }

func (op *Input) attrs() string {
	if op.Inner {
		return "inner"
	}
	return ""
}

func (op *Input) infer(in []Shape) (Shape, error) {
	if len(in) != 0 {
		return Shape{}, fmt.Errorf("input takes no inputs, got %d", len(in))
	}
	if op.Shape.C < 1 || op.Shape.H < 1 || op.Shape.W < 1 {
		return Shape{}, fmt.Errorf("input shape %v, want positive sizes", op.Shape)
	}
	return op.Shape, nil
}

func (*Input) params() []*Param          { return nil }
func (*Input) macs([]Shape, Shape) int64 { return 0 }
