package preprocess

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
)

// bmpHeader is a Windows or OS/2 bitmap's header.
type bmpHeader struct {
	w, h        int
	topDown     bool
	bits        int
	compression int
	masks       [3]uint32 // R, G, B of 16 and 32 bits
	palette     []byte    // entries of paletteStep bytes, B G R
	paletteStep int
	pixels      int // offset of the pixel data
}

// Values of the compression field.
const (
	bmpRaw         = 0
	bmpRLE8        = 1
	bmpRLE4        = 2
	bmpMasks       = 3
	bmpMasksAlpha  = 6
	bmpFileHeader  = 14
	bmpCoreHeader  = 12
	bmpInfoHeader  = 40
	bmpMaxDimenson = 1 << 20
)

func readBMP(data []byte) (b bmpHeader, err error) {
	if len(data) < bmpFileHeader+4 {
		return b, io.ErrUnexpectedEOF
	}
	le := binary.LittleEndian
	b.pixels = int(le.Uint32(data[10:]))
	size := int(le.Uint32(data[14:]))
	info := data[bmpFileHeader:]
	switch size {
	case bmpCoreHeader, bmpInfoHeader, 52, 56, 64, 108, 124:
	default:
		return b, fmt.Errorf("header of %d bytes is not supported; save it as PNG", size)
	}
	if size > len(info) {
		return b, io.ErrUnexpectedEOF
	}
	after := info[size:] // masks, palette
	colours := 0
	if size == bmpCoreHeader {
		b.w, b.h = int(le.Uint16(info[4:])), int(le.Uint16(info[6:]))
		b.bits, b.paletteStep = int(le.Uint16(info[10:])), 3
	} else {
		w, h := int32(le.Uint32(info[4:])), int32(le.Uint32(info[8:]))
		b.topDown = h < 0
		b.w, b.h = int(w), max(int(h), -int(h))
		b.bits, b.compression, b.paletteStep = int(le.Uint16(info[14:])), int(le.Uint32(info[16:])), 4
		colours = int(le.Uint32(info[32:]))
	}
	if b.w < 1 || b.h < 1 || b.w > bmpMaxDimenson || b.h > bmpMaxDimenson {
		return b, fmt.Errorf("damaged: its header says %d×%d pixels", b.w, b.h)
	}
	paletteBits := b.bits == 1 || b.bits == 2 || b.bits == 4 || b.bits == 8
	switch {
	case b.compression == bmpRaw && (paletteBits || b.bits == 16 || b.bits == 24 || b.bits == 32):
	case b.compression == bmpRLE8 && b.bits == 8, b.compression == bmpRLE4 && b.bits == 4:
	case (b.compression == bmpMasks || b.compression == bmpMasksAlpha) && (b.bits == 16 || b.bits == 24 || b.bits == 32):
		masks := info[40:]
		if len(masks) < 12 {
			return b, io.ErrUnexpectedEOF
		}
		for i := range b.masks {
			b.masks[i] = le.Uint32(masks[4*i:])
		}
	default:
		return b, fmt.Errorf("%d bits with compression %d is not supported; save it as PNG", b.bits, b.compression)
	}
	if b.masks == [3]uint32{} {
		b.masks = [3]uint32{0xff0000, 0xff00, 0xff}
		if b.bits == 16 {
			b.masks = [3]uint32{0x7c00, 0x3e0, 0x1f}
		}
	}
	if paletteBits {
		if colours == 0 || colours > 1<<b.bits {
			colours = 1 << b.bits
		}
		b.palette = after[:min(colours*b.paletteStep, len(after))]
		if b.pixels == bmpFileHeader+size {
			b.pixels += colours * b.paletteStep // written by programs that forgot the palette
		}
	}
	if b.pixels == 0 {
		b.pixels = bmpFileHeader + size + len(b.palette)
	}
	return b, nil
}

func bmpSize(data []byte) (w, h int, err error) {
	b, err := readBMP(data)
	return b.w, b.h, err
}

func decodeBMP(data []byte) (*RGB, error) {
	b, err := readBMP(data)
	if err != nil {
		return nil, err
	}
	if b.pixels > len(data) {
		return nil, io.ErrUnexpectedEOF
	}
	body := data[b.pixels:]
	var table [256][3]uint8 // beyond the palette: black
	for i := range len(b.palette) / b.paletteStep {
		c := b.palette[i*b.paletteStep:]
		table[i] = [3]uint8{c[2], c[1], c[0]}
	}
	if b.compression == bmpRLE8 || b.compression == bmpRLE4 {
		return b.decodeRuns(body, &table)
	}
	stride := (b.w*b.bits + 31) / 32 * 4
	if b.h > len(body)/stride {
		// The last row may lack its padding.
		if (b.h-1)*stride+(b.w*b.bits+7)/8 > len(body) {
			return nil, io.ErrUnexpectedEOF
		}
	}
	out := newRGB(b.w, b.h)
	for i := range b.h {
		y := b.h - 1 - i
		if b.topDown {
			y = i
		}
		b.row(out.Pix[y*b.w*3:(y+1)*b.w*3], body[i*stride:], &table)
	}
	return out, nil
}

// row converts one row of uncompressed pixels.
func (b *bmpHeader) row(dst, src []uint8, table *[256][3]uint8) {
	switch b.bits {
	case 24:
		src = src[:len(dst)]
		for x := 0; x+2 < len(dst); x += 3 {
			dst[x], dst[x+1], dst[x+2] = src[x+2], src[x+1], src[x]
		}
	case 16:
		for x := range b.w {
			b.masked(dst[3*x:3*x+3], uint32(binary.LittleEndian.Uint16(src[2*x:])))
		}
	case 32:
		for x := range b.w {
			b.masked(dst[3*x:3*x+3], binary.LittleEndian.Uint32(src[4*x:]))
		}
	default:
		perByte := 8 / b.bits
		for x := range b.w {
			shift := 8 - b.bits*(x%perByte+1)
			v := src[x/perByte] >> shift & (1<<b.bits - 1)
			copy(dst[3*x:3*x+3], table[v][:])
		}
	}
}

// masked takes a pixel's colours out by the masks, each brought to 8 bits.
func (b *bmpHeader) masked(dst []uint8, v uint32) {
	for c, m := range b.masks {
		if m == 0 {
			dst[c] = 0
			continue
		}
		shift := bits.TrailingZeros32(m)
		top := m >> shift
		s := v & m >> shift
		if top > 255 {
			s >>= bits.Len32(top) - 8
		} else if top < 255 {
			s = s * 255 / top
		}
		dst[c] = uint8(s)
	}
}

// decodeRuns reads run-length coded indices. Pixels that are skipped keep index 0.
func (b *bmpHeader) decodeRuns(src []byte, table *[256][3]uint8) (*RGB, error) {
	index := make([]uint8, b.w*b.h)
	x, y := 0, 0
	put := func(v uint8) {
		if x < b.w && y < b.h {
			index[y*b.w+x] = v
			x++
		}
	}
	four := b.compression == bmpRLE4
	for done := false; !done && y < b.h; {
		if len(src) < 2 {
			return nil, io.ErrUnexpectedEOF
		}
		n, v := int(src[0]), src[1]
		src = src[2:]
		switch {
		case n > 0:
			for i := range n {
				switch {
				case !four:
					put(v)
				case i&1 == 0:
					put(v >> 4)
				default:
					put(v & 15)
				}
			}
		case v == 0:
			x, y = 0, y+1
		case v == 1:
			done = true
		case v == 2:
			if len(src) < 2 {
				return nil, io.ErrUnexpectedEOF
			}
			x, y, src = x+int(src[0]), y+int(src[1]), src[2:]
		default: // v literal pixels, padded to 16 bits
			size := int(v)
			if four {
				size = (size + 1) / 2
			}
			padded := size + size&1
			if len(src) < size {
				return nil, io.ErrUnexpectedEOF
			}
			for i := range int(v) {
				switch {
				case !four:
					put(src[i])
				case i&1 == 0:
					put(src[i/2] >> 4)
				default:
					put(src[i/2] & 15)
				}
			}
			src = src[min(padded, len(src)):]
		}
	}
	out := newRGB(b.w, b.h)
	for i := range b.h {
		to := b.h - 1 - i
		if b.topDown {
			to = i
		}
		for x, v := range index[i*b.w : (i+1)*b.w] {
			copy(out.Pix[(to*b.w+x)*3:], table[v][:])
		}
	}
	return out, nil
}
