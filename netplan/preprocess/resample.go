package preprocess

import "math"

// Pillow's 8-bit resampling (libImaging/Resample.c) as integers: every output sample is a weighted sum
// of a run of input samples with weights scaled by 1<<precisionBits, rounded, and clamped to 0..255.
const precisionBits = 32 - 8 - 2

// cubicSupport is the radius of the bicubic kernel in output pixels.
const cubicSupport = 2.0

// taps holds the weights of one dimension: output i is the sum of weights[i*width+k] · in[first[i]+k]
// for k < count[i].
type taps struct {
	width        int
	first, count []int32
	weights      []int32
}

// cubic is the bicubic kernel with a = -0.5. The conversions keep compilers for machines with fused
// multiply-add from skipping a rounding, so that the weights are the same everywhere.
func cubic(x float64) float64 {
	const a = -0.5
	if x < 0 {
		x = -x
	}
	if x < 1 {
		p := float64(float64((a+2)*x) - (a + 3))
		return float64(float64(float64(p*x)*x) + 1)
	}
	if x < 2 {
		p := float64(float64((x-5)*x) + 8)
		p = float64(float64(p*x) - 4)
		return p * a
	}
	return 0
}

// axis is a dimension of a picture: of its n samples those up to extent, which may end within the last one, are resized.
type axis struct {
	n      int
	extent float64
}

// reducedAxis is a dimension of n pixels of a picture after its reduction.
func reducedAxis(n, reduce int) axis {
	return axis{(n + reduce - 1) / reduce, float64(n) / float64(reduce)}
}

// stays says that a resize to out samples changes nothing.
func (a axis) stays(out int) bool { return a.n == out && a.extent == float64(out) }

// cubicWindow returns the place of output i among the inputs, and the inputs lo … hi-1 that it depends on, when in
// becomes out samples.
func cubicWindow(in axis, out, i int) (center float64, lo, hi int) {
	scale := in.extent / float64(out)
	support := cubicSupport * max(scale, 1)
	center = float64((float64(i) + 0.5) * scale)
	return center, max(int(center-support+0.5), 0), min(int(center+support+0.5), in.n)
}

// cubicReach returns the inputs lo … hi-1 that the outputs in s depend on.
func cubicReach(in axis, out int, s span) (lo, hi int) {
	_, lo, _ = cubicWindow(in, out, s.first)
	_, _, hi = cubicWindow(in, out, s.first+s.n-1)
	return lo, hi
}

// cubicTaps computes the taps of outputs s.first … s.first+s.n-1 when in becomes out samples.
// When shrinking, the kernel is stretched by the ratio (antialiasing).
func cubicTaps(in axis, out int, s span) taps {
	scale := in.extent / float64(out)
	stretch := max(scale, 1)
	support := cubicSupport * stretch
	t := taps{
		width: int(math.Ceil(support))*2 + 1,
		first: make([]int32, s.n),
		count: make([]int32, s.n),
	}
	t.weights = make([]int32, s.n*t.width)
	k := make([]float64, t.width)
	shrink := 1 / stretch
	for i := range s.n {
		center, lo, hi := cubicWindow(in, out, s.first+i)
		sum := 0.0
		for x := range hi - lo {
			w := cubic(float64((float64(float64(x+lo)-center) + 0.5) * shrink))
			k[x] = w
			sum += w
		}
		t.first[i], t.count[i] = int32(lo), int32(hi-lo)
		fixed := t.weights[i*t.width:]
		for x := range hi - lo {
			w := k[x]
			if sum != 0 {
				w /= sum
			}
			w = float64(w * (1 << precisionBits))
			if w < 0 {
				fixed[x] = int32(w - 0.5)
			} else {
				fixed[x] = int32(w + 0.5)
			}
		}
	}
	return t
}

// clip8 rounds a fixed-point sum (which already holds the half) to a byte.
func clip8(v int32) uint8 {
	v >>= precisionBits
	if uint32(v) > 255 {
		return uint8(^v >> 31) // below 0: 0; above 255: 255
	}
	return uint8(v)
}

// The sums of both passes run two at a time, in the halves of a 64-bit word: with samples a and b,
// (a + b<<32)·k adds a·k to the lower and b·k to the upper sum. Weights may be negative; what a negative
// lower sum borrows from the upper half is given back by unpack. Every sum fits 32 bits, as in Pillow.
const halves = 1<<(precisionBits-1) | 1<<(precisionBits-1+32)

func pack(a, b uint8) uint64 { return uint64(a) | uint64(b)<<32 }

// unpack rounds and clamps the two sums.
func unpack(sum uint64) (a, b uint8) {
	lo := int32(sum)
	hi := int32((sum - uint64(int64(lo))) >> 32)
	return clip8(lo), clip8(hi)
}

// resampler makes horizontally resized rows of a picture as the vertical pass needs them.
type resampler struct {
	img   *Part
	x     span
	h     taps     // not set where the width stays
	cols  span     // the picture's columns under the horizontal windows
	pairs []uint64 // these columns of two rows, packed
	bytes [2][]uint8
	// ring holds the latest rows, each as pack(sample i, sample i+half) for i < half.
	ring [][]uint64
	half int
	next int // first row that was not made yet
}

// resizeCrop returns the part x×y (HWC bytes [y.n,x.n,3]) of img resized to rw×rh: first horizontally,
// rounded to 8 bits, then vertically. A dimension that keeps its size is copied, as Pillow skips its pass.
func resizeCrop(img *Part, rw, rh int, x, y span) []uint8 {
	r := &resampler{img: img, x: x}
	across, down := img.axes()
	if !across.stays(rw) {
		r.h = cubicTaps(across, rw, x)
		last := x.n - 1
		r.cols = span{first: int(r.h.first[0]), n: int(r.h.first[last]+r.h.count[last]) - int(r.h.first[0])}
		r.pairs = make([]uint64, 3*r.cols.n)
	}
	stride := x.n * 3
	out := make([]uint8, y.n*stride)
	if down.stays(rh) {
		for i := 0; i < y.n; i += 2 {
			second := min(i+1, y.n-1)
			r.rows(y.first+i, y.first+second, out[i*stride:(i+1)*stride], out[second*stride:(second+1)*stride])
		}
		return out
	}
	v := cubicTaps(down, rh, y)
	r.half = (stride + 1) / 2
	r.bytes = [2][]uint8{make([]uint8, 2*r.half), make([]uint8, 2*r.half)}
	r.ring = make([][]uint64, v.width+1)
	for i := range r.ring {
		r.ring[i] = make([]uint64, r.half)
	}
	r.next = int(v.first[0])
	sums := make([]uint64, r.half)
	for i := range y.n {
		first := int(v.first[i])
		w := v.weights[i*v.width : i*v.width+int(v.count[i])]
		r.makeUntil(first + len(w))
		r.sum(sums, first, w)
		dst := out[i*stride : (i+1)*stride]
		for j, s := range sums {
			a, b := unpack(s)
			dst[j] = a
			if j+r.half < stride {
				dst[j+r.half] = b
			}
		}
	}
	return out
}

// makeUntil puts the rows before end into the ring.
func (r *resampler) makeUntil(end int) {
	for r.next < end {
		second := min(r.next+1, r.img.rect.y1-1)
		r.rows(r.next, second, r.bytes[0][:3*r.x.n], r.bytes[1][:3*r.x.n])
		for i, row := range r.bytes {
			dst := r.ring[(r.next+i)%len(r.ring)]
			a, b := row[:len(dst)], row[r.half:][:len(dst)]
			for j := range dst {
				dst[j] = pack(a[j], b[j])
			}
		}
		r.next += 2
	}
}

// rows makes the horizontally resized rows y0 and y1.
func (r *resampler) rows(y0, y1 int, dst0, dst1 []uint8) {
	if r.h.first == nil {
		copy(dst0, r.img.row(y0, r.x.first, r.x.first+r.x.n))
		copy(dst1, r.img.row(y1, r.x.first, r.x.first+r.x.n))
		return
	}
	t, pairs := &r.h, r.pairs
	a, b := r.img.row(y0, r.cols.first, r.cols.first+r.cols.n)[:len(pairs)], r.img.row(y1, r.cols.first, r.cols.first+r.cols.n)[:len(pairs)]
	for i := range pairs {
		pairs[i] = pack(a[i], b[i])
	}
	for i, first := range t.first {
		w := t.weights[i*t.width:][:t.count[i]]
		p := pairs[3*(int(first)-r.cols.first):][:3*len(w)]
		var r, g, b uint64 = halves, halves, halves
		for _, k := range w {
			if len(p) < 3 {
				break // never: it spares the bounds checks below
			}
			k := uint64(int64(k))
			r += p[0] * k
			g += p[1] * k
			b += p[2] * k
			p = p[3:]
		}
		d0, d1 := dst0[3*i:3*i+3:3*i+3], dst1[3*i:3*i+3:3*i+3]
		d0[0], d1[0] = unpack(r)
		d0[1], d1[1] = unpack(g)
		d0[2], d1[2] = unpack(b)
	}
}

// sum adds up len(w) rows from row first on, four at a time.
func (r *resampler) sum(sums []uint64, first int, w []int32) {
	for i := range sums {
		sums[i] = halves
	}
	row := func(i int) []uint64 { return r.ring[(first+i)%len(r.ring)][:len(sums)] }
	i := 0
	for ; i+4 <= len(w); i += 4 {
		a, b, c, d := row(i), row(i+1), row(i+2), row(i+3)
		ka, kb := uint64(int64(w[i])), uint64(int64(w[i+1]))
		kc, kd := uint64(int64(w[i+2])), uint64(int64(w[i+3]))
		for j := range sums {
			sums[j] += a[j]*ka + b[j]*kb + c[j]*kc + d[j]*kd
		}
	}
	for ; i < len(w); i++ {
		a, k := row(i), uint64(int64(w[i]))
		for j := range sums {
			sums[j] += a[j] * k
		}
	}
}
