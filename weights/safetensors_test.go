package weights

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/tests/oracle"
)

func TestGoodSafetensors(t *testing.T) {
	dir := oracle.Dir(t)
	var index struct {
		StateDict map[string]oracleTensor `json:"state_dict"`
		Good      map[string]struct{ Tensors map[string]oracleTensor }
	}
	oracle.JSON(t, "tiny/index.json", &index)
	// Each holds what the .pth of the same type holds.
	for name, want := range map[string]map[string]oracleTensor{
		"f32": index.StateDict, "f16": index.Good["half_zip.pth"].Tensors, "bf16": index.Good["bf16_zip.pth"].Tensors,
	} {
		sd, err := Open(filepath.Join(dir, "tiny/good", name+".safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		if sd.Format != "safetensors" {
			t.Errorf("format %q", sd.Format)
		}
		t.Run(name, func(t *testing.T) { compare(t, sd, want) })
	}
}

func allTypes() *StateDict {
	sd := NewStateDict()
	for d := Bool; d >= Float32; d-- {
		x := &Tensor{DType: d, Shape: []int{3, 1}, Data: make([]byte, 3*d.Size())}
		for i := range x.Data {
			x.Data[i] = byte(17*int(d) + i)
		}
		sd.Set("z."+d.String(), x)
	}
	sd.Set("scalar", FromFloat32s(nil, []float32{1.5}))
	sd.Set("empty", FromFloat32s([]int{0, 4}, nil))
	sd.Set("unicode \u00e9\u4e2d\"\\\n<&>", FromUint8s([]int{1}, []byte{9}))
	return sd
}

func TestWriteSafetensors(t *testing.T) {
	dir := t.TempDir()
	sd := allTypes()
	metadata := map[string]string{"format": "pt", "note": "a \"b\" \u00e9", "": ""}
	var first []byte
	for i := range 3 {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := WriteSafetensors(path, sd, metadata); err != nil {
			t.Fatal(err)
		}
		b, _ := os.ReadFile(path)
		if first == nil {
			first = b
		}
		if !bytes.Equal(first, b) {
			t.Error("written twice, different bytes")
		}
		back, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(back.Metadata, metadata) {
			t.Errorf("metadata %q", back.Metadata)
		}
		names := slices.Clone(back.Names())
		if slices.Sort(names); !slices.Equal(names, slices.Sorted(slices.Values(sd.Names()))) {
			t.Errorf("names %q", names)
		}
		for _, n := range sd.Names() {
			a, b := sd.Get(n), back.Get(n)
			if a.DType != b.DType || !slices.Equal(a.Shape, b.Shape) || !bytes.Equal(a.Data, b.Data) {
				t.Errorf("%q: %v, was %v", n, b, a)
			}
		}
		// Another order of the same tensors gives the same bytes.
		shuffled := NewStateDict()
		for _, n := range slices.Backward(sd.Names()) {
			shuffled.Set(n, sd.Get(n))
		}
		sd = shuffled
	}
	n := binary.LittleEndian.Uint64(first)
	if n%8 != 0 || first[8] != '{' {
		t.Errorf("header of %d bytes beginning with %q", n, first[8])
	}
	entries, _, err := parseSafetensorsHeader(first[8 : 8+n])
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if size := int64(safetensorsTypes[e.dtype].Size()); e.begin%size != 0 {
			t.Errorf("%s of %s begins at %d, not aligned", e.name, e.dtype, e.begin)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 3 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWriteSafetensorsRefuses(t *testing.T) {
	for name, x := range map[string]*Tensor{
		"__metadata__": FromUint8s(nil, []byte{1}),
		"bad\xff":      FromUint8s(nil, []byte{1}),
		"short":        {DType: Float32, Shape: []int{2}, Data: make([]byte, 4)},
		"untyped":      {Shape: []int{0}},
	} {
		path := filepath.Join(t.TempDir(), "x.safetensors")
		sd := NewStateDict()
		sd.Set(name, x)
		err := WriteSafetensors(path, sd, nil)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", name, err)
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	if err := WriteSafetensors(filepath.Join(t.TempDir(), "none", "x"), allTypes(), nil); err == nil {
		t.Error("written into a directory that does not exist")
	}
}

// Writing replaces a file whole, through a symbolic link too, and leaves devices alone.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, make([]byte, 100_000), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", link); err != nil {
		t.Skip(err)
	}
	x := FromUint8s([]int{2}, []byte{1, 2})
	if err := WriteNPY(link, x); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is gone: %v %v", info, err)
	}
	if got, err := ReadNPY(target); err != nil || !bytes.Equal(got.Data, x.Data) {
		t.Errorf("%v %v", got, err)
	}
	if err := WriteNPY(os.DevNull, x); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s became a regular file: %v", os.DevNull, err)
	}
}

// safetensorsFile is a file of that header and n bytes of data.
func safetensorsFile(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

func TestHostileSafetensors(t *testing.T) {
	a := `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`
	for _, c := range []struct {
		header string
		data   int
		want   string
	}{
		{a + `,"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8, "overlap or leave a gap"},
		{a + `,"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 8, "overlap or leave a gap"},
		{a + `,"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8, "overlap or leave a gap"},
		{a + `,"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}`, 16, "overlap or leave a gap"},
		{a + `}`, 12, "of which tensors cover 8"},
		{a + `}`, 7, "lies at bytes 0 to 8 of 7"},
		{a + `,"a":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}}`, 8, `key "a" is there twice`},
		{`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 8, "8 bytes for shape [3] of F32, which take 12"},
		{`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}`, 0, "beyond any memory"},
		{`{"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,0]}}`, 0, "non-negative integer"},
		{`{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}`, 8, "non-negative integer"},
		{`{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}`, 8, "non-negative integer"},
		{`{"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}`, 8, "non-negative integer"},
		{`{"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}}`, 8, "non-negative integer"},
		{`{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}`, 8, "was due"},
		{`{"a":{"dtype":"F32","shape":[` + strings.Repeat("1,", 70) + `1],"data_offsets":[0,4]}}`, 4, "more than 64 numbers"},
		{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, 8, "lies at bytes 8 to 0"},
		{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}`, 8, "more than 2 numbers"},
		{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8]}}`, 8, "not a pair"},
		{`{"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}`, 8, `element type "F33"`},
		{`{"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}}`, 8, "where a string was due"},
		{`{"a":{"dtype":"F32","shape":[2]}}`, 8, "is missing"},
		{`{"a":{"dtype":"F32","data_offsets":[0,8]}}`, 8, "is missing"},
		{`{"a":{"shape":[2],"data_offsets":[0,8]}}`, 8, "is missing"},
		{`{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8, `key "dtype" is there twice`},
		{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}}`, 8, `unknown key "x"`},
		{`{"__metadata__":{"a":1}}`, 0, "where a string was due"},
		{`{"__metadata__":{"a":"1","a":"2"}}`, 0, "is there twice"},
		{`{"__metadata__":{"format":"pt"}}`, 0, "holds no tensors"},
		{`{}`, 0, "holds no tensors"},
		{a + `} x`, 8, "other than spaces"},
		{a, 8, "unexpected EOF"},
		{`{"a"`, 8, "unexpected EOF"},
		{`{"a":` + strings.Repeat("[", 100_000), 8, "was due"},
		{"{\"\xff\":1}", 8, "not UTF-8"},
	} {
		file := safetensorsFile(c.header, c.data)
		var err error
		if got := allocated(func() { _, err = read(file) }); got > allocBound(int64(len(file))) {
			t.Errorf("%.80s: %d bytes allocated", c.header, got)
		}
		wantError(t, err, "format", c.want)
		if t.Failed() {
			t.Fatalf("%.100s", c.header)
		}
	}
	_, err := read(safetensorsFile(`{"w":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}`, 2))
	wantError(t, err, "unsupported", `tensor "w"`, "F8_E4M3")
	// Header lengths beyond the file and beyond the format's limit.
	for n, want := range map[uint64]string{1 << 63: "safetensors allows", 100_000_001: "safetensors allows", 100_000_000: "in a file of 66", 59: "in a file of 66"} {
		file := safetensorsFile(a+"}"+"   ", 0)
		file = append(file, make([]byte, 66-len(file))...)
		binary.LittleEndian.PutUint64(file, n)
		_, err := read(file)
		wantError(t, err, "format", want)
	}
}

// Sound files that look odd: tensors out of order, empty ones in between, spaces after the header, prefixes.
func TestOddButSoundSafetensors(t *testing.T) {
	header := `{"module.b":{"dtype":"U8","shape":[2,1],"data_offsets":[1,3]},"e":{"dtype":"F32","shape":[0],"data_offsets":[1,1]},` +
		`"a":{"data_offsets":[0,1],"shape":[],"dtype":"BOOL"},"__metadata__":{"k":"v"}}     `
	sd, err := read(safetensorsFile(header, 3))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(sd.Names(), []string{"b", "e", "a"}) || sd.Metadata["k"] != "v" || len(sd.Get("b").Data) != 2 {
		t.Errorf("%q %v", sd.Names(), sd.Metadata)
	}
}
