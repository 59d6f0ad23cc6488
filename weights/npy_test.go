package weights

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/tests/oracle"
)

// npyFile is a .npy of that version and header.
func npyFile(major byte, header string, data []byte) []byte {
	b := append([]byte(npyMagic), major, 0)
	if major == 1 {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	} else {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
	}
	return append(append(b, header...), data...)
}

func decode(b []byte) (*Tensor, error) {
	return DecodeNPY(bytes.NewReader(b), int64(len(b)), "test.npy")
}

func TestWriteNPYBytes(t *testing.T) {
	// What numpy.save writes for numpy.array([[1, 2, 3]], dtype="<f4").
	want := "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }" + strings.Repeat(" ", 58) + "\n" + string(floats(1, 2, 3))
	var buf bytes.Buffer
	if err := EncodeNPY(&buf, FromFloat32s([]int{1, 3}, []float32{1, 2, 3})); err != nil || buf.String() != want {
		t.Errorf("%v\n%q, want\n%q", err, buf.String(), want)
	}
}

func TestNPYRoundTrip(t *testing.T) {
	dir := t.TempDir()
	for d := Float32; d <= Bool; d++ {
		for _, shape := range [][]int{{}, {0}, {5}, {2, 3}, {1, 0, 7}, {2, 1, 3, 2}} {
			x := &Tensor{DType: d, Shape: shape}
			x.Data = make([]byte, x.NumElements()*d.Size())
			for i := range x.Data {
				x.Data[i] = byte(i*37 + int(d))
			}
			path := filepath.Join(dir, "x.npy")
			err := WriteNPY(path, x)
			if d == BFloat16 {
				if err == nil || !strings.Contains(err.Error(), "numpy has no type bfloat16") {
					t.Fatalf("bfloat16: %v", err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := os.ReadFile(path)
			if (len(raw)-len(x.Data))%npyAlign != 0 {
				t.Errorf("%v %v: elements begin at %d", d, shape, len(raw)-len(x.Data))
			}
			back, err := ReadNPY(path)
			if err != nil {
				t.Fatal(err)
			}
			if back.DType != d || !slices.Equal(back.Shape, shape) || !bytes.Equal(back.Data, x.Data) {
				t.Errorf("%v %v: %+v", d, shape, back)
			}
			if back, err = DecodeNPY(slowReader{bytes.NewReader(raw)}, -1, "-"); err != nil || !bytes.Equal(back.Data, x.Data) {
				t.Errorf("from a pipe: %v", err)
			}
		}
	}
}

func TestNPYVersionsOrdersAndEndianness(t *testing.T) {
	var be []byte
	for _, f := range []float32{0, 1, 2, 3, 4, 5} {
		be = binary.BigEndian.AppendUint32(be, math.Float32bits(f))
	}
	for _, c := range []struct {
		major  byte
		header string
		data   []byte
		want   []float32
	}{
		{1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", iota32(6), []float32{0, 1, 2, 3, 4, 5}},
		{2, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", iota32(6), []float32{0, 1, 2, 3, 4, 5}},
		{3, "{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3)}", be, []float32{0, 1, 2, 3, 4, 5}},
		{1, "{'descr': '=f4', 'fortran_order': True, 'shape': (2, 3), }  \n", iota32(6), []float32{0, 2, 4, 1, 3, 5}},
		{1, `{"shape":(2,3,),"fortran_order":True,"descr":">f4"}`, be, []float32{0, 2, 4, 1, 3, 5}},
		{1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }\n", iota32(6), []float32{0, 1, 2, 3, 4, 5}},
		{1, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n", []byte{0, 1, 2, 3, 4, 255}, []float32{0, 2, 4, 1, 3, 255}},
		{1, "{'descr': '>i2', 'fortran_order': False, 'shape': (2, 3), }\n", []byte{0, 0, 0, 1, 1, 0, 255, 255, 0, 4, 0, 5}, []float32{0, 1, 256, -1, 4, 5}},
		{1, "{'descr': '>f2', 'fortran_order': False, 'shape': (2, 3), }\n", []byte{0x3c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, []float32{1, 0, 0, 0, 0, 0x1p-24}},
	} {
		x, err := decode(npyFile(c.major, c.header, c.data))
		if err != nil {
			t.Errorf("%s: %v", c.header, err)
			continue
		}
		if !slices.Equal(x.Shape, []int{2, 3}) || !slices.Equal(x.Float32s(), c.want) {
			t.Errorf("%s: %v %v", c.header, x.Shape, x.Float32s())
		}
	}
}

func TestHostileNPY(t *testing.T) {
	ok := "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n"
	with := func(old, new string) []byte {
		if !strings.Contains(ok, old) {
			t.Fatalf("nothing to replace: %s", old)
		}
		return npyFile(1, strings.Replace(ok, old, new, 1), make([]byte, 8))
	}
	good := npyFile(1, ok, make([]byte, 8))
	for name, c := range map[string]struct {
		file       []byte
		kind, want string
	}{
		"empty":          {nil, "format", "is empty"},
		"short":          {good[:7], "format", "too short"},
		"cut length":     {good[:9], "format", "ends within its header"},
		"cut header":     {good[:40], "format", "ends within its header"},
		"cut data":       {good[:len(good)-1], "format", "has 7 bytes for shape [2]"},
		"more data":      {append(bytes.Clone(good), 0), "format", "has 9 bytes for shape [2]"},
		"other file":     {[]byte("PK\x03\x04 something"), "format", "wanted a numpy .npy array"},
		"version 4":      {npyFile(4, ok, nil), "unsupported", "version 4.0"},
		"version 0":      {npyFile(0, ok, nil), "unsupported", "version 0.0"},
		"long header":    {append([]byte(npyMagic), 2, 0, 0xff, 0xff, 0xff, 0xff), "format", "claims a header of 4294967295 bytes"},
		"huge":           {with("(2,)", "(1000000000000,)"), "format", "which take 4000000000000"},
		"overflow":       {with("(2,)", "(4611686018427387904, 8)"), "format", "beyond any memory"},
		"negative":       {with("(2,)", "(-2,)"), "format", "non-negative integers"},
		"too large":      {with("(2,)", "(9223372036854775808,)"), "format", "non-negative integers"},
		"expression":     {with("(2,)", "(1+1,)"), "format", "not a tuple"},
		"call":           {with("(2,)", "__import__('os')"), "format", "shape is not a tuple"},
		"no comma":       {with("(2,)", "(2)"), "format", "not a tuple"},
		"open tuple":     {with("(2,), }", "(2,"), "format", "non-negative integers"},
		"list":           {with("(2,)", "[2]"), "format", "not a tuple"},
		"many dims":      {with("(2,)", "("+strings.Repeat("1,", 65)+")"), "format", "more than 64 dimensions"},
		"not a bool":     {with("False", "0"), "format", "neither True nor False"},
		"object":         {with("<f4", "|O"), "unsupported", `element type "|O"`},
		"string":         {with("<f4", "<U7"), "unsupported", "element type"},
		"complex":        {with("<f4", "<c8"), "unsupported", "element type"},
		"no order":       {with("<f4", "f4"), "unsupported", "element type"},
		"wrong order":    {with("<f4", "|f4"), "unsupported", "element type"},
		"record":         {with("'<f4'", "[('a', '<f4')]"), "format", "a record type"},
		"key twice":      {with("'descr': '<f4'", "'descr': '<f4', 'descr': '<f4'"), "format", "is there twice"},
		"key missing":    {with("'descr': '<f4', ", ""), "format", "is missing"},
		"other key":      {with("'descr'", "'x'"), "format", "unknown key"},
		"no colon":       {with(":", ";"), "format", "no : after key"},
		"no comma after": {with(", 'f", " 'f"), "format", "no comma"},
		"escape":         {with("'descr'", `'des\x63r'`), "format", "escape"},
		"open string":    {with("'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "{'descr"), "format", "damaged"},
		"after it":       {with("}", "} x"), "format", "after the closing"},
		"no brace":       {with("{", ""), "format", "no {"},
		"not UTF-8":      {with("descr", "d\xffscr"), "format", "not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int64{int64(len(c.file)), -1} {
				var err error
				if got := allocated(func() { _, err = DecodeNPY(bytes.NewReader(c.file), size, "test.npy") }); got > 1<<20 {
					t.Errorf("%d bytes allocated", got)
				}
				if size < 0 && (name == "cut data" || name == "more data" || name == "huge") {
					c.want = "its " // sizes are not known beforehand
				}
				wantError(t, err, c.kind, c.want, "test.npy")
			}
		})
	}
	if _, err := DecodeNPY(io.MultiReader(bytes.NewReader(good[:30]), brokenReader{}), -1, "x"); err == nil {
		t.Error("a read error is swallowed")
	}
	if _, err := ReadNPY(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("directory: %v", err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// A file that numpy itself wrote: logits, whose softmax stands in the table beside it.
func TestNPYFromNumpy(t *testing.T) {
	x, err := ReadNPY(filepath.Join(oracle.Dir(t), "trained/ref_b3_pruned_derived.npy"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(x.Shape, []int{200, 15}) || x.DType != Float32 {
		t.Fatalf("%v %v", x.Shape, x.DType)
	}
	lines := strings.Split(strings.TrimSpace(string(oracle.Bytes(t, "trained/ref_b3_pruned_derived.tsv"))), "\n")[1:]
	logits := x.Float64s()
	for i, line := range lines {
		cols := strings.Split(line, "\t")
		best, _ := strconv.Atoi(cols[3])
		want, _ := strconv.ParseFloat(cols[5], 64)
		row, sum := logits[15*i:15*i+15], 0.0
		for _, v := range row {
			sum += math.Exp(v - row[best])
		}
		if row[best] != slices.Max(row) || math.Abs(1/sum-want) > 1e-4 {
			t.Errorf("row %d: class %d with %.4f, want %.4f", i, best, 1/sum, want)
		}
	}
	if len(lines) != 200 {
		t.Errorf("%d rows", len(lines))
	}
}
