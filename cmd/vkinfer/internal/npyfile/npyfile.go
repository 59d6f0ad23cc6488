// Package npyfile writes a folder of numpy arrays, batch by batch.
package npyfile

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vkinfer/vkinfer/internal/atomicfile"
)

// Dir is a folder that is being filled with float32 arrays of n images each. Its files get their names
// all at once, by Commit.
type Dir struct {
	path  string
	n     int
	files map[string]*file // by array name
	names map[string]bool  // file names taken, in lower case
}

type file struct {
	f      *atomicfile.File
	shape  []int // of one image
	floats int   // written
}

// NewDir makes the folder at path if need be.
func NewDir(path string, n int) (*Dir, error) {
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, err
	}
	return &Dir{path: path, n: n, files: map[string]*file{}, names: map[string]bool{}}, nil
}

// Append adds some images' values, each of the given shape, to the array of that name.
func (d *Dir) Append(name string, shape []int, data []float32) error {
	f := d.files[name]
	if f == nil {
		var err error
		if f, err = d.create(name, shape); err != nil {
			return err
		}
	}
	if !slices.Equal(f.shape, shape) {
		return fmt.Errorf("%s: shape %v after %v", name, shape, f.shape)
	}
	b := make([]byte, 4*len(data))
	for i, v := range data {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
	f.floats += len(data)
	_, err := f.f.Write(b)
	return err
}

func (d *Dir) create(name string, shape []int) (*file, error) {
	a, err := atomicfile.Replace(filepath.Join(d.path, d.fileName(name)), 0o666)
	if err != nil {
		return nil, err
	}
	f := &file{f: a, shape: slices.Clone(shape)}
	d.files[name] = f
	_, err = a.Write(header(append([]int{d.n}, shape...)))
	return f, err
}

// fileName makes a name that any file system takes, different for different nodes.
func (d *Dir) fileName(name string) string {
	safe := strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)) {
			return r
		}
		return '_'
	}, name)
	if safe == "" || strings.HasPrefix(safe, ".") {
		safe = "_" + safe
	}
	safe = safe[:min(len(safe), 200)]
	unique := safe
	for i := 2; d.names[strings.ToLower(unique)]; i++ {
		unique = fmt.Sprintf("%s~%d", safe, i)
	}
	d.names[strings.ToLower(unique)] = true
	return unique + ".npy"
}

// header returns the beginning of a numpy file, format 1.0, of float32 in C order.
func header(shape []int) []byte {
	dims := strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]")
	if len(shape) == 1 {
		dims += ","
	}
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", dims)
	text += strings.Repeat(" ", (64-(10+len(text)+1)%64)%64) + "\n"
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(text)), byte(len(text)>>8))
	return append(b, text...)
}

// Commit completes all files and gives them their names. It returns their number.
func (d *Dir) Commit() (int, error) {
	for name, f := range d.files {
		want := d.n
		for _, s := range f.shape {
			want *= s
		}
		if f.floats != want {
			return 0, fmt.Errorf("%s: %d values, want %d", name, f.floats, want)
		}
		if err := f.f.Close(); err != nil {
			return 0, err
		}
	}
	for _, f := range d.files {
		if err := f.f.Commit(); err != nil {
			return 0, err
		}
	}
	n := len(d.files)
	d.files = nil
	return n, nil
}

// Discard removes what was not committed.
func (d *Dir) Discard() {
	for _, f := range d.files {
		f.f.Abandon()
	}
}
