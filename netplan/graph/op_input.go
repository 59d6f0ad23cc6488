package graph

import "fmt"

// Input is the picture: planes R, G, B after normalisation.
type Input struct{ Shape Shape }

// Kind returns "input".
func (*Input) Kind() string { return "input" }

func (*Input) attrs() string { return "" }

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
