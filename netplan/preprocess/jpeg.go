package preprocess

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The JPEG decoder gives the very bytes that libjpeg-turbo gives Pillow, which image/jpeg does not: its
// inverse DCT rounds differently and it repeats chroma samples. It reads 8-bit baseline, extended
// sequential and progressive Huffman-coded files (ITU-T T.81) with 1, 3 or 4 components in any whole
// sampling ratio. Unlike libjpeg it refuses entropy-coded data that is damaged, and does not smooth a
// progressive picture whose last scans were never written.

// maxScans and maxPasses bound the work that a progressive file can ask for: its scans, and how often
// they go over the whole picture. Encoders write about ten scans, which makes three or four passes.
const (
	maxScans  = 1000
	maxPasses = 100
)

// jpegComponent is one colour component of the frame.
type jpegComponent struct {
	id, h, v, tq int
	size         int // samples that a block becomes, in each dimension: 8, or fewer in a reduced picture
	w, hgt       int // true size in samples
	bw, bh       int // size in blocks that hold true samples
	rowBlocks    int // blocks in a row of coef, a whole number of MCUs
	colBlocks    int
	win          rect        // the blocks that become samples
	quant        *[64]uint16 // zigzag order; taken at the component's first scan
	pix          []uint8     // those of win
	coef         []int16     // progressive only: rowBlocks × colBlocks × 64, natural order
	pred         int32       // DC predictor of the current scan
	seen         bool        // a scan with its DC coefficients came
}

type jpegDecoder struct {
	data        []byte
	pos         int
	w, h        int
	progressive bool
	comps       []jpegComponent
	hmax, vmax  int
	mcusX       int
	mcusY       int
	needs       window // the pixels wanted
	size        int    // pixels that a block becomes, in each dimension, of a component that is not subsampled
	win         rect   // the MCUs that make them
	jfif        bool
	adobe       int // the transform byte of the Adobe marker, -1 without one
	quant       [4]*[64]uint16
	dc, ac      [4]*huffTable
	restart     int // MCUs between restart markers, 0: none
	scans       int
	blocks      int // in all components
	visited     int // blocks that scans went over
	eobRun      int32
}

// JPEG markers (second byte; the first is 0xff).
const (
	mTEM   = 0x01
	mSOF0  = 0xc0
	mSOF1  = 0xc1
	mSOF2  = 0xc2
	mDHT   = 0xc4
	mJPG   = 0xc8
	mDAC   = 0xcc
	mSOF15 = 0xcf
	mRST0  = 0xd0
	mRST7  = 0xd7
	mSOI   = 0xd8
	mEOI   = 0xd9
	mSOS   = 0xda
	mDQT   = 0xdb
	mDRI   = 0xdd
	mAPP0  = 0xe0
	mAPP14 = 0xee
)

var errNoScan = errors.New("damaged: no picture data (no start-of-scan marker)")

func jpegSize(data []byte) (w, h int, err error) {
	d := newJPEGDecoder(data)
	if _, err := d.untilScan(); err != nil {
		return 0, 0, err
	}
	return d.w, d.h, nil
}

func newJPEGDecoder(data []byte) *jpegDecoder { return &jpegDecoder{data: data, pos: 2, adobe: -1} }

func decodeJPEG(data []byte, needs func(w, h int) window) (*Part, error) {
	d := newJPEGDecoder(data)
	first, err := d.untilScan()
	if err != nil {
		return nil, err
	}
	if err := d.decode(first, needs(d.w, d.h)); err != nil {
		return nil, err
	}
	return d.toRGB(), nil
}

// decode fills the components' planes as far as the wanted pixels depend on them; scan is the payload of the first
// start of scan.
func (d *jpegDecoder) decode(scan []byte, needs window) (err error) {
	d.needs = needs
	if err := d.allocate(); err != nil {
		return err
	}
	for scan != nil {
		if err := d.scan(scan); err != nil {
			return err
		}
		if !d.progressive && d.complete() {
			break // whatever follows, even a missing end marker, cannot change the picture
		}
		if scan, err = d.untilScan(); err != nil {
			return err
		}
	}
	if !d.complete() {
		return errors.New("damaged: a colour component has no data")
	}
	if d.progressive {
		d.reconstruct()
	}
	return nil
}

// tablesOnly reads a stream that holds nothing but tables, as TIFF files have it.
func (d *jpegDecoder) tablesOnly() error {
	_, err := d.untilScan()
	if err == errNoScan {
		return nil
	}
	return err
}

func (d *jpegDecoder) complete() bool {
	for i := range d.comps {
		if !d.comps[i].seen {
			return false
		}
	}
	return true
}

// segment finds the next marker and its payload. Bytes between segments are skipped, as libjpeg does.
func (d *jpegDecoder) segment() (marker byte, payload []byte, err error) {
	data, pos := d.data, d.pos
	for {
		for pos+1 < len(data) && (data[pos] != 0xff || data[pos+1] == 0xff || data[pos+1] == 0) {
			pos++
		}
		if pos+1 >= len(data) {
			return 0, nil, io.ErrUnexpectedEOF
		}
		marker = data[pos+1]
		pos += 2
		if marker == mEOI {
			d.pos = pos
			return marker, nil, nil
		}
		if marker >= mRST0 && marker <= mSOI || marker == mTEM {
			continue // stray, without a payload
		}
		break
	}
	if pos+2 > len(data) {
		return 0, nil, io.ErrUnexpectedEOF
	}
	n := int(binary.BigEndian.Uint16(data[pos:]))
	if n < 2 {
		return 0, nil, fmt.Errorf("damaged: marker %#x has length %d; want at least 2", marker, n)
	}
	if pos+n > len(data) {
		return 0, nil, io.ErrUnexpectedEOF
	}
	d.pos = pos + n
	return marker, data[pos+2 : pos+n], nil
}

// untilScan reads the segments up to the next start of scan and returns its payload, nil at the end of
// the picture.
func (d *jpegDecoder) untilScan() ([]byte, error) {
	for {
		marker, p, err := d.segment()
		if err != nil {
			return nil, err
		}
		switch {
		case marker == mSOS:
			if d.comps == nil {
				return nil, errors.New("damaged: a scan comes before the frame header")
			}
			return p, nil
		case marker == mEOI:
			if d.scans == 0 {
				return nil, errNoScan
			}
			return nil, nil
		case marker == mDQT:
			err = d.quantTables(p)
		case marker == mDHT:
			err = d.huffTables(p)
		case marker == mDRI:
			if len(p) < 2 {
				return nil, io.ErrUnexpectedEOF
			}
			d.restart = int(binary.BigEndian.Uint16(p))
		case marker == mAPP0 && d.scans == 0 && len(p) >= 14 && string(p[:5]) == "JFIF\x00":
			d.jfif = true
		case marker == mAPP14 && d.scans == 0 && len(p) >= 12 && string(p[:5]) == "Adobe":
			d.adobe = int(p[11])
		case marker >= mSOF0 && marker <= mSOF15 && marker != mJPG && marker != mDAC:
			err = d.frame(marker, p)
		}
		if err != nil {
			return nil, err
		}
	}
}

// frame reads a start-of-frame segment.
func (d *jpegDecoder) frame(marker byte, p []byte) error {
	switch marker {
	case mSOF0, mSOF1, mSOF2:
		d.progressive = marker == mSOF2
	case 0xc3, 0xc7, 0xcb, 0xcf:
		return errors.New("lossless JPEG is not supported; save it as baseline JPEG or PNG")
	case 0xc5, 0xc6, 0xcd, 0xce:
		return errors.New("hierarchical JPEG is not supported; save it as baseline JPEG or PNG")
	default:
		return errors.New("arithmetic-coded JPEG is not supported; save it as baseline JPEG or PNG")
	}
	if d.comps != nil {
		return errors.New("damaged: two frame headers")
	}
	if len(p) < 6 || len(p) < 6+3*int(p[5]) {
		return errors.New("damaged: its frame header is too short")
	}
	if p[0] != 8 {
		return fmt.Errorf("%d-bit JPEG is not supported; save it with 8 bits", p[0])
	}
	n := int(p[5])
	if n != 1 && n != 3 && n != 4 {
		return fmt.Errorf("has %d colour components; want 1 (gray), 3 (colour) or 4 (CMYK)", n)
	}
	d.h, d.w = int(binary.BigEndian.Uint16(p[1:])), int(binary.BigEndian.Uint16(p[3:]))
	d.hmax, d.vmax = 1, 1
	for i := range n {
		c := p[6+3*i : 9+3*i]
		comp := jpegComponent{id: int(c[0]), h: int(c[1] >> 4), v: int(c[1] & 15), tq: int(c[2])}
		if comp.h < 1 || comp.h > 4 || comp.v < 1 || comp.v > 4 || comp.tq > 3 {
			return fmt.Errorf("damaged: its frame header gives component %d sampling %d×%d and quantisation table %d; want 1 to 4 and 0 to 3",
				i, comp.h, comp.v, comp.tq)
		}
		if n == 1 {
			comp.h, comp.v = 1, 1 // only ratios matter, and there is none
		}
		d.hmax, d.vmax = max(d.hmax, comp.h), max(d.vmax, comp.v)
		d.comps = append(d.comps, comp)
	}
	for _, c := range d.comps {
		if d.hmax%c.h != 0 || d.vmax%c.v != 0 {
			return fmt.Errorf("sampling %d×%d of %d×%d is not supported; save it with 4:4:4, 4:2:2 or 4:2:0", c.h, c.v, d.hmax, d.vmax)
		}
	}
	return nil
}

// allocate lays out the components' planes, after a check that the data can fill them.
func (d *jpegDecoder) allocate() error {
	d.size = 8 / d.needs.reduce
	d.mcusX, d.mcusY = ceilDiv(d.w, 8*d.hmax), ceilDiv(d.h, 8*d.vmax)
	for i := range d.comps {
		c := &d.comps[i]
		// Where pixels are fewer anyway a subsampled component need not be enlarged as much, or at all.
		c.size = d.size
		for c.size < 8 && d.hmax*d.size%(c.h*c.size*2) == 0 && d.vmax*d.size%(c.v*c.size*2) == 0 {
			c.size *= 2
		}
		c.w, c.hgt = ceilDiv(d.w*c.h*c.size, 8*d.hmax), ceilDiv(d.h*c.v*c.size, 8*d.vmax)
		c.bw, c.bh = ceilDiv(d.w*c.h, 8*d.hmax), ceilDiv(d.h*c.v, 8*d.vmax)
		c.rowBlocks, c.colBlocks = d.mcusX*c.h, d.mcusY*c.v
		d.blocks += c.rowBlocks * c.colBlocks
	}
	// A block takes at least one bit of a DC scan: a header that promises more than the file can
	// hold costs no memory.
	if c := d.comps[0]; c.bw*c.bh > 8*(len(d.data)-d.pos) {
		return io.ErrUnexpectedEOF
	}
	// Upsampling looks at the next sample on each side.
	mw, mh, needs := d.size*d.hmax, d.size*d.vmax, d.needs.rect
	d.win = rect{max(needs.x0-d.hmax, 0) / mw, max(needs.y0-d.vmax, 0) / mh,
		min(ceilDiv(needs.x1+d.hmax, mw), d.mcusX), min(ceilDiv(needs.y1+d.vmax, mh), d.mcusY)}
	for i := range d.comps {
		c := &d.comps[i]
		c.win = rect{d.win.x0 * c.h, d.win.y0 * c.v, d.win.x1 * c.h, d.win.y1 * c.v}
		c.pix = make([]uint8, c.size*c.size*c.win.w()*c.win.h())
		if d.progressive {
			c.coef = make([]int16, 64*c.rowBlocks*c.colBlocks)
		}
	}
	return nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// quantTables reads a DQT segment.
func (d *jpegDecoder) quantTables(p []byte) error {
	for len(p) > 0 {
		wide, id := int(p[0]>>4), p[0]&15
		if wide > 1 || id > 3 {
			return fmt.Errorf("damaged: quantisation table %#x; want precision 0 or 1 and number 0 to 3", p[0])
		}
		p = p[1:]
		if len(p) < 64*(1+wide) {
			return errors.New("damaged: a quantisation table is too short")
		}
		t := new([64]uint16)
		for i := range t {
			if wide == 1 {
				t[i] = binary.BigEndian.Uint16(p[2*i:])
			} else {
				t[i] = uint16(p[i])
			}
		}
		d.quant[id] = t
		p = p[64*(1+wide):]
	}
	return nil
}

// huffTables reads a DHT segment.
func (d *jpegDecoder) huffTables(p []byte) error {
	for len(p) > 0 {
		if len(p) < 17 {
			return errors.New("damaged: a Huffman table is too short")
		}
		class, id := p[0]>>4, p[0]&15
		if class > 1 || id > 3 {
			return fmt.Errorf("damaged: Huffman table %#x; want class 0 or 1 and number 0 to 3", p[0])
		}
		t, n, err := newHuffTable(p[1:])
		if err != nil {
			return err
		}
		if class == 0 {
			d.dc[id] = t
		} else {
			d.ac[id] = t
		}
		p = p[1+n:]
	}
	return nil
}
