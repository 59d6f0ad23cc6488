package preprocess

// Part is a picture of which only what a transform looks at was decoded.
type Part struct {
	w, h   int    // of the whole picture
	window        // what pix holds
	pix    []byte // rect.w()·rect.h()·3 bytes, rows from the top, R G B
}

// window is a rectangle of a picture reduced to 1/reduce of its width and height, rounded up; reduce is 1, 2, 4 or 8.
type window struct {
	reduce int
	rect   rect
}

// rect is the columns x0 … x1-1 of the rows y0 … y1-1.
type rect struct{ x0, y0, x1, y1 int }

func (r rect) w() int { return r.x1 - r.x0 }
func (r rect) h() int { return r.y1 - r.y0 }

// Size returns width and height of the whole picture in pixels.
func (p *Part) Size() (w, h int) { return p.w, p.h }

// axes returns the dimensions of the reduced picture.
func (p *Part) axes() (x, y axis) { return reducedAxis(p.w, p.reduce), reducedAxis(p.h, p.reduce) }

// Bytes is how many bytes of pixels were decoded.
func (p *Part) Bytes() int { return len(p.pix) }

// row returns columns x0 … x1-1 of a row.
func (p *Part) row(y, x0, x1 int) []byte {
	row := p.pix[(y-p.rect.y0)*p.rect.w()*3:][: p.rect.w()*3 : p.rect.w()*3]
	return row[(x0-p.rect.x0)*3 : (x1-p.rect.x0)*3]
}

// whole makes a Part of all of a picture.
func whole(img *RGB) *Part { return &Part{img.W, img.H, window{1, rect{0, 0, img.W, img.H}}, img.Pix} }

// DecodePart is Decode for a picture that will go through the transform and nothing else: of a JPEG, pixels that the
// crop leaves out are not computed, and with FastDecode it is decoded at a reduced size. All of the file is read and
// checked all the same, so that what is damaged gives the error that it gives Decode.
func (tr Transform) DecodePart(data []byte, lim Limits) (*Part, error) {
	if err := tr.Check(); err != nil {
		return nil, err
	}
	return decode(data, lim, func(w, h int) window {
		reduce := tr.reduction(w, h)
		return window{reduce, tr.needs(w, h, reduce)}
	})
}

// ApplyPart is Apply for what DecodePart of the same transform returned.
func (tr Transform) ApplyPart(p *Part) []uint8 {
	if tr.Check() != nil || p == nil || p.w < 1 || p.h < 1 || p.reduce < 1 || len(p.pix) < p.rect.w()*p.rect.h()*3 {
		return nil
	}
	rw, rh := tr.ResizedSize(p.w, p.h)
	x, y := cropSpan(rw, tr.Size), cropSpan(rh, tr.Size)
	if need := tr.needs(p.w, p.h, p.reduce); need.x0 < p.rect.x0 || need.y0 < p.rect.y0 || need.x1 > p.rect.x1 || need.y1 > p.rect.y1 {
		return nil // another transform's
	}
	if x.n == tr.Size && y.n == tr.Size {
		return resizeCrop(p, rw, rh, x, y)
	}
	part := resizeCrop(p, rw, rh, x, y)
	out := make([]uint8, tr.Size*tr.Size*3)
	for row := range y.n {
		copy(out[((y.pad+row)*tr.Size+x.pad)*3:], part[row*x.n*3:(row+1)*x.n*3])
	}
	return out
}

// needs returns what the transform looks at in a picture of w×h pixels that was reduced.
func (tr Transform) needs(w, h, reduce int) rect {
	rw, rh := tr.ResizedSize(w, h)
	across, down := reducedAxis(w, reduce), reducedAxis(h, reduce)
	x, y := cropSpan(rw, tr.Size), cropSpan(rh, tr.Size)
	r := rect{x.first, y.first, x.first + x.n, y.first + y.n}
	if !across.stays(rw) {
		r.x0, r.x1 = cubicReach(across, rw, x)
	}
	if !down.stays(rh) {
		r.y0, r.y1 = cubicReach(down, rh, y)
	}
	return r
}
