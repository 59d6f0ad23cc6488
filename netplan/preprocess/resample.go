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

// cubicTaps computes the taps of outputs s.first … s.first+s.n-1 when in samples become out samples.
// When shrinking, the kernel is stretched by the ratio (antialiasing).
func cubicTaps(in, out int, s span) taps {
	scale := float64(in) / float64(out)
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
		center := float64((float64(s.first+i) + 0.5) * scale)
		lo := max(int(center-support+0.5), 0)
		hi := min(int(center+support+0.5), in)
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

// resizeCrop returns the part x×y (HWC bytes [y.n,x.n,3]) of img resized to rw×rh: first horizontally,
// into 8-bit rows, then vertically. A dimension that keeps its size is copied, as Pillow skips its pass.
func resizeCrop(img *RGB, rw, rh int, x, y span) []uint8 {
	// Only the rows under the vertical windows are ever looked at.
	var v taps
	firstRow, lastRow := y.first, y.first+y.n
	if rh != img.H {
		v = cubicTaps(img.H, rh, y)
		firstRow = int(v.first[0])
		lastRow = int(v.first[y.n-1] + v.count[y.n-1])
	}
	stride := x.n * 3
	rows := make([]uint8, (lastRow-firstRow)*stride)
	if rw != img.W {
		h := cubicTaps(img.W, rw, x)
		for r := firstRow; r < lastRow; r++ {
			h.resizeRow(rows[(r-firstRow)*stride:(r-firstRow+1)*stride], img.Pix[r*img.W*3:(r+1)*img.W*3])
		}
	} else {
		for r := firstRow; r < lastRow; r++ {
			copy(rows[(r-firstRow)*stride:(r-firstRow+1)*stride], img.Pix[(r*img.W+x.first)*3:])
		}
	}
	if rh == img.H {
		return rows
	}
	out := make([]uint8, y.n*stride)
	sums := make([]int32, stride)
	for i := range y.n {
		w := v.weights[i*v.width : i*v.width+int(v.count[i])]
		window := rows[(int(v.first[i])-firstRow)*stride:]
		sumRows(out[i*stride:(i+1)*stride], window[:len(w)*stride], w, sums)
	}
	return out
}

// resizeRow resamples one row of RGB pixels.
func (t *taps) resizeRow(dst, src []uint8) {
	for i := range t.first {
		n := int(t.count[i])
		w := t.weights[i*t.width : i*t.width+n]
		p := src[int(t.first[i])*3:]
		p = p[:n*3]
		var r, g, b int32 = 1 << (precisionBits - 1), 1 << (precisionBits - 1), 1 << (precisionBits - 1)
		for _, k := range w {
			if len(p) < 3 {
				break // never: it spares the bounds checks below
			}
			r += int32(p[0]) * k
			g += int32(p[1]) * k
			b += int32(p[2]) * k
			p = p[3:]
		}
		o := dst[i*3 : i*3+3 : i*3+3]
		o[0], o[1], o[2] = clip8(r), clip8(g), clip8(b)
	}
}

// sumRows writes to dst the weighted sum of len(w) rows of len(dst) bytes, which lie one after the
// other in rows. sums is scratch of len(dst).
func sumRows(dst, rows []uint8, w []int32, sums []int32) {
	n := len(dst)
	sums = sums[:n]
	for i := range sums {
		sums[i] = 1 << (precisionBits - 1)
	}
	for len(w) >= 4 {
		a, b, c, d := rows[:n], rows[n:2*n], rows[2*n:3*n], rows[3*n:4*n]
		k0, k1, k2, k3 := w[0], w[1], w[2], w[3]
		for i := range sums {
			sums[i] += int32(a[i])*k0 + int32(b[i])*k1 + int32(c[i])*k2 + int32(d[i])*k3
		}
		rows, w = rows[4*n:], w[4:]
	}
	for _, k := range w {
		a := rows[:n]
		for i := range sums {
			sums[i] += int32(a[i]) * k
		}
		rows = rows[n:]
	}
	for i, s := range sums {
		dst[i] = clip8(s)
	}
}
