package graph

import "fmt"

// Pool is the mean over the map: C×H×W to C×1×1.
type Pool struct{}

// Kind returns "pool".
func (*Pool) Kind() string { return "pool" }

func (*Pool) attrs() string { return "mean" }

func (*Pool) infer(in []Shape) (Shape, error) {
	if len(in) != 1 {
		return Shape{}, fmt.Errorf("pool takes 1 input, got %d", len(in))
	}
	return Shape{in[0].C, 1, 1}, nil
}

func (*Pool) params() []*Param          { return nil }
func (*Pool) macs([]Shape, Shape) int64 { return 0 }
