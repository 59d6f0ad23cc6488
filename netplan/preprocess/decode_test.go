package preprocess

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// samples gives the committed pictures by file name.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, p := range readPillowIndex(t, "testdata").Pictures {
		data, err := os.ReadFile(filepath.Join("testdata", p.File))
		if err != nil {
			t.Fatal(err)
		}
		files[p.File] = data
	}
	return files
}

// crashed says whether an error is a recovered crash. Decoders of other packages may have them; ours
// must find out what is wrong by themselves.
func crashed(err error) bool {
	return err != nil && strings.Contains(err.Error(), "runtime error")
}

// TestTruncated cuts every committed picture at every length: an error, or, where only what follows the
// pixels is missing, the same picture.
func TestTruncated(t *testing.T) {
	for name, data := range samples(t) {
		whole, err := Decode(data, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		whole = &RGB{whole.W, whole.H, bytes.Clone(whole.Pix)}
		fine := 0
		for n := range data {
			img, err := Decode(data[:n:n], Limits{})
			switch {
			case crashed(err):
				t.Errorf("%s cut to %d of %d bytes: %v", name, n, len(data), err)
			case err != nil && n > 32 && !strings.Contains(err.Error(), "truncated") && !strings.Contains(err.Error(), "damaged"):
				t.Errorf("%s cut to %d of %d bytes: error %q does not say that it is truncated or damaged", name, n, len(data), err)
			case err == nil && (img.W != whole.W || !bytes.Equal(img.Pix, whole.Pix)):
				t.Errorf("%s cut to %d of %d bytes: another picture instead of an error", name, n, len(data))
			case err == nil:
				fine++
			}
		}
		if fine > len(data)/2 && !strings.Contains(name, "animated") && !strings.Contains(name, "apng") {
			t.Errorf("%s: %d of %d truncations give no error", name, fine, len(data))
		}
	}
}

// TestDamaged changes bytes of every committed picture: no crash and no picture of an impossible shape.
func TestDamaged(t *testing.T) {
	files := samples(t)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		data := files[name]
		rng := rand.New(rand.NewPCG(1, uint64(len(name))))
		for range 500 {
			bad := bytes.Clone(data)
			for range 1 + rng.IntN(3) {
				bad[rng.IntN(len(bad))] = byte(rng.IntN(256))
			}
			img, err := Decode(bad, Limits{MaxPixels: 1 << 20})
			if crashed(err) {
				t.Errorf("%s: %v", name, err)
			}
			if err == nil && len(img.Pix) != img.W*img.H*3 {
				t.Errorf("%s: %d bytes for %d×%d pixels", name, len(img.Pix), img.W, img.H)
			}
		}
	}
}

func TestNotAPicture(t *testing.T) {
	for data, want := range map[string]string{
		"":                                   "the file is empty",
		"<!DOCTYPE html><html><body>404":     "looks like an HTML page",
		"\xef\xbb\xbf \n<HTML lang=en>":      "looks like an HTML page",
		"<?xml version='1.0'?><Error>denied": "looks like an XML document",
		"<svg xmlns='x'>":                    "looks like an SVG drawing",
		`{"error": "not found"}`:             "looks like JSON",
		"hello, this is no picture":          `looks like text ("hello, this is no picture")`,
		"Grüße aus dem Wald, wo es keine Bilder gibt, nur Wörter": "looks like text",
		"\x00\x00\x00 ftypavif\x00\x00\x00\x00":                   "looks like an AVIF picture",
		"\x00\x00\x00 ftypheic\x00\x00\x00\x00":                   "looks like a HEIC picture",
		"\x00\x00\x00 ftypisom\x00\x00\x00\x00":                   "looks like an MP4",
		"\xff\x0a\x00\x00":                                        "looks like a JPEG XL picture",
		"\x00\x00\x00\x0cjP  \r\n\x87\n":                          "looks like a JPEG 2000 picture",
		"8BPS\x00\x01":                                            "looks like a Photoshop document",
		"%PDF-1.7":                                                "looks like a PDF document",
		"PK\x03\x04\x14":                                          "looks like a zip archive",
		"P6 2 2 255 ":                                             "looks like a portable pixmap",
		"version https://git-lfs.github.com/spec/v1":              "looks like a git-lfs pointer",
		strings.Repeat("\x00", 1000):                              "the file holds zeros",
		"\x80\x02}q\x00":                                          "unknown format (it begins with 80 02 7d 71 00)",
	} {
		_, err := Decode([]byte(data), Limits{})
		if !errors.Is(err, ErrNotPicture) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: error %v, want ErrNotPicture and %q", data, err, want)
		}
	}
}

func TestUnsupportedJPEG(t *testing.T) {
	var f bytes.Buffer
	if err := jpeg.Encode(&f, image.NewGray(image.Rect(0, 0, 8, 8)), nil); err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(f.Bytes(), []byte{0xff, 0xc0})
	for _, c := range []struct {
		offset int
		value  byte
		want   string
	}{
		{1, 0xc3, "lossless JPEG is not supported"},
		{1, 0xc5, "hierarchical JPEG is not supported"},
		{1, 0xc9, "arithmetic-coded JPEG is not supported"},
		{4, 12, "12-bit JPEG is not supported"},
		{9, 2, "frame header is too short"},
		{6, 0, "its header says 8×0 pixels"},
	} {
		data := bytes.Clone(f.Bytes())
		data[at+c.offset] = c.value
		if _, err := Decode(data, Limits{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("byte %d = %#x: error %v, want %q", c.offset, c.value, err, c.want)
		}
	}
}

// allocated runs f and returns how many bytes it allocated.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// hugeHeaders gives small files whose headers promise about 50000×50000 (WebP 16000×16000) pixels.
func hugeHeaders(t testing.TB) map[string][]byte {
	t.Helper()
	files := samples(t)
	huge := map[string][]byte{}
	const side = 50000
	be16 := []byte{side >> 8, side & 0xff}
	le16 := []byte{side & 0xff, side >> 8}

	b := bytes.Clone(files["png_rgb16.png"])
	binary.BigEndian.PutUint32(b[16:], side)
	binary.BigEndian.PutUint32(b[20:], side)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	huge["PNG"] = b

	b = bytes.Clone(files["jpeg_420.jpg"])
	at := bytes.Index(b, []byte{0xff, 0xc0, 0, 17, 8})
	copy(b[at+5:], be16)
	copy(b[at+7:], be16)
	huge["JPEG"] = b

	b = bytes.Clone(files["gif.gif"])
	copy(b[6:], le16)
	copy(b[8:], le16)
	huge["GIF"] = b

	b = bytes.Clone(files["bmp_555.bmp"])
	binary.LittleEndian.PutUint32(b[18:], side)
	binary.LittleEndian.PutUint32(b[22:], side)
	huge["BMP"] = b

	b = bytes.Clone(files["tiff_lzw.tif"])
	dir := binary.LittleEndian.Uint32(b[4:])
	for i := range uint32(2) { // width and height come first
		binary.LittleEndian.PutUint16(b[dir+2+12*i+2:], 4)
		binary.LittleEndian.PutUint32(b[dir+2+12*i+8:], side)
	}
	huge["TIFF"] = b

	b = bytes.Clone(files["webp.webp"])
	copy(b[26:], []byte{0x80, 0x3e, 0x80, 0x3e})
	huge["WebP"] = b
	return huge
}

func TestPixelLimit(t *testing.T) {
	for format, data := range hugeHeaders(t) {
		var err error
		used := allocated(func() { _, err = Decode(data, Limits{}) })
		if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "000×") {
			t.Errorf("%s: error %v, want ErrTooLarge and the size", format, err)
		}
		if used > 1<<20 {
			t.Errorf("%s: %d bytes allocated before the limit was noticed", format, used)
		}
	}
	for name, data := range samples(t) {
		img, err := Decode(data, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		n := int64(img.W) * int64(img.H)
		if _, err := Decode(data, Limits{MaxPixels: n}); err != nil {
			t.Errorf("%s: %v at a limit of exactly its %d pixels", name, err, n)
		}
		if _, err := Decode(data, Limits{MaxPixels: n - 1}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: error %v at a limit below its %d pixels, want ErrTooLarge", name, err, n)
		}
	}
}

// TestEmptyPromise wants no planes allocated for a JPEG whose data cannot fill them.
func TestEmptyPromise(t *testing.T) {
	data := hugeHeaders(t)["JPEG"]
	var err error
	used := allocated(func() { _, err = Decode(data, Limits{MaxPixels: -1}) })
	if err == nil || !strings.Contains(err.Error(), "truncated") || used > 1<<20 {
		t.Errorf("error %v and %d bytes allocated, want a truncated file and little memory", err, used)
	}
}

func TestByteLimit(t *testing.T) {
	data := samples(t)["png_rgb16.png"]
	if _, err := Decode(data, Limits{MaxBytes: int64(len(data)) - 1}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
	if _, err := Decode(data, Limits{MaxBytes: int64(len(data))}); err != nil {
		t.Error(err)
	}
}

// TestManyScans wants an end to a progressive file that repeats a scan without end.
func TestManyScans(t *testing.T) {
	data := samples(t)["jpeg_progressive_420.jpg"]
	first := bytes.Index(data, []byte{0xff, 0xda}) // of the DC coefficients, which it sets anew
	after := first + 2
	for data[after] != 0xff || data[after+1] == 0 {
		after++
	}
	long := slices.Concat(data[:after], bytes.Repeat(data[first:after], maxScans), data[after:])
	if _, err := Decode(long, Limits{}); err == nil || !strings.Contains(err.Error(), "scans") {
		t.Errorf("error %v, want one about the number of scans", err)
	}
}

// TestManyPasses wants the same for a larger picture, where fewer scans are already too many.
func TestManyPasses(t *testing.T) {
	var f bytes.Buffer
	if err := jpeg.Encode(&f, image.NewGray(image.Rect(0, 0, 1024, 1024)), nil); err != nil {
		t.Fatal(err)
	}
	data := f.Bytes()
	data[bytes.Index(data, []byte{0xff, 0xc0})+1] = 0xc2 // progressive
	first := bytes.Index(data, []byte{0xff, 0xda})
	scan := slices.Concat([]byte{0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0}, make([]byte, 1024*1024/64))
	for _, n := range []int{maxPasses, maxPasses + 1} {
		long := slices.Concat(data[:first], bytes.Repeat(scan, n), []byte{0xff, 0xd9})
		_, err := Decode(long, Limits{})
		if wrong := err != nil && strings.Contains(err.Error(), "scans"); wrong != (n > maxPasses) {
			t.Errorf("%d passes: error %v", n, err)
		}
	}
}

// TestSharedStrips wants an end to a TIFF file whose strips are all the same long piece of it.
func TestSharedStrips(t *testing.T) {
	const rows = 2000
	u32 := binary.LittleEndian.AppendUint32
	data := []byte("II*\x00\x08\x00\x00\x00")
	tags := [][4]uint32{
		{tagWidth, 4, 1, 1}, {tagHeight, 4, 1, rows}, {tagBits, 4, 1, 8}, {tagCompression, 4, 1, tiffPackBits}, {tagPhotometric, 4, 1, 1},
		{tagStripOffsets, 4, rows, 1 << 14}, {tagRowsPerStrip, 4, 1, 1}, {tagStripCounts, 4, rows, 1 << 15},
	}
	data = append(data, byte(len(tags)), 0)
	for _, tag := range tags {
		data = append(data, byte(tag[0]), byte(tag[0]>>8), byte(tag[1]), 0)
		data = u32(u32(data, tag[2]), tag[3])
	}
	data = append(data, make([]byte, 1<<16-len(data))...)
	for i := range rows {
		binary.LittleEndian.PutUint32(data[1<<14+4*i:], 1<<15+uint32(i))
		binary.LittleEndian.PutUint32(data[1<<15+4*i:], 1<<14)
	}
	if _, err := Decode(data, Limits{}); err == nil || !strings.Contains(err.Error(), "overlap") {
		t.Errorf("error %v, want one about overlapping strips", err)
	}
}

// TestMissingEndMarker takes sequential JPEG and PNG files that lack only their end markers.
func TestMissingEndMarker(t *testing.T) {
	files := samples(t)
	for name, n := range map[string]int{"jpeg_420.jpg": 2, "jpeg_scan_pair.jpg": 2, "png_rgb16.png": 12} {
		whole, err := Decode(files[name], Limits{})
		if err != nil {
			t.Fatal(err)
		}
		img, err := Decode(files[name][:len(files[name])-n], Limits{})
		if err != nil || !bytes.Equal(img.Pix, whole.Pix) {
			t.Errorf("%s without its end marker: %v", name, err)
		}
	}
	name := "jpeg_progressive_420.jpg" // here another scan might be missing
	if _, err := Decode(files[name][:len(files[name])-2], Limits{}); err == nil {
		t.Errorf("%s without its end marker: no error", name)
	}
}

// TestStdlibEncoders reads back what Go's own encoders write.
func TestStdlibEncoders(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 37, 23))
	for y := range 23 {
		for x := range 37 {
			m.SetNRGBA(x, y, color.NRGBA{uint8(7 * x), uint8(11 * y), uint8(x * y), uint8(255 - x)})
		}
	}
	var f bytes.Buffer
	if err := png.Encode(&f, m); err != nil {
		t.Fatal(err)
	}
	img, err := Decode(f.Bytes(), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for y := range 23 {
		for x := range 37 {
			c := m.NRGBAAt(x, y)
			if got := img.Pix[(y*37+x)*3:][:3]; !bytes.Equal(got, []byte{c.R, c.G, c.B}) {
				t.Fatalf("pixel %d,%d is %v, want the stored colour %v without blending", x, y, got, c)
			}
		}
	}
}
