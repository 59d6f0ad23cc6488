package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/vkinfer/vkinfer/internal/atomicfile"
)

// A .safetensors file is the length of its header as a little-endian uint64, the header, and the
// data. The header is a JSON object: for each tensor {"dtype", "shape", "data_offsets"}, the
// offsets counting from the end of the header; and "__metadata__", strings by string. The data
// regions must cover the data exactly, without overlaps or gaps. (The format's own README.)

// maxSafetensorsHeader is the format's own limit.
const maxSafetensorsHeader = 100_000_000

// metadataKey is the one key of a header that is not a tensor.
const metadataKey = "__metadata__"

var safetensorsTypes = map[string]DType{
	"F32": Float32, "F64": Float64, "F16": Float16, "BF16": BFloat16,
	"I64": Int64, "I32": Int32, "I16": Int16, "I8": Int8, "U8": Uint8, "BOOL": Bool,
}

// safetensorsOthers are valid types that this package does not read.
var safetensorsOthers = []string{"U64", "U32", "U16", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "F6_E3M2", "C64"}

// safetensor is one entry of a header.
type safetensor struct {
	name       string
	dtype      string
	shape      []int
	begin, end int64
}

// readSafetensors reads a .safetensors file.
func readSafetensors(r io.ReaderAt, size int64, b *budget) (*StateDict, error) {
	var length [8]byte
	if err := readAt(r, length[:], 0); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxSafetensorsHeader {
		return nil, badf("claims a header of %d bytes; safetensors allows %d; the file is damaged", n, maxSafetensorsHeader)
	}
	if int64(n) > size-8 {
		return nil, badf("claims a header of %d bytes in a file of %d: cut short or damaged; download or copy it again", n, size)
	}
	header := make([]byte, n)
	if err := readAt(r, header, 8); err != nil {
		return nil, err
	}
	entries, metadata, err := parseSafetensorsHeader(header)
	if err != nil {
		return nil, err
	}
	dataSize := size - 8 - int64(n)
	if err := checkSafetensorsLayout(entries, dataSize); err != nil {
		return nil, err
	}
	if err := b.take(dataSize, "the data"); err != nil {
		return nil, err
	}
	data := make([]byte, dataSize)
	if err := readAt(r, data, 8+int64(n)); err != nil {
		return nil, err
	}
	sd := NewStateDict()
	sd.Format, sd.Metadata = "safetensors", metadata
	for _, e := range entries {
		sd.Set(cleanName(e.name), &Tensor{DType: safetensorsTypes[e.dtype], Shape: e.shape, Data: data[e.begin:e.end:e.end]})
	}
	if sd.Len() == 0 {
		return nil, badf("holds no tensors; wanted a checkpoint")
	}
	return sd, nil
}

// checkSafetensorsLayout holds every entry against its type and shape, and all of them against the data.
func checkSafetensorsLayout(entries []safetensor, dataSize int64) error {
	for _, e := range entries {
		dt, ok := safetensorsTypes[e.dtype]
		switch {
		case !ok && slices.Contains(safetensorsOthers, e.dtype):
			return inTensor(unsupportedf("has element type %s; wanted one of F32, F64, F16, BF16, I64, I32, I16, I8, U8, BOOL; convert it before saving", e.dtype), e.name)
		case !ok:
			return inTensor(badf("has element type %s, which safetensors does not know; the file is damaged", quote(e.dtype)), e.name)
		case e.begin < 0 || e.end < e.begin || e.end > dataSize:
			return inTensor(badf("lies at bytes %d to %d of %d: cut short or damaged; download or copy the file again", e.begin, e.end, dataSize), e.name)
		}
		want := int64(dt.Size())
		for _, d := range e.shape {
			if want, ok = mul(want, int64(d)); !ok {
				return inTensor(badf("has a shape %v beyond any memory; the file is damaged", e.shape), e.name)
			}
		}
		if want != e.end-e.begin {
			return inTensor(badf("has %d bytes for shape %v of %s, which take %d; the file is damaged", e.end-e.begin, e.shape, e.dtype, want), e.name)
		}
	}
	byPlace := slices.Clone(entries)
	slices.SortFunc(byPlace, func(a, b safetensor) int {
		if a.begin != b.begin {
			return compareInt(a.begin, b.begin)
		}
		return compareInt(a.end, b.end) // an empty tensor goes before what begins at the same place
	})
	at := int64(0)
	for _, e := range byPlace {
		if e.begin != at {
			return inTensor(badf("begins at byte %d of the data where byte %d was due: tensors overlap or leave a gap; the file is damaged", e.begin, at), e.name)
		}
		at = e.end
	}
	if at != dataSize {
		return badf("has %d bytes of data, of which tensors cover %d: cut short, or something was added; download or copy it again", dataSize, at)
	}
	return nil
}

func compareInt(a, b int64) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// headerReader reads the JSON of a header token by token: only so are repeated keys seen.
type headerReader struct{ dec *json.Decoder }

func parseSafetensorsHeader(header []byte) ([]safetensor, map[string]string, error) {
	if !utf8.Valid(header) {
		return nil, nil, badf("header is not UTF-8; the file is damaged")
	}
	if len(header) == 0 || header[0] != '{' {
		return nil, nil, badf("header does not begin with {; the file is damaged or not safetensors")
	}
	h := headerReader{json.NewDecoder(bytes.NewReader(header))}
	h.dec.UseNumber()
	var entries []safetensor
	var metadata map[string]string
	seen := map[string]bool{}
	err := h.object(func(name string) error {
		if seen[name] {
			return fmt.Errorf("key %s is there twice", quote(name))
		}
		seen[name] = true
		if name == metadataKey {
			metadata = map[string]string{}
			return h.object(func(key string) (err error) {
				if _, twice := metadata[key]; twice {
					return fmt.Errorf("metadata key %s is there twice", quote(key))
				}
				metadata[key], err = h.str()
				return err
			})
		}
		e, err := h.tensor(name)
		entries = append(entries, e)
		if err != nil {
			return fmt.Errorf("tensor %s: %w", quote(name), err)
		}
		return nil
	})
	if err == nil {
		rest := header[h.dec.InputOffset():]
		if len(bytes.Trim(rest, " ")) > 0 {
			err = errors.New("something other than spaces after the JSON object")
		}
	}
	if err != nil {
		return nil, nil, &FormatError{Text: "header is damaged", Err: err}
	}
	return entries, metadata, nil
}

// object reads an object, calling f with each key to read the value.
func (h headerReader) object(f func(key string) error) error {
	if err := h.delim('{'); err != nil {
		return err
	}
	for h.dec.More() {
		key, err := h.str()
		if err != nil {
			return err
		}
		if err := f(key); err != nil {
			return err
		}
	}
	return h.delim('}')
}

func (h headerReader) token() (json.Token, error) {
	t, err := h.dec.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return t, err
}

func (h headerReader) delim(want json.Delim) error {
	t, err := h.token()
	if err == nil && t != want {
		err = fmt.Errorf("found %s where %s was due", quote(fmt.Sprint(t)), want)
	}
	return err
}

func (h headerReader) str() (string, error) {
	t, err := h.token()
	s, ok := t.(string)
	if err == nil && !ok {
		err = fmt.Errorf("found %s where a string was due", quote(fmt.Sprint(t)))
	}
	return s, err
}

// ints reads an array of at most max non-negative integers.
func (h headerReader) ints(max int) ([]int64, error) {
	if err := h.delim('['); err != nil {
		return nil, err
	}
	out := []int64{}
	for h.dec.More() {
		t, err := h.token()
		if err != nil {
			return nil, err
		}
		num, ok := t.(json.Number)
		n, err := strconv.ParseUint(string(num), 10, 63)
		if !ok || err != nil {
			return nil, fmt.Errorf("found %s where a non-negative integer was due", quote(fmt.Sprint(t)))
		}
		if len(out) == max {
			return nil, fmt.Errorf("more than %d numbers in a list", max)
		}
		out = append(out, int64(n))
	}
	return out, h.delim(']')
}

func (h headerReader) tensor(name string) (safetensor, error) {
	e := safetensor{name: name, begin: -1}
	seen := map[string]bool{}
	err := h.object(func(key string) (err error) {
		if seen[key] {
			return fmt.Errorf("key %s is there twice", quote(key))
		}
		seen[key] = true
		switch key {
		case "dtype":
			e.dtype, err = h.str()
		case "shape":
			var dims []int64
			dims, err = h.ints(maxDims)
			e.shape = make([]int, len(dims))
			for i, d := range dims {
				e.shape[i] = int(d)
			}
		case "data_offsets":
			var at []int64
			if at, err = h.ints(2); err == nil {
				if len(at) != 2 {
					return errors.New("data_offsets is not a pair")
				}
				e.begin, e.end = at[0], at[1]
			}
		default:
			err = fmt.Errorf("unknown key %s", quote(key))
		}
		return err
	})
	if err == nil && (e.dtype == "" || e.shape == nil || e.begin < 0) {
		err = errors.New("dtype, shape or data_offsets is missing")
	}
	return e, err
}

// WriteSafetensors writes sd to path as .safetensors, with metadata (may be nil) under
// "__metadata__". The bytes depend on the arguments alone: tensors in order of falling element
// size, then by name, as the format's own library does, so that each lies aligned to its size;
// the header is padded to 8 bytes. The file appears whole or not at all (a temporary
// file in the same directory, renamed).
func WriteSafetensors(path string, sd *StateDict, metadata map[string]string) error {
	header, order, err := safetensorsHeader(sd, metadata)
	if err != nil {
		return inFile(err, path)
	}
	return writeFile(path, func(w io.Writer) error {
		if _, err := w.Write(header); err != nil {
			return err
		}
		for _, name := range order {
			if _, err := w.Write(sd.Get(name).Data); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeFile writes a file that appears whole or not at all.
func writeFile(path string, write func(io.Writer) error) error {
	if err := atomicfile.Write(path, 0o666, write); err != nil {
		return fmt.Errorf("weights: %w", err)
	}
	return nil
}

// safetensorsHeader returns the file up to the data, and the order of the tensors in it.
func safetensorsHeader(sd *StateDict, metadata map[string]string) ([]byte, []string, error) {
	typeNames := map[DType]string{}
	for name, dt := range safetensorsTypes {
		typeNames[dt] = name
	}
	order := slices.Clone(sd.Names())
	slices.SortFunc(order, func(a, b string) int {
		if d := sd.Get(b).DType.Size() - sd.Get(a).DType.Size(); d != 0 {
			return d
		}
		if a < b {
			return -1
		}
		return 1
	})
	buf := bytes.NewBuffer(make([]byte, 8, 8+128*len(order)))
	str := func(s string) { // a Go string that is UTF-8 always encodes
		b, _ := json.Marshal(s)
		buf.Write(b)
	}
	buf.WriteByte('{')
	sep := ""
	if len(metadata) > 0 {
		str(metadataKey)
		for i, key := range slices.Sorted(maps.Keys(metadata)) {
			buf.WriteString(map[bool]string{true: ":{", false: ","}[i == 0])
			str(key)
			buf.WriteByte(':')
			str(metadata[key])
		}
		buf.WriteByte('}')
		sep = ","
	}
	at := 0
	for _, name := range order {
		t := sd.Get(name)
		if err := checkWritable(name, t, typeNames); err != nil {
			return nil, nil, inTensor(err, name)
		}
		buf.WriteString(sep)
		sep = ","
		str(name)
		shape, _ := json.Marshal(append([]int{}, t.Shape...))
		fmt.Fprintf(buf, `:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, typeNames[t.DType], shape, at, at+len(t.Data))
		at += len(t.Data)
	}
	buf.WriteByte('}')
	for buf.Len()%8 != 0 {
		buf.WriteByte(' ')
	}
	header := buf.Bytes()
	if len(header)-8 > maxSafetensorsHeader {
		return nil, nil, badf("its header would take %d bytes; safetensors allows %d", len(header)-8, maxSafetensorsHeader)
	}
	binary.LittleEndian.PutUint64(header, uint64(len(header)-8))
	return header, order, nil
}

// checkWritable holds a tensor made in memory against itself.
func checkWritable(name string, t *Tensor, typeNames map[DType]string) error {
	switch {
	case name == metadataKey || !utf8.ValidString(name):
		return badf("cannot be written under this name; wanted UTF-8 other than %s", metadataKey)
	case typeNames[t.DType] == "":
		return unsupportedf("has element type %v, which cannot be written", t.DType)
	}
	return t.check()
}
