package preprocess

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// pillowIndex is what testdata/make.py writes: pictures and sha256 sums of Pillow's answers.
type pillowIndex struct {
	Pictures []struct {
		File  string
		W, H  int
		RGB   string
		Crops []struct {
			Size    int
			CropPct float64 `json:"crop_pct"`
			SHA256  string
		}
	}
}

func readPillowIndex(t testing.TB, dir string) (index pillowIndex) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &index); err != nil {
		t.Fatal(err)
	}
	return index
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// TestPillow wants bit equality with Pillow for the committed pictures of every kind, and for a larger
// set made with make.py --wide where $VKINFER_PICTURES names its folder.
func TestPillow(t *testing.T) {
	dirs := []string{"testdata"}
	if wide := os.Getenv("VKINFER_PICTURES"); wide != "" {
		dirs = append(dirs, wide)
	}
	for _, dir := range dirs {
		index := readPillowIndex(t, dir)
		if len(index.Pictures) < 50 {
			t.Errorf("%s: only %d pictures", dir, len(index.Pictures))
		}
		crops := 0
		for _, p := range index.Pictures {
			data, err := os.ReadFile(filepath.Join(dir, p.File))
			if err != nil {
				t.Fatal(err)
			}
			img, err := Decode(data, Limits{})
			if err != nil {
				t.Errorf("%s (%d×%d): %v", p.File, p.W, p.H, err)
				continue
			}
			if img.W != p.W || img.H != p.H {
				t.Errorf("%s: %d×%d, want %d×%d", p.File, img.W, img.H, p.W, p.H)
				continue
			}
			if sum(img.Pix) != p.RGB {
				t.Errorf("%s (%d×%d): pixels differ from Pillow's", p.File, p.W, p.H)
				if want, err := os.ReadFile(filepath.Join(dir, p.File+".rgb")); err == nil {
					worst, mean := byteDiff(t, img.Pix, want)
					t.Logf("    worst %d, mean %.4f", worst, mean)
				}
				continue
			}
			for _, c := range p.Crops {
				crops++
				tr := Transform{Size: c.Size, CropPct: c.CropPct, Mean: half, Std: half}
				if got, err := tr.Picture(data, Limits{}); err != nil || sum(got) != c.SHA256 {
					t.Errorf("%s (%d×%d): crop %d/%v of a part differs from Pillow's (error %v)", p.File, p.W, p.H, c.Size, c.CropPct, err)
				}
				if got := tr.Apply(img); sum(got) != c.SHA256 {
					t.Errorf("%s (%d×%d): crop %d/%v differs from Pillow's", p.File, p.W, p.H, c.Size, c.CropPct)
				}
			}
		}
		t.Logf("%s: %d pictures, %d crops", dir, len(index.Pictures), crops)
	}
}
