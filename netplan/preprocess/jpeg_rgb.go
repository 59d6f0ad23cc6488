package preprocess

// toRGB upsamples the components and converts what is wanted; the colour model is chosen by libjpeg's rules.
func (d *jpegDecoder) toRGB() *Part {
	needs := d.needs.rect
	w := needs.w()
	out := &Part{d.w, d.h, d.needs, make([]byte, w*needs.h()*3)}
	n := len(d.comps)
	rows := make([][]uint8, n)
	ups := d.upsamplers()
	var inks []uint8
	if n == 4 {
		inks = make([]uint8, w*3)
	}
	left, top := needs.x0-d.win.x0*d.size*d.hmax, needs.y0-d.win.y0*d.size*d.vmax
	for y := range needs.h() {
		for i := range ups {
			rows[i] = ups[i].row(top + y)[left:]
		}
		dst := out.pix[y*w*3 : (y+1)*w*3]
		switch {
		case n == 1:
			interleave(dst, rows[0], rows[0], rows[0])
		case n == 3 && d.isRGB():
			interleave(dst, rows[0], rows[1], rows[2])
		case n == 3:
			yccToRGB(dst, rows[0], rows[1], rows[2])
		case d.adobe <= 0:
			interleave(inks, rows[0], rows[1], rows[2])
			inksToRGB(dst, inks, rows[3])
		default:
			// YCCK is the YCbCr form of 255-C, 255-M, 255-Y.
			yccToRGB(inks, rows[0], rows[1], rows[2])
			for i := range inks {
				inks[i] = 255 - inks[i]
			}
			inksToRGB(dst, inks, rows[3])
		}
	}
	return out
}

func (d *jpegDecoder) upsamplers() []upsampler {
	ups := make([]upsampler, len(d.comps))
	for i, c := range d.comps {
		ups[i] = newUpsampler(&plane{
			pix: c.pix, stride: c.win.w() * c.size, w: min(c.w, c.size*c.win.x1) - c.size*c.win.x0, h: min(c.hgt, c.size*c.win.y1) - c.size*c.win.y0,
			sx: d.hmax * d.size / (c.h * c.size), sy: d.vmax * d.size / (c.v * c.size), triangle: d.size > 1, wide: c.w > 2,
		}, d.win.w()*d.size*d.hmax)
	}
	return ups
}

// samples gives all of the components interleaved, three of them converted to RGB where they are YCbCr; what
// the file says about its colour model is not asked.
func (d *jpegDecoder) samples(ycc bool) []uint8 {
	n := len(d.comps)
	out := make([]uint8, d.w*d.h*n)
	ups := d.upsamplers()
	for y := range d.h {
		dst := out[y*d.w*n : (y+1)*d.w*n]
		if ycc && n == 3 {
			yccToRGB(dst, ups[0].row(y), ups[1].row(y), ups[2].row(y))
			continue
		}
		for c := range ups {
			for x, v := range ups[c].row(y)[:d.w] {
				dst[x*n+c] = v
			}
		}
	}
	return out
}

// isRGB says whether three components are R, G, B rather than Y, Cb, Cr.
func (d *jpegDecoder) isRGB() bool {
	if d.jfif {
		return false
	}
	if d.adobe >= 0 {
		return d.adobe == 0
	}
	c := d.comps
	return c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B'
}
