package tests

import (
	"bytes"
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
// VKINFER_CONFORMANCE=full, enlarged and grained as large photographs are.
func TestDeviceFastDecode(t *testing.T) {
	if testing.Short() {
		t.Skip("photographs through a network, with -short")
	}
	rows := trainedRows(t)
	type sample struct{ size, side, every int } // network's input, photograph's side (0: as it is), every Nth photograph
	samples := []sample{{144, 0, 12}}
	if os.Getenv("VKINFER_CONFORMANCE") == "full" {
		samples = []sample{{144, 0, 1}, {72, 0, 1}, {300, 1400, 1}, {300, 2000, 1}, {300, 3000, 2}, {300, 5400, 5}}
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
	agree, right, levels, different := 0, [2]int{}, 0.0, 0
	var errs, largest []float64
	for i, r := range rows {
		file := oracle.Bytes(t, "trained/pictures/"+r.file)
		if side > 0 {
			file = enlarge(t, file, side, uint64(i))
		}
		x, y := pictureInput(t, exact, file), pictureInput(t, fast, file)
		for j := range x {
			levels += math.Abs(float64(x[j]-y[j])) * float64(spec.Transform.Std[0]) * 255 / float64(len(x))
		}
		if !slices.Equal(x, y) {
			different++
		}
		logits := runDevice(t, exec, append(x, y...), 2)
		a, b := logits[:classes], logits[classes:]
		_, centred := oracle.LogitErrors(b, a, classes)
		errs = append(errs, centred)
		worst, _ := oracle.MaxAbs(b, a)
		largest = append(largest, worst)
		top, fastTop := oracle.ArgMax(a), oracle.ArgMax(b)
		if top == fastTop {
			agree++
		}
		for k, best := range []int{top, fastTop} {
			if best == r.class {
				right[k]++
			}
		}
	}
	slices.Sort(errs)
	slices.Sort(largest)
	n := len(rows)
	t.Logf("input %d, photographs enlarged to %d: %d of %d reduced, by %.2f levels on average; best class the same %d; right %d exact, %d fast; centred relative difference of logits: median %.3g, largest %.3g; largest absolute difference: median %.3g, largest %.3g",
		size, side, different, n, levels/float64(n), agree, right[0], right[1], errs[n/2], errs[n-1], largest[n/2], largest[n-1])
	if different != n {
		t.Errorf("only %d of %d photographs were reduced", different, n)
	}
	if 100*agree < 95*n || errs[n/2] > 0.05 {
		t.Errorf("the best class is the same for %d of %d, and the logits differ by %.3g in the median; want at least 95 %% and at most 0.05", agree, n, errs[n/2])
	}
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
