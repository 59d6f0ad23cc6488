package tests

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/preprocess"
	"github.com/vkinfer/vkinfer/tests/oracle"
)

// TestDeviceFastDecode measures what Transform.FastDecode costs: the network with really trained weights on its
// photographs, decoded exactly and reduced. These have 640×640 pixels, which the network's own 300 do not allow to be
// reduced. So they are shown to it smaller, where all the detail of a real photograph is there to be lost; and, with
// VKINFER_CONFORMANCE=full, enlarged and grained as large photographs are. The yardstick is the least noise that a
// picture of bytes can have: one level up or down in a quarter of the samples, which is about what the rounding of a
// resize is. FastDecode must not do more to the logits; with a fastMargin of 1 it does.
func TestDeviceFastDecode(t *testing.T) {
	if testing.Short() {
		t.Skip("photographs through a network, with -short")
	}
	rows := trainedRows(t)
	type sample struct{ size, side, every int } // network's input, photograph's side (0: as it is), every Nth photograph
	samples := []sample{{144, 0, 12}}
	if os.Getenv("VKINFER_CONFORMANCE") == "full" {
		samples = []sample{{144, 0, 1}, {300, 1400, 1}, {300, 3000, 4}, {300, 5400, 10}}
	}
	for _, s := range samples {
		var some []labelled
		for i := 0; i < len(rows); i += s.every {
			some = append(some, rows[i])
		}
		measureFastDecode(t, some, s.size, s.side)
	}
}

// measureFastDecode compares the logits with and without FastDecode.
func measureFastDecode(t *testing.T, rows []labelled, size, side int) {
	const classes = 15
	spec := specOf(t, "efficientnet_b3_pruned")
	dir := filepath.Join(oracle.Dir(t), "trained")
	g, err := spec.Build(open(t, filepath.Join(dir, "efficientnet_b3_pruned_cattle15_derived.pth")), size, size)
	if err != nil {
		t.Fatal(err)
	}
	exact := spec.Transform
	exact.Size = size
	fast := exact
	fast.FastDecode = true
	exec := executor(t, g, netplan.Options{Precision: netplan.PrecisionFloat32}, 8)
	var levels float64
	different := 0
	var right int
	reduced, noisy := comparison{}, comparison{}
	rng := rand.New(rand.NewPCG(1, 2))
	for i, r := range rows {
		file := oracle.Bytes(t, "trained/pictures/"+r.file)
		if side > 0 {
			file = enlarge(t, file, side, uint64(i))
		}
		x, y := pictureInput(t, exact, file), pictureInput(t, fast, file)
		noise := slices.Clone(x)
		level := 1 / (255 * spec.Transform.Std[0])
		for j := range x {
			levels += math.Abs(float64(x[j]-y[j])/float64(level)) / float64(len(x)*len(rows))
			if k := rng.IntN(8); k < 2 {
				noise[j] += float32(2*k-1) * level
			}
		}
		if !slices.Equal(x, y) {
			different++
		}
		logits := runDevice(t, exec, slices.Concat(x, y, noise), 3)
		if oracle.ArgMax(logits[:classes]) == r.class {
			right++
		}
		reduced.add(logits[:classes], logits[classes:2*classes], r.class)
		noisy.add(logits[:classes], logits[2*classes:], r.class)
	}
	name := "as they are"
	if side > 0 {
		name = fmt.Sprintf("enlarged to %d×%d", side, side)
	}
	t.Logf("input %d, %d photographs %s: %.2f levels on average, right %d\n    reduced:       %v\n    one level off: %v", size, len(rows), name, levels, right, &reduced, &noisy)
	if different != len(rows) {
		t.Errorf("only %d of %d photographs were reduced", different, len(rows))
	}
	if reduced.agree < noisy.agree || reduced.median() > noisy.median() {
		t.Error("that differs by more than a level in a quarter of the samples does")
	}
}

// comparison collects how logits differ from those of the same photographs decoded exactly.
type comparison struct {
	agree, right int       // photographs with the same best class, and with the right one
	errors       []float64 // of each, oracle.LogitErrors' centred one
}

func (c *comparison) add(want, got []float32, class int) {
	_, e := oracle.LogitErrors(got, want, len(want))
	c.errors = append(c.errors, e)
	best := oracle.ArgMax(got)
	if best == oracle.ArgMax(want) {
		c.agree++
	}
	if best == class {
		c.right++
	}
}

func (c *comparison) median() float64 { return slices.Sorted(slices.Values(c.errors))[len(c.errors)/2] }

func (c *comparison) String() string {
	return fmt.Sprintf("best class the same %d, right %d, centred relative difference of the logits in the median %.3g, at most %.3g",
		c.agree, c.right, c.median(), slices.Max(c.errors))
}

// enlarge makes a photograph of side×side pixels out of a smaller one, with the grain that sensors have, as JPEG.
func enlarge(t *testing.T, file []byte, side int, seed uint64) []byte {
	t.Helper()
	u8, err := preprocess.Transform{Size: side, CropPct: 1, Std: [3]float32{1, 1, 1}}.Picture(file, preprocess.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	m := image.NewRGBA(image.Rect(0, 0, side, side))
	for i := range side * side {
		grain := int(rng.Uint32()&7) + int(rng.Uint32()&7) - 7
		for c := range 3 {
			m.Pix[4*i+c] = uint8(min(max(int(u8[3*i+c])+grain, 0), 255))
		}
		m.Pix[4*i+3] = 255
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
