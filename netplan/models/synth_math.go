package models

import (
	"math"
	"math/rand/v2"
	"sync"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// maps are n pictures' values at some layer, NCHW, for Synth.
type maps struct {
	n, c, h, w int
	data       []float64
}

func newMaps(n, c, h, w int) maps { return maps{n, c, h, w, make([]float64, n*c*h*w)} }

// plane returns channel c of picture i.
func (x maps) plane(i, c int) []float64 { return x.data[(i*x.c+c)*x.h*x.w:][:x.h*x.w] }

// conv applies a convolution with "SAME" padding, dense or depthwise.
func (x maps) conv(w []float64, shape []int, stride int, depthwise bool) maps {
	k := shape[3]
	y := newMaps(x.n, shape[0], (x.h+stride-1)/stride, (x.w+stride-1)/stride)
	top, left := graph.SamePad(x.h, k, stride).Before, graph.SamePad(x.w, k, stride).Before
	var wg sync.WaitGroup
	for i := range x.n {
		wg.Go(func() { // a picture each: who computes it changes nothing
			for o := range y.c {
				for c := range shape[1] {
					from := c
					if depthwise {
						from = o
					}
					kernel := w[(o*shape[1]+c)*k*k:][:k*k]
					for t, weight := range kernel {
						addTap(y, y.plane(i, o), x, x.plane(i, from), weight, t/k-top, t%k-left, stride)
					}
				}
			}
		})
	}
	wg.Wait()
	return y
}

// addTap adds weight · in, shifted by dy rows and dx columns, to out.
func addTap(y maps, out []float64, x maps, in []float64, weight float64, dy, dx, stride int) {
	if y.h == x.h && y.w == x.w && dy == 0 && dx == 0 { // all of it
		for i := range out {
			out[i] += mul(weight, in[i])
		}
		return
	}
	first := 0
	for first*stride+dx < 0 {
		first++
	}
	end := y.w
	for end > first && (end-1)*stride+dx >= x.w {
		end--
	}
	for oy := range y.h {
		iy := oy*stride + dy
		if iy < 0 || iy >= x.h {
			continue
		}
		dst, src := out[oy*y.w:][:y.w], in[iy*x.w:][:x.w]
		for ox := first; ox < end; ox++ {
			dst[ox] += mul(weight, src[ox*stride+dx])
		}
	}
}

// means returns the mean over each map: n vectors.
func (x maps) means() maps {
	y := newMaps(x.n, x.c, 1, 1)
	for i := range y.data {
		sum := 0.0
		for _, v := range x.plane(i/x.c, i%x.c) {
			sum += v
		}
		y.data[i] = sum / float64(x.h*x.w)
	}
	return y
}

// moments returns the mean and variance of a channel over all pictures and pixels.
func (x maps) moments(c int) (mean, variance float64) {
	count := float64(x.n * x.h * x.w)
	for i := range x.n {
		for _, v := range x.plane(i, c) {
			mean += v
		}
	}
	mean /= count
	for i := range x.n {
		for _, v := range x.plane(i, c) {
			variance += mul(v-mean, v-mean)
		}
	}
	return mean, variance / count
}

// averageVariance returns the channels' variance, on average; never quite zero.
func (x maps) averageVariance() float64 {
	total := 0.0
	for c := range x.c {
		_, v := x.moments(c)
		total += v
	}
	return max(total/float64(x.c), 1e-12)
}

// scale multiplies every channel by its gate, in place.
func (x maps) scale(gate maps) {
	for i := range x.n {
		for c := range x.c {
			g, plane := gate.plane(i, c)[0], x.plane(i, c)
			for at, v := range plane {
				plane[at] = mul(v, g)
			}
		}
	}
}

// silu applies x·sigmoid(x) in place.
func (x maps) silu() maps {
	for i, v := range x.data {
		x.data[i] = mul(v, sigmoid(v))
	}
	return x
}

// sigmoid applies 1/(1+exp(-x)) in place.
func (x maps) sigmoid() maps {
	for i, v := range x.data {
		x.data[i] = sigmoid(v)
	}
	return x
}

// sigmoid is 1/(1+exp(-x)) to six digits, from exactly specified operations: exp(x) as (1 + x/2^20)^(2^20).
func sigmoid(x float64) float64 {
	x = max(min(x, 40), -40)
	e := 1 - mul(x, 1.0/(1<<20))
	for range 20 {
		e = mul(e, e)
	}
	return 1 / (1 + e)
}

// mul is a·b, rounded: the conversion forbids contracting it with an addition.
func mul(a, b float64) float64 { return float64(a * b) }

// draw draws numbers by exactly specified operations.
type draw struct{ src *rand.PCG }

// uniform draws from [lo, hi).
func (d draw) uniform(lo, hi float64) float64 {
	return lo + mul(hi-lo, float64(d.src.Uint64()>>11)/(1<<53))
}

// below draws a whole number from [0, n), for small n.
func (d draw) below(n int) int { return int(d.src.Uint64() % uint64(n)) }

// normal draws the sum of four uniform numbers: mean 0, variance 1, within ±3.5.
func (d draw) normal() float64 {
	u := d.src.Uint64()
	sum := int64(u&0xffff) + int64(u>>16&0xffff) + int64(u>>32&0xffff) + int64(u>>48)
	return float64(sum-2*0xffff) / 65536 * math.Sqrt(3)
}

// octaves draws from [2^lo, 2^hi): a whole exponent, and a fraction that is uniform.
func (d draw) octaves(lo, hi int) float64 {
	e := lo + d.below(hi-lo)
	return math.Ldexp(d.uniform(1, 2), e)
}
