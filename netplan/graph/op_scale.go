package graph

import "fmt"

// Scale multiplies every channel of a map (input 0, C×H×W) by its gate (input 1, C×1×1).
type Scale struct{}

// Kind returns "scale".
func (*Scale) Kind() string { return "scale" }

func (*Scale) attrs() string { return "" }

func (*Scale) infer(in []Shape) (Shape, error) {
	if len(in) != 2 {
		return Shape{}, fmt.Errorf("scale takes 2 inputs, got %d", len(in))
	}
	if in[1] != (Shape{in[0].C, 1, 1}) {
		return Shape{}, fmt.Errorf("scale gate has shape %v, want %dx1x1", in[1], in[0].C)
	}
	return in[0], nil
}

func (*Scale) params() []*Param          { return nil }
func (*Scale) macs([]Shape, Shape) int64 { return 0 }
