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
	header, used, err := readNPYHeader(f)
	if err != nil {
		return nil, err
	}
	h, err := parseNPYHeader(header)
	if err != nil {
		return nil, &FormatError{Text: "header " + quote(string(header)) + " is damaged", Err: err}
	}
	dt, _, err := npyType(h.descr)
	if err != nil {
		return nil, err
	}
	if dt != Uint8 || h.fortran && len(h.shape) > 1 || len(h.shape) < 2 {
		order := "C"
		if h.fortran {
			order = "Fortran"
		}
		return nil, unsupportedf("is an array of %v, shape %v, %s order; wanted uint8 [N, ...] in C order", dt, h.shape, order)
	}
	row, ok := int64(1), true
	for _, d := range h.shape[1:] {
		if row, ok = mul(row, int64(d)); !ok {
			return nil, badf("has a shape %v beyond any memory; the file is damaged", h.shape)
		}
	}
	all, ok := mul(row, int64(h.shape[0]))
	if !ok || all != info.Size()-used {
		return nil, badf("has %d bytes for shape %v of %v; cut short or damaged", info.Size()-used, h.shape, dt)
	}
	return &NPYRows{f: f, shape: slices.Clone(h.shape[1:]), n: h.shape[0], start: used, bytes: row}, nil
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
