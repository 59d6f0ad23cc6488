package weights

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
)

// A pickler writes the opcodes of a pickle; the caller is responsible for their sense.
type pickler struct{ bytes.Buffer }

func (p *pickler) op(ops ...byte) *pickler {
	p.Write(ops)
	return p
}

func (p *pickler) proto(n byte) *pickler { return p.op(opProto, n) }

func (p *pickler) global(module, name string) *pickler {
	p.WriteString("c" + module + "\n" + name + "\n")
	return p
}

func (p *pickler) str(s string) *pickler {
	p.op(opBinUnicode)
	p.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))
	p.WriteString(s)
	return p
}

func (p *pickler) int(n int64) *pickler {
	p.op(opLong1, 8)
	p.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	return p
}

func (p *pickler) tuple(ns ...int64) *pickler {
	p.op(opMark)
	for _, n := range ns {
		p.int(n)
	}
	return p.op(opTuple)
}

// orderedDict starts collections.OrderedDict(); end it with op(opSetItems) after op(opMark) and items.
func (p *pickler) orderedDict() *pickler {
	return p.global("collections", "OrderedDict").op(opEmptyTuple, opReduce)
}

// A storageSpec is a persistent id.
type storageSpec struct {
	class string // FloatStorage
	key   string
	numel int64
	view  []int64 // legacy: offset, length
}

func (p *pickler) storage(s storageSpec, legacy bool) *pickler {
	p.op(opMark).str("storage").global("torch", s.class).str(s.key).str("cpu").int(s.numel)
	if legacy && s.view != nil {
		p.op(opMark).str("view").int(s.view[0]).int(s.view[1]).op(opTuple)
	} else if legacy {
		p.op(opNone)
	}
	return p.op(opTuple, opBinPersID)
}

// A tensorSpec is a call of _rebuild_tensor_v2.
type tensorSpec struct {
	name         string
	st           storageSpec
	offset       int64
	size, stride []int64
}

func (p *pickler) tensor(x tensorSpec, legacy bool) *pickler {
	p.global("torch._utils", "_rebuild_tensor_v2").op(opMark)
	p.storage(x.st, legacy).int(x.offset).tuple(x.size...).tuple(x.stride...)
	return p.op(opNewFalse).orderedDict().op(opTuple, opReduce)
}

// statePickle is the pickle of an OrderedDict of tensors.
func statePickle(legacy bool, tensors ...tensorSpec) []byte {
	p := new(pickler).proto(2).orderedDict().op(opMark)
	for _, x := range tensors {
		p.str(x.name).tensor(x, legacy)
	}
	return p.op(opSetItems, opStop).Bytes()
}

// A record is one entry of a zip.
type record struct {
	name string
	data []byte
}

func zipFile(t testing.TB, method uint16, records ...record) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, r := range records {
		data := r.data
		h := &zip.FileHeader{Name: r.name, Method: method, CRC32: crc32.ChecksumIEEE(data), UncompressedSize64: uint64(len(data))}
		if method == zip.Deflate {
			var c bytes.Buffer
			fw, _ := flate.NewWriter(&c, 9)
			fw.Write(data)
			fw.Close()
			data = c.Bytes()
		}
		h.CompressedSize64 = uint64(len(data))
		f, err := w.CreateRaw(h)
		if err == nil {
			_, err = f.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// legacyBytes is a legacy file; storages are key, number of elements, data.
func legacyBytes(graph []byte, storages ...struct {
	key   string
	numel int64
	data  []byte
}) []byte {
	var b bytes.Buffer
	b.Write([]byte{opProto, 2})
	b.Write(legacyMagic)
	b.Write(new(pickler).proto(2).op(opBinInt2, 0xe9, 0x03, opStop).Bytes())
	b.Write(new(pickler).proto(2).op(opEmptyDict, opMark).str("little_endian").op(opNewTrue, opSetItems, opStop).Bytes())
	b.Write(graph)
	p := new(pickler).proto(2).op(opEmptyList, opMark)
	for _, s := range storages {
		p.str(s.key)
	}
	b.Write(p.op(opAppends, opStop).Bytes())
	for _, s := range storages {
		b.Write(binary.LittleEndian.AppendUint64(nil, uint64(s.numel)))
		b.Write(s.data)
	}
	return b.Bytes()
}

// floats is raw float32 data.
func floats(v ...float32) []byte {
	var b []byte
	for _, f := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return b
}

func iota32(n int) []byte {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i)
	}
	return floats(v...)
}

// read is Read on a byte slice.
func read(b []byte) (*StateDict, error) { return Read(bytes.NewReader(b), int64(len(b)), "test.pth") }

// allocated returns the bytes that f allocates, live or not.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// allocBound is what reading a file of that size may allocate at most, freed memory included.
func allocBound(size int64) int64 { return 16<<20 + 24*size }

// wantError checks type, file and text of an error of this package. kind is "format" or "unsupported".
func wantError(t *testing.T, err error, kind string, parts ...string) {
	t.Helper()
	var f *FormatError
	var u *UnsupportedError
	file := ""
	switch {
	case err == nil:
		t.Fatalf("no error, want %s error with %q", kind, parts)
	case errors.As(err, &f):
		file = f.File
	case errors.As(err, &u):
		file = u.File
	}
	if got := map[bool]string{f != nil: "format", u != nil: "unsupported"}[true]; got != kind {
		t.Errorf("%T, want %s: %v", err, kind, err)
	}
	if file == "" {
		t.Errorf("no file in %v", err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q does not say %q", err, p)
		}
	}
}

// slowReader hides everything but Read.
type slowReader struct{ r io.Reader }

func (s slowReader) Read(b []byte) (int, error) { return s.r.Read(b[:min(len(b), 3)]) }
