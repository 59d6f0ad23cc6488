package preprocess

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// resizePacked does with a packed part what shaders/resize.comp does, written from PackPart's description alone.
func resizePacked(packed []byte, size int) []uint8 {
	word := func(i int) int { return int(int32(binary.LittleEndian.Uint32(packed[4*i:]))) }
	rows, rowBytes, pixels := word(0), word(1), packed[4*word(2):]
	sum := func(axis, i int, at func(k int) uint8) uint8 {
		taps, weights, width := word(4+5*axis+2), word(4+5*axis+3), word(4+5*axis+4)
		first, count := word(taps+2*i), word(taps+2*i+1)
		s := int32(1 << 21)
		for k := range count {
			s += int32(word(weights+i*width+k)) * int32(at(first+k))
		}
		return uint8(min(max(s>>22, 0), 255))
	}
	xPad, xN, yPad, yN := word(4), word(5), word(9), word(10)
	across := make([]uint8, rows*3*xN)
	for y := range rows {
		for x := range xN {
			for c := range 3 {
				across[(y*xN+x)*3+c] = sum(0, x, func(k int) uint8 { return pixels[y*rowBytes+3*k+c] })
			}
		}
	}
	out := make([]uint8, 3*size*size)
	for y := range yN {
		for x := range xN {
			for c := range 3 {
				out[((y+yPad)*size+x+xPad)*3+c] = sum(1, y, func(k int) uint8 { return across[(k*xN+x)*3+c] })
			}
		}
	}
	return out
}

// TestPackPart: what a packed part becomes is what ApplyPart gives, for pictures of all kinds of sizes, and parts keep
// their bounds.
func TestPackPart(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 9))
	for range 150 {
		tr := Transform{Size: 1 + rng.IntN(40), CropPct: []float64{0.5, 0.875, 1, 1.4}[rng.IntN(4)], Std: [3]float32{1, 1, 1}}
		img := newRGB(1+rng.IntN(120), 1+rng.IntN(120))
		switch rng.IntN(4) {
		case 0:
			img = newRGB(1+rng.IntN(3), 1+rng.IntN(300))
		case 1:
			rw, rh := tr.ResizedSize(40, 30)
			if rw > 0 && rh > 0 {
				img = newRGB(rw, rh)
			}
		}
		for i := range img.Pix {
			img.Pix[i] = uint8(rng.IntN(256))
			if rng.IntN(3) == 0 {
				img.Pix[i] = uint8(255 * rng.IntN(2)) // overshoots
			}
		}
		want := tr.Apply(img)
		if want == nil {
			continue
		}
		packed := tr.PackPart(Whole(img), 1<<26, 1<<20)
		if got := resizePacked(packed, tr.Size); !bytes.Equal(got, want) {
			t.Fatalf("%+v of %d×%d pixels: other bytes", tr, img.W, img.H)
		}
		if cap(packed) != len(packed) || tr.PackPart(Whole(img), len(packed)-1, 1<<20) != nil || tr.PackPart(Whole(img), len(packed), 1<<20) == nil {
			t.Errorf("%+v of %d×%d pixels: %d bytes in %d, not the least", tr, img.W, img.H, len(packed), cap(packed))
		}
		rows := int(binary.LittleEndian.Uint32(packed))
		if tr.PackPart(Whole(img), 1<<26, rows-1) != nil || tr.PackPart(Whole(img), 1<<26, rows) == nil {
			t.Errorf("%+v of %d×%d pixels: %d rows are not the least", tr, img.W, img.H, rows)
		}
		as := tr.PackPicture(want, PackedPictureBytes(tr.Size), tr.Size)
		if as == nil || len(as) != PackedPictureBytes(tr.Size) || !bytes.Equal(resizePacked(as, tr.Size), want) {
			t.Errorf("%+v: a prepared picture does not come back", tr)
		}
	}
	tr := Transform{Size: 8, CropPct: 1, Std: [3]float32{1, 1, 1}}
	if tr.PackPart(nil, 1<<20, 100) != nil || tr.PackPicture(make([]uint8, 5), 1<<20, 100) != nil || (Transform{}).PackPart(Whole(newRGB(3, 3)), 1<<20, 100) != nil {
		t.Error("what is no picture was packed")
	}
}
