package preprocess

import (
	"fmt"
	"math"
)

// MaxSize is the largest crop side that Transform.Check accepts, and maxResized the largest shorter
// side after the resize; they keep the arithmetic and the memory of a wrong option small.
const (
	MaxSize    = 1 << 13
	maxResized = 1 << 15
)

// Transform is the evaluation transform of one network: resize, centre crop, normalise.
type Transform struct {
	Size    int        // side of the square crop in pixels: the network's input height and width
	CropPct float64    // Size over the shorter side after the resize, e.g. 0.882
	Mean    [3]float32 // per channel, RGB, on the scale 0..1
	Std     [3]float32 // per channel, RGB, on the scale 0..1

	// FastDecode decodes large JPEGs at a half, a quarter or an eighth of their width and height, by smaller inverse
	// DCTs. That is two to three times as fast (progressive ones: 1.2 to 1.3), and not exact. A picture of w×h pixels that ResizedSize brings to
	// rw×rh is reduced by the largest of 8, 4 and 2 that both w/(2·rw) and h/(2·rh) reach, and has then
	// ceil(w/reduction)×ceil(h/reduction) pixels, those of Pillow's Image.draft("RGB", (2·rw, 2·rh)). Of these the
	// w/reduction × h/reduction that are the picture, which may end within a pixel, are resized to rw×rh, so that the
	// crop shows what it shows without FastDecode: Pillow's resize((rw, rh), BICUBIC, box=(0, 0, w/reduction,
	// h/reduction)). Other JPEGs and other formats are decoded exactly.
	//
	// What it costs: the prepared bytes of photographs differ by 0.2 to 0.45 levels on average, and a network's logits
	// by less than where a quarter of the bytes is one level off. Of 200 photographs 187 kept their best class where
	// most detail is lost, of enlarged ones 95 to 98 in 100 (TestDeviceFastDecode in tests).
	FastDecode bool
}

// fastMargin is how many times its resized size a picture reduced by FastDecode has at least. Reduced pixels are means,
// which let frequencies through that a resize then folds back, the more the nearer its size is to theirs. Of 200
// photographs just over four times the size of the resized picture the best class stays the same for 187 with 2
// (reduced to a half), as for 173 with bytes one level off, and for 161 with 1 (reduced to a quarter).
const fastMargin = 2

// reduction returns the factor by which a JPEG of w×h pixels is made smaller while it is decoded.
func (tr Transform) reduction(w, h int) int {
	if !tr.FastDecode {
		return 1
	}
	rw, rh := tr.ResizedSize(w, h)
	reduce := 8
	for reduce > 1 && min(w/rw, h/rh) < fastMargin*reduce {
		reduce /= 2
	}
	return reduce
}

// Check reports a transform that cannot be carried out.
func (tr Transform) Check() error {
	if tr.Size < 1 || tr.Size > MaxSize {
		return fmt.Errorf("preprocess: transform: image size is %d; want 1 to %d", tr.Size, MaxSize)
	}
	if !(tr.CropPct > 0) || math.IsInf(tr.CropPct, 0) {
		return fmt.Errorf("preprocess: transform: crop fraction is %v; want a number above 0, such as 0.882", tr.CropPct)
	}
	if r := math.Floor(float64(tr.Size) / tr.CropPct); r < 1 || r > maxResized {
		return fmt.Errorf("preprocess: transform: image size %d with crop fraction %v resizes the shorter side to %.0f; want 1 to %d",
			tr.Size, tr.CropPct, r, maxResized)
	}
	for i := range 3 {
		if tr.Std[i] == 0 || tr.Std[i] != tr.Std[i] || tr.Mean[i] != tr.Mean[i] {
			return fmt.Errorf("preprocess: transform: mean %v, std %v; want numbers, and no std of 0", tr.Mean, tr.Std)
		}
	}
	return nil
}

// ResizedSize returns the size to which a picture of w×h pixels is resized before the crop: the shorter
// side floor(Size/CropPct), the longer one int(shorter·long/short), truncated, as torchvision's Resize.
func (tr Transform) ResizedSize(w, h int) (rw, rh int) {
	s := int(math.Floor(float64(tr.Size) / tr.CropPct))
	if w <= h {
		return s, int(float64(s*h) / float64(w))
	}
	return int(float64(s*w) / float64(h)), s
}

// Apply resizes and centre-crops img and returns HWC bytes [Size,Size,3], bit for bit what Pillow's
// BICUBIC resize and torchvision's CenterCrop give. Where the resized picture is smaller than the crop
// (CropPct above 1) it is surrounded with zeros. It returns nil for a transform that fails Check and for
// a picture whose Pix is shorter than W·H·3 or which is empty.
func (tr Transform) Apply(img *RGB) []uint8 {
	if img == nil || img.W < 1 || img.H < 1 || len(img.Pix)/3/img.W < img.H {
		return nil
	}
	return tr.ApplyPart(Whole(img))
}

// span is what a centre crop takes of one dimension: n pixels starting at first, put down at pad.
type span struct{ first, n, pad int }

// cropSpan places a crop of size pixels in the middle of have pixels. A picture larger than the crop
// loses round((have-size)/2) pixels before it, with halves rounded to even as Python's round does; a
// smaller one gets floor((size-have)/2) zeros before it and the remainder after it.
func cropSpan(have, size int) span {
	if have < size {
		return span{0, have, (size - have) / 2}
	}
	return span{int(math.RoundToEven(float64(have-size) / 2)), size, 0}
}

// Tensor writes the normalised input tensor: u8 is HWC [S,S,3] as Apply returns it, dst becomes NCHW
// [3,S,S] with dst = (u8/255 - mean)/std, every step rounded to float32 as torchvision's to_tensor and
// normalize do. It works for any pixel count; dst and u8 must have the same length, a multiple of 3,
// else the shorter of the two decides and the rest of dst is left alone.
func (tr Transform) Tensor(u8 []uint8, dst []float32) {
	n := min(len(u8), len(dst)) / 3
	var table [3][256]float32
	for c := range 3 {
		for v := range 256 {
			x := float32(v) / 255
			x = float32(x - tr.Mean[c])
			table[c][v] = x / tr.Std[c]
		}
	}
	r, g, b := dst[:n], dst[n:2*n], dst[2*n:3*n]
	u8 = u8[:3*n]
	for i := range n {
		p := u8[3*i : 3*i+3 : 3*i+3]
		r[i], g[i], b[i] = table[0][p[0]], table[1][p[1]], table[2][p[2]]
	}
}

// Affine returns what makes the input out of a picture's bytes on a device: byte·scale + offset, per channel.
// It differs from Tensor's arithmetic by rounding alone.
func (tr Transform) Affine() (scale, offset [3]float32) {
	for c := range 3 {
		mean, std := float64(tr.Mean[c]), float64(tr.Std[c])
		scale[c], offset[c] = float32(1/(255*std)), float32(-mean/std)
	}
	return scale, offset
}

// Picture decodes a picture file's bytes and applies the transform: HWC bytes [Size,Size,3].
func (tr Transform) Picture(data []byte, lim Limits) ([]uint8, error) {
	part, err := tr.DecodePart(data, lim)
	if err != nil {
		return nil, err
	}
	return tr.ApplyPart(part), nil
}
