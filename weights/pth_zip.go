package weights

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// zipArchive is a checkpoint in torch's zip form: PREFIX/data.pkl, the object graph;
// PREFIX/data/KEY, one record per storage; PREFIX/byteorder, "little" or "big" (absent before torch 2.1).
type zipArchive struct {
	files     map[string]*zip.File // by name without the prefix
	repeated  map[string]bool
	bigEndian bool
	budget    *budget
	storages  map[string]*zipStorage
}

type zipStorage struct {
	data []byte
	elem int // the element size that data was byte-swapped for, where it was
}

// readZip reads a zip checkpoint.
func readZip(r io.ReaderAt, size int64, b *budget) (*StateDict, error) {
	a, err := openZip(r, size, b)
	if err != nil {
		return nil, err
	}
	graph, err := a.record("data.pkl", maxPickle)
	if err != nil {
		return nil, err
	}
	p, err := verifyPickle(graph, true, graphCost(size))
	if err != nil {
		return nil, err
	}
	root, _, err := loadPickle(p)
	if err != nil {
		return nil, err
	}
	return collect(root, a, b, "PyTorch zip")
}

func openZip(r io.ReaderAt, size int64, b *budget) (*zipArchive, error) {
	zr, err := zip.NewReader(r, size)
	if errors.Is(err, zip.ErrFormat) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, &FormatError{Text: fmt.Sprintf("begins as a zip checkpoint, but the directory at its end is missing or damaged (%d bytes are here): cut short or altered on the way; download or copy it again", size), Err: err}
	}
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // paths are only compared, never used
		return nil, err
	}
	a := &zipArchive{files: map[string]*zip.File{}, repeated: map[string]bool{}, budget: b, storages: map[string]*zipStorage{}}
	prefix, found := "", false
	for _, f := range zr.File {
		if path.Base(f.Name) == "data.pkl" && strings.Count(f.Name, "/") <= 1 {
			prefix, found = strings.TrimSuffix(f.Name, "data.pkl"), true
			break
		}
	}
	if !found {
		return nil, unsupportedf("is a zip archive without data.pkl%s; wanted a checkpoint written by torch.save", zipContents(zr))
	}
	for _, f := range zr.File {
		if name, ok := strings.CutPrefix(f.Name, prefix); ok {
			if a.files[name] != nil {
				a.repeated[name] = true
			}
			a.files[name] = f
		}
	}
	if a.files["constants.pkl"] != nil {
		return nil, unsupportedf("is a TorchScript module; wanted a state dict; load it with torch.jit.load and save module.state_dict() with torch.save")
	}
	if a.files["byteorder"] != nil {
		order, err := a.record("byteorder", 16)
		if err != nil {
			return nil, err
		}
		switch strings.TrimSpace(string(order)) {
		case "little":
		case "big":
			a.bigEndian = true
		default:
			return nil, badf("record byteorder is %s; wanted little or big", quote(string(order)))
		}
	}
	return a, nil
}

// zipContents says in brief what else an archive is.
func zipContents(zr *zip.Reader) string {
	for _, f := range zr.File {
		switch {
		case strings.HasSuffix(f.Name, "/data.pkl"), strings.HasSuffix(f.Name, ".pth"), strings.HasSuffix(f.Name, ".safetensors"):
			return fmt.Sprintf(" at its top (there is %s: unpack it first)", quote(f.Name))
		case strings.HasSuffix(f.Name, ".npy"):
			return " (it looks like a numpy .npz)"
		}
	}
	return ""
}

// record reads one record whole, checking size and CRC. limit bounds its size; 0 leaves that to the budget.
func (a *zipArchive) record(name string, limit int64) ([]byte, error) {
	f := a.files[name]
	if f == nil {
		return nil, badf("record %s is missing; the file is damaged", quote(name))
	}
	if a.repeated[name] {
		return nil, badf("record %s is there twice; the file is damaged or made to mislead", quote(name))
	}
	if f.Flags&1 != 0 {
		return nil, unsupportedf("record %s is encrypted; unpack it and save it without a password", quote(name))
	}
	if f.Method != zip.Store && f.Method != zip.Deflate {
		return nil, unsupportedf("record %s is compressed with method %d; wanted stored or deflated", quote(name), f.Method)
	}
	size := f.UncompressedSize64
	if size > 1<<62 || limit > 0 && size > uint64(limit) {
		return nil, badf("record %s claims %d bytes; wanted at most %d", quote(name), size, limit)
	}
	// A stored record cannot be larger than the file; a deflated one is held to the budget.
	if f.Method == zip.Store && (size != f.CompressedSize64 || size > uint64(a.budget.size)) {
		return nil, badf("record %s claims %d bytes in a file of %s; the file is damaged", quote(name), size, sizeText(a.budget.size))
	}
	if err := a.budget.take(int64(size), "record "+quote(name)); err != nil {
		return nil, err
	}
	return readRecord(f, name)
}

func readRecord(f *zip.File, name string) ([]byte, error) {
	rc, err := f.Open()
	if err != nil {
		return nil, &FormatError{Text: "record " + quote(name) + " cannot be read; the file is damaged", Err: err}
	}
	defer rc.Close()
	buf := make([]byte, f.UncompressedSize64)
	if _, err = io.ReadFull(rc, buf); err == nil {
		// The end of the record is where the CRC is checked; there must be nothing before it.
		var extra [1]byte
		if _, err = io.ReadFull(rc, extra[:]); err == io.EOF {
			return buf, nil
		} else if err == nil {
			err = errors.New("longer than its declared size")
		}
	}
	if errors.Is(err, zip.ErrChecksum) {
		return nil, badf("record %s does not match its CRC: altered on the way; download or copy the file again", quote(name))
	}
	return nil, &FormatError{Text: fmt.Sprintf("record %s of %d bytes cannot be read whole; the file is damaged", quote(name), f.UncompressedSize64), Err: err}
}

// read implements storageReader.
func (a *zipArchive) read(st *pyStorage) ([]byte, error) {
	if st.dtype == 0 {
		return nil, unsupportedf("has a storage of type %s", st.class.name)
	}
	elem := st.dtype.Size()
	s := a.storages[st.key]
	if s == nil {
		name := "data/" + st.key
		if f := a.files[name]; f != nil && f.UncompressedSize64 != uint64(st.numel)*uint64(elem) {
			return nil, badf("storage %s should have %d elements of %s, %d bytes, but its record has %d; the file is damaged", quote(st.key), st.numel, st.dtype, uint64(st.numel)*uint64(elem), f.UncompressedSize64)
		}
		data, err := a.record(name, 0)
		if err != nil {
			return nil, err
		}
		if a.bigEndian {
			swapBytes(data, elem)
		}
		s = &zipStorage{data, elem}
		a.storages[st.key] = s
	}
	if int64(len(s.data)) != st.numel*int64(elem) {
		return nil, badf("storage %s is claimed with %d elements of %s and with %d bytes; the file is damaged", quote(st.key), st.numel, st.dtype, len(s.data))
	}
	if a.bigEndian && s.elem != elem {
		return nil, unsupportedf("shares its big-endian storage with a tensor of another element size; save it on a little-endian machine")
	}
	return s.data, nil
}
