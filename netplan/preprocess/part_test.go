package preprocess

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestPart wants the same crops from as much of a picture as they need as from all of it: every sample picture, and
// crops of every place and size, those that enlarge and those that keep a dimension among them.
func TestPart(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	smaller := 0
	for name, data := range samples(t) {
		img, err := Decode(data, Limits{})
		if err != nil {
			continue
		}
		short := min(img.W, img.H)
		for i := range 60 {
			tr := Transform{Size: 1 + rng.IntN(short), CropPct: 0.05 + rng.Float64()*1.2, Std: half}
			if i%4 == 0 { // no resize
				tr.CropPct = float64(tr.Size) / (float64(short) + 0.25)
			}
			if tr.Check() != nil {
				continue
			}
			part, err := tr.DecodePart(data, Limits{})
			if err != nil {
				t.Fatalf("%s: %+v: %v", name, tr, err)
			}
			if part.Bytes() < len(img.Pix) {
				smaller++
			}
			if !bytes.Equal(tr.ApplyPart(part), tr.Apply(img)) {
				t.Fatalf("%s (%d×%d): %+v: the crop of the part %+v differs", name, img.W, img.H, tr, part.rect)
			}
		}
	}
	if smaller < 100 {
		t.Errorf("only %d parts were smaller than the whole", smaller)
	}
	img := noise(50, 40, 1)
	small := &Part{50, 40, window{1, rect{20, 10, 30, 20}}, img.Pix[:300]}
	if (Transform{Size: 40, CropPct: 1, Std: half}).ApplyPart(small) != nil {
		t.Error("a crop of a part that lacks pixels")
	}
}
