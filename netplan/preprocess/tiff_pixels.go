package preprocess

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"golang.org/x/image/ccitt"
	"golang.org/x/image/tiff/lzw"
)

// tiffBlock is a strip or tile.
type tiffBlock struct {
	t              *tiffFile
	x, y           int // place in the picture
	rows           int
	perPixel, bits int    // samples of a pixel in buf and bits of each
	buf            []byte // decompressed: rows of whole bytes
}

func (b *tiffBlock) rowBytes() int { return (b.t.blockW*b.perPixel*b.bits + 7) / 8 }

// read decompresses block number i.
func (b *tiffBlock) read(i int) error {
	t := b.t
	raw := t.data
	if o := int64(t.offsets[i]); o > int64(len(raw)) {
		return io.ErrUnexpectedEOF
	} else {
		raw = raw[o:]
	}
	if i < len(t.counts) {
		if int64(t.counts[i]) > int64(len(raw)) {
			return io.ErrUnexpectedEOF
		}
		raw = raw[:t.counts[i]]
	}
	// Blocks that share their data would let a small file ask for any amount of work.
	if t.taken += int64(len(raw)); t.taken > 4*int64(len(t.data)) && i > 0 {
		return errors.New("damaged: its strips or tiles overlap")
	}
	if t.tag(tagFillOrder, 1) == 2 && t.compression != tiffJPEG {
		reversed := make([]byte, len(raw))
		for j, v := range raw {
			reversed[j] = bits.Reverse8(v)
		}
		raw = reversed
	}
	if t.compression == tiffJPEG {
		return b.readJPEG(raw)
	}
	// Rows of the last tile below the picture are not needed.
	want := min(b.rows, t.h-b.y) * b.rowBytes()
	var err error
	if b.buf, err = t.decompress(raw, want, b.rows); err != nil {
		return err
	}
	if len(b.buf) < want {
		return io.ErrUnexpectedEOF
	}
	if t.predictor == 2 && (t.compression == tiffLZW || t.compression == tiffDeflate || t.compression == tiffOldDeflate) {
		for y := range min(b.rows, t.h-b.y) {
			b.undoPredictor(b.buf[y*b.rowBytes() : (y+1)*b.rowBytes()])
		}
	}
	return nil
}

// decompress gives want bytes, or fewer where there are no more.
func (t *tiffFile) decompress(raw []byte, want, rows int) ([]byte, error) {
	var r io.Reader
	switch t.compression {
	case tiffRaw:
		return raw[:min(want, len(raw))], nil
	case tiffPackBits:
		return unpackBits(raw, want), nil
	case tiffLZW:
		if len(raw) >= 2 && raw[0] == 0 && raw[1]&1 == 1 {
			return nil, errors.New("old-style LZW is not supported; save it with another compression")
		}
		r = lzw.NewReader(bytes.NewReader(raw), lzw.MSB, 8)
	case tiffDeflate, tiffOldDeflate:
		z, err := zlib.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, foreign(err)
		}
		r = z
	case tiffGroup3, tiffGroup4:
		format := ccitt.Group3
		if t.compression == tiffGroup4 {
			format = ccitt.Group4
		} else if t.tag(tagT4Options, 0)&1 != 0 {
			return nil, errors.New("two-dimensional Group 3 fax is not supported; save it as Group 4")
		}
		// Fax black is the 1 bit for every photometric interpretation.
		o := &ccitt.Options{Invert: true, Align: t.compression == tiffGroup3 && t.tag(tagT4Options, 0)&4 != 0}
		r = ccitt.NewReader(bytes.NewReader(raw), ccitt.MSB, format, t.blockW, rows, o)
	default:
		return nil, fmt.Errorf("compression %d is not supported; save it with LZW, deflate or none", t.compression)
	}
	if t.compression == tiffLZW || t.compression == tiffDeflate || t.compression == tiffOldDeflate {
		want = min(want, 4096*len(raw)) // more cannot come out
	}
	buf := make([]byte, want)
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, foreign(err)
	}
	return buf, nil
}

// unpackBits undoes Apple's run-length code.
func unpackBits(raw []byte, want int) []byte {
	out := make([]byte, 0, min(want+128, 64*len(raw)))
	for len(raw) >= 2 && len(out) < want {
		n := int(int8(raw[0]))
		switch {
		case n >= 0:
			n = min(n+1, len(raw)-1)
			out = append(out, raw[1:1+n]...)
			raw = raw[1+n:]
		case n > -128:
			out = append(out, bytes.Repeat(raw[1:2], 1-n)...)
			raw = raw[2:]
		default:
			raw = raw[1:]
		}
	}
	return out
}

// undoPredictor adds up a row of horizontal differences.
func (b *tiffBlock) undoPredictor(row []byte) {
	if b.bits == 8 {
		for i := b.perPixel; i < len(row); i++ {
			row[i] += row[i-b.perPixel]
		}
		return
	}
	o := b.t.order
	for i := 2 * b.perPixel; i+1 < len(row); i += 2 {
		o.PutUint16(row[i:], o.Uint16(row[i:])+o.Uint16(row[i-2*b.perPixel:]))
	}
}

// readJPEG decodes a block that is a JPEG stream, with tables that all blocks share.
func (b *tiffBlock) readJPEG(raw []byte) error {
	d := newJPEGDecoder(raw)
	if v := b.t.tags[tagJPEGTables]; v != nil {
		at, n := int64(v[0]), int64(v[1])
		if at+n > int64(len(b.t.data)) {
			return io.ErrUnexpectedEOF
		}
		tables := newJPEGDecoder(b.t.data[at : at+n])
		if err := tables.tablesOnly(); err != nil {
			return err
		}
		d.quant, d.dc, d.ac = tables.quant, tables.dc, tables.ac
	}
	scan, err := d.untilScan()
	if err != nil {
		return err
	}
	if d.w != b.t.blockW || d.h < min(b.rows, b.t.h-b.y) || d.h > b.t.blockH || len(d.comps) != b.perPixel {
		return fmt.Errorf("damaged: a JPEG strip or tile has %d×%d pixels of %d components; want %d×%d of %d",
			d.w, d.h, len(d.comps), b.t.blockW, b.rows, b.perPixel)
	}
	if err := d.decode(scan, window{1, rect{0, 0, d.w, d.h}}); err != nil {
		return err
	}
	b.bits, b.buf = 8, d.samples(b.t.photometric == tiffYCbCr)
	return nil
}

// store brings the block's samples to 8 bits and puts those inside the picture into pix, which is
// interleaved; plane is the component of a planar file.
func (b *tiffBlock) store(pix []uint8, plane int) {
	t := b.t
	comps := t.comps
	if t.planar {
		comps = 1
	}
	high := 0 // of 16-bit samples the high byte
	if t.order.String() == "LittleEndian" {
		high = 1
	}
	top := 1<<b.bits - 1
	w := min(t.blockW, t.w-b.x)
	for y := range min(b.rows, t.h-b.y) {
		row := b.buf[y*b.rowBytes():][:b.rowBytes()]
		dst := pix[((b.y+y)*t.w+b.x)*t.comps+plane:]
		for x := range w {
			for c := range comps {
				i := x*b.perPixel + c
				var v uint8
				switch b.bits {
				case 8:
					v = row[i]
				case 16:
					v = row[2*i+high]
				default:
					bit := i * b.bits
					s := int(row[bit/8]) >> (8 - b.bits - bit%8) & top
					if t.photometric != tiffPalette {
						s = s * 255 / top
					}
					v = uint8(s)
				}
				dst[x*t.comps+c] = v
			}
		}
	}
}

// toRGB gives the 8-bit samples their meaning.
func (t *tiffFile) toRGB(pix []uint8) (*RGB, error) {
	out := &RGB{W: t.w, H: t.h}
	switch {
	case t.photometric == tiffPalette:
		table, err := t.colourMap()
		if err != nil {
			return nil, err
		}
		out.Pix = make([]uint8, 3*len(pix))
		for i, v := range pix {
			copy(out.Pix[3*i:3*i+3], table[v][:])
		}
	case t.comps == 1:
		out.Pix = make([]uint8, 3*len(pix))
		flip := uint8(0)
		if t.photometric == tiffWhiteIsZero {
			flip = 0xff
		}
		for i, v := range pix {
			v ^= flip
			out.Pix[3*i], out.Pix[3*i+1], out.Pix[3*i+2] = v, v, v
		}
	case t.comps == 3:
		out.Pix = pix
	case t.premultiplied:
		out.Pix = make([]uint8, len(pix)/4*3)
		for i := range len(pix) / 4 {
			a := int(pix[4*i+3])
			for c := range 3 {
				if a > 0 {
					out.Pix[3*i+c] = uint8(min(int(pix[4*i+c])*255/a, 255))
				}
			}
		}
	default: // CMYK, 255 full ink
		out.Pix = make([]uint8, len(pix)/4*3)
		for i := range len(pix) / 4 {
			s := [4]uint8{^pix[4*i], ^pix[4*i+1], ^pix[4*i+2], ^pix[4*i+3]}
			inksToRGB(out.Pix[3*i:3*i+3], s[:3], s[3:])
		}
	}
	return out.orient(int(t.tag(tagOrientation, 1))), nil
}

// colourMap reads the palette: all reds, all greens, all blues, of 16 bits.
func (t *tiffFile) colourMap() (table [256][3]uint8, err error) {
	m := t.tags[tagColorMap]
	if len(m) < 3 || len(m) > 3*256 {
		return table, fmt.Errorf("damaged: a palette of %d values; want %d", len(m), 3<<t.bits)
	}
	n := len(m) / 3
	for i := range n {
		table[i] = [3]uint8{uint8(m[i] >> 8), uint8(m[n+i] >> 8), uint8(m[2*n+i] >> 8)}
	}
	return table, nil
}

// orient puts the picture upright by TIFF's orientation tag, which belongs to the format's own
// description of the pixels and which Pillow obeys (unlike the EXIF orientation of other formats).
func (p *RGB) orient(o int) *RGB {
	if o < 2 || o > 8 {
		return p
	}
	out := newRGB(p.W, p.H)
	if o >= 5 {
		out.W, out.H = p.H, p.W
	}
	for y := range out.H {
		for x := range out.W {
			sx, sy := x, y
			if o >= 5 {
				sx, sy = y, x
			}
			if o == 2 || o == 3 || o == 7 || o == 8 {
				sx = p.W - 1 - sx
			}
			if o == 3 || o == 4 || o == 6 || o == 7 {
				sy = p.H - 1 - sy
			}
			copy(out.Pix[(y*out.W+x)*3:][:3], p.Pix[(sy*p.W+sx)*3:])
		}
	}
	return out
}
