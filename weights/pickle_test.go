package weights

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// pth is a stored zip checkpoint around a pickle, with the storages 0 (8 floats 0 to 7) and 1 (16 bytes 0 to 15).
func pth(t testing.TB, graph []byte) []byte {
	bytes16 := make([]byte, 16)
	for i := range bytes16 {
		bytes16[i] = byte(i)
	}
	return zipFile(t, zip.Store, record{"a/data.pkl", graph}, record{"a/data/0", iota32(8)}, record{"a/data/1", bytes16})
}

var st0 = storageSpec{class: "FloatStorage", key: "0", numel: 8}

// w0 is the whole of storage 0 as a tensor of that name.
func w0(name string) tensorSpec {
	return tensorSpec{name, st0, 0, []int64{8}, []int64{1}}
}

func TestRepeatedKeyKeepsItsPlaceAndTheLastValue(t *testing.T) {
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		x := w0("a")
		x.offset, x.size = 6, []int64{2}
		sd, err := read(zipFile(t, method, record{"a/data.pkl", statePickle(false, w0("a"), w0("b"), x)}, record{"a/data/0", iota32(8)}))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(sd.Names(), []string{"a", "b"}) || !slices.Equal(sd.Get("a").Float32s(), []float32{6, 7}) {
			t.Errorf("%v, a = %v", sd.Names(), sd.Get("a").Float32s())
		}
	}
}

func TestStridedViews(t *testing.T) {
	for _, c := range []struct {
		offset       int64
		size, stride []int64
		want         []float32
	}{
		{0, nil, nil, []float32{0}},
		{3, nil, nil, []float32{3}},
		{0, []int64{2, 4}, []int64{4, 1}, []float32{0, 1, 2, 3, 4, 5, 6, 7}},
		{0, []int64{4, 2}, []int64{1, 4}, []float32{0, 4, 1, 5, 2, 6, 3, 7}},
		{1, []int64{3}, []int64{2}, []float32{1, 3, 5}},
		{2, []int64{2, 3}, []int64{0, 1}, []float32{2, 3, 4, 2, 3, 4}},
		{7, []int64{3}, []int64{0}, []float32{7, 7, 7}},
		{0, []int64{2, 2, 2}, []int64{1, 2, 4}, []float32{0, 4, 2, 6, 1, 5, 3, 7}},
		{4, []int64{1, 4, 1}, []int64{99, 1, 77}, []float32{4, 5, 6, 7}}, // strides of size 1 mean nothing
		{8, []int64{0}, []int64{1}, nil},
		{0, []int64{3, 0}, []int64{1 << 40, 1}, nil},
	} {
		sd, err := read(pth(t, statePickle(false, tensorSpec{"w", st0, c.offset, c.size, c.stride})))
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if got := sd.Get("w"); !slices.Equal(got.Float32s(), c.want) || got.check() != nil {
			t.Errorf("%+v: got %v", c, got.Float32s())
		}
	}
}

func TestBadViews(t *testing.T) {
	for _, c := range []struct {
		st           storageSpec
		offset       int64
		size, stride []int64
		want         string
	}{
		{st0, 1, []int64{8}, []int64{1}, "needs element 8 of storage \"0\", which has 8"},
		{st0, -1, []int64{2}, []int64{1}, "starts at element -1"},
		{st0, 0, []int64{-2}, []int64{1}, "size -2"},
		{st0, 0, []int64{2}, []int64{-1}, "stride -1"},
		{st0, 0, []int64{2, 2}, []int64{1}, "2 sizes and 1 strides"},
		{st0, 0, []int64{1 << 62, 4}, []int64{0, 0}, "beyond any memory"},
		{st0, 0, []int64{1 << 40}, []int64{0}, "out of proportion"},
		{storageSpec{"FloatStorage", "0", 9, nil}, 0, []int64{2}, []int64{1}, "should have 9 elements of float32, 36 bytes, but its record has 32"},
		{storageSpec{"DoubleStorage", "0", 8, nil}, 0, []int64{2}, []int64{1}, "should have 8 elements of float64"},
		{storageSpec{"FloatStorage", "7", 8, nil}, 0, []int64{2}, []int64{1}, "\"data/7\" is missing"},
		{storageSpec{"FloatStorage", "../0", 8, nil}, 0, []int64{2}, []int64{1}, "is missing"},
	} {
		_, err := read(pth(t, statePickle(false, tensorSpec{"w", c.st, c.offset, c.size, c.stride})))
		wantError(t, err, "format", "tensor \"w\"", c.want)
	}
}

// Many views that are each harmless count together.
func TestExpandedViewsShareABudget(t *testing.T) {
	var list []tensorSpec
	for i := range 200 {
		list = append(list, tensorSpec{fmt.Sprint("w", i), st0, 0, []int64{1 << 14, 8}, []int64{0, 1}})
	}
	file := pth(t, statePickle(false, list...))
	var err error
	got := allocated(func() { _, err = read(file) })
	wantError(t, err, "format", "out of proportion")
	if got > allocBound(int64(len(file))) {
		t.Errorf("%d bytes allocated for a file of %d", got, len(file))
	}
	if _, err := read(pth(t, statePickle(false, list[:4]...))); err != nil {
		t.Errorf("a modest expansion is refused: %v", err)
	}
}

func TestWrappersAndPrefixes(t *testing.T) {
	dict := func(p *pickler, name string) *pickler {
		return p.orderedDict().op(opMark).str(name).tensor(w0(""), false).op(opSetItems)
	}
	for _, c := range []struct {
		keys   []string
		picked string
	}{
		{[]string{"model", "state_dict", "model_ema", "state_dict_ema"}, "state_dict_ema"},
		{[]string{"model", "state_dict", "model_ema"}, "model_ema"},
		{[]string{"model", "state_dict"}, "state_dict"},
		{[]string{"model"}, "model"},
	} {
		p := new(pickler).proto(2).op(opEmptyDict, opMark).str("epoch").int(3)
		for _, k := range c.keys {
			dict(p.str(k), "module._orig_mod."+k+".weight")
		}
		p.str("none").op(opNone, opSetItems, opStop)
		sd, err := read(pth(t, p.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if sd.Picked != c.picked || !slices.Equal(sd.Names(), []string{c.picked + ".weight"}) {
			t.Errorf("%v: picked %q with %v", c.keys, sd.Picked, sd.Names())
		}
	}
	// None under a better key is no state dict, as in timm.
	p := new(pickler).proto(2).op(opEmptyDict, opMark).str("state_dict_ema").op(opNone)
	dict(p.str("model"), "w").op(opSetItems, opStop)
	if sd, err := read(pth(t, p.Bytes())); err != nil || sd.Picked != "model" {
		t.Errorf("%+v %v", sd, err)
	}
	// "_orig_mod." before "module." keeps the latter: timm's order.
	if got := cleanName("_orig_mod.module.w"); got != "module.w" {
		t.Errorf("cleanName: %q", got)
	}
	// Entries that are no tensors are kept apart.
	p = new(pickler).proto(2).op(opEmptyDict, opMark).str("n").int(1).str("w").tensor(w0(""), false).str("x").op(opEmptyList, opSetItems, opStop)
	if sd, err := read(pth(t, p.Bytes())); err != nil || !slices.Equal(sd.Skipped, []string{"n", "x"}) || sd.Len() != 1 {
		t.Errorf("%+v %v", sd, err)
	}
}

// tensorArgs writes the arguments of _rebuild_tensor_v2 without the MARK and TUPLE around them.
func tensorArgs(p *pickler, st func(*pickler)) *pickler {
	st(p)
	return p.int(0).tuple(8).tuple(1).op(opNewFalse).orderedDict()
}

func TestWaysToMakeATensor(t *testing.T) {
	float := func(p *pickler) { p.storage(st0, false) }
	want := []float32{0, 1, 2, 3, 4, 5, 6, 7}
	for name, value := range map[string]func(p *pickler){
		"v1": func(p *pickler) {
			p.global("torch._utils", "_rebuild_tensor").op(opMark).storage(st0, false).int(0).tuple(8).tuple(1).op(opTuple, opReduce)
		},
		"torch.Size": func(p *pickler) {
			p.global("torch._utils", "_rebuild_tensor").op(opMark).storage(st0, false).int(0)
			p.global("torch", "Size").tuple(8).op(opTuple1, opReduce).tuple(1).op(opTuple, opReduce)
		},
		"v3, untyped storage": func(p *pickler) {
			p.global("torch._utils", "_rebuild_tensor_v3").op(opMark)
			tensorArgs(p, func(p *pickler) { p.storage(storageSpec{"UntypedStorage", "0", 32, nil}, false) })
			p.global("torch", "float32").op(opTuple, opReduce)
		},
		"parameter": func(p *pickler) {
			p.global("torch._utils", "_rebuild_parameter").op(opMark).tensor(w0(""), false).op(opNewTrue).orderedDict().op(opTuple, opReduce)
		},
		"parameter with state": func(p *pickler) {
			p.global("torch._utils", "_rebuild_parameter_with_state").op(opMark).tensor(w0(""), false).op(opNewTrue).orderedDict().op(opEmptyDict, opTuple, opReduce)
		},
		"from type": func(p *pickler) {
			p.global("torch._tensor", "_rebuild_from_type_v2").op(opMark).global("torch._utils", "_rebuild_tensor_v2")
			p.global("torch.nn.parameter", "Parameter").op(opMark)
			tensorArgs(p, float).op(opTuple, opEmptyDict, opTuple, opReduce)
		},
		"built": func(p *pickler) { p.tensor(w0(""), false).op(opEmptyDict, opBuild) },
		"memoized": func(p *pickler) {
			p.tensor(w0(""), false).op(opBinPut, 7, opMemoize, opPop, opBinGet, 7)
		},
	} {
		p := new(pickler).proto(2).op(opEmptyDict, opMark).str("w")
		value(p)
		sd, err := read(pth(t, p.op(opSetItems, opStop).Bytes()))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := sd.Get("w"); !slices.Equal(got.Float32s(), want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestUnsupportedTensors(t *testing.T) {
	complexStorage := func(p *pickler) *pickler {
		return p.tensor(tensorSpec{"", storageSpec{"ComplexFloatStorage", "0", 4, nil}, 0, []int64{4}, []int64{1}}, false)
	}
	sparse := func(p *pickler) *pickler {
		return p.global("torch._utils", "_rebuild_sparse_tensor").op(opEmptyTuple, opReduce)
	}
	for _, value := range []func(*pickler) *pickler{complexStorage, sparse} {
		p := value(new(pickler).proto(2).op(opEmptyDict).str("odd")).op(opSetItem, opStop)
		_, err := read(pth(t, p.Bytes()))
		wantError(t, err, "unsupported", "tensor \"odd\"", "wanted one of the types float32")
		// Where nobody asks for it, it does no harm.
		p = value(new(pickler).proto(2).op(opEmptyDict, opMark).str("odd")).str("model").op(opEmptyDict).str("w").tensor(w0(""), false).op(opSetItem, opSetItems, opStop)
		if sd, err := read(pth(t, p.Bytes())); err != nil || sd.Len() != 1 {
			t.Errorf("%v", err)
		}
	}
}

func TestPython2OrderedDict(t *testing.T) {
	p := new(pickler).proto(2).global("collections", "OrderedDict").op(opEmptyList, opMark)
	for _, n := range []string{"b", "a"} {
		p.op(opEmptyList, opShortBinString, 1, n[0], opAppend).tensor(w0(""), false).op(opAppend)
	}
	p.op(opAppends, opTuple1, opReduce, opStop)
	sd, err := read(pth(t, p.Bytes()))
	if err != nil || !slices.Equal(sd.Names(), []string{"b", "a"}) {
		t.Errorf("%+v %v", sd, err)
	}
}

// Nothing outside the list gets through, by whatever opcode it is named; in particular not
// what the pickle library would resolve by itself.
func TestForbiddenClasses(t *testing.T) {
	for _, c := range [][2]string{
		{"os", "system"}, {"posix", "system"}, {"builtins", "eval"}, {"__builtin__", "getattr"}, {"builtins", "exec"},
		{"array", "_array_reconstructor"}, {"torch", "load"}, {"torch.storage", "_load_from_bytes"}, {"torch.nn.modules.conv", "Conv2d"},
		{"timm.models.efficientnet", "EfficientNet"}, {"functools", "partial"}, {"collections", "OrderedDict\x00"}, {"", ""}, {"vkinfer", "0"},
	} {
		for kind, p := range map[string]*pickler{
			"GLOBAL":             new(pickler).proto(2).global(c[0], c[1]).op(opEmptyTuple, opReduce, opStop),
			"STACK_GLOBAL":       new(pickler).proto(4).str(c[0]).str(c[1]).op(opStackGlobal, opStop),
			"STACK_GLOBAL, memo": new(pickler).proto(4).str(c[1]).op(opMemoize, opPop).str(c[0]).op(opMemoize, opBinGet, 0, opStackGlobal, opStop),
			"unused":             new(pickler).proto(2).global(c[0], c[1]).op(opPop, opNone, opStop),
		} {
			_, err := read(pth(t, p.Bytes()))
			wantError(t, err, "unsupported", "names the class", "nothing of it was run")
			if t.Failed() {
				t.Fatalf("%s %q", kind, c)
			}
		}
	}
	_, err := read(pth(t, new(pickler).proto(4).op(opNone).str("x").op(opStackGlobal, opStop).Bytes()))
	wantError(t, err, "format", "not a string")
}

// Every allowed class can be named, made and filled without the library or this package stumbling.
func TestAllowedClassesAreInert(t *testing.T) {
	if len(allowedIndex) != len(allowedClasses) {
		t.Errorf("%d rows, %d different", len(allowedClasses), len(allowedIndex))
	}
	for _, c := range allowedClasses {
		p := new(pickler).proto(2).op(opEmptyDict, opMark).str("model").op(opEmptyDict).str("w").tensor(w0(""), false).op(opSetItem)
		p.str("x").global(c.module, c.name).op(opEmptyTuple, opReduce)
		if c.role == roleOpaque || c.role == roleDict {
			p.op(opEmptyDict, opBuild, opNone, opAppend, opNone, opNone, opSetItem)
			p.op(opMark, opNone, opAddItems, opMark, opNone, opEmptyList, opSetItems)
		}
		sd, err := read(pth(t, p.op(opSetItems, opStop).Bytes()))
		if c.role == roleOpaque || c.role == roleDict || c.role == roleUnknownTensor {
			if err != nil || sd.Len() != 1 {
				t.Errorf("%v: %v", c, err)
			}
		} else {
			wantError(t, err, "format", c.name)
		}
		p = new(pickler).proto(2).global(c.module, c.name).op(opEmptyTuple, opNewObj, opPop).global(c.module, c.name).op(opEmptyTuple, opEmptyDict, opNewObjEx, opStop)
		if _, err := read(pth(t, p.Bytes())); err == nil {
			t.Errorf("%v: something that is no state dict is accepted", c)
		}
	}
}

func TestDamagedPickles(t *testing.T) {
	le := binary.LittleEndian
	for _, c := range []struct {
		graph []byte
		want  string
	}{
		{nil, "needs 1 more bytes and 0 are left"},
		{[]byte{opProto, 2}, "needs 1 more bytes"},
		{[]byte{opStop}, "stack underflow"},
		{[]byte{opProto}, "needs 1 more bytes"},
		{[]byte{0xff, opStop}, "unknown opcode 0xff"},
		{[]byte{opMark, opStop}, "stack underflow"},
		{[]byte{opNone, opTuple, opStop}, "no mark"},
		{[]byte{opMark, opNone, opAppend, opStop}, "stack underflow"},
		{[]byte{opEmptyTuple, opNone, opAppend, opStop}, "cannot take it"},
		{[]byte{opEmptyDict, opNone, opAppend, opStop}, "cannot take it"},
		{[]byte{opEmptyList, opNone, opNone, opSetItem, opStop}, "cannot take it"},
		{[]byte{opEmptyDict, opMark, opNone, opSetItems, opStop}, "odd number"},
		{[]byte{opEmptyDict, opEmptyDict, opBuild, opStop}, "cannot take it"},
		{[]byte{opBinGet, 0, opStop}, "memo entry 0 is not set"},
		{[]byte{opNone, opBinPut, 2, opBinGet, 1, opStop}, "memo entry 1 is not set"},
		{[]byte{opNone, opLongBinPut, 0xff, 0xff, 0xff, 0xff, opStop}, "memo entry 4294967295 in a pickle of 6 bytes"},
		{[]byte{opBinPut, 0, opStop}, "stack underflow"},
		{[]byte{opNone, opEmptyTuple, opReduce, opStop}, "wants a class and a tuple"},
		{[]byte{opNone, opNone, opReduce, opStop}, "wants a class and a tuple"},
		{[]byte{opNone, opBinPersID, opStop}, "persistent id"},
		{[]byte{opEmptyTuple, opBinPersID, opStop}, "persistent id"},
		{append(append([]byte{opBinBytes8}, le.AppendUint64(nil, 1<<62)...), opStop), "needs 4611686018427387904 more bytes"},
		{append(append([]byte{opByteArray8}, le.AppendUint64(nil, 1<<63)...), opStop), "needs 9223372036854775808 more bytes"},
		{append(append([]byte{opFrame}, le.AppendUint64(nil, 1<<62)...), opStop), "frame of 4611686018427387904"},
		{append(append([]byte{opFrame}, le.AppendUint64(nil, 1<<63)...), opStop), "frame of 9223372036854775808"},
		{append(append([]byte{opLong4}, le.AppendUint32(nil, 1<<31)...), opStop), "needs 2147483648 more bytes"},
		{append(append([]byte{opBinUnicode}, le.AppendUint32(nil, 1<<32-1)...), opStop), "needs 4294967295 more bytes"},
		{[]byte("Iabc\n."), "is not an integer"},
		{[]byte("I--9\n."), "is not an integer"},
		{[]byte("L\n."), "is not an integer"},
		{[]byte("I1"), "no end of line"},
		{append([]byte("I"), bytes.Repeat([]byte("1"), 1000)...), "no end of line"},
	} {
		_, err := read(pth(t, c.graph))
		wantError(t, err, "format", c.want)
		if t.Failed() {
			t.Fatalf("% x", c.graph[:min(len(c.graph), 20)])
		}
	}
	for _, op := range []byte("FPSVdgilop\x82\x83\x84\x97\x98") {
		_, err := read(pth(t, []byte{op, '0', '\n', '.'}))
		wantError(t, err, "unsupported", "torch.save does not write")
	}
	_, err := read(pth(t, []byte{opProto, 6, opNone, opStop}))
	wantError(t, err, "unsupported", "pickle protocol 6")
}

func TestIntegers(t *testing.T) {
	for _, c := range []struct {
		op   []byte
		want any
	}{
		{[]byte{opLong1, 0}, 0}, {[]byte{opLong1, 1, 0xff}, -1}, {[]byte{opLong1, 2, 0x00, 0x80}, -32768},
		{[]byte{opLong1, 8, 0, 0, 0, 0, 0, 0, 0, 0x80}, -1 << 63}, {[]byte{opLong4, 1, 0, 0, 0, 5}, 5},
		{[]byte{opLong1, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9}, nil}, // blanked
		{[]byte{opBinInt, 0xfe, 0xff, 0xff, 0xff}, -2}, {[]byte{opBinInt1, 255}, 255}, {[]byte{opBinInt2, 1, 2}, 513},
		{[]byte("I-12\n"), -12}, {[]byte("I01\n"), true}, {[]byte("I00\n"), false}, {[]byte("L34L\n"), 34}, {[]byte("L-5L\n"), -5}, {[]byte("L1267650600228229401496703205376L\n"), nil},
	} {
		p, err := verifyPickle(append(c.op, opStop), true, 1<<20)
		if err != nil {
			t.Errorf("% x: %v", c.op, err)
			continue
		}
		if got, _, err := loadPickle(p); err != nil || got != c.want {
			t.Errorf("% x: %v %v, want %v", c.op, got, err, c.want)
		}
	}
}

func TestWhatTheGraphHoldsInstead(t *testing.T) {
	keys := new(pickler).op(opEmptyDict, opMark)
	for i := range 20 {
		keys.str(fmt.Sprint("key", i)).op(opNone)
	}
	for want, p := range map[string]*pickler{
		"holds None;":                      new(pickler).op(opNone),
		"holds a string;":                  new(pickler).str("x"),
		"holds a list or tuple;":           new(pickler).op(opEmptyTuple),
		"holds a value of type float64;":   new(pickler).op(opBinFloat, 0, 0, 0, 0, 0, 0, 0, 0),
		"holds an empty dict without":      new(pickler).orderedDict(),
		"class argparse.Namespace;":        new(pickler).global("argparse", "Namespace").op(opEmptyTuple, opNewObj),
		"the class argparse.Namespace;":    new(pickler).global("argparse", "Namespace"),
		`the keys "key0", "key1", "key2",`: keys.op(opSetItems),
	} {
		_, err := read(pth(t, p.op(opStop).Bytes()))
		wantError(t, err, "format", want, "wanted a state dict")
	}
}

// failingReader gives an error of its own after n bytes.
type failingReader struct {
	data []byte
	n    int64
}

func (r failingReader) ReadAt(b []byte, at int64) (int, error) {
	if at+int64(len(b)) > r.n {
		return 0, io.ErrClosedPipe
	}
	return bytes.NewReader(r.data).ReadAt(b, at)
}

// A disk that fails is reported as such, wherever in the file it does.
func TestReadErrorsComeThrough(t *testing.T) {
	for name, file := range seedFiles(t) {
		for n := range int64(len(file)) {
			_, err := Read(failingReader{file, n}, int64(len(file)), "test.pth")
			if !errors.Is(err, io.ErrClosedPipe) || !strings.Contains(err.Error(), "test.pth") {
				t.Fatalf("%s failing at %d: %v", name, n, err)
			}
		}
		// A file that shrinks while it is read.
		if _, err := Read(bytes.NewReader(file[:len(file)-1]), int64(len(file)), "test.pth"); err == nil {
			t.Errorf("%s: shorter than said, accepted", name)
		}
	}
}

// Programs whose memory is out of proportion to their length: refused, or run within the bound.
func TestPickleBombs(t *testing.T) {
	repeat := func(prefix string, unit string, n int, suffix string) []byte {
		return append(append([]byte(prefix), bytes.Repeat([]byte(unit), n)...), suffix...)
	}
	for name, graph := range map[string][]byte{
		"marks":          repeat("", "(", 2<<20, "."),
		"marks, popped":  repeat("N", "(1", 2<<20, "."),
		"dicts":          repeat("(", "}", 100_000, "t."),
		"dicts, popped":  repeat("N", "}0", 2<<20, "."),
		"lists, popped":  repeat("N", "]0", 2<<20, "."),
		"nested lists":   repeat("]", "]a", 1<<20, "."),
		"nested tuples":  repeat(")", "\x85", 4<<20, "."),
		"values":         repeat("", "N", 4<<20, "."),
		"dup":            repeat("N", "2", 4<<20, "."),
		"memo":           repeat("N", "\x94", 4<<20, "."),
		"doubling":       repeat("]", "2\x86", 1<<20, "."),
		"doubling lists": repeat("]", "2a", 1<<20, "."),
		"long integers":  repeat("(", string([]byte{opLong1, 255})+string(make([]byte, 255)), 20_000, "t."),
		"strings":        repeat("N", "X\x00\x00\x00\x000", 1<<20, "."),
		"ordered dicts":  repeat("Nccollections\nOrderedDict\nq\x000", "h\x00)R0", 1<<20, "."),
		"one list, many dicts": append(append(repeat("](", "N\x85N\x86", 0, ""), repeat("", "(NNt", 20_000, "e")...),
			repeat("q\x000ccollections\nOrderedDict\nq\x010", "h\x01h\x00\x85R0", 200_000, "N.")...),
	} {
		for _, method := range []uint16{zip.Store, zip.Deflate} {
			file := zipFile(t, method, record{"a/data.pkl", graph})
			var err error
			got := allocated(func() { _, err = read(file) })
			if err == nil {
				t.Errorf("%s: no error", name)
			}
			if bound := allocBound(int64(len(file))); got > bound {
				t.Errorf("%s: %d bytes allocated for a file of %d, wanted at most %d: %v", name, got, len(file), bound, err)
			}
			t.Logf("%-22s %8d bytes (method %d): %5.1f MB allocated: %.90v", name, len(file), method, float64(got)/1e6, err)
		}
	}
}
