package cpuref

// add is the sum of two maps of one shape.
func add[T Float](r runner, a, b tensor[T]) tensor[T] {
	y := alloc[T](r, a.shape)
	r.planes(a.shape.C, func(i, c int) {
		out, bp := y.plane(i, c), b.plane(i, c)
		for p, v := range a.plane(i, c) {
			out[p] = v + bp[p]
		}
	})
	return y
}
