package preprocess

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
)

// jpegHeader is what the markers before the first scan say.
type jpegHeader struct {
	w, h       int
	components []struct{ id, h, v int }
	jfif       bool
	adobe      int // the transform byte of the Adobe marker, -1 without one
	scan       int // offset of the first SOS marker
}

var errNoScan = errors.New("damaged: no picture data (no start-of-scan marker)")

// readJPEGHeader walks the markers up to the first scan.
func readJPEGHeader(data []byte) (h jpegHeader, err error) {
	h.adobe = -1
	pos := 2
	for {
		// Between segments anything up to the next marker is skipped, as libjpeg does.
		for pos+1 < len(data) && (data[pos] != 0xff || data[pos+1] == 0xff || data[pos+1] == 0) {
			pos++
		}
		if pos+4 > len(data) {
			return h, io.ErrUnexpectedEOF
		}
		marker := data[pos+1]
		if marker >= 0xd0 && marker <= 0xd8 || marker == 0x01 {
			pos += 2
			continue
		}
		if marker == 0xd9 {
			return h, errNoScan
		}
		n := int(data[pos+2])<<8 | int(data[pos+3])
		if n < 2 || pos+2+n > len(data) {
			return h, io.ErrUnexpectedEOF
		}
		seg := data[pos+4 : pos+2+n]
		switch {
		case marker == 0xda:
			if h.components == nil {
				return h, errors.New("damaged: a scan comes before the frame header")
			}
			h.scan = pos
			return h, nil
		case marker == 0xe0 && len(seg) >= 14 && string(seg[:5]) == "JFIF\x00":
			h.jfif = true
		case marker == 0xee && len(seg) >= 12 && string(seg[:5]) == "Adobe":
			h.adobe = int(seg[11])
		case marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc:
			if err := h.frame(marker, seg); err != nil {
				return h, err
			}
		}
		pos += 2 + n
	}
}

// frame reads a start-of-frame segment.
func (h *jpegHeader) frame(marker byte, seg []byte) error {
	switch marker {
	case 0xc0, 0xc1, 0xc2:
	case 0xc3, 0xc7, 0xcb, 0xcf:
		return errors.New("lossless JPEG is not supported; save it as baseline JPEG or PNG")
	case 0xc5, 0xc6, 0xcd, 0xce:
		return errors.New("hierarchical JPEG is not supported; save it as baseline JPEG or PNG")
	default:
		return errors.New("arithmetic-coded JPEG is not supported; save it as baseline JPEG or PNG")
	}
	if h.components != nil {
		return errors.New("damaged: two frame headers")
	}
	if len(seg) < 6 || len(seg) < 6+3*int(seg[5]) {
		return errors.New("damaged: its frame header is too short")
	}
	if seg[0] != 8 {
		return fmt.Errorf("%d-bit JPEG is not supported; save it with 8 bits", seg[0])
	}
	h.h, h.w = int(seg[1])<<8|int(seg[2]), int(seg[3])<<8|int(seg[4])
	if n := seg[5]; n != 1 && n != 3 && n != 4 {
		return fmt.Errorf("has %d components; want 1 (gray), 3 (colour) or 4 (CMYK)", n)
	}
	for i := range int(seg[5]) {
		c := seg[6+3*i:]
		h.components = append(h.components, struct{ id, h, v int }{int(c[0]), int(c[1] >> 4), int(c[1] & 15)})
	}
	return nil
}

func jpegSize(data []byte) (w, h int, err error) {
	hd, err := readJPEGHeader(data)
	return hd.w, hd.h, err
}

// decodeJPEG takes the component planes from image/jpeg and does upsampling and colour conversion as
// libjpeg does, which is what Pillow uses. What remains is the difference of the inverse DCTs: at most 3
// levels of 255, 0.03 on average.
func decodeJPEG(data []byte) (*RGB, error) {
	hd, err := readJPEGHeader(data)
	if err != nil {
		return nil, err
	}
	if len(hd.components) == 4 {
		// image/jpeg converts YCCK itself with its own upsampling. Told that the components are plain
		// inks by the last Adobe marker before the scan, it hands them over untouched.
		data = bytes.Join([][]byte{data[:hd.scan], []byte("\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"), data[hd.scan:]}, nil)
	}
	m, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		if err == jpeg.FormatError("short Huffman data") {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	planes, err := hd.planes(m)
	if err != nil {
		return nil, err
	}
	out := newRGB(hd.w, hd.h)
	hd.convert(out, planes)
	return out, nil
}

// planes gives the components of a picture from image/jpeg as planes of their true sizes.
func (h *jpegHeader) planes(m image.Image) ([]plane, error) {
	ps := make([]plane, len(h.components))
	hmax, vmax := 1, 1
	for _, c := range h.components {
		hmax, vmax = max(hmax, c.h), max(vmax, c.v)
	}
	for i, c := range h.components {
		if len(h.components) == 1 {
			c.h, c.v = hmax, vmax // a single component is never subsampled
		}
		ps[i] = plane{w: (h.w*c.h + hmax - 1) / hmax, h: (h.h*c.v + vmax - 1) / vmax, sx: hmax / c.h, sy: vmax / c.v}
	}
	switch m := m.(type) {
	case *image.Gray:
		ps[0].pix, ps[0].stride = m.Pix, m.Stride
	case *image.YCbCr:
		ps[0].pix, ps[0].stride = m.Y, m.YStride
		ps[1].pix, ps[1].stride = m.Cb, m.CStride
		ps[2].pix, ps[2].stride = m.Cr, m.CStride
	case *image.RGBA:
		for i := range ps {
			ps[i].pickFrom(m.Pix[i:], m.Stride, 4, 0)
		}
	case *image.CMYK:
		for i := range ps {
			ps[i].pickFrom(m.Pix[i:], m.Stride, 4, 0xff)
		}
	default:
		return nil, fmt.Errorf("has pixels of an unsupported kind (%T)", m)
	}
	return ps, nil
}

// pickFrom undoes the repetition of samples in an interleaved picture.
func (p *plane) pickFrom(pix []uint8, stride, step int, flip uint8) {
	p.stride = p.w
	p.pix = make([]uint8, p.w*p.h)
	for y := range p.h {
		for x := range p.w {
			p.pix[y*p.w+x] = pix[y*p.sy*stride+x*p.sx*step] ^ flip
		}
	}
}

// convert upsamples the planes and writes RGB rows. The colour model is chosen by libjpeg's rules.
func (h *jpegHeader) convert(out *RGB, ps []plane) {
	rows := make([][]uint8, len(ps))
	ups := make([]upsampler, len(ps))
	for i := range ps {
		ups[i] = newUpsampler(&ps[i], out.W)
	}
	var inks []uint8
	if len(ps) == 4 {
		inks = make([]uint8, out.W*3)
	}
	for y := range out.H {
		for i := range ps {
			rows[i] = ups[i].row(y)
		}
		dst := out.Pix[y*out.W*3 : (y+1)*out.W*3]
		switch {
		case len(ps) == 1:
			interleave(dst, rows[0], rows[0], rows[0])
		case len(ps) == 3 && h.isRGB():
			interleave(dst, rows[0], rows[1], rows[2])
		case len(ps) == 3:
			yccToRGB(dst, rows[0], rows[1], rows[2])
		case h.adobe == 0 || h.adobe < 0:
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
}

// isRGB says whether three components are R, G, B rather than Y, Cb, Cr.
func (h *jpegHeader) isRGB() bool {
	if h.jfif {
		return false
	}
	if h.adobe >= 0 {
		return h.adobe == 0
	}
	c := h.components
	return c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B'
}
