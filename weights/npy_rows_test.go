package weights

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNPYRows(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, x *Tensor) string {
		path := filepath.Join(dir, name)
		if err := WriteNPY(path, x); err != nil {
			t.Fatal(err)
		}
		return path
	}
	data := make([]byte, 4*2*3*3)
	for i := range data {
		data[i] = byte(i * 7)
	}
	good := write("good.npy", &Tensor{DType: Uint8, Shape: []int{4, 2, 3, 3}, Data: data})
	r, err := OpenNPYRows(good)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Len() != 4 || len(r.Shape()) != 3 || r.Shape()[0] != 2 {
		t.Errorf("%d rows of %v", r.Len(), r.Shape())
	}
	for i := range 4 {
		if row, err := r.Row(i); err != nil || !bytes.Equal(row, data[18*i:18*i+18]) {
			t.Errorf("row %d: %v, %v", i, row, err)
		}
	}
	for _, i := range []int{-1, 4} {
		if _, err := r.Row(i); err == nil {
			t.Errorf("row %d: no error", i)
		}
	}
	// Cut while it is open.
	if err := os.Truncate(good, 150); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Row(3); err == nil || !strings.Contains(err.Error(), "good.npy") || !strings.Contains(err.Error(), "ends within row 3") {
		t.Errorf("a row that is gone: %v", err)
	}
	for path, want := range map[string]string{
		good: "cut short or damaged",
		write("float.npy", &Tensor{DType: Float32, Shape: []int{1, 2}, Data: make([]byte, 8)}): "wanted uint8",
		write("flat.npy", &Tensor{DType: Uint8, Shape: []int{5}, Data: make([]byte, 5)}):       "wanted uint8",
		dir:                            "not a regular file",
		filepath.Join(dir, "none.npy"): "no such file",
	} {
		if _, err := OpenNPYRows(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
