package cpuref

import "github.com/vkinfer/vkinfer/netplan/graph"

// linear is y = W·x + b. Sixteen products at a time are summed before they join the total, which keeps
// float32's rounding error that of some hundred additions for the longest rows of the family.
func linear[T Float](r runner, op *graph.Linear, x tensor[T]) tensor[T] {
	y := alloc[T](r, graph.Shape{C: op.Weight.Shape[0], H: 1, W: 1})
	w := rounded[T](op.Weight)
	n := x.shape.C
	r.planes(y.shape.C, func(i, o int) {
		row, in := w[o*n:][:n], x.data[i*n:][:n]
		var sum T
		for c := 0; c < n; c += 16 {
			var part T
			for j := c; j < min(c+16, n); j++ {
				part += T(row[j] * in[j])
			}
			sum += part
		}
		if op.Bias != nil {
			sum += T(op.Bias.Data[o])
		}
		y.data[i*y.shape.C+o] = sum
	})
	return y
}
