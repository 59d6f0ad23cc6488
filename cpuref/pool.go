package cpuref

import "github.com/vkinfer/vkinfer/netplan/graph"

// pool is the mean over the map, accumulated in float64 and rounded once: C×H×W to C×1×1.
func pool[T Float](r runner, x tensor[T]) tensor[T] {
	y := alloc[T](r, graph.Shape{C: x.shape.C, H: 1, W: 1})
	r.planes(x.shape.C, func(i, c int) {
		var sum float64
		plane := x.plane(i, c)
		for _, v := range plane {
			sum += float64(v)
		}
		y.plane(i, c)[0] = T(sum / float64(len(plane)))
	})
	return y
}
