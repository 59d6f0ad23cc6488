package preprocess

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// tiffFile is the first image of a TIFF file (TIFF 6.0): the tags that matter, checked.
type tiffFile struct {
	data            []byte
	order           binary.ByteOrder
	tags            map[uint16][]uint32
	w, h            int
	bits, samples   int
	photometric     int
	compression     int
	planar          bool // every component in blocks of its own
	predictor       int
	premultiplied   bool // associated alpha as the fourth component
	comps           int  // components that are needed: 1, 3 or 4
	tiled           bool
	blockW, blockH  int
	across, down    int
	offsets, counts []uint32
	taken           int64 // bytes of strips and tiles read so far
}

// Tags.
const (
	tagWidth        = 256
	tagHeight       = 257
	tagBits         = 258
	tagCompression  = 259
	tagPhotometric  = 262
	tagFillOrder    = 266
	tagStripOffsets = 273
	tagOrientation  = 274
	tagSamples      = 277
	tagRowsPerStrip = 278
	tagStripCounts  = 279
	tagPlanar       = 284
	tagT4Options    = 292
	tagPredictor    = 317
	tagColorMap     = 320
	tagTileWidth    = 322
	tagTileHeight   = 323
	tagTileOffsets  = 324
	tagTileCounts   = 325
	tagExtra        = 338
	tagSampleFormat = 339
	tagJPEGTables   = 347
)

// Photometric interpretations.
const (
	tiffWhiteIsZero = 0
	tiffBlackIsZero = 1
	tiffRGB         = 2
	tiffPalette     = 3
	tiffCMYK        = 5
	tiffYCbCr       = 6
)

// Compressions.
const (
	tiffRaw        = 1
	tiffGroup3     = 3
	tiffGroup4     = 4
	tiffLZW        = 5
	tiffJPEG       = 7
	tiffDeflate    = 8
	tiffOldDeflate = 32946
	tiffPackBits   = 32773
)

// readTIFF reads and checks the first directory.
func readTIFF(data []byte) (*tiffFile, error) {
	if len(data) < 8 {
		return nil, io.ErrUnexpectedEOF
	}
	t := &tiffFile{data: data, order: binary.LittleEndian, tags: map[uint16][]uint32{}}
	if data[0] == 'M' {
		t.order = binary.BigEndian
	}
	if err := t.directory(int64(t.order.Uint32(data[4:]))); err != nil {
		return nil, err
	}
	t.w, t.h = int(t.tag(tagWidth, 0)), int(t.tag(tagHeight, 0))
	t.bits, t.samples = int(t.tag(tagBits, 1)), int(t.tag(tagSamples, 1))
	t.compression, t.predictor = int(t.tag(tagCompression, tiffRaw)), int(t.tag(tagPredictor, 1))
	t.planar = t.tag(tagPlanar, 1) == 2
	if t.w < 1 || t.h < 1 {
		return nil, fmt.Errorf("damaged: its header says %d×%d pixels", t.w, t.h)
	}
	return t, nil
}

// directory reads the tags at offset; of those that are kept, all values.
func (t *tiffFile) directory(offset int64) error {
	if offset < 8 || offset+2 > int64(len(t.data)) {
		return io.ErrUnexpectedEOF
	}
	n := int64(t.order.Uint16(t.data[offset:]))
	if offset+2+12*n > int64(len(t.data)) {
		return io.ErrUnexpectedEOF
	}
	for i := range n {
		e := t.data[offset+2+12*i:][:12]
		id, kind, count := t.order.Uint16(e), t.order.Uint16(e[2:]), int64(t.order.Uint32(e[4:]))
		switch {
		case id == tagJPEGTables: // bytes: keep place and length
			t.tags[id] = []uint32{t.order.Uint32(e[8:]), uint32(count)}
			continue
		case id > tagSampleFormat, id < tagWidth, count == 0, t.tags[id] != nil:
			continue
		}
		size := int64(0)
		switch kind {
		case 1:
			size = 1
		case 3:
			size = 2
		case 4:
			size = 4
		default:
			continue // text, fractions: nothing that is needed
		}
		raw := e[8:12]
		if size*count > 4 {
			at := int64(t.order.Uint32(e[8:]))
			if at+size*count > int64(len(t.data)) {
				return io.ErrUnexpectedEOF
			}
			raw = t.data[at : at+size*count]
		}
		v := make([]uint32, count)
		for j := range v {
			switch size {
			case 1:
				v[j] = uint32(raw[j])
			case 2:
				v[j] = uint32(t.order.Uint16(raw[2*j:]))
			default:
				v[j] = t.order.Uint32(raw[4*j:])
			}
		}
		t.tags[id] = v
	}
	return nil
}

// tag gives a tag's first value.
func (t *tiffFile) tag(id uint16, missing uint32) uint32 {
	if v := t.tags[id]; len(v) > 0 {
		return v[0]
	}
	return missing
}

func tiffSize(data []byte) (w, h int, err error) {
	t, err := readTIFF(data)
	if err != nil {
		return 0, 0, err
	}
	return t.w, t.h, nil
}

// layout checks how the samples are stored and finds the strips or tiles.
func (t *tiffFile) layout() error {
	for _, b := range t.tags[tagBits] {
		if int(b) != t.bits {
			return fmt.Errorf("components of different depths (%v bits) are not supported; save it with 8 bits", t.tags[tagBits])
		}
	}
	for _, f := range t.tags[tagSampleFormat] {
		if f != 1 {
			return errors.New("signed or floating-point samples are not supported; save it with 8 bits")
		}
	}
	switch t.bits {
	case 1, 2, 4, 8, 16:
	default:
		return fmt.Errorf("%d bits a sample are not supported; save it with 8 bits", t.bits)
	}
	p, ok := t.tags[tagPhotometric]
	if !ok {
		p = []uint32{tiffBlackIsZero}
		if t.samples >= 3 {
			p[0] = tiffRGB
		}
	}
	t.photometric = int(p[0])
	switch {
	case t.photometric == tiffWhiteIsZero, t.photometric == tiffBlackIsZero, t.photometric == tiffPalette && t.bits <= 8:
		t.comps = 1
	case t.photometric == tiffRGB, t.photometric == tiffYCbCr && t.compression == tiffJPEG:
		t.comps = 3
		if t.samples > 3 && t.tag(tagExtra, 0) == 1 {
			t.comps, t.premultiplied = 4, true
		}
	case t.photometric == tiffCMYK:
		t.comps = 4
	default:
		return fmt.Errorf("colour model %d with %d bits is not supported; save it as RGB", t.photometric, t.bits)
	}
	if t.samples < t.comps || t.samples > 64 {
		return fmt.Errorf("damaged: %d components for colour model %d", t.samples, t.photometric)
	}
	if t.predictor != 1 && (t.predictor != 2 || t.bits < 8) {
		return fmt.Errorf("predictor %d with %d bits is not supported; save it without", t.predictor, t.bits)
	}
	return t.blocks()
}

// blocks finds the strips or tiles.
func (t *tiffFile) blocks() error {
	t.offsets, t.counts = t.tags[tagStripOffsets], t.tags[tagStripCounts]
	t.blockW, t.blockH = t.w, int(min(t.tag(tagRowsPerStrip, uint32(t.h)), uint32(t.h)))
	if _, t.tiled = t.tags[tagTileWidth]; t.tiled {
		t.offsets, t.counts = t.tags[tagTileOffsets], t.tags[tagTileCounts]
		t.blockW, t.blockH = int(t.tag(tagTileWidth, 0)), int(t.tag(tagTileHeight, 0))
		if len(t.offsets) == 0 {
			t.offsets, t.counts = t.tags[tagStripOffsets], t.tags[tagStripCounts]
		}
	}
	const big = 1 << 24 // samples: more than any real tile
	if t.blockW < 1 || t.blockH < 1 || t.blockW > big || t.blockH > big ||
		t.tiled && t.blockW*t.blockH*t.samples > max(big, 4*t.w*t.h*t.samples) {
		return fmt.Errorf("damaged: strips or tiles of %d×%d pixels", t.blockW, t.blockH)
	}
	t.across, t.down = (t.w+t.blockW-1)/t.blockW, (t.h+t.blockH-1)/t.blockH
	n := t.across * t.down
	if t.planar {
		n *= t.comps
	}
	if len(t.offsets) < n {
		return fmt.Errorf("damaged: it lists %d strips or tiles; want %d", len(t.offsets), n)
	}
	return nil
}

func decodeTIFF(data []byte) (*RGB, error) {
	t, err := readTIFF(data)
	if err != nil {
		return nil, err
	}
	if err := t.layout(); err != nil {
		return nil, err
	}
	planes, perPixel := 1, t.samples
	if t.planar {
		planes, perPixel = t.comps, 1
	}
	pix := make([]uint8, t.w*t.h*t.comps)
	for p := range planes {
		for i := range t.across * t.down {
			b := tiffBlock{t: t, x: i % t.across * t.blockW, y: i / t.across * t.blockH, perPixel: perPixel, bits: t.bits}
			b.rows = t.blockH
			if !t.tiled {
				b.rows = min(t.blockH, t.h-b.y)
			}
			if err := b.read(p*t.across*t.down + i); err != nil {
				return nil, err
			}
			b.store(pix, p)
		}
	}
	return t.toRGB(pix)
}
