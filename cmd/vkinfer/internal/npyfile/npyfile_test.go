package npyfile_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/npyfile"
	"github.com/vkinfer/vkinfer/weights"
)

func files(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// TestBatches: what is appended in batches is one array, and appears all at once.
func TestBatches(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	d, err := npyfile.NewDir(dir, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	for _, part := range [][]float32{want[:8], want[8:]} {
		if err := d.Append("blocks.0.0.conv_dw", []int{2, 1, 2}, part); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range files(t, dir) {
		if !strings.HasPrefix(name, ".") {
			t.Errorf("%s is there before Commit", name)
		}
	}
	if n, err := d.Commit(); n != 1 || err != nil {
		t.Fatalf("%d files, %v", n, err)
	}
	d.Discard()
	if got := files(t, dir); !slices.Equal(got, []string{"blocks.0.0.conv_dw.npy"}) {
		t.Errorf("files %q", got)
	}
	got, err := weights.ReadNPY(filepath.Join(dir, "blocks.0.0.conv_dw.npy"))
	if err != nil {
		t.Fatal(err)
	}
	if got.DType != weights.Float32 || !slices.Equal(got.Shape, []int{3, 2, 1, 2}) || !slices.Equal(got.Float32s(), want) {
		t.Errorf("%v %v %v", got.DType, got.Shape, got.Float32s())
	}
}

// TestHeaderIsNumpys: the bytes are those that package weights, tested against numpy, writes.
func TestHeaderIsNumpys(t *testing.T) {
	for _, shape := range [][]int{{1}, {5, 7, 11}, {1000, 1, 1}} {
		dir := t.TempDir()
		d, err := npyfile.NewDir(dir, 1)
		if err != nil {
			t.Fatal(err)
		}
		n := 1
		for _, s := range shape {
			n *= s
		}
		if err := d.Append("x", shape, make([]float32, n)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := weights.WriteNPY(filepath.Join(dir, "y.npy"), weights.FromFloat32s(append([]int{1}, shape...), make([]float32, n))); err != nil {
			t.Fatal(err)
		}
		x, _ := os.ReadFile(filepath.Join(dir, "x.npy"))
		y, _ := os.ReadFile(filepath.Join(dir, "y.npy"))
		if string(x) != string(y) {
			t.Errorf("shape %v: %.140q, want %.140q", shape, x, y)
		}
	}
}

// TestNames: any node gets a file, inside the folder, and two nodes never the same one.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	d, err := npyfile.NewDir(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"a", "A", "a/b", "a_b", "../../evil", "", ".hidden", "ß", "x\x00y", strings.Repeat("long", 100), strings.Repeat("long", 100) + "er", "a b"}
	for _, name := range names {
		if err := d.Append(name, []int{1}, []float32{1}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if n, err := d.Commit(); n != len(names) || err != nil {
		t.Errorf("%d files, %v; want %d", n, err, len(names))
	}
	lower := map[string]bool{}
	for _, name := range files(t, dir) {
		lower[strings.ToLower(name)] = true
		if strings.HasPrefix(name, ".") || !strings.HasSuffix(name, ".npy") {
			t.Errorf("file %q", name)
		}
	}
	if len(lower) != len(names) {
		t.Errorf("%d names that differ in any case, want %d", len(lower), len(names))
	}
}

// TestIncomplete: a folder that was not filled is left as it was.
func TestIncomplete(t *testing.T) {
	dir := t.TempDir()
	d, err := npyfile.NewDir(dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Append("a", []int{2}, []float32{1, 2}); err != nil {
		t.Fatal(err)
	}
	if err := d.Append("a", []int{1}, []float32{1}); err == nil {
		t.Error("another shape is no error")
	}
	if _, err := d.Commit(); err == nil {
		t.Error("one image of two is no error")
	}
	d.Discard()
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
}
