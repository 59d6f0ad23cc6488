package weights

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/tests/oracle"
)

// storageData is the contents of one legacy storage.
type storageData = struct {
	key   string
	numel int64
	data  []byte
}

// seedFiles are small sound files of every form.
func seedFiles(t testing.TB) map[string][]byte {
	x := w0("conv.weight")
	x.size, x.stride = []int64{2, 4}, []int64{1, 2}
	longs := tensorSpec{"bn.num_batches_tracked", storageSpec{"LongStorage", "1", 2, nil}, 1, nil, nil}
	bytes16 := make([]byte, 16)
	var st bytes.Buffer
	sd := NewStateDict()
	sd.Set("conv.weight", FromFloat32s([]int{2, 2}, []float32{1, 2, 3, 4}))
	sd.Set("n", &Tensor{DType: Int64, Data: make([]byte, 8)})
	header, order, err := safetensorsHeader(sd, map[string]string{"format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	st.Write(header)
	for _, n := range order {
		st.Write(sd.Get(n).Data)
	}
	return map[string][]byte{
		"zip":         pth(t, statePickle(false, x, longs)),
		"deflated":    zipFile(t, zip.Deflate, record{"a/data.pkl", statePickle(false, x)}, record{"a/data/0", iota32(8)}, record{"a/byteorder", []byte("little")}),
		"legacy":      legacyBytes(statePickle(true, x, longs), storageData{"0", 8, iota32(8)}, storageData{"1", 2, bytes16}),
		"safetensors": st.Bytes(),
	}
}

func TestLegacyViews(t *testing.T) {
	view := w0("view")
	view.st.view, view.offset, view.size = []int64{2, 4}, 1, []int64{3}
	f, err := read(legacyBytes(statePickle(true, w0("all"), view), storageData{"0", 8, iota32(8)}))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Get("view").Float32s(); !slices.Equal(got, []float32{3, 4, 5}) {
		t.Errorf("view: %v", got)
	}
	if f.Format != "PyTorch legacy" {
		t.Errorf("format %q", f.Format)
	}
	view.size = []int64{4} // one more than the view has, though the storage has it
	_, err = read(legacyBytes(statePickle(true, view), storageData{"0", 8, iota32(8)}))
	wantError(t, err, "format", `tensor "view"`, "needs element 4 of storage \"0\", which has 4")
	view.st.view = []int64{6, 4}
	_, err = read(legacyBytes(statePickle(true, view), storageData{"0", 8, iota32(8)}))
	wantError(t, err, "format", "a view outside its 8 elements")
}

func TestLegacyStorageList(t *testing.T) {
	graph := statePickle(true, w0("w"))
	whole := iota32(8)
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"missing":      {legacyBytes(graph), "is not in the file"},
		"other numel":  {legacyBytes(graph, storageData{"0", 7, whole[:28]}), "should have 8 elements of float32 but has 7"},
		"cut":          {legacyBytes(graph, storageData{"0", 8, whole[:31]}), "cut short"},
		"no count":     {legacyBytes(graph, storageData{"0", 8, nil})[:len(legacyBytes(graph, storageData{"0", 8, nil}))-1], "cut short"},
		"negative":     {legacyBytes(graph, storageData{"0", -8, whole}), "claims -8 elements"},
		"huge":         {legacyBytes(graph, storageData{"0", 1 << 61, whole}), "cut short"},
		"twice":        {legacyBytes(graph, storageData{"0", 8, whole}, storageData{"0", 8, whole}), "listed twice"},
		"unknown":      {legacyBytes(graph, storageData{"9", 8, whole}, storageData{"0", 8, whole}), "used by no tensor"},
		"two types":    {legacyBytes(statePickle(true, w0("w"), tensorSpec{"d", storageSpec{"DoubleStorage", "0", 4, nil}, 0, nil, nil}), storageData{"0", 8, whole}), "different sizes"},
		"cut in graph": {legacyBytes(graph, storageData{"0", 8, whole})[:150], "cut short"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(c.file)
			wantError(t, err, "format", c.want)
		})
	}
	_, err := read(legacyBytes(statePickle(true, w0("w"), tensorSpec{"c", storageSpec{"ComplexFloatStorage", "1", 4, nil}, 0, nil, nil}), storageData{"1", 4, whole}, storageData{"0", 8, whole}))
	wantError(t, err, "unsupported", "of a type this program does not read")
}

// Protocol 1 writes numbers and the magic as text.
func TestLegacyProtocol1(t *testing.T) {
	file := legacyBytes(statePickle(true, w0("w")), storageData{"0", 8, iota32(8)})
	file = append([]byte(legacyMagicText), file[2+len(legacyMagic):]...)
	file = bytes.Replace(file, []byte{opBinInt2, 0xe9, 0x03, opStop}, []byte("I1001\n."), 1)
	sd, err := read(file)
	if err != nil || sd.Len() != 1 {
		t.Error(err)
	}
	_, err = read(bytes.Replace(file, []byte("I1001\n."), []byte("I1002\n."), 1))
	wantError(t, err, "unsupported", "protocol version 1002")
}

// An object graph longer than the first window is found whole.
func TestLegacyLongGraph(t *testing.T) {
	var list []tensorSpec
	for i := range 2000 {
		x := w0(strings.Repeat("x", 100) + string(rune('0'+i%10)) + strings.Repeat("y", i%7))
		list = append(list, x)
	}
	graph := statePickle(true, list...)
	if len(graph) < 4*firstWindow {
		t.Fatalf("only %d bytes", len(graph))
	}
	sd, err := read(legacyBytes(graph, storageData{"0", 8, append(iota32(8), make([]byte, 1<<20)...)}))
	if err != nil || sd.Len() != 70 {
		t.Errorf("%v", err)
	}
}

func TestZipByteOrder(t *testing.T) {
	big := make([]byte, 0, 32)
	for i := range 8 {
		f := iota32(8)[4*i:]
		big = binary.BigEndian.AppendUint32(big, binary.LittleEndian.Uint32(f))
	}
	graph := statePickle(false, w0("w"))
	for order, data := range map[string][]byte{"big": big, "little": iota32(8)} {
		sd, err := read(zipFile(t, zip.Store, record{"a/data.pkl", graph}, record{"a/byteorder", []byte(order)}, record{"a/data/0", data}))
		if err != nil {
			t.Fatal(err)
		}
		if got := sd.Get("w").Data; !bytes.Equal(got, iota32(8)) {
			t.Errorf("%s: % x", order, got)
		}
	}
	_, err := read(zipFile(t, zip.Store, record{"a/data.pkl", graph}, record{"a/byteorder", []byte("middle")}, record{"a/data/0", big}))
	wantError(t, err, "format", `byteorder is "middle"`)
}

func TestSwapBytes(t *testing.T) {
	in := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	for elem, want := range map[int][]byte{
		1: {1, 2, 3, 4, 5, 6, 7, 8}, 2: {2, 1, 4, 3, 6, 5, 8, 7}, 4: {4, 3, 2, 1, 8, 7, 6, 5}, 8: {8, 7, 6, 5, 4, 3, 2, 1},
	} {
		got := bytes.Clone(in)
		if swapBytes(got, elem); !bytes.Equal(got, want) {
			t.Errorf("%d: %v, want %v", elem, got, want)
		}
	}
}

func TestDamagedZips(t *testing.T) {
	graph := statePickle(false, w0("w"))
	good := zipFile(t, zip.Store, record{"a/data.pkl", graph}, record{"a/data/0", iota32(8)})
	flip := func(needle []byte, at int) []byte {
		b := bytes.Clone(good)
		b[bytes.Index(b, needle)+at] ^= 0x40
		return b
	}
	for name, c := range map[string]struct {
		file       []byte
		kind, want string
	}{
		"flipped weight": {flip(iota32(8), 9), "format", `tensor "w": record "data/0" does not match its CRC`},
		"flipped graph":  {flip(graph, 40), "format", `record "data.pkl" does not match its CRC`},
		"twice":          {zipFile(t, zip.Store, record{"a/data.pkl", graph}, record{"a/data/0", iota32(8)}, record{"a/data/0", iota32(8)}), "format", "is there twice"},
		"no directory":   {good[:len(good)-30], "format", "directory at its end is missing"},
		"no graph":       {zipFile(t, zip.Store, record{"x.npy", nil}), "unsupported", "numpy .npz"},
		"packed twice":   {zipFile(t, zip.Store, record{"weights/model.pth", good}), "unsupported", "unpack it first"},
		"empty":          {zipFile(t, zip.Store), "unsupported", "without data.pkl"},
		"TorchScript":    {zipFile(t, zip.Store, record{"a/data.pkl", graph}, record{"a/constants.pkl", nil}), "unsupported", "TorchScript"},
		"bomb":           {zipFile(t, zip.Deflate, record{"a/data.pkl", statePickle(false, tensorSpec{"w", storageSpec{"FloatStorage", "0", 16 << 20, nil}, 0, []int64{16 << 20}, []int64{1}})}, record{"a/data/0", make([]byte, 64<<20)}), "format", "out of proportion"},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			if got := allocated(func() { _, err = read(c.file) }); got > allocBound(int64(len(c.file))) {
				t.Errorf("%d bytes allocated for a file of %d", got, len(c.file))
			}
			wantError(t, err, c.kind, c.want)
		})
	}
	// Without a folder in front, as some tools repack it.
	if sd, err := read(zipFile(t, zip.Store, record{"data.pkl", graph}, record{"data/0", iota32(8)})); err != nil || sd.Len() != 1 {
		t.Error(err)
	}
}

// The declared size in the directory may lie in either direction; CRC and length are both checked.
func TestZipSizeLies(t *testing.T) {
	graph := statePickle(false, w0("w"))
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		good := zipFile(t, method, record{"a/data.pkl", graph}, record{"a/data/0", iota32(8)})
		entry := bytes.LastIndex(good, []byte("PK\x01\x02")) // of a/data/0 in the directory
		for _, size := range []uint32{28, 36, 1 << 31} {
			lie := bytes.Clone(good)
			binary.LittleEndian.PutUint32(lie[entry+24:], size)
			if _, err := read(lie); err == nil {
				t.Errorf("method %d, %d bytes claimed: accepted", method, size)
			}
			st := st0
			st.numel = int64(size / 4) // the graph may join in the lie
			lie = zipFile(t, method, record{"a/data.pkl", statePickle(false, tensorSpec{"w", st, 0, []int64{1}, []int64{1}})}, record{"a/data/0", iota32(8)})
			binary.LittleEndian.PutUint32(lie[bytes.LastIndex(lie, []byte("PK\x01\x02"))+24:], size)
			_, err := read(lie)
			wantError(t, err, "format", `tensor "w"`)
		}
	}
}

func TestWhatOtherFilesLookLike(t *testing.T) {
	tar := make([]byte, 1024)
	copy(tar, "./sys_info")
	copy(tar[257:], "ustar\x0000")
	for _, c := range []struct {
		data       string
		kind, want string
	}{
		{"", "format", "is empty"},
		{"<?xml version='1.0' encoding='UTF-8'?><Error><Code>UserProjectAccountProblem</Code><Message>The project is closed.</Message></Error>", "format", `is an XML page saying "UserProjectAccountProblem"`},
		{"\n <!DOCTYPE html><html><head><title>Sign in</title>", "format", `is a web page (HTML) saying "Sign in"`},
		{"<HTML><BODY>no title", "format", "is a web page (HTML), not"},
		{"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n", "format", "git-lfs pointer to a file of 123 bytes"},
		{strings.Repeat("\x00", 5000), "format", "begins with 4096 zero bytes"},
		{string(tar), "unsupported", "is a tar archive"},
		{"\x1f\x8b\x08 and so on", "unsupported", "gzip"},
		{"\x89HDF\r\n\x1a\n", "unsupported", "HDF5"},
		{"\x89PNG\r\n\x1a\n", "unsupported", "picture"},
		{"\x93NUMPY\x01\x00", "unsupported", "numpy"},
		{`{"message": "Not Found"}`, "format", `is JSON text beginning "{\"message\": \"Not Found\"}"`},
		{"404: Not Found", "format", `is text beginning "404: Not Found"`},
		{"\x01\x02\x03\x80\x90", "format", "begins with the bytes 01 02 03 80 90"},
		{"\x80\x02", "format", "cut short"},
		{"\x80\x02}q\x00." + strings.Repeat(" ", 100), "unsupported", "not one that torch.save writes"},
		{"\x80\x02\xff." + strings.Repeat(" ", 100), "format", "unknown opcode 0xff"},
		{"\x80\x02cos\nsystem\n." + strings.Repeat(" ", 100), "unsupported", "os.system"},
	} {
		_, err := read([]byte(c.data))
		wantError(t, err, c.kind, c.want, "test.pth")
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "none.pth")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none.pth") {
		t.Errorf("missing file: %v", err)
	}
	_, err := Open(dir)
	wantError(t, err, "format", "is not a regular file")
	path := filepath.Join(dir, "liar.jpg") // the name means nothing
	if err := os.WriteFile(path, seedFiles(t)["legacy"], 0o644); err != nil {
		t.Fatal(err)
	}
	if sd, err := Open(path); err != nil || sd.Path != path || sd.Format != "PyTorch legacy" {
		t.Errorf("%+v %v", sd, err)
	}
}

// A sparse file costs nothing to make and as much memory as it likes to read.
func TestSparseFiles(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "sparse.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	header := fmt.Sprintf(`{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, int64(1)<<40, int64(1)<<40)
	f.Write(safetensorsFile(header, 0))
	if err := f.Truncate(8 + int64(len(header)) + 1<<40); err != nil {
		t.Skip(err)
	}
	_, err = Open(f.Name())
	wantError(t, err, "unsupported", "has 1.0 TiB; wanted at most 8192.0 MiB")
}

// The two big files of the oracle: names and shapes as published, and no more memory than announced.
func TestRealCheckpoints(t *testing.T) {
	dir := oracle.Dir(t)
	for _, c := range []struct {
		file, shapes string
		tensors      int
	}{
		{"checkpoints/efficientnet_b1_pruned.pth", "efficientnet_b1_pruned", 508},
		{"trained/efficientnet_b3_pruned_cattle15_derived.pth", "efficientnet_b3_pruned", 574},
	} {
		path := filepath.Join(dir, c.file)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		var sd *StateDict
		bytes := allocated(func() { sd, err = Open(path) })
		if err != nil {
			t.Fatal(err)
		}
		if sd.Len() != c.tensors {
			t.Errorf("%s: %d tensors, want %d", c.file, sd.Len(), c.tensors)
		}
		if bytes > 12<<20+2*info.Size() {
			t.Errorf("%s: %d bytes allocated for a file of %d", c.file, bytes, info.Size())
		}
		for i, line := range strings.Split(strings.TrimSpace(string(oracle.Bytes(t, "shapes/"+c.shapes+".txt"))), "***") {
			name, shape, _ := strings.Cut(line, ":")
			x := sd.Get(name)
			if x == nil || x.check() != nil {
				t.Fatalf("%s: %s: %+v", c.file, name, x)
			}
			if sd.Names()[i] != name {
				t.Errorf("%s: entry %d is %s, want %s", c.file, i, sd.Names()[i], name)
			}
			got := strings.ReplaceAll(fmt.Sprint(x.Shape), " ", ", ")
			if got != shape && !strings.HasPrefix(name, "classifier.") {
				t.Errorf("%s: %s is %s, want %s", c.file, name, got, shape)
			}
		}
		t.Logf("%s: %d tensors, %d kB allocated", c.file, sd.Len(), bytes/1000)
	}
}
