package preprocess

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/tests/oracle"
)

var half = [3]float32{0.5, 0.5, 0.5}

// nets are the evaluation transforms of the three networks, under the names of the oracle's files.
var nets = map[string]Transform{
	"b1": {Size: 240, CropPct: 0.882, Mean: half, Std: half},
	"b2": {Size: 260, CropPct: 0.890, Mean: half, Std: half},
	"b3": {Size: 300, CropPct: 0.904, Mean: half, Std: half},
}

// byteDiff returns the largest and the mean absolute difference.
func byteDiff(t testing.TB, got, want []uint8) (worst int, mean float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d bytes, want %d", len(got), len(want))
	}
	sum := 0
	for i := range got {
		d := int(got[i]) - int(want[i])
		if d < 0 {
			d = -d
		}
		sum += d
		worst = max(worst, d)
	}
	return worst, float64(sum) / float64(len(got))
}

type fixtureIndex struct {
	Pictures map[string]struct {
		Size      [2]int
		RGBSHA256 string `json:"rgb_sha256"`
		PILError  string `json:"pil_error"`
		Models    map[string]struct {
			SHA256 string `json:"u8_sha256"`
		}
	}
}

func TestFixturePictures(t *testing.T) {
	var index fixtureIndex
	oracle.JSON(t, "pictures/index.json", &index)
	compared := 0
	for name, want := range index.Pictures {
		if want.PILError != "" || strings.HasSuffix(name, "_exifapplied") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			data := oracle.Bytes(t, filepath.Join("pictures", name))
			img, err := Decode(data, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if img.W != want.Size[0] || img.H != want.Size[1] {
				t.Fatalf("decoded to %d×%d, want %v", img.W, img.H, want.Size)
			}
			if sum := sha256.Sum256(img.Pix); hex.EncodeToString(sum[:]) != want.RGBSHA256 {
				t.Error("decoded pixels differ from Pillow's")
			}
			for net, tr := range nets {
				got, err := tr.Picture(data, Limits{})
				if err != nil {
					t.Fatal(err)
				}
				ref := oracle.Bytes(t, filepath.Join("pictures/u8", name+"."+net+".u8.bin"))
				worst, mean := byteDiff(t, got, ref)
				if worst > 0 {
					t.Errorf("%s: worst %d, mean %.4f levels from Pillow", net, worst, mean)
				}
				t.Logf("%s: worst %d, mean %.4f", net, worst, mean)
				compared++
			}
		})
	}
	if compared < 40 {
		t.Errorf("only %d comparisons were made", compared)
	}
}

// TestFixtureErrors wants an error that names what is wrong with each bad file.
func TestFixtureErrors(t *testing.T) {
	for name, want := range map[string]struct {
		text string
		is   error
	}{
		"bad_empty.png":        {"the file is empty", ErrNotPicture},
		"bad_not_an_image.jpg": {"looks like text", ErrNotPicture},
		"bad_truncated.jpg":    {"JPEG picture: truncated", nil},
	} {
		img, err := Decode(oracle.Bytes(t, filepath.Join("pictures", name)), Limits{})
		if err == nil || img != nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if !strings.Contains(err.Error(), want.text) || want.is != nil && !errors.Is(err, want.is) {
			t.Errorf("%s: error %q, want it to say %q", name, err, want.text)
		}
	}
}

// TestTensor compares every byte value of every channel with the definition in float32.
func TestTensor(t *testing.T) {
	tr := Transform{Size: 16, CropPct: 1, Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}}
	u8 := make([]uint8, 16*16*3)
	for i := range 256 {
		u8[3*i], u8[3*i+1], u8[3*i+2] = uint8(i), uint8(255-i), uint8(i*7)
	}
	got := make([]float32, len(u8))
	tr.Tensor(u8, got)
	want := make([]float32, 0, len(u8))
	for c := range 3 {
		for i := range 256 {
			x := float32(u8[3*i+c]) / 255
			x -= tr.Mean[c]
			want = append(want, x/tr.Std[c])
		}
	}
	if !slices.Equal(got, want) {
		t.Error("the tensor differs from (u8/255 - mean)/std in float32, channels first")
	}
}
