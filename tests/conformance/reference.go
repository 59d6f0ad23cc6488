package conformance

import (
	"runtime"
	"sync"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// This file computes convolutions by their definition, for integers and for float64. It shares no code with
// package cpuref, nor with the planner: the padding is worked out here anew.

// number is what the references compute with.
type number interface{ int64 | float64 }

// layer is the geometry of a convolution of one image. A linear layer is a 1×1 convolution of one pixel.
type layer struct {
	in, out        graph.Shape // out is the map, before any mean over it
	kernel, stride int
	depthwise      bool
}

func (c Case) layer(in graph.Shape) layer {
	ceil := func(n int) int { return (n + c.Stride - 1) / c.Stride }
	return layer{in: in, out: graph.Shape{C: c.Out, H: ceil(in.H), W: ceil(in.W)},
		kernel: c.Kernel, stride: c.Stride, depthwise: c.Kind == "depthwise"}
}

// terms is the number of products in a sum.
func (l layer) terms() int {
	if l.depthwise {
		return l.kernel * l.kernel
	}
	return l.in.C * l.kernel * l.kernel
}

// padBefore is TensorFlow's SAME padding before the first of n elements: as much as the last window needs
// in all, the smaller half of it in front.
func (l layer) padBefore(n, out int) int {
	if need := (out-1)*l.stride + l.kernel - n; need > 0 {
		return need / 2
	}
	return 0
}

// convolve returns the convolution of one image x (planes) with the weights w ([out][in][kernel][kernel]):
// the bare sums.
func convolve[T number](l layer, x, w []T) []T {
	y := make([]T, l.out.NumElements())
	top, left := l.padBefore(l.in.H, l.out.H), l.padBefore(l.in.W, l.out.W)
	ins, taps := l.in.C, l.kernel*l.kernel
	if l.depthwise {
		ins = 1
	}
	for o := range l.out.C {
		acc := y[o*l.out.H*l.out.W:][:l.out.H*l.out.W]
		if l.pointwise() {
			addPlanes(acc, x, w[o*ins:][:ins])
			continue
		}
		for i := range ins {
			c := i
			if l.depthwise {
				c = o
			}
			plane := x[c*l.in.H*l.in.W:][:l.in.H*l.in.W]
			for t := range taps {
				addTap(l, acc, plane, w[(o*ins+i)*taps+t], t/l.kernel-top, t%l.kernel-left)
			}
		}
	}
	return y
}

// pointwise reports whether every output has its own pixel of every channel for input.
func (l layer) pointwise() bool { return l.kernel == 1 && l.stride == 1 && !l.depthwise }

// addPlanes adds the planes of x, each times its weight, to acc: four at a time, which is faster.
func addPlanes[T number](acc, x, w []T) {
	n := len(acc)
	for ; len(w) >= 4; x, w = x[4*n:], w[4:] {
		x0, x1, x2, x3 := x[:n], x[n:][:n], x[2*n:][:n], x[3*n:][:n]
		w0, w1, w2, w3 := w[0], w[1], w[2], w[3]
		for i := range acc {
			acc[i] += w0*x0[i] + w1*x1[i] + w2*x2[i] + w3*x3[i]
		}
	}
	for c, v := range w {
		for i, xi := range x[c*n:][:n] {
			acc[i] += v * xi
		}
	}
}

// addTap adds one weight's products to all outputs of a plane: output (r, q) gets w times input
// (r·stride + dy, q·stride + dx), or nothing where that lies outside.
func addTap[T number](l layer, acc, plane []T, w T, dy, dx int) {
	if dx >= l.in.W {
		return
	}
	for r := range l.out.H {
		y := r*l.stride + dy
		if y < 0 || y >= l.in.H {
			continue
		}
		// The outputs whose input is there.
		first, last := max(0, (-dx+l.stride-1)/l.stride), min(l.out.W-1, (l.in.W-1-dx)/l.stride)
		for q := first; q <= last; q++ {
			acc[r*l.out.W+q] += w * plane[y*l.in.W+q*l.stride+dx]
		}
	}
}

// eachImage calls f for 0 to n-1, several at once.
func eachImage(n int, f func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			f(i)
			<-slots
		})
	}
	wg.Wait()
}
