package models

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/vkinfer/vkinfer/weights"
)

// Synth makes up weights for the variant: a full state dict in float32, the same for the same seed on every
// machine. They tell nothing about pictures, but they are as hard to compute with as trained ones:
// activations keep their size through the whole network, the BatchNorms' statistics differ from channel to
// channel and fit the data about, but not just, some variances lie near its epsilon, gates take any value
// between 0 and 1, and gates and logits depend on the picture.
//
// To that end the network is run, layer by layer as it is drawn, on a few made-up pictures, and statistics,
// biases and scales are drawn around what comes out.
//
// Reproducibility: one generator per tensor, PCG of (seed, FNV-1a of the name), and of floating point only
// additions, multiplications, divisions and square roots, which IEEE 754 defines to the last bit; products
// go through mul, which forbids contracting them with an addition.
func (s *Spec) Synth(seed uint64) *weights.StateDict {
	sy := &synth{spec: s, seed: seed, values: map[string][]float64{}}
	x := sy.convNorm(sy.pictures(), "conv_stem", "bn1", 2, false, 1).silu()
	for i, st := range s.Stages {
		for j := range st.Repeats {
			stride := st.Stride
			if j > 0 {
				stride = 1
			}
			x = sy.block(x, fmt.Sprintf("blocks.%d.%d", i, j), stride, i > 0, j > 0)
		}
	}
	x = sy.convNorm(x, "conv_head", "bn2", 1, false, 1).silu()
	// Logits share an offset, as trained ones do.
	sy.readout(x.means(), "classifier", 0, 1, 3, 5)

	sd := weights.NewStateDict()
	for _, e := range s.Entries {
		if isCounter(e.Name) {
			one := []byte{1, 0, 0, 0, 0, 0, 0, 0}
			sd.Set(e.Name, &weights.Tensor{DType: weights.Int64, Data: one})
			continue
		}
		v := make([]float32, len(sy.values[e.Name]))
		for i, x := range sy.values[e.Name] {
			v[i] = float32(x)
		}
		sd.Set(e.Name, weights.FromFloat32s(e.Shape, v))
	}
	return sd
}

// synth draws tensors in the order of the network.
type synth struct {
	spec   *Spec
	seed   uint64
	values map[string][]float64 // by entry name, C order
}

// rng returns the generator for what belongs to that name.
func (sy *synth) rng(name string) draw {
	h := fnv.New64a()
	h.Write([]byte(name)) // never fails
	return draw{rand.NewPCG(sy.seed, h.Sum64())}
}

// weight draws a layer's weight, normally distributed with standard deviation 1, and returns its shape.
func (sy *synth) weight(layer string) (w []float64, shape []int) {
	shape, _ = sy.spec.shape(layer + ".weight")
	n := 1
	for _, d := range shape {
		n *= d
	}
	w = make([]float64, n)
	rng := sy.rng(layer + ".weight")
	for i := range w {
		w[i] = rng.normal()
	}
	sy.values[layer+".weight"] = w
	return w, shape
}

// pictures draws the pictures that the network is tuned to: overlapping rectangles of random colours, whose
// spectrum is much like a photograph's, with a little noise, within ±1.
func (sy *synth) pictures() maps {
	const count, size, rectangles = 8, 96, 40
	x := newMaps(count, 3, size, size)
	for i := range count {
		rng := sy.rng(fmt.Sprint("picture ", i))
		brightness, contrast, noise := rng.uniform(-0.6, 0.6), rng.uniform(0.1, 0.7), rng.uniform(0, 0.3)
		for range rectangles {
			top, left := rng.below(size), rng.below(size)
			bottom, right := min(top+2+rng.below(size/2), size), min(left+2+rng.below(size/2), size)
			for c := range 3 {
				colour := brightness + rng.uniform(-contrast, contrast)
				for y := top; y < bottom; y++ {
					row := x.plane(i, c)[y*size:][:size]
					for at := left; at < right; at++ {
						row[at] = colour
					}
				}
			}
		}
		for c := range 3 {
			for p := range x.plane(i, c) {
				x.plane(i, c)[p] += rng.uniform(-noise, noise)
			}
		}
	}
	return x
}

// block follows Build's block.
func (sy *synth) block(in maps, p string, stride int, expand, skip bool) maps {
	x, dwNorm, project, projectNorm := in, p+".bn1", p+".conv_pw", p+".bn2"
	if expand {
		x = sy.convNorm(x, p+".conv_pw", p+".bn1", 1, false, 1).silu()
		dwNorm, project, projectNorm = p+".bn2", p+".conv_pwl", p+".bn3"
	}
	x = sy.convNorm(x, p+".conv_dw", dwNorm, stride, true, 1).silu()
	// Tilted, so that gates close where there is more than usual: what deviates is damped on the way.
	gate := sy.readout(x.means(), p+".se.conv_reduce", 1, 1, -0.5, 0.5).silu()
	gate = sy.readout(gate, p+".se.conv_expand", -1, 0.4, -1, 2).sigmoid()
	x.scale(gate)
	if !skip {
		return sy.convNorm(x, project, projectNorm, 1, false, 1)
	}
	x = sy.convNorm(x, project, projectNorm, 1, false, 0.5)
	for i, v := range in.data {
		x.data[i] += v
	}
	return x
}

// convNorm draws a convolution and its BatchNorm and applies them to x. The convolution's channels vary by
// 2^-4 to 2 (standard deviation), the BatchNorm's by about gain. Both on the layer's average: a channel that
// happens to see little stays weak, as normalising it would only amplify rounding errors.
func (sy *synth) convNorm(x maps, conv, norm string, stride int, depthwise bool, gain float64) maps {
	w, shape := sy.weight(conv)
	y := x.conv(w, shape, stride, depthwise)
	average := y.averageVariance()
	rng := sy.rng(norm)
	perChannel := len(w) / y.c
	var gamma, beta, mean, variance = make([]float64, y.c), make([]float64, y.c), make([]float64, y.c), make([]float64, y.c)
	for c := range y.c {
		std := rng.octaves(-4, 1)
		scale := std / math.Sqrt(average)
		m, _ := y.moments(c)
		gamma[c] = mul(gain, rng.uniform(0.7, 1.3))
		beta[c] = rng.uniform(-0.8, 0.4)
		mean[c] = mul(m, scale) + mul(std, rng.uniform(-0.2, 0.2))
		variance[c] = mul(mul(std, std), rng.uniform(0.7, 1.4))
		for i := range w[c*perChannel:][:perChannel] {
			w[c*perChannel+i] = mul(w[c*perChannel+i], scale)
		}
		factor := gamma[c] / math.Sqrt(variance[c]+BatchNormEps)
		for i := range y.n {
			plane := y.plane(i, c)
			for at, v := range plane {
				plane[at] = mul(mul(v, scale)-mean[c], factor) + beta[c]
			}
		}
	}
	sy.values[norm+".weight"], sy.values[norm+".bias"] = gamma, beta
	sy.values[norm+".running_mean"], sy.values[norm+".running_var"] = mean, variance
	return y
}

// readout draws a layer on vectors and applies it to x: its outputs vary by about std from picture to
// picture, around offsets of lo to hi. Its weights are normally distributed around tilt, in units of their
// standard deviation.
func (sy *synth) readout(x maps, layer string, tilt, std, lo, hi float64) maps {
	w, shape := sy.weight(layer)
	for i := range w {
		w[i] += tilt
	}
	y := x.conv(w, []int{shape[0], shape[1], 1, 1}, 1, false)
	scale := std / math.Sqrt(y.averageVariance())
	for i := range w {
		w[i] = mul(w[i], scale)
	}
	bias := make([]float64, y.c)
	rng := sy.rng(layer + ".bias")
	for c := range bias {
		m, _ := y.moments(c)
		bias[c] = rng.uniform(lo, hi) - mul(m, scale)
		for i := range y.n {
			y.plane(i, c)[0] = mul(y.plane(i, c)[0], scale) + bias[c]
		}
	}
	sy.values[layer+".bias"] = bias
	return y
}
