package tests

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/tests/oracle"
)

// synthCase is a row of testdata/golden/index.json.
type synthCase struct {
	InputShape [4]int `json:"input_shape"`
	Top1       []int  `json:"top1"`
}

// scramble and picture make the inputs as testdata/make_goldens.py does.
func scramble(v uint32) uint32 { return v * 2654435761 >> 24 }

func synthPicture(n, h, w int) []float32 {
	out := make([]float32, 0, n*3*h*w)
	for k := range uint32(n) {
		for c := range uint32(3) {
			for y := range uint32(h) {
				for x := range uint32(w) {
					block := scramble((k*7+c)*1000003 + (y>>4)*4099 + (x>>4)*17)
					noise := scramble(((k*3+c)*uint32(h)+y)*uint32(w)+x) >> 3
					out = append(out, (float32(block*7>>3+noise)/255-0.5)/0.5)
				}
			}
		}
	}
	return out
}

// TestSynthGoldens compares all three networks, with the made-up weights of seed 1, with PyTorch's float64
// logits: cpuref in both precisions, and the device.
func TestSynthGoldens(t *testing.T) { synthGoldens(t, false) }

// TestDeviceGoldenSynth is the device's part of TestSynthGoldens.
func TestDeviceGoldenSynth(t *testing.T) { synthGoldens(t, true) }

func synthGoldens(t *testing.T, onDevice bool) {
	data, err := os.ReadFile(filepath.Join("testdata", "golden", "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Seed   uint64                          `json:"seed"`
		Models map[string]map[string]synthCase `json:"models"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Models) != len(models.All()) {
		t.Fatalf("goldens of %d models, want %d", len(index.Models), len(models.All()))
	}
	for _, spec := range models.All() {
		sd := spec.Synth(index.Seed)
		for name, c := range index.Models[spec.Name] {
			t.Run(spec.Name+"/"+name, func(t *testing.T) {
				n, h, w := c.InputShape[0], c.InputShape[2], c.InputShape[3]
				if testing.Short() && h*w > 200*200 {
					t.Skip("a large case, with -short")
				}
				g, err := spec.Build(sd, h, w)
				if err != nil {
					t.Fatal(err)
				}
				want := readFloat64s(t, filepath.Join("testdata", "golden", fmt.Sprintf("%s.%s.logits.f64.bin", spec.Name, name)))
				input := synthPicture(n, h, w)
				if onDevice {
					got := runDevice(t, executor(t, g, netplan.Options{}, n), input, n)
					checkFloat32(t, got, want, 1000)
					for i, class := range c.Top1 {
						if best := oracle.ArgMax(got[i*1000 : (i+1)*1000]); best != class {
							t.Errorf("image %d: best class %d, want %d", i, best, class)
						}
					}
					return
				}
				checkFloat64(t, run[float64](t, g, input, n), want, 1000)
				checkFloat32(t, run[float32](t, g, input, n), want, 1000)
			})
		}
	}
}

func readFloat64s(t testing.TB, path string) []float64 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float64, len(b)/8)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return out
}
