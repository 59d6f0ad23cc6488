// Package oracle gives tests the reference data made with PyTorch that lies outside the repository:
// checkpoints, golden logits and traces, pictures, and hostile files.
//
// The directory is $VKINFER_FIXTURES, or ../shared/fixtures beside the module root. A test that needs
// it is skipped with a reason where it is absent; VKINFER_REQUIRE_FIXTURES=1 turns the skip into a failure.
package oracle

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Dir returns the fixtures directory.
func Dir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("VKINFER_FIXTURES")
	if dir == "" {
		_, file, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(file), "..", "..", "..", "shared", "fixtures")
	}
	if _, err := os.Stat(filepath.Join(dir, "README.md")); err != nil {
		if os.Getenv("VKINFER_REQUIRE_FIXTURES") == "1" {
			t.Fatalf("oracle: %s: no oracle data there and VKINFER_REQUIRE_FIXTURES=1; set VKINFER_FIXTURES", dir)
		}
		t.Skipf("oracle: %s: no oracle data there; set VKINFER_FIXTURES to the directory that holds it", dir)
	}
	return dir
}

// Bytes returns the contents of the file at path below Dir.
func Bytes(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(Dir(t), path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Float32s reads a raw little-endian float32 file below Dir.
func Float32s(t testing.TB, path string) []float32 {
	t.Helper()
	b := Bytes(t, path)
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

// Float64s reads a raw little-endian float64 file below Dir.
func Float64s(t testing.TB, path string) []float64 {
	t.Helper()
	b := Bytes(t, path)
	out := make([]float64, len(b)/8)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return out
}

// JSON decodes the JSON file at path below Dir into v.
func JSON(t testing.TB, path string, v any) {
	t.Helper()
	if err := json.Unmarshal(Bytes(t, path), v); err != nil {
		t.Fatalf("oracle: %s: %v", path, err)
	}
}
