package weights

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vkinfer/vkinfer/tests/oracle"
)

// digest is the oracle's: the first 16 hex digits of the sha256 of a tensor's elements in C order,
// every float type converted to float32 first.
func digest(t *Tensor) string {
	data := t.Data
	if t.DType.IsFloat() {
		data = nil
		for _, f := range t.Float32s() {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(f))
		}
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// oracleTensor is [shape, type, digest] in tiny/index.json.
type oracleTensor = [3]any

// compare reports where sd is not what the oracle says.
func compare(t *testing.T, sd *StateDict, want map[string]oracleTensor) {
	t.Helper()
	if sd.Len() != len(want) {
		t.Errorf("%d tensors, want %d", sd.Len(), len(want))
	}
	for name, w := range want {
		got := sd.Get(name)
		if got == nil {
			t.Errorf("%s: missing", name)
			continue
		}
		var shape []int
		for _, d := range w[0].([]any) {
			shape = append(shape, int(d.(float64)))
		}
		if !slices.Equal(got.Shape, shape) || got.DType.String() != w[1] || digest(got) != w[2] {
			t.Errorf("%s: %v %v %s, want %v", name, got.Shape, got.DType, digest(got), w)
		}
		if len(got.Data) != got.NumElements()*got.DType.Size() {
			t.Errorf("%s: %d bytes for shape %v of %v", name, len(got.Data), got.Shape, got.DType)
		}
	}
}

func TestGoodCheckpoints(t *testing.T) {
	dir := oracle.Dir(t)
	var index struct {
		StateDict map[string]oracleTensor `json:"state_dict"`
		Good      map[string]struct {
			Picked    string
			Identical bool `json:"identical_to_zip"`
			Tensors   map[string]oracleTensor
		}
	}
	oracle.JSON(t, "tiny/index.json", &index)
	if len(index.Good) < 30 {
		t.Fatalf("the oracle lists %d good files, want at least 30", len(index.Good))
	}
	for name, want := range index.Good {
		if filepath.Ext(name) != ".pth" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			sd, err := Open(filepath.Join(dir, "tiny", "good", name))
			if err != nil {
				t.Fatal(err)
			}
			if sd.Picked != want.Picked {
				t.Errorf("picked %q, want %q", sd.Picked, want.Picked)
			}
			if want.Identical {
				want.Tensors = index.StateDict
			}
			compare(t, sd, want.Tensors)
		})
	}
}

// The files in testdata, which PyTorch 1.13 wrote: training checkpoints of every protocol, views,
// element types, parameters with attributes. They need no oracle.
func TestFilesFromTorch(t *testing.T) {
	b, err := os.ReadFile("testdata/index.json")
	if err != nil {
		t.Fatal(err)
	}
	var index map[string]map[string]oracleTensor
	if err := json.Unmarshal(b, &index); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("testdata/*.pth")
	if len(files) != len(index) || len(files) < 10 {
		t.Errorf("%d files, %d in the index", len(files), len(index))
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			sd, err := Open(f)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, sd, index[filepath.Base(f)])
			if tied := sd.Get("tied1"); tied != nil {
				if &tied.Data[0] != &sd.Get("tied2").Data[0] {
					t.Error("tied weights take memory twice")
				}
				if !slices.Equal(sd.Skipped, []string{"number", "text"}) {
					t.Errorf("skipped %q", sd.Skipped)
				}
			}
		})
	}
}
