package preprocess

import "encoding/binary"

// mostTaps is how many inputs of an output are left to a device: some drivers end long loops.
const mostTaps = 4096

// PackPart is the first half of ApplyPart for devices that do the second: what resizing and cropping p takes, in at most so
// many bytes and rows of pixels, and nil where it takes more, or more than 4096 inputs for an output, or where ApplyPart
// returns nil. All numbers are 32-bit words,
// little-endian:
//
//	0  rows of pixels, bytes of a row, and the word at which the pixels begin; one unused
//	4  of x and then of y: zeros before the picture in the crop, pixels of it in the crop, the word at which
//	   the taps begin, that at which the weights do, and weights of an output
//	   then the taps of x and y, for each output its first input and how many there are; their weights, by 2²²; the pixels
//
// A dimension that keeps its size has one tap of weight 1 for an output, which changes nothing.
func (tr Transform) PackPart(p *Part, most, rows int) []byte {
	if !tr.fits(p) {
		return nil
	}
	rw, rh := tr.ResizedSize(p.w, p.h)
	need := tr.needs(p.w, p.h, p.reduce)
	across, down := p.axes()
	x, y := cropSpan(rw, tr.Size), cropSpan(rh, tr.Size)
	if need.h() > rows || 3*need.w()*need.h() > most {
		return nil
	}
	h, v := tapsOf(across, rw, x), tapsOf(down, rh, y)
	if max(h.width, v.width) > mostTaps {
		return nil
	}
	const header = 16
	words := header + 2*len(h.first) + 2*len(v.first) + len(h.weights) + len(v.weights)
	size := 4*words + (3*need.w()*need.h()+3)/4*4
	if size > most {
		return nil
	}
	out := make([]byte, 0, size)
	put := func(v int) { out = binary.LittleEndian.AppendUint32(out, uint32(v)) }
	put(need.h())
	put(3 * need.w())
	put(words)
	put(0)
	at := header
	for _, a := range []struct {
		s span
		t taps
	}{{x, h}, {y, v}} {
		put(a.s.pad)
		put(a.s.n)
		put(at)
		put(at + 2*a.s.n)
		put(a.t.width)
		at += 2*a.s.n + len(a.t.weights)
	}
	for len(out) < 4*header {
		put(0)
	}
	for _, a := range []struct {
		t    taps
		from int
	}{{h, need.x0}, {v, need.y0}} {
		for i, first := range a.t.first {
			put(int(first) - a.from)
			put(int(a.t.count[i]))
		}
		for _, w := range a.t.weights {
			put(int(w))
		}
	}
	for row := need.y0; row < need.y1; row++ {
		out = append(out, p.row(row, need.x0, need.x1)...)
	}
	return out[:size]
}

// tapsOf is cubicTaps, also of a dimension that keeps its size.
func tapsOf(in axis, out int, s span) taps {
	if !in.stays(out) {
		return cubicTaps(in, out, s)
	}
	t := taps{width: 1, first: make([]int32, s.n), count: make([]int32, s.n), weights: make([]int32, s.n)}
	for i := range s.n {
		t.first[i], t.count[i], t.weights[i] = int32(s.first+i), 1, 1<<precisionBits
	}
	return t
}

// PackedPictureBytes is what PackPicture makes of a picture.
func PackedPictureBytes(size int) int { return 4*(16+6*size) + (3*size*size+3)/4*4 }

// PackPicture is PackPart for what is resized and cropped already: HWC bytes [Size,Size,3]. It is nil where they take more
// than so many bytes or rows.
func (tr Transform) PackPicture(picture []uint8, most, rows int) []byte {
	if len(picture) != 3*tr.Size*tr.Size || tr.Size < 1 {
		return nil
	}
	asIs := tr
	asIs.CropPct, asIs.FastDecode = 1, false
	return asIs.PackPart(Whole(&RGB{W: tr.Size, H: tr.Size, Pix: picture}), most, rows)
}
