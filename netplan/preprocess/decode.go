package preprocess

import (
	"errors"
	"fmt"
)

// Limits bounds what Decode accepts, so that a small file cannot make it allocate or compute without
// end. A field of 0 means its default, a negative one no limit.
type Limits struct {
	// MaxPixels is the largest width × height, checked from the header before anything is decoded.
	// Default 89,478,485, the figure from which Pillow warns of a decompression bomb. Decoding takes
	// 3 to 15 bytes of memory for a pixel (PNG, TIFF and WebP 7 as a rule, with 16 bits 11 to 15; JPEG 5
	// to 6, 12 when it is progressive, 15 when it has four colours too).
	MaxPixels int64
	// MaxBytes is the largest file. Default 1 GiB.
	MaxBytes int64
}

// The defaults of Limits.
const (
	DefaultMaxPixels = 1 << 30 / 4 / 3
	DefaultMaxBytes  = 1 << 30
)

// maxSide keeps products of sizes within an int where Limits are switched off.
const maxSide = 1 << 24

func (l Limits) withDefaults() Limits {
	if l.MaxPixels == 0 {
		l.MaxPixels = DefaultMaxPixels
	}
	if l.MaxBytes == 0 {
		l.MaxBytes = DefaultMaxBytes
	}
	return l
}

// ErrTooLarge is wrapped by the error for a picture beyond a Limits figure, ErrNotPicture by the one
// for data in none of the supported formats. Any other error means a damaged file or a variant of a
// supported format that cannot be read.
var (
	ErrTooLarge   = errors.New("over the limit")
	ErrNotPicture = errors.New("want a JPEG, PNG, GIF, BMP, TIFF or WebP picture")
)

// RGB is a decoded picture.
type RGB struct {
	W, H int
	Pix  []uint8 // W·H·3 bytes, rows from the top, R G B
}

func newRGB(w, h int) *RGB { return &RGB{w, h, make([]uint8, w*h*3)} }

// decoders lists what Decode reads; sniff finds the row by the file's first bytes. size reads the
// dimensions from the header, decode the pixels; both may panic on damaged data. decode returns at
// least the pixels that needs says, reduced as it says if the format can do that.
var decoders = map[string]struct {
	size   func(data []byte) (w, h int, err error)
	decode func(data []byte, needs func(w, h int) window) (*Part, error)
}{
	"JPEG": {jpegSize, decodeJPEG},
	"PNG":  {pngSize, all(decodePNG)},
	"GIF":  {gifSize, all(decodeGIF)},
	"BMP":  {bmpSize, all(decodeBMP)},
	"TIFF": {tiffSize, all(decodeTIFF)},
	"WebP": {webpSize, all(decodeWebP)},
}

// all makes a decoder of whole pictures one of the table's.
func all(decode func(data []byte) (*RGB, error)) func([]byte, func(w, h int) window) (*Part, error) {
	return func(data []byte, _ func(w, h int) window) (*Part, error) {
		img, err := decode(data)
		if err != nil {
			return nil, err
		}
		return whole(img), nil
	}
}

// Decode turns the bytes of a picture file into RGB pixels, as Pillow's Image.open(f).convert("RGB")
// does: of an animation or a multi-page file the first picture, alpha dropped, EXIF orientation not
// applied. The format is recognised by content. Errors say what the data looks like and what is wrong.
func Decode(data []byte, lim Limits) (*RGB, error) {
	p, err := decode(data, lim, func(w, h int) window { return window{1, rect{0, 0, w, h}} })
	if err != nil {
		return nil, err
	}
	return &RGB{p.w, p.h, p.pix}, nil
}

// decode is Decode for what needs says of a picture of that size, or more.
func decode(data []byte, lim Limits, needs func(w, h int) window) (part *Part, err error) {
	lim = lim.withDefaults()
	if lim.MaxBytes > 0 && int64(len(data)) > lim.MaxBytes {
		return nil, fmt.Errorf("preprocess: picture: the file has %d bytes, %w of %d; raise Limits.MaxBytes to read it",
			len(data), ErrTooLarge, lim.MaxBytes)
	}
	format, err := sniff(data)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			part, err = nil, fmt.Errorf("preprocess: %s picture: damaged: %v", format, r)
		}
	}()
	d := decoders[format]
	w, h, err := d.size(data)
	if err != nil {
		return nil, describe(format, err)
	}
	if w < 1 || h < 1 || w > maxSide || h > maxSide {
		return nil, fmt.Errorf("preprocess: %s picture: damaged: its header says %d×%d pixels", format, w, h)
	}
	if lim.MaxPixels > 0 && int64(w) > lim.MaxPixels/int64(h) {
		return nil, fmt.Errorf("preprocess: %s picture: its header says %d×%d pixels, %w of %d pixels; raise Limits.MaxPixels to read it",
			format, w, h, ErrTooLarge, lim.MaxPixels)
	}
	if part, err = d.decode(data, needs); err != nil {
		return nil, describe(format, err)
	}
	return part, nil
}
