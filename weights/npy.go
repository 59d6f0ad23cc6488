package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A .npy file is "\x93NUMPY", a version (1.0, 2.0 or 3.0), the length of the header (2 bytes in
// version 1.0, else 4), the header, and the elements. The header is a Python dict literal with the
// keys descr (byte order and type), fortran_order and shape. (numpy.lib.format.)

const (
	npyMagic = "\x93NUMPY"
	// maxNPYHeader bounds a header; numpy itself refuses to parse more than 10,000 bytes.
	maxNPYHeader = 64 << 10
	// npyAlign is what numpy pads the part before the elements to.
	npyAlign = 64
)

// npyTypes are the types by numpy's name without the byte order.
var npyTypes = map[string]DType{
	"f2": Float16, "f4": Float32, "f8": Float64,
	"i1": Int8, "i2": Int16, "i4": Int32, "i8": Int64, "u1": Uint8, "b1": Bool,
}

// npyHeader is what a header says.
type npyHeader struct {
	descr   string
	fortran bool
	shape   []int

	// What follows from it and from the file.
	dtype DType
	swap  bool  // the bytes of elements are in the other order
	start int64 // of the elements, in the file
	bytes int64 // of all elements
}

// ReadNPY reads the numpy array at path.
func ReadNPY(path string) (*Tensor, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	size := int64(-1) // a pipe has no size
	if info.Mode().IsRegular() {
		size = info.Size()
	} else if info.IsDir() {
		return nil, &FormatError{File: path, Text: "is a directory; wanted a numpy .npy array"}
	}
	return DecodeNPY(f, size, path)
}

// DecodeNPY reads one numpy array from r, format 1.0, 2.0 or 3.0, either byte order, C or Fortran
// order; the types f2, f4, f8, i1, i2, i4, i8, u1 and b1. The result is in C order. size is the
// number of bytes in r, or negative where that is not known (a pipe): then memory is taken only
// as bytes arrive. name stands for the file in errors, which are *FormatError or *UnsupportedError.
func DecodeNPY(r io.Reader, size int64, name string) (*Tensor, error) {
	t, err := decodeNPY(r, size)
	if err != nil {
		return nil, inFile(err, name)
	}
	return t, nil
}

func decodeNPY(r io.Reader, size int64) (*Tensor, error) {
	h, err := checkNPYHeader(r, size)
	if err != nil {
		return nil, err
	}
	data, err := readExactly(r, h.bytes, size >= 0)
	if err != nil {
		return nil, err
	}
	if h.swap {
		swapBytes(data, h.dtype.Size())
	}
	if h.fortran {
		data = fromFortran(data, h.shape, int64(h.dtype.Size()))
	}
	return &Tensor{DType: h.dtype, Shape: h.shape, Data: data}, nil
}

// checkNPYHeader reads what comes before the elements and checks it against the file's size, negative for unknown.
func checkNPYHeader(r io.Reader, size int64) (h npyHeader, err error) {
	header, used, err := readNPYHeader(r)
	if err != nil {
		return h, err
	}
	if h, err = parseNPYHeader(header); err != nil {
		return h, &FormatError{Text: "header " + quote(string(header)) + " is damaged", Err: err}
	}
	if h.dtype, h.swap, err = npyType(h.descr); err != nil {
		return h, err
	}
	h.start, h.bytes = used, int64(h.dtype.Size())
	for _, d := range h.shape {
		var ok bool
		if h.bytes, ok = mul(h.bytes, int64(d)); !ok {
			return h, badf("has a shape %v beyond any memory; the file is damaged", h.shape)
		}
	}
	if size >= 0 && h.bytes != size-used {
		return h, badf("has %d bytes for shape %v of %v, which take %d; cut short or damaged", size-used, h.shape, h.dtype, h.bytes)
	}
	return h, nil
}

// readNPYHeader returns the header's text and the number of bytes before the elements.
func readNPYHeader(r io.Reader) ([]byte, int64, error) {
	var head [8]byte
	if n, err := io.ReadFull(r, head[:]); err != nil {
		if n == 0 && err == io.EOF {
			return nil, 0, badf("is empty; wanted a numpy .npy array")
		}
		return nil, 0, &FormatError{Text: "is too short for a numpy .npy array", Err: err}
	}
	if string(head[:6]) != npyMagic {
		return nil, 0, badf("begins with the bytes % x; wanted a numpy .npy array, which begins with % x; write it with numpy.save", head[:6], npyMagic)
	}
	major, minor := head[6], head[7]
	width := 4
	switch {
	case minor != 0 || major < 1 || major > 3:
		return nil, 0, unsupportedf("is of .npy version %d.%d; wanted 1.0, 2.0 or 3.0", major, minor)
	case major == 1:
		width = 2
	}
	var length [4]byte
	if _, err := io.ReadFull(r, length[:width]); err != nil {
		return nil, 0, &FormatError{Text: "ends within its header", Err: err}
	}
	n := binary.LittleEndian.Uint32(length[:])
	if n > maxNPYHeader {
		return nil, 0, badf("claims a header of %d bytes; wanted at most %d", n, maxNPYHeader)
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, 0, &FormatError{Text: "ends within its header", Err: err}
	}
	return header, int64(8 + width + len(header)), nil
}

// readExactly reads n bytes and wants nothing after them. Unless n is known to be there, the
// buffer grows with what arrives.
func readExactly(r io.Reader, n int64, known bool) ([]byte, error) {
	var data []byte
	var err error
	if known {
		data = make([]byte, n)
		_, err = io.ReadFull(r, data)
	} else {
		var buf bytes.Buffer
		_, err = io.CopyN(&buf, r, n)
		data = buf.Bytes()
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, badf("ends before its %d bytes of data; cut short or damaged", n)
	}
	if err != nil {
		return nil, err
	}
	var extra [1]byte
	if m, _ := io.ReadFull(r, extra[:]); m != 0 {
		return nil, badf("goes on after its %d bytes of data; damaged, or several arrays in one file", n)
	}
	return data, nil
}

// npyType finds the element type and whether its bytes must be swapped.
func npyType(descr string) (dt DType, swap bool, err error) {
	if len(descr) > 1 {
		dt = npyTypes[descr[1:]]
		switch descr[0] {
		case '<', '|', '=': // "=" is the writer's own order, in practice little-endian
		case '>':
			swap = true
		default:
			dt = 0
		}
		// "|" says that order does not matter, which is so for single bytes only.
		if descr[0] == '|' && dt.Size() > 1 {
			dt = 0
		}
	}
	if dt == 0 {
		return 0, false, unsupportedf("has element type %s; wanted one of f2, f4, f8, i1, i2, i4, i8, u1, b1; convert it with array.astype", quote(descr))
	}
	return dt, swap && dt.Size() > 1, nil
}

// fromFortran reorders elements whose first index varies fastest.
func fromFortran(data []byte, shape []int, elem int64) []byte {
	size, stride := make([]int64, len(shape)), make([]int64, len(shape))
	step := int64(1)
	for i, d := range shape {
		size[i], stride[i] = int64(d), step
		step *= int64(d)
	}
	if len(data) == 0 || len(shape) < 2 {
		return data
	}
	return gather(make([]byte, 0, len(data)), data, size, stride, elem)
}

// WriteNPY writes t to path as a numpy array, format 1.0, little-endian, C order, elements
// aligned to 64 bytes. bfloat16, which numpy lacks, is refused. The file appears whole or not at all.
func WriteNPY(path string, t *Tensor) error {
	header, err := npyHead(t)
	if err != nil {
		return inFile(err, path)
	}
	return writeFile(path, func(w io.Writer) error {
		if _, err := w.Write(header); err != nil {
			return err
		}
		_, err := w.Write(t.Data)
		return err
	})
}

// EncodeNPY writes what WriteNPY writes, to w.
func EncodeNPY(w io.Writer, t *Tensor) error {
	header, err := npyHead(t)
	if err != nil {
		return err
	}
	if _, err = w.Write(header); err == nil {
		_, err = w.Write(t.Data)
	}
	return err
}

// npyHead returns everything before the elements.
func npyHead(t *Tensor) ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	descr := ""
	for name, dt := range npyTypes {
		if dt == t.DType {
			descr = "<" + name
		}
	}
	if descr == "" {
		return nil, unsupportedf("numpy has no type %v; convert to float32 first", t.DType)
	}
	if t.DType.Size() == 1 {
		descr = "|" + descr[1:]
	}
	var shape strings.Builder
	for i, d := range t.Shape {
		if i > 0 {
			shape.WriteByte(' ')
		}
		shape.WriteString(strconv.Itoa(d))
		if i < len(t.Shape)-1 || len(t.Shape) == 1 {
			shape.WriteByte(',')
		}
	}
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape.String())
	before := len(npyMagic) + 4
	pad := (npyAlign - (before+len(text)+1)%npyAlign) % npyAlign
	text += strings.Repeat(" ", pad) + "\n"
	if len(text) > 0xffff {
		return nil, badf("a shape of %d dimensions does not fit a .npy header", len(t.Shape))
	}
	out := append([]byte(npyMagic), 1, 0, byte(len(text)), byte(len(text)>>8))
	return append(out, text...), nil
}

// npyParser reads the one form of Python literal that a header may be: a dict of strings to a
// string, a bool and a tuple of integers.
type npyParser struct{ s string }

// parseNPYHeader reads {'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }.
func parseNPYHeader(header []byte) (h npyHeader, err error) {
	if !utf8.Valid(header) {
		return h, errors.New("not UTF-8")
	}
	p := &npyParser{string(header)}
	if !p.accept("{") {
		return h, errors.New("no { at its start")
	}
	seen := map[string]bool{}
	for !p.accept("}") {
		key, err := p.str()
		if err != nil {
			return h, err
		}
		if seen[key] {
			return h, fmt.Errorf("key %s is there twice", quote(key))
		}
		seen[key] = true
		if !p.accept(":") {
			return h, fmt.Errorf("no : after key %s", quote(key))
		}
		switch key {
		case "descr":
			if p.peek("[") || p.peek("(") {
				return h, errors.New("a record type; wanted one of f2, f4, f8, i1, i2, i4, i8, u1, b1")
			}
			h.descr, err = p.str()
		case "fortran_order":
			switch {
			case p.accept("True"):
				h.fortran = true
			case !p.accept("False"):
				err = errors.New("fortran_order is neither True nor False")
			}
		case "shape":
			h.shape, err = p.tuple()
		default:
			err = fmt.Errorf("unknown key %s", quote(key))
		}
		if err != nil {
			return h, err
		}
		if !p.accept(",") && !p.peek("}") {
			return h, errors.New("no comma or } after a value")
		}
	}
	if p.skip(); p.s != "" {
		return h, errors.New("something after the closing }")
	}
	if len(seen) != 3 {
		return h, errors.New("descr, fortran_order or shape is missing")
	}
	return h, nil
}

func (p *npyParser) skip() { p.s = strings.TrimLeft(p.s, " \t\r\n") }

func (p *npyParser) peek(token string) bool {
	p.skip()
	return strings.HasPrefix(p.s, token)
}

func (p *npyParser) accept(token string) bool {
	if !p.peek(token) {
		return false
	}
	p.s = p.s[len(token):]
	return true
}

// str reads a string in either kind of quotes; the strings of a header need no escapes.
func (p *npyParser) str() (string, error) {
	p.skip()
	if p.s == "" || p.s[0] != '\'' && p.s[0] != '"' {
		return "", errors.New("no string where one was due")
	}
	end := strings.IndexByte(p.s[1:], p.s[0])
	if end < 0 {
		return "", errors.New("a string without end")
	}
	s := p.s[1 : 1+end]
	if strings.ContainsAny(s, "\\\n") {
		return "", errors.New("a string with an escape or line end")
	}
	p.s = p.s[end+2:]
	return s, nil
}

// tuple reads (), (n,), (n, m) and so on; Python 2 wrote 3L for 3.
func (p *npyParser) tuple() ([]int, error) {
	if !p.accept("(") {
		return nil, errors.New("shape is not a tuple")
	}
	out := []int{}
	for !p.accept(")") {
		p.skip()
		n := 0
		for n < len(p.s) && p.s[n] >= '0' && p.s[n] <= '9' {
			n++
		}
		d, err := strconv.ParseUint(p.s[:n], 10, 63)
		if err != nil {
			return nil, errors.New("shape holds something other than non-negative integers")
		}
		if len(out) == maxDims {
			return nil, fmt.Errorf("shape of more than %d dimensions", maxDims)
		}
		out = append(out, int(d))
		p.s = strings.TrimPrefix(p.s[n:], "L")
		if !p.accept(",") {
			if !p.peek(")") {
				return nil, errors.New("shape is not a tuple")
			}
			if len(out) == 1 {
				return nil, errors.New("shape is a number in parentheses, not a tuple")
			}
		}
	}
	return out, nil
}
