package preprocess

import (
	"compress/lzw"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// gifFrame is the first picture of a GIF file (GIF89a specification) and the canvas it lies on.
type gifFrame struct {
	w, h        int // canvas: the logical screen, enlarged to hold the frame as Pillow does
	x, y        int
	fw, fh      int
	interlaced  bool
	transparent int    // index, -1: none
	palette     []byte // RGB triples of the local, else the global table; empty: none
	litWidth    int
	data        []byte // from the first data sub-block on
}

// readGIF walks the blocks up to the first image.
func readGIF(data []byte) (f gifFrame, err error) {
	if len(data) < 13 {
		return f, io.ErrUnexpectedEOF
	}
	f.w, f.h = int(binary.LittleEndian.Uint16(data[6:])), int(binary.LittleEndian.Uint16(data[8:]))
	f.transparent = -1
	flags := data[10]
	pos := 13
	if f.palette, pos, err = gifPalette(data, pos, flags); err != nil {
		return f, err
	}
	for {
		if pos >= len(data) {
			return f, io.ErrUnexpectedEOF
		}
		switch data[pos] {
		case 0x21: // extension
			if pos+2 > len(data) {
				return f, io.ErrUnexpectedEOF
			}
			label := data[pos+1]
			pos += 2
			for first := true; ; first = false {
				if pos >= len(data) || pos+1+int(data[pos]) > len(data) {
					return f, io.ErrUnexpectedEOF
				}
				n := int(data[pos])
				if block := data[pos+1 : pos+1+n]; label == 0xf9 && first && n >= 4 && block[0]&1 != 0 {
					f.transparent = int(block[3])
				}
				pos += 1 + n
				if n == 0 {
					break
				}
			}
		case 0x2c: // image
			return f, f.descriptor(data, pos+1)
		case 0x3b:
			return f, errors.New("damaged: it holds no picture")
		default:
			pos++ // bytes between blocks are skipped
		}
	}
}

// gifPalette takes the colour table that flags announce.
func gifPalette(data []byte, pos int, flags byte) (palette []byte, next int, err error) {
	if flags&0x80 == 0 {
		return nil, pos, nil
	}
	n := 3 << (flags&7 + 1)
	if pos+n > len(data) {
		return nil, 0, io.ErrUnexpectedEOF
	}
	return data[pos : pos+n], pos + n, nil
}

// descriptor reads the image descriptor at pos.
func (f *gifFrame) descriptor(data []byte, pos int) error {
	if pos+10 > len(data) {
		return io.ErrUnexpectedEOF
	}
	u16 := func(i int) int { return int(binary.LittleEndian.Uint16(data[pos+i:])) }
	f.x, f.y, f.fw, f.fh = u16(0), u16(2), u16(4), u16(6)
	f.w, f.h = max(f.w, f.x+f.fw), max(f.h, f.y+f.fh)
	flags := data[pos+8]
	f.interlaced = flags&0x40 != 0
	local, pos, err := gifPalette(data, pos+9, flags)
	if err != nil {
		return err
	}
	if local != nil {
		f.palette = local
	}
	if pos >= len(data) {
		return io.ErrUnexpectedEOF
	}
	f.litWidth, f.data = int(data[pos]), data[pos+1:]
	return nil
}

func gifSize(data []byte) (w, h int, err error) {
	f, err := readGIF(data)
	return f.w, f.h, err
}

func decodeGIF(data []byte) (*RGB, error) {
	f, err := readGIF(data)
	if err != nil {
		return nil, err
	}
	if f.fw == 0 || f.fh == 0 {
		return nil, fmt.Errorf("damaged: its first frame has %d×%d pixels", f.fw, f.fh)
	}
	if f.litWidth < 2 || f.litWidth > 8 {
		return nil, fmt.Errorf("damaged: LZW code size %d; want 2 to 8", f.litWidth)
	}
	table := f.table()
	out := newRGB(f.w, f.h)
	if f.fw != f.w || f.fh != f.h {
		c := table[max(f.transparent, 0)] // what the frame does not cover
		for i := 0; i < len(out.Pix); i += 3 {
			copy(out.Pix[i:i+3], c[:])
		}
	}
	r := lzw.NewReader(&gifBlocks{data: f.data}, lzw.LSB, f.litWidth)
	row := make([]byte, f.fw)
	for i := range f.fh {
		if _, err := io.ReadFull(r, row); err != nil {
			return nil, foreign(err)
		}
		y := f.y + f.rowOf(i)
		dst := out.Pix[(y*f.w+f.x)*3:]
		for x, v := range row {
			copy(dst[3*x:3*x+3], table[v][:])
		}
	}
	return out, nil
}

// rowOf gives the place of the i-th transmitted row: interlaced pictures send every 8th row, then every
// 8th from the 4th, every 4th from the 2nd and every 2nd from the 1st.
func (f *gifFrame) rowOf(i int) int {
	if !f.interlaced {
		return i
	}
	for _, p := range [4][2]int{{0, 8}, {4, 8}, {2, 4}, {1, 2}} {
		n := (f.fh - p[0] + p[1] - 1) / p[1]
		if i < n {
			return p[0] + i*p[1]
		}
		i -= n
	}
	return 0
}

// table gives the colour of every index: beyond the palette black, and without a palette, or with one
// that is the plain gray ramp, the index itself as gray.
func (f *gifFrame) table() (t [256][3]uint8) {
	gray := true
	for i := 0; i+2 < len(f.palette); i += 3 {
		copy(t[i/3][:], f.palette[i:i+3])
		gray = gray && t[i/3] == [3]uint8{uint8(i / 3), uint8(i / 3), uint8(i / 3)}
	}
	if gray {
		for i := range t {
			t[i] = [3]uint8{uint8(i), uint8(i), uint8(i)}
		}
	}
	return t
}

// gifBlocks reads the bytes of a chain of sub-blocks.
type gifBlocks struct {
	data []byte
	left int // bytes left in the current block
	end  bool
}

func (b *gifBlocks) ReadByte() (byte, error) {
	if b.end {
		return 0, io.EOF
	}
	if len(b.data) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	c := b.data[0]
	b.data = b.data[1:]
	if b.left > 0 {
		b.left--
		return c, nil
	}
	if c == 0 {
		b.end = true
		return 0, io.EOF
	}
	b.left = int(c)
	return b.ReadByte()
}

// Read is what lzw.NewReader's signature asks for; it reads through ReadByte.
func (b *gifBlocks) Read(p []byte) (int, error) {
	for i := range p {
		c, err := b.ReadByte()
		if err != nil {
			return i, err
		}
		p[i] = c
	}
	return len(p), nil
}
