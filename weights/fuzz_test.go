package weights

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// fixtures returns small files of testdata and of the oracle as further seeds; the latter where it is there.
func fixtures(patterns ...string) map[string][]byte {
	dir := os.Getenv("VKINFER_FIXTURES")
	if dir == "" {
		_, file, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(file), "..", "..", "shared", "fixtures")
	}
	out := map[string][]byte{}
	for _, p := range patterns {
		if !strings.HasPrefix(p, "testdata/") {
			p = filepath.Join(dir, p)
		}
		names, _ := filepath.Glob(p)
		for _, n := range names {
			if info, err := os.Stat(n); err == nil && info.Size() < 130<<10 {
				out[n], _ = os.ReadFile(n)
			}
		}
	}
	return out
}

// checkRead reads b and checks what must hold whatever b is: no panic, bounded memory, errors of
// this package's own types that name the file, tensors that agree with themselves.
func checkRead(t *testing.T, b []byte) (*StateDict, error) {
	var sd *StateDict
	var err error
	if got := allocated(func() { sd, err = read(b) }); got > allocBound(int64(len(b))) {
		t.Fatalf("%d bytes allocated for a file of %d: %v", got, len(b), err)
	}
	checkError(t, err)
	if err != nil {
		return nil, err
	}
	if sd.Len() == 0 {
		t.Fatal("an empty state dict without an error")
	}
	for _, n := range sd.Names() {
		x := sd.Get(n)
		if err := x.check(); err != nil {
			t.Fatalf("%q: %v", n, err)
		}
		if len(x.Data) < 1<<16 && len(x.Float32s()) != x.NumElements() {
			t.Fatalf("%q: %d elements", n, x.NumElements())
		}
	}
	return sd, nil
}

func checkError(t *testing.T, err error) {
	var f *FormatError
	var u *UnsupportedError
	switch {
	case err == nil:
	case errors.As(err, &f) && f.File != "", errors.As(err, &u) && u.File != "":
		if len(err.Error()) > 3*maxErrorText {
			t.Fatalf("an error of %d bytes", len(err.Error()))
		}
	default:
		t.Fatalf("an error without type or file: %T %v", err, err)
	}
}

// FuzzPTH reads its input as a file and, as few mutations of a zip survive its checks, also as the
// object graph of a sound zip and of a sound legacy file.
func FuzzPTH(f *testing.F) {
	for _, b := range seedFiles(f) {
		f.Add(b)
	}
	add := func(b []byte) {
		f.Add(b)
		zr, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, e := range zr.File {
			if filepath.Base(e.Name) != "data.pkl" || e.UncompressedSize64 > 130<<10 {
				continue
			}
			if rc, err := e.Open(); err == nil {
				graph, _ := io.ReadAll(rc)
				f.Add(graph)
				rc.Close()
			}
		}
	}
	for _, b := range fixtures("tiny/good/*.pth", "hostile/*.pth", "testdata/*.pth") {
		add(b)
	}
	f.Add(statePickle(false, w0("a"), w0("b")))
	f.Add(statePickle(true, w0("a"), w0("b")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := checkRead(t, b); err == nil {
			return
		}
		checkRead(t, pth(t, b))
		checkRead(t, legacyBytes(b, storageData{"0", 8, iota32(8)}))
	})
}

// FuzzSafetensors reads its input as a file and as the header of a file with 64 bytes of data;
// what is accepted must survive being written and read again.
func FuzzSafetensors(f *testing.F) {
	f.Add(seedFiles(f)["safetensors"])
	for _, b := range fixtures("tiny/good/*.safetensors", "hostile/*.safetensors") {
		f.Add(b)
		if n := binary.LittleEndian.Uint64(b); n < uint64(len(b)-8) {
			f.Add(b[8 : 8+n])
		}
	}
	f.Add([]byte(`{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]},"b":{"dtype":"BF16","shape":[16],"data_offsets":[32,64]}}`))
	f.Add([]byte(`{"a":{"dtype":"U8","shape":[0,9],"data_offsets":[0,0]},"b":{"dtype":"BOOL","shape":[64],"data_offsets":[0,64]}}  `))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, file := range [][]byte{b, safetensorsFile(string(b), 64)} {
			if !isSafetensors(file) {
				continue
			}
			sd, err := checkRead(t, file)
			if err != nil {
				continue
			}
			header, order, err := safetensorsHeader(sd, sd.Metadata)
			if err != nil {
				t.Fatalf("read but not writable: %v", err)
			}
			for _, n := range order {
				header = append(header, sd.Get(n).Data...)
			}
			back, err := read(header)
			if err != nil {
				t.Fatalf("written but not readable: %v", err)
			}
			for _, n := range sd.Names() {
				// Stripping a prefix may bare another one; all other names survive.
				if x := back.Get(n); cleanName(n) == n && (x == nil || x.DType != sd.Get(n).DType || !bytes.Equal(x.Data, sd.Get(n).Data)) {
					t.Fatalf("%q changed", n)
				}
			}
		}
	})
}

// FuzzNPY reads its input with and without knowing its size; what is accepted must survive being
// written and read again.
func FuzzNPY(f *testing.F) {
	for _, h := range []string{
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\n", "{'descr': '>f2', 'fortran_order': True, 'shape': (2, 2)}",
		"{'descr': '|b1', 'fortran_order': False, 'shape': (2, 2, 2), }", "{'descr': '<i8', 'fortran_order': False, 'shape': (), }",
	} {
		for v := range byte(3) {
			f.Add(npyFile(v+1, h, make([]byte, 8)))
		}
	}
	for _, b := range fixtures("trained/*.npy") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var first *Tensor
		for _, size := range []int64{int64(len(b)), -1} {
			var x *Tensor
			var err error
			got := allocated(func() { x, err = DecodeNPY(bytes.NewReader(b), size, "test.npy") })
			if got > allocBound(int64(len(b))) {
				t.Fatalf("%d bytes allocated for a file of %d", got, len(b))
			}
			checkError(t, err)
			if (err == nil) != (first != nil) && size < 0 {
				t.Fatalf("with its size known %v, unknown %v", first, err)
			}
			if err != nil {
				continue
			}
			if err := x.check(); err != nil {
				t.Fatal(err)
			}
			var buf bytes.Buffer
			if err := EncodeNPY(&buf, x); err != nil {
				t.Fatal(err)
			}
			back, err := decode(buf.Bytes())
			if err != nil || back.DType != x.DType || !bytes.Equal(back.Data, x.Data) {
				t.Fatalf("written and read again: %v %v", back, err)
			}
			first = x
		}
	})
}
