package preprocess

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// slowTransform is the oracle of Apply: the whole picture is resized, pixel by pixel, with weights
// computed on the spot, and then cropped or padded.
func slowTransform(img *RGB, tr Transform) []uint8 {
	short, long := img.W, img.H
	if img.H < img.W {
		short, long = img.H, img.W
	}
	newShort := int(math.Floor(float64(tr.Size) / tr.CropPct))
	newLong := int(float64(newShort*long) / float64(short))
	w, h := newShort, newLong
	if img.H < img.W {
		w, h = newLong, newShort
	}
	wide := slowResize(img, w, true)
	full := slowResize(wide, h, false)

	out := make([]uint8, tr.Size*tr.Size*3)
	for y := range tr.Size {
		for x := range tr.Size {
			sx, sy := x+slowOffset(w, tr.Size), y+slowOffset(h, tr.Size)
			if sx >= 0 && sx < w && sy >= 0 && sy < h {
				copy(out[(y*tr.Size+x)*3:][:3], full.Pix[(sy*w+sx)*3:])
			}
		}
	}
	return out
}

// slowOffset is where a crop of size begins in a dimension: below 0 where it sticks out.
func slowOffset(have, size int) int {
	if have < size {
		return -((size - have) / 2)
	}
	d := have - size // rounded half to even
	if d%4 == 3 {
		return d/2 + 1
	}
	return d / 2
}

// slowResize resizes one dimension to n pixels.
func slowResize(img *RGB, n int, horizontal bool) *RGB {
	in := img.H
	out := newRGB(img.W, n)
	if horizontal {
		in = img.W
		out = newRGB(n, img.H)
	}
	if in == n {
		return img
	}
	scale := float64(in) / float64(n)
	stretch := math.Max(1, scale)
	for y := range out.H {
		for x := range out.W {
			i := y
			if horizontal {
				i = x
			}
			center := (float64(i) + 0.5) * scale
			lo := max(0, int(center-2*stretch+0.5))
			hi := min(in, int(center+2*stretch+0.5))
			weights := make([]float64, hi-lo)
			total := 0.0
			for j := range weights {
				d := math.Abs((float64(lo+j) - center + 0.5) * (1 / stretch))
				switch {
				case d < 1:
					weights[j] = (1.5*d-2.5)*d*d + 1
				case d < 2:
					weights[j] = (((d-5)*d+8)*d - 4) * -0.5
				}
				total += weights[j]
			}
			for c := range 3 {
				sum := int64(1) << 21
				for j, w := range weights {
					at := ((lo+j)*img.W + x) * 3
					if horizontal {
						at = (y*img.W + lo + j) * 3
					}
					sum += int64(math.Round(w/total*(1<<22))) * int64(img.Pix[at+c])
				}
				out.Pix[(y*out.W+x)*3+c] = uint8(min(max(sum>>22, 0), 255))
			}
		}
	}
	return out
}

func noise(w, h int, seed uint64) *RGB {
	rng := rand.New(rand.NewPCG(seed, 1))
	img := newRGB(w, h)
	for i := range img.Pix {
		img.Pix[i] = uint8(rng.Uint32())
		if seed%2 == 1 { // strong edges reach the clamps
			img.Pix[i] = uint8(int8(img.Pix[i]) >> 7)
		}
	}
	return img
}

var cropPcts = []float64{0.4, 0.5, 0.875, 0.882, 0.89, 0.904, 0.97, 1, 1.05, 1.3, 2.5}

// TestApplyOracle compares Apply, which computes only what the crop keeps, with the slow full resize.
func TestApplyOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		img := noise(rapid.IntRange(1, 70).Draw(t, "w"), rapid.IntRange(1, 70).Draw(t, "h"), rapid.Uint64().Draw(t, "seed"))
		tr := Transform{
			Size:    rapid.IntRange(1, 40).Draw(t, "size"),
			CropPct: rapid.SampledFrom(cropPcts).Draw(t, "crop"),
			Std:     half,
		}
		if tr.Check() != nil {
			t.Skip("the shorter side would be 0")
		}
		if got, want := tr.Apply(img), slowTransform(img, tr); !bytes.Equal(got, want) {
			t.Fatal("differs from the full resize and crop")
		}
	})
}

// TestConstant wants a picture of one colour to stay one, at any scale.
func TestConstant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		img := newRGB(rapid.IntRange(1, 300).Draw(t, "w"), rapid.IntRange(1, 300).Draw(t, "h"))
		colour := rapid.SliceOfN(rapid.Byte(), 3, 3).Draw(t, "colour")
		for i := range img.Pix {
			img.Pix[i] = colour[i%3]
		}
		tr := Transform{Size: rapid.IntRange(1, 100).Draw(t, "size"), CropPct: 0.875, Std: half}
		for i, v := range tr.Apply(img) {
			if v != colour[i%3] {
				t.Fatalf("channel %d became %d, want %d", i%3, v, colour[i%3])
			}
		}
	})
}

// TestIdentity wants a picture whose shorter side already has the right length to be cropped only.
func TestIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size, extra := rapid.IntRange(1, 50).Draw(t, "size"), rapid.IntRange(0, 60).Draw(t, "extra")
		tr := Transform{Size: size, CropPct: 0.875, Std: half}
		short := int(float64(size) / 0.875)
		img := noise(short+extra, short, 4)
		x, y := slowOffset(img.W, size), slowOffset(img.H, size)
		got := tr.Apply(img)
		for r := range size {
			if !bytes.Equal(got[r*size*3:(r+1)*size*3], img.Pix[((y+r)*img.W+x)*3:][:size*3]) {
				t.Fatalf("row %d is not the picture's", r)
			}
		}
	})
}

// TestExtremeAspect: pictures whose resized form would have millions of rows or columns.
func TestExtremeAspect(t *testing.T) {
	tr := nets["b1"]
	for _, size := range [][2]int{{1, 60000}, {60000, 1}, {2, 1 << 20}, {1 << 20, 2}} {
		img := noise(size[0], size[1], 6)
		var got []uint8
		used := allocated(func() { got = tr.Apply(img) })
		if used > 4<<20 {
			t.Errorf("%v: %d bytes allocated", size, used)
		}
		// What is kept depends on the middle of the picture only: the same from a much shorter one.
		const keep = 400
		middle := newRGB(min(size[0], keep), min(size[1], keep))
		x0, y0 := (img.W-middle.W)/2, (img.H-middle.H)/2
		for y := range middle.H {
			copy(middle.Pix[y*middle.W*3:(y+1)*middle.W*3], img.Pix[((y0+y)*img.W+x0)*3:])
		}
		if !bytes.Equal(got, tr.Apply(middle)) {
			t.Errorf("%v: differs from the middle alone", size)
		}
	}
}

// TestPadding: with a crop fraction above 1 the resized picture lies in the middle of zeros.
func TestPadding(t *testing.T) {
	img := newRGB(10, 10)
	for i := range img.Pix {
		img.Pix[i] = 200
	}
	got := Transform{Size: 13, CropPct: 1.3, Std: half}.Apply(img)
	for y := range 13 {
		for x := range 13 {
			want := uint8(0)
			if x >= 1 && x < 11 && y >= 1 && y < 11 {
				want = 200
			}
			if v := got[(y*13+x)*3]; v != want {
				t.Fatalf("pixel %d,%d is %d, want %d", x, y, v, want)
			}
		}
	}
}

func TestResizedSize(t *testing.T) {
	for _, c := range []struct{ net, w, h, rw, rh int }{
		{1, 640, 427, 407, 272}, {1, 427, 640, 272, 407}, {1, 300, 300, 272, 272}, {2, 500, 375, 389, 292}, {3, 375, 500, 331, 441},
	} {
		rw, rh := nets[fmt.Sprintf("b%d", c.net)].ResizedSize(c.w, c.h)
		if rw != c.rw || rh != c.rh {
			t.Errorf("b%d, %d×%d: resized to %d×%d, want %d×%d", c.net, c.w, c.h, rw, rh, c.rw, c.rh)
		}
	}
}

func TestCheck(t *testing.T) {
	good := nets["b1"]
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	img := newRGB(5, 5)
	for name, change := range map[string]func(*Transform){
		"size 0":      func(tr *Transform) { tr.Size = 0 },
		"size below":  func(tr *Transform) { tr.Size = -3 },
		"size huge":   func(tr *Transform) { tr.Size = 1 << 30 },
		"crop 0":      func(tr *Transform) { tr.CropPct = 0 },
		"crop below":  func(tr *Transform) { tr.CropPct = -1 },
		"crop NaN":    func(tr *Transform) { tr.CropPct = math.NaN() },
		"crop Inf":    func(tr *Transform) { tr.CropPct = math.Inf(1) },
		"crop tiny":   func(tr *Transform) { tr.CropPct = 1e-9 },
		"crop large":  func(tr *Transform) { tr.CropPct = 1e9 },
		"std 0":       func(tr *Transform) { tr.Std[1] = 0 },
		"std NaN":     func(tr *Transform) { tr.Std[2] = float32(math.NaN()) },
		"mean is NaN": func(tr *Transform) { tr.Mean[0] = float32(math.NaN()) },
	} {
		tr := good
		change(&tr)
		if tr.Check() == nil {
			t.Errorf("%s: no error", name)
		}
		if tr.Apply(img) != nil {
			t.Errorf("%s: Apply gives a picture", name)
		}
		if _, err := tr.Picture(nil, Limits{}); err == nil {
			t.Errorf("%s: Picture gives no error", name)
		}
	}
	for _, bad := range []*RGB{nil, {}, {W: 2, H: 2, Pix: make([]uint8, 11)}, {W: 1, H: -1, Pix: make([]uint8, 3)}} {
		if good.Apply(bad) != nil {
			t.Errorf("Apply of %v gives a picture", bad)
		}
	}
}

// TestAffine: a device's arithmetic on bytes gives Tensor's values but for rounding.
func TestAffine(t *testing.T) {
	for _, tr := range []Transform{
		{Size: 1, CropPct: 1, Mean: [3]float32{0.5, 0.5, 0.5}, Std: [3]float32{0.5, 0.5, 0.5}},
		{Size: 1, CropPct: 1, Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}},
	} {
		scale, offset := tr.Affine()
		for v := range 256 {
			want := make([]float32, 3)
			tr.Tensor([]uint8{uint8(v), uint8(v), uint8(v)}, want)
			for c, w := range want {
				got := float64(float32(v)*scale[c] + offset[c])
				if d := math.Abs(got - float64(w)); d > 6e-7 {
					t.Errorf("byte %d, channel %d: %v, want %v", v, c, got, w)
				}
			}
		}
	}
}
