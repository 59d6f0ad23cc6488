package preprocess

import (
	"fmt"
	"image"
	"image/color"
)

// fromImage takes the stored colours of a decoded picture as Pillow's convert("RGB") does: alpha is
// dropped without blending, gray is repeated, of 16-bit samples the high byte is kept.
func fromImage(m image.Image) (*RGB, error) {
	b := m.Bounds()
	out := newRGB(b.Dx(), b.Dy())
	switch m := m.(type) {
	case *image.Gray:
		out.fillGray(m.Pix, m.Stride, 1)
	case *image.Gray16:
		out.fillGray(m.Pix, m.Stride, 2)
	case *image.RGBA:
		out.fillColour(m.Pix, m.Stride, 4, 1)
	case *image.NRGBA:
		out.fillColour(m.Pix, m.Stride, 4, 1)
	case *image.RGBA64:
		out.fillColour(m.Pix, m.Stride, 8, 2)
	case *image.NRGBA64:
		out.fillColour(m.Pix, m.Stride, 8, 2)
	case *image.Paletted:
		out.fillPalette(m.Pix, m.Stride, m.Palette)
	default:
		return nil, fmt.Errorf("has pixels of an unsupported kind (%T)", m)
	}
	return out, nil
}

// fillGray repeats samples that lie step bytes apart, high byte first.
func (p *RGB) fillGray(pix []uint8, stride, step int) {
	for y := range p.H {
		dst, src := p.Pix[y*p.W*3:(y+1)*p.W*3], pix[y*stride:]
		for x := range p.W {
			v := src[x*step]
			d := dst[3*x : 3*x+3 : 3*x+3]
			d[0], d[1], d[2] = v, v, v
		}
	}
}

// fillColour takes the first three samples of pixels that are step bytes apart; samples are depth bytes
// apart, high byte first.
func (p *RGB) fillColour(pix []uint8, stride, step, depth int) {
	for y := range p.H {
		dst, src := p.Pix[y*p.W*3:(y+1)*p.W*3], pix[y*stride:]
		for x := range p.W {
			s := src[x*step : x*step+step : x*step+step]
			d := dst[3*x : 3*x+3 : 3*x+3]
			d[0], d[1], d[2] = s[0], s[depth], s[2*depth]
		}
	}
}

// fillPalette looks indices up; those beyond the palette are black, as in Pillow.
func (p *RGB) fillPalette(pix []uint8, stride int, palette color.Palette) {
	var table [256][3]uint8
	for i, c := range palette {
		if i > 255 {
			break
		}
		switch c := c.(type) {
		case color.RGBA:
			table[i] = [3]uint8{c.R, c.G, c.B}
		case color.NRGBA: // the stored colour, whatever its alpha
			table[i] = [3]uint8{c.R, c.G, c.B}
		default:
			r, g, b, _ := c.RGBA()
			table[i] = [3]uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)}
		}
	}
	for y := range p.H {
		dst, src := p.Pix[y*p.W*3:(y+1)*p.W*3], pix[y*stride:]
		for x := range p.W {
			copy(dst[3*x:3*x+3], table[src[x]][:])
		}
	}
}
