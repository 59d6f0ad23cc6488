package conformance

import (
	"math"
	"strings"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// Error bounds of real-number mode. Every one is derived from what the Vulkan specification promises of
// single operations (appendix "Precision and Operation of SPIR-V Instructions"), for any order of
// summation and with or without fused multiply-adds, so that they hold for every correct kernel on every
// conformant device, and for no reason but a fault are they exceeded:
//
//   - Addition, subtraction and multiplication are correctly rounded, to nearest or towards zero as the
//     device likes: a relative error of at most u = 2^-23.
//   - Division is within 2.5 ulp, exp(x) within 3 + 2·|x| ulp; an ulp is at most u relative to the value.
//   - Values below 2^-126 may be flushed to zero: tiny, an absolute error, covers any number of these.
//
// A term that passes through n roundings has a relative error of at most γ(n) = n·u/(1-n·u) (Higham,
// Accuracy and Stability of Numerical Algorithms, lemma 3.1). A sum of n products in any order rounds no
// term more than n times, so its error is at most γ(n)·Σ|a|·|b|; a bias is one more addition, a gate one
// more multiplication.
const (
	u    = 1.0 / (1 << 23)
	tiny = 1e-36
)

func gamma(n int) float64 {
	nu := float64(n) * u
	return nu / (1 - nu)
}

// quotientError is the relative error of 1/(1+exp(-z)), or of z over it, for a z that is itself known to
// within dz: exp's own error as far as it reaches the sum, the addition's and the division's.
func quotientError(z, dz float64) float64 {
	share := 1 / (1 + math.Exp(z)) // of exp(-z) in 1 + exp(-z)
	e := (3+2*math.Abs(z))*u*share + u + 2.5*u
	return e * (1 + 4*dz + 1e-4) // e changes by less than 4·e·dz; errors of second order
}

// activate returns act(z) and a bound on the error of its computed value, where z's error is at most dz.
// |SiLU'| is below 1.1 everywhere, |sigmoid'| at most 1/4.
func activate(act graph.Act, z, dz float64) (y, dy float64) {
	switch act {
	case graph.SiLU:
		y, dy = z/(1+math.Exp(-z)), 1.1*dz
	case graph.Sigmoid:
		y, dy = 1/(1+math.Exp(-z)), 0.25*dz
	default:
		return z, dz
	}
	return y, dy + (math.Abs(y)+dy)*quotientError(z, dz) + tiny
}

// leastHalf is the smallest normal number of 16-bit floats.
const leastHalf = 1.0 / (1 << 14)

// inHalf widens bounds on values in float32 to those on the same values stored in 16 bits by a kernel: half a
// unit in the last place, 2^-11, where the kernel's conversion is decorated to round to nearest, a whole one
// where it packs by itself, which may round as it likes (shaders/types.glsl). Values below the normal ones may
// become zero.
func inHalf(b bounded, kernel string) bounded {
	ulp := 1.0 / (1 << 11)
	if strings.HasSuffix(kernel, "_f16p") {
		ulp *= 2
	}
	out := bounded{b.value, make([]float64, len(b.value))}
	for i, v := range b.value {
		e := b.bound[i]
		out.bound[i] = e + (math.Abs(v)+e)*ulp
		if math.Abs(v)-e < leastHalf {
			out.bound[i] = e + leastHalf*(1+ulp)
		}
	}
	return out
}

// bounded is values in float64, each with a bound on the error of its float32 computation.
type bounded struct{ value, bound []float64 }

func newBounded(n int) bounded { return bounded{make([]float64, n), make([]float64, n)} }

// boundedConv computes one image of a case: x (times gate, unless nil) convolved with p.w, plus p.bias,
// activated, plus residual (unless nil), averaged over the map for the head.
func boundedConv(c Case, l layer, x, gate, residual []float64, p params) bounded {
	roundings := l.terms() + 1 // every product's own, and an addition for each, the bias included
	if gate != nil {
		roundings++
		scaled := make([]float64, len(x))
		for i, v := range x {
			scaled[i] = v * gate[i/(l.in.H*l.in.W)]
		}
		x = scaled
	}
	y := bounded{convolve(l, x, p.w), convolve(l, absolute(x), absolute(p.w))}
	pixels := l.out.H * l.out.W
	for i, sum := range y.value {
		b := p.bias[i/pixels]
		z, dz := sum+b, gamma(roundings)*(y.bound[i]+math.Abs(b))+tiny
		v, dv := activate(c.Act, z, dz)
		if residual != nil {
			v += residual[i]
			dv += u * (math.Abs(v) + dv)
		}
		y.value[i], y.bound[i] = v, dv
	}
	if c.Kind != "head" {
		return y
	}
	mean := newBounded(l.out.C)
	for o := range mean.value {
		mean.value[o], mean.bound[o] = boundedMean(y.value[o*pixels:][:pixels], y.bound[o*pixels:][:pixels], pixels)
	}
	return mean
}

// boundedMean returns Σv / count, where the values' own errors are at most dv (nil: exact).
func boundedMean(v, dv []float64, count int) (mean, bound float64) {
	var sum, size, err float64
	for i, x := range v {
		sum += x
		size += math.Abs(x)
		if dv != nil {
			size += dv[i]
			err += dv[i]
		}
	}
	mean = sum / float64(count)
	err = (err + gamma(len(v)-1)*size) / float64(count)
	return mean, err + 2.5*u*(math.Abs(mean)+err) + tiny
}

// boundedSE computes one image's gate from the sums that the device's own depthwise kernel wrote: sums
// holds [Out][tiles], of a map of so many pixels.
func boundedSE(c Case, sums []float64, pixels int, p params) bounded {
	tiles := len(sums) / c.Out
	mean := newBounded(c.Out)
	for i := range mean.value {
		mean.value[i], mean.bound[i] = boundedMean(sums[i*tiles:][:tiles], nil, pixels)
	}
	hidden := boundedDense(mean, p.reduceW, p.reduceB, graph.SiLU)
	return boundedDense(hidden, p.expandW, p.expandB, graph.Sigmoid)
}

// boundedDense computes act(w·x + b) for a vector x.
func boundedDense(x bounded, w, b []float64, act graph.Act) bounded {
	y := newBounded(len(b))
	for o, bias := range b {
		sum, size, err := bias, math.Abs(bias), 0.0
		for i, v := range x.value {
			wi := w[o*len(x.value)+i]
			sum += wi * v
			size += math.Abs(wi) * (math.Abs(v) + x.bound[i])
			err += math.Abs(wi) * x.bound[i]
		}
		y.value[o], y.bound[o] = activate(act, sum, err+gamma(len(x.value)+1)*size+tiny)
	}
	return y
}

func absolute(v []float64) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = math.Abs(x)
	}
	return out
}
