package preprocess

import (
	"bytes"
	"testing"
)

// FuzzDecode feeds the picture readers with damaged pictures of every format, whole, in part and reduced. The limits keep
// a run within some tens of MB.
func FuzzDecode(f *testing.F) {
	for _, data := range samples(f) {
		f.Add(data)
	}
	tr := Transform{Size: 9, CropPct: 0.9, Std: half}
	fast := Transform{Size: 2, CropPct: 0.9, Std: half, FastDecode: true}
	f.Fuzz(func(t *testing.T, data []byte) {
		lim := Limits{MaxPixels: 1 << 18, MaxBytes: 1 << 16}
		img, err := Decode(data, lim)
		part, partErr := tr.Picture(data, lim)
		reduced, reducedErr := fast.DecodePart(data, lim)
		if (err == nil) != (partErr == nil) || (err == nil) != (reducedErr == nil) {
			t.Fatalf("errors differ: whole %v, part %v, reduced %v", err, partErr, reducedErr)
		}
		if err != nil {
			// PNG and the WebP bit streams are read by other packages, whose crashes are recovered.
			if format, _ := sniff(data); crashed(err) && format != "PNG" && format != "WebP" {
				t.Fatal(err)
			}
			if img != nil {
				t.Fatal("a picture beside an error")
			}
			return
		}
		if img.W < 1 || img.H < 1 || img.W*img.H > 1<<18 || len(img.Pix) != img.W*img.H*3 {
			t.Fatalf("%d×%d pixels in %d bytes", img.W, img.H, len(img.Pix))
		}
		again, err := Decode(data, lim)
		if err != nil || !bytes.Equal(img.Pix, again.Pix) {
			t.Fatal("decoding it again gives something else")
		}
		if got := tr.Apply(img); len(got) != 9*9*3 || !bytes.Equal(got, part) {
			t.Fatal("no crop, or not that of the part")
		}
		got := fast.ApplyPart(reduced)
		whole, err := decodeReduced(data, reduced.reduce)
		if err != nil || len(got) != 2*2*3 || !bytes.Equal(got, fast.ApplyPart(whole)) {
			t.Fatalf("no crop of the reduced picture, or not that of the part (error %v)", err)
		}
	})
}

// FuzzApply compares crop-only resizing with the slow full resize for small pictures, and wants the
// right shape for large ones.
func FuzzApply(f *testing.F) {
	f.Add(uint16(5), uint16(7), uint16(3), 0.875, uint64(1))
	f.Add(uint16(1), uint16(60000), uint16(240), 0.882, uint64(2))
	f.Add(uint16(33), uint16(2), uint16(30), 1.7, uint64(3))
	f.Fuzz(func(t *testing.T, w, h, size uint16, pct float64, seed uint64) {
		tr := Transform{Size: int(size), CropPct: pct, Std: half}
		if int(w)*int(h) > 1<<16 || size > 300 || tr.Check() != nil && w > 0 && h > 0 {
			if tr.Check() != nil && tr.Apply(newRGB(1, 1)) != nil {
				t.Fatal("a crop of a wrong transform")
			}
			return
		}
		img := noise(int(w), int(h), seed)
		got := tr.Apply(img)
		if w == 0 || h == 0 {
			if got != nil {
				t.Fatal("a crop of an empty picture")
			}
			return
		}
		if len(got) != tr.Size*tr.Size*3 {
			t.Fatalf("%d bytes, want %d", len(got), tr.Size*tr.Size*3)
		}
		rw, rh := tr.ResizedSize(img.W, img.H)
		if rw*img.H < 1<<15 && rw*rh < 1<<15 && !bytes.Equal(got, slowTransform(img, tr)) {
			t.Fatal("differs from the full resize and crop")
		}
	})
}
