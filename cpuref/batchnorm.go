package cpuref

import (
	"math"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// batchNorm is y = (x - mean) · (weight/sqrt(var+eps)) + bias, per channel.
func batchNorm[T Float](r runner, op *graph.BatchNorm, x tensor[T]) tensor[T] {
	y := alloc[T](r, x.shape)
	r.planes(x.shape.C, func(i, c int) {
		mean, bias := T(op.Mean.Data[c]), T(op.Bias.Data[c])
		factor := T(op.Weight.Data[c] / math.Sqrt(op.Var.Data[c]+op.Eps))
		out := y.plane(i, c)
		for p, v := range x.plane(i, c) {
			out[p] = T((v-mean)*factor) + bias
		}
	})
	return y
}
