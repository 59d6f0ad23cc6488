package preprocess

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// draftIndex is what testdata/make.py --drafts writes.
type draftIndex struct {
	Pictures []struct {
		File    string
		Reduced []struct {
			By, W, H int
			RGB      string
		}
		Crops []struct {
			Size    int
			CropPct float64 `json:"crop_pct"`
			By      int
			SHA256  string
		}
	}
}

// decodeReduced is Decode with a reduction.
func decodeReduced(data []byte, reduce int) (*Part, error) {
	return decode(data, Limits{}, func(w, h int) window {
		return window{reduce, rect{0, 0, reducedAxis(w, reduce).n, reducedAxis(h, reduce).n}}
	})
}

// TestDraft wants bit equality with Pillow's draft mode: whole JPEGs at a half, a quarter and an eighth of their size, and
// crops with FastDecode. TestPillow says what $VKINFER_PICTURES is for; make.py --drafts must have been there too.
func TestDraft(t *testing.T) {
	dirs := []string{"testdata"}
	if wide := os.Getenv("VKINFER_PICTURES"); wide != "" {
		dirs = append(dirs, wide)
	}
	for _, dir := range dirs {
		text, err := os.ReadFile(filepath.Join(dir, "drafts.json"))
		if err != nil {
			t.Fatal(err)
		}
		var index draftIndex
		if err := json.Unmarshal(text, &index); err != nil {
			t.Fatal(err)
		}
		if len(index.Pictures) < 15 {
			t.Errorf("%s: only %d pictures", dir, len(index.Pictures))
		}
		reduced, crops := map[int]int{}, map[int]int{}
		for _, p := range index.Pictures {
			data, err := os.ReadFile(filepath.Join(dir, p.File))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range p.Reduced {
				part, err := decodeReduced(data, want.By)
				if err != nil {
					t.Errorf("%s by %d: %v", p.File, want.By, err)
					continue
				}
				if r := part.rect; r.w() != want.W || r.h() != want.H || sum(part.pix) != want.RGB {
					t.Errorf("%s by %d: %d×%d pixels differ from Pillow's, %d×%d", p.File, want.By, r.w(), r.h(), want.W, want.H)
				}
				reduced[want.By]++
			}
			for _, c := range p.Crops {
				tr := Transform{Size: c.Size, CropPct: c.CropPct, Std: half, FastDecode: true}
				part, err := tr.DecodePart(data, Limits{})
				if err != nil {
					t.Fatalf("%s: %v", p.File, err)
				}
				w, h := part.Size()
				if part.reduce != c.By {
					t.Errorf("%s (%d×%d): for the crop %d/%v reduced by %d, Pillow by %d", p.File, w, h, c.Size, c.CropPct, part.reduce, c.By)
				} else if sum(tr.ApplyPart(part)) != c.SHA256 {
					t.Errorf("%s (%d×%d) by %d: crop %d/%v differs from Pillow's", p.File, w, h, c.By, c.Size, c.CropPct)
				}
				crops[c.By]++
			}
		}
		for _, by := range []int{2, 4, 8} {
			if reduced[by] < 15 || crops[by] < 5 {
				t.Errorf("%s: only %d pictures and %d crops reduced by %d", dir, reduced[by], crops[by], by)
			}
		}
		t.Logf("%s: pictures by reduction %v, crops %v", dir, reduced, crops)
	}
}

// TestFastPart wants the crops of FastDecode from as much of a picture as they need as from all of it, reduced, and no
// difference for formats that cannot be reduced.
func TestFastPart(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	files := samples(t)
	files["photo.jpg"] = photoJPEG(t)
	smaller := 0
	for name, data := range files {
		img, err := Decode(data, Limits{})
		if err != nil {
			continue
		}
		for range 40 {
			tr := Transform{Size: 1 + rng.IntN(max(5, min(img.W, img.H)/4)), CropPct: 0.3 + rng.Float64()*0.9, Std: half, FastDecode: true}
			if tr.Check() != nil {
				continue
			}
			part, err := tr.DecodePart(data, Limits{})
			if err != nil {
				t.Fatalf("%s: %+v: %v", name, tr, err)
			}
			if !strings.HasSuffix(name, ".jpg") {
				exact := tr
				exact.FastDecode = false
				if part.reduce != 1 || !bytes.Equal(tr.ApplyPart(part), exact.Apply(img)) {
					t.Fatalf("%s: FastDecode changes the picture, reduced by %d", name, part.reduce)
				}
				continue
			}
			if want := tr.reduction(img.W, img.H); part.reduce != want {
				t.Fatalf("%s: reduced by %d, want %d", name, part.reduce, want)
			}
			whole, err := decodeReduced(data, part.reduce)
			if err != nil {
				t.Fatal(err)
			}
			if part.reduce > 1 && part.Bytes() < whole.Bytes() {
				smaller++
			}
			if !bytes.Equal(tr.ApplyPart(part), tr.ApplyPart(whole)) {
				t.Fatalf("%s (%d×%d): %+v: the crop of the part %+v differs", name, img.W, img.H, tr, part.window)
			}
		}
	}
	if smaller < 20 {
		t.Errorf("only %d parts were smaller than the whole", smaller)
	}
}

// TestFastErrors wants the errors of a damaged JPEG to be those that it gives without FastDecode, which skips nothing.
func TestFastErrors(t *testing.T) {
	exact := Transform{Size: 1, CropPct: 1, Std: half}
	fast := exact
	fast.FastDecode = true
	failed := 0
	for name, data := range samples(t) {
		if !strings.HasSuffix(name, ".jpg") {
			continue
		}
		rng := rand.New(rand.NewPCG(5, uint64(len(data))))
		for range 200 {
			bad := bytes.Clone(data)
			for range 1 + rng.IntN(3) {
				bad[rng.IntN(len(bad))] = byte(rng.IntN(256))
			}
			_, want := exact.Picture(bad, Limits{MaxPixels: 1 << 20})
			_, got := fast.Picture(bad, Limits{MaxPixels: 1 << 20})
			if errors.Join(got) != nil {
				failed++
			}
			if (got == nil) != (want == nil) || got != nil && got.Error() != want.Error() {
				t.Errorf("%s: error %v, without FastDecode %v", name, got, want)
			}
		}
	}
	if failed < 100 {
		t.Errorf("only %d damaged pictures gave an error", failed)
	}
}

// TestReduction holds the choice to the definition: the largest reduction that leaves fastMargin times what is wanted.
func TestReduction(t *testing.T) {
	tr := Transform{Size: 240, CropPct: 0.882, Std: half, FastDecode: true} // shorter side 272
	for _, c := range []struct{ w, h, want int }{
		{500, 375, 1}, {1, 1, 1}, {1, 5000, 1},
		{4 * 272, 4*272 - 1, 1}, {4 * 272, 4 * 272, 2}, {5000, 8*272 - 1, 2}, {8 * 272, 5000, 4},
		{16*272 - 1, 16 * 272, 4}, {16 * 272, 16 * 272, 8}, {20000, 20000, 8},
	} {
		if got := tr.reduction(c.w, c.h); got != c.want {
			t.Errorf("%d×%d is reduced by %d, want %d", c.w, c.h, got, c.want)
		}
		exact := tr
		exact.FastDecode = false
		if got := exact.reduction(c.w, c.h); got != 1 {
			t.Errorf("%d×%d is reduced by %d without FastDecode", c.w, c.h, got)
		}
	}
}

// TestReducedDCT holds the small inverse DCTs to what they stand for: the means of neighbouring samples of the large one,
// rounding apart. Where the large one clamps, its samples are not what is averaged.
func TestReducedDCT(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 7))
	for range 2000 {
		var block [64]int32
		last := rng.IntN(64)
		block[0] = int32(rng.IntN(800) - 400)
		for k := 1; k <= last; k++ {
			block[zigzag[k]] = int32(rng.IntN(61)-30) * int32(rng.IntN(8)/6)
		}
		var full, small [64]uint8
		copied := block
		idct(&copied, last, full[:], 8)
		if slices.Min(full[:]) == 0 || slices.Max(full[:]) == 255 {
			continue
		}
		for _, size := range []int{4, 2, 1} {
			copied, step := block, 8/size
			if size > 1 {
				idctReduced(size, &copied, last, small[:], 8)
			} else {
				small[0] = idctMean(copied[0])
			}
			for y := range size {
				for x := range size {
					mean := 0.0
					for i := range step * step {
						mean += float64(full[(y*step+i/step)*8+x*step+i%step]) / float64(step*step)
					}
					if d := float64(small[y*8+x]) - mean; d > 1.01 || d < -1.01 {
						t.Fatalf("%d×%d samples: %d at %d,%d, the mean is %.2f", size, size, small[y*8+x], x, y, mean)
					}
				}
			}
		}
	}
}
