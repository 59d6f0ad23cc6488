package weights

import (
	"fmt"
	"os"
	"slices"
)

// NPYRows reads the rows of a uint8 numpy array one by one: an array of any size takes no memory.
type NPYRows struct {
	f     *os.File
	shape []int // of a row
	n     int
	start int64
	bytes int64 // of a row
}

// OpenNPYRows opens the array at path, which must be uint8 [N, ...] in C order. Errors are as of DecodeNPY. The caller
// must Close the result.
func OpenNPYRows(path string) (*NPYRows, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	r, err := openNPYRows(f)
	if err != nil {
		f.Close()
		return nil, inFile(err, path)
	}
	return r, nil
}

func openNPYRows(f *os.File) (*NPYRows, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, badf("is not a regular file; wanted a numpy .npy array")
	}
	h, err := checkNPYHeader(f, info.Size())
	if err != nil {
		return nil, err
	}
	if h.dtype != Uint8 || h.fortran || len(h.shape) < 2 {
		order := "C"
		if h.fortran {
			order = "Fortran"
		}
		return nil, unsupportedf("is an array of %v, shape %v, %s order; wanted uint8 [N, ...] in C order", h.dtype, h.shape, order)
	}
	return &NPYRows{f: f, shape: slices.Clone(h.shape[1:]), n: h.shape[0], start: h.start, bytes: h.bytes / int64(max(h.shape[0], 1))}, nil
}

// Len returns the number of rows.
func (r *NPYRows) Len() int { return r.n }

// Shape returns the shape of a row.
func (r *NPYRows) Shape() []int { return slices.Clone(r.shape) }

// Row returns the bytes of row i, 0 … Len-1. It may be called by many goroutines.
func (r *NPYRows) Row(i int) ([]byte, error) {
	if i < 0 || i >= r.n {
		return nil, fmt.Errorf("weights: %s: row %d, want 0 to %d", r.f.Name(), i, r.n-1)
	}
	b := make([]byte, r.bytes)
	if _, err := r.f.ReadAt(b, r.start+int64(i)*r.bytes); err != nil {
		return nil, inFile(badf("ends within row %d; it was cut short since it was opened (%v)", i, err), r.f.Name())
	}
	return b, nil
}

// Close closes the file.
func (r *NPYRows) Close() error { return r.f.Close() }
