package cpuref

import (
	"fmt"
	"math"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// activation applies a function to every element.
func activation[T Float](r runner, act graph.Act, x tensor[T]) (tensor[T], error) {
	var f func(float64) float64
	switch act {
	case graph.Identity:
		return x, nil
	case graph.SiLU:
		f = silu
	case graph.Sigmoid:
		f = sigmoid
	default:
		return x, fmt.Errorf("cpuref: activation %v is not known here", act)
	}
	y := alloc[T](r, x.shape)
	r.planes(x.shape.C, func(i, c int) {
		out := y.plane(i, c)
		for p, v := range x.plane(i, c) {
			out[p] = T(f(float64(v)))
		}
	})
	return y, nil
}

// sigmoid is 1/(1+exp(-x)). exp is only taken of negative numbers: it never overflows, and far below zero
// the result fades to exp(x) instead of a quotient by infinity.
func sigmoid(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}

// silu is x·sigmoid(x), also called swish.
func silu(x float64) float64 { return x * sigmoid(x) }
