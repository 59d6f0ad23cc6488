package weights

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"testing"

	"github.com/vkinfer/vkinfer/tests/oracle"
	"github.com/vkinfer/vkinfer/weights/float16"
)

func TestHalfAllValuesFile(t *testing.T) {
	sd, err := Open(filepath.Join(oracle.Dir(t), "tiny/half_all_values.pth"))
	if err != nil {
		t.Fatal(err)
	}
	all := sd.Get("all")
	if all == nil || all.DType != Float16 || all.NumElements() != 1<<16 {
		t.Fatalf("no 65,536 halves under the name all: %+v", sd.Names())
	}
	seen := make([]bool, 1<<16)
	for i, f := range all.Float32s() {
		h := binary.LittleEndian.Uint16(all.Data[2*i:])
		seen[h] = true
		if want := float16.ToFloat32(h); math.Float32bits(f) != math.Float32bits(want) {
			t.Fatalf("%#04x read as %v, want %v", h, f, want)
		}
	}
	for h, ok := range seen {
		if !ok {
			t.Fatalf("%#04x is not in the file", h)
		}
	}
}
