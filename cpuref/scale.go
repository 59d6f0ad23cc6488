package cpuref

// scale multiplies every channel of x by its gate, C×1×1.
func scale[T Float](r runner, x, gate tensor[T]) tensor[T] {
	y := alloc[T](r, x.shape)
	r.planes(x.shape.C, func(i, c int) {
		g := gate.plane(i, c)[0]
		out := y.plane(i, c)
		for p, v := range x.plane(i, c) {
			out[p] = v * g
		}
	})
	return y
}
