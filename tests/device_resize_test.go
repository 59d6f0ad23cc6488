package tests

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/netplan/preprocess"
	"github.com/vkinfer/vkinfer/tests/oracle"
)

// resizer is the shortest network that takes pictures, on dev.
func resizer(t *testing.T, dev *gpu.Device, size, batch int, r netplan.Resizing) *gpu.Executor {
	t.Helper()
	b := graph.NewBuilder("resizer")
	conv := &graph.Conv{Stride: 2, Groups: 1,
		Weight: &graph.Param{Name: "w", Shape: []int{8, 3, 3, 3}, Data: make([]float64, 8*3*9)}, Bias: &graph.Param{Name: "b", Shape: []int{8}, Data: make([]float64, 8)}}
	g, err := b.Graph(b.Add("y", conv, b.Add("x", &graph.Input{Shape: graph.Shape{C: 3, H: size, W: size}})))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := netplan.Lower(g, dev.Caps(), netplan.Options{Pictures: &netplan.Normalization{}, Resize: &r, KeepAll: true, Guard: 1024})
	if err != nil {
		t.Fatal(err)
	}
	exec, err := gpu.NewExecutor(dev, plan, gpu.ExecutorOptions{MaxBatch: batch, Poison: true, Guards: true, Overhang: 1024})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { exec.Close() })
	return exec
}

// checkResized resizes pictures on the device and compares every byte with what the CPU gives.
func checkResized(t *testing.T, exec *gpu.Executor, tr preprocess.Transform, list []*preprocess.Part) {
	t.Helper()
	r := exec.Plan().Resize
	for first := 0; first < len(list); first += exec.MaxBatch() {
		batch := list[first:min(first+exec.MaxBatch(), len(list))]
		var parts [][]byte
		for _, p := range batch {
			packed := tr.PackPart(p, r.Bytes, r.Rows)
			if packed == nil {
				packed = tr.PackPicture(tr.ApplyPart(p), r.Bytes, r.Rows)
			}
			parts = append(parts, packed)
		}
		values, err := exec.TraceParts(t.Context(), parts)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if v.Name != "pictures" {
				continue
			}
			pixels := tr.Size * tr.Size
			for i, p := range batch {
				want := tr.ApplyPart(p)
				got := make([]byte, len(want))
				for j := range got { // a trace has planes
					got[j] = uint8(v.Data[i*len(want)+j%3*pixels+j/3])
				}
				if !bytes.Equal(got, want) {
					w, h := p.Size()
					t.Errorf("picture %d of a batch of %d, %d×%d pixels to %d: other bytes", i, len(batch), w, h, tr.Size)
				}
			}
		}
	}
}

// TestDeviceResize: pictures that the device resizes and crops have the very bytes that the CPU gives: photographs and
// other fixtures for every network, and pictures of all kinds of sizes, several in a batch.
func TestDeviceResize(t *testing.T) {
	dev := device(t)
	files, err := filepath.Glob(filepath.Join(oracle.Dir(t), "pictures", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range models.All() {
		t.Run(spec.Name, func(t *testing.T) {
			var list []*preprocess.Part
			for _, f := range files {
				data, err := os.ReadFile(f)
				if err != nil {
					continue // a folder
				}
				if p, err := spec.Transform.DecodePart(data, preprocess.Limits{}); err == nil {
					list = append(list, p)
				}
			}
			if len(list) < 10 {
				t.Fatalf("only %d pictures", len(list))
			}
			checkResized(t, resizer(t, dev, spec.Transform.Size, 3, netplan.DefaultResizing), spec.Transform, list)
			staged, err := gpu.Open(gpu.Options{Device: deviceName(), ForceStaging: true})
			if err != nil {
				t.Fatal(err)
			}
			defer staged.Close()
			exec := resizer(t, staged, spec.Transform.Size, 5, netplan.DefaultResizing)
			defer exec.Close()
			checkResized(t, exec, spec.Transform, list)
			for _, bad := range [][][]byte{nil, {nil}, {make([]byte, netplan.DefaultResizing.Bytes+1)}} {
				if _, err := exec.RunParts(t.Context(), bad); err == nil {
					t.Errorf("%d parts that are none were taken", len(bad))
				}
			}
		})
	}
	rng := rand.New(rand.NewPCG(3, 5))
	for _, size := range []int{1, 2, 7, 33, 64} {
		for _, crop := range []float64{0.875, 1, 1.3} {
			tr := models.All()[0].Transform
			tr.Size, tr.CropPct = size, crop
			var list []*preprocess.Part
			for _, s := range [][2]int{{1, 1}, {1, 90}, {90, 1}, {2, 3}, {size, size}, {120, 61}, {61, 120}, {300, 200}, {31, 33}} {
				img := &preprocess.RGB{W: s[0], H: s[1], Pix: make([]uint8, 3*s[0]*s[1])}
				for i := range img.Pix {
					img.Pix[i] = uint8(255 * rng.IntN(2))
					if rng.IntN(2) == 0 {
						img.Pix[i] = uint8(rng.IntN(256))
					}
				}
				if p := preprocess.Whole(img); tr.ApplyPart(p) != nil {
					list = append(list, p)
				}
			}
			checkResized(t, resizer(t, dev, size, 4, netplan.Resizing{Bytes: 150_000, Rows: 200}), tr, list)
		}
	}
}
