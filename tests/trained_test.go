package tests

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/vkinfer/vkinfer/tests/oracle"
	"github.com/vkinfer/vkinfer/weights"
)

var updateTrained = flag.Bool("update-trained", false, "recompute testdata/trained_b3.npy (20 minutes)")

// trainedPictures returns the prepared photographs of the rows.
func trainedPictures(t testing.TB, rows []labelled) []float32 {
	t.Helper()
	spec := specOf(t, "efficientnet_b3_pruned")
	var input []float32
	for _, r := range rows {
		data, err := os.ReadFile(filepath.Join(oracle.Dir(t), "trained", "pictures", r.file))
		if err != nil {
			t.Fatal(err)
		}
		input = append(input, pictureInput(t, spec.Transform, data)...)
	}
	return input
}

// TestTrainedReference holds testdata/trained_b3.npy, float64 logits of cpuref on the 200 photographs,
// to PyTorch's float32 logits for all of them, and to cpuref itself for a few. make_trained.py compares
// the file with PyTorch in float64.
func TestTrainedReference(t *testing.T) {
	const classes = 15
	file := filepath.Join("testdata", "trained_b3.npy")
	dir := filepath.Join(oracle.Dir(t), "trained")
	rows := trainedRows(t)
	g, err := specOf(t, "efficientnet_b3_pruned").Build(open(t, filepath.Join(dir, "efficientnet_b3_pruned_cattle15_derived.pth")), 300, 300)
	if err != nil {
		t.Fatal(err)
	}
	if *updateTrained {
		var all []float64
		for i := range rows {
			all = append(all, run[float64](t, g, trainedPictures(t, rows[i:i+1]), 1)...)
		}
		if err := weights.WriteNPY(file, weights.FromFloat64s([]int{len(rows), classes}, all)); err != nil {
			t.Fatal(err)
		}
	}
	have, err := weights.ReadNPY(file)
	if err != nil {
		t.Fatal(err)
	}
	pytorch, err := weights.ReadNPY(filepath.Join(dir, "ref_b3_pruned_derived.npy"))
	if err != nil {
		t.Fatal(err)
	}
	got, ref := have.Float64s(), pytorch.Float64s()
	if len(got) != len(rows)*classes || len(ref) != len(got) {
		t.Fatalf("%d and %d logits for %d pictures", len(got), len(ref), len(rows))
	}
	worst := 0.0
	for i := range rows {
		e := oracle.RelL2(ref[i*classes:(i+1)*classes], got[i*classes:(i+1)*classes])
		worst = max(worst, e)
		if !(e <= 5e-6) { // float32 against float64, on logits without a common offset
			t.Errorf("%s: PyTorch's float32 logits differ by %.3g", rows[i].file, e)
		}
	}
	t.Logf("PyTorch float32 against float64: worst %.2e", worst)
	if testing.Short() {
		return
	}
	for _, i := range []int{0, 77, 199} {
		again := run[float64](t, g, trainedPictures(t, rows[i:i+1]), 1)
		if e := oracle.RelL2(again, got[i*classes:(i+1)*classes]); e > oracle.Float64Logits {
			t.Errorf("%s: cpuref gives other float64 logits than the file: %.3g", rows[i].file, e)
		}
	}
}
