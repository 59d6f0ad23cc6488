package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A legacy checkpoint (torch before 1.6, and every file published for these networks) is five
// pickles in a row, then the storages: a magic number, a protocol version (1001), a dict about
// the machine, the object graph, the list of storage keys; then for each key, in that order,
// its number of elements as a little-endian int64 and the elements, always little-endian.

// legacyMagic is the number 0x1950a86a20f9469cfc6c as picklers write it from protocol 2 on, and legacyMagicText in protocol 1.
var legacyMagic = []byte{opLong1, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, opStop}

const legacyMagicText = "L119547037146038801333356L\n."

// legacyVersion is the only protocol version there ever was.
const legacyVersion = 1001

// legacyMagicSize returns the length of the magic pickle at the start of head, 0 if there is none.
func legacyMagicSize(head []byte) int {
	if bytes.HasPrefix(head, []byte(legacyMagicText)) {
		return len(legacyMagicText)
	}
	n := 0
	if len(head) > 2 && head[0] == opProto && head[1] <= maxProtocol {
		n = 2
	}
	if len(head) > n+9 && head[n] == opFrame {
		n += 9
	}
	if n == 0 || !bytes.HasPrefix(head[n:], legacyMagic) {
		return 0
	}
	return n + len(legacyMagic)
}

// legacyFile reads storages by their place in the file.
type legacyFile struct {
	r        io.ReaderAt
	size     int64
	budget   *budget
	places   map[string]legacyPlace
	storages map[string][]byte
}

type legacyPlace struct{ at, numel, elem int64 }

// readLegacy reads a legacy checkpoint whose magic pickle is skip bytes long.
func readLegacy(r io.ReaderAt, size int64, skip int, b *budget) (*StateDict, error) {
	p := &pickleStream{r: r, size: size, pos: int64(skip), cost: graphCost(size)}
	version, err := p.next()
	if err != nil {
		return nil, err
	}
	if version != any(legacyVersion) {
		return nil, unsupportedf("legacy checkpoint of protocol version %v; wanted %d", clip(fmt.Sprint(version), 40), legacyVersion)
	}
	if _, err = p.next(); err != nil { // about the machine; the storages do not depend on it
		return nil, err
	}
	root, err := p.next()
	if err != nil {
		return nil, err
	}
	list, err := p.next()
	if err != nil {
		return nil, err
	}
	keys, ok := list.(sequence)
	if !ok {
		return nil, badf("legacy checkpoint without its list of storages; the file is damaged")
	}
	f := &legacyFile{r: r, size: size, budget: b, places: map[string]legacyPlace{}, storages: map[string][]byte{}}
	if err := f.locate(keys, p.elems, p.pos); err != nil {
		return nil, err
	}
	return collect(root, f, b, "PyTorch legacy")
}

// locate walks over the storages, which begin at pos. They carry no element size:
// that is known from the object graph alone.
func (f *legacyFile) locate(keys sequence, elems map[string]int64, pos int64) error {
	for i := range keys.Len() {
		key, ok := keys.Get(i).(string)
		if !ok {
			return badf("the key of storage %d is not a string; the file is damaged", i)
		}
		if _, twice := f.places[key]; twice {
			return badf("storage %s is listed twice; the file is damaged", quote(key))
		}
		elem, ok := elems[key]
		if !ok {
			return badf("storage %s is listed but used by no tensor, so its element size is unknown; the file is damaged", quote(key))
		}
		if elem < 0 {
			return badf("storage %s is used with elements of different sizes; the file is damaged", quote(key))
		}
		if elem == 0 {
			return unsupportedf("storage %s is of a type this program does not read, and what follows it cannot be found; convert it before saving", quote(key))
		}
		var head [8]byte
		if f.size-pos < 8 {
			return f.short(key, i, keys.Len())
		}
		if err := readAt(f.r, head[:], pos); err != nil {
			return err
		}
		numel := int64(binary.LittleEndian.Uint64(head[:]))
		pos += 8
		if numel < 0 {
			return badf("storage %s claims %d elements; the file is damaged", quote(key), numel)
		}
		if numel > (f.size-pos)/elem {
			return f.short(key, i, keys.Len())
		}
		f.places[key] = legacyPlace{pos, numel, elem}
		pos += numel * elem
	}
	return nil
}

func (f *legacyFile) short(key string, i, n int) error {
	return badf("ends within storage %s (%d of %d): cut short or damaged, %d bytes are here; download or copy it again", quote(key), i+1, n, f.size)
}

// read implements storageReader.
func (f *legacyFile) read(st *pyStorage) ([]byte, error) {
	p, ok := f.places[st.key]
	if !ok {
		return nil, badf("its storage %s is not in the file", quote(st.key))
	}
	if p.numel != st.numel || p.elem != int64(st.dtype.Size()) {
		return nil, badf("storage %s should have %d elements of %s but has %d; the file is damaged", quote(st.key), st.numel, st.dtype, p.numel)
	}
	if data := f.storages[st.key]; data != nil {
		return data, nil
	}
	if err := f.budget.take(p.numel*p.elem, "storage "+quote(st.key)); err != nil {
		return nil, err
	}
	data := make([]byte, p.numel*p.elem)
	if err := readAt(f.r, data, p.at); err != nil {
		return nil, err
	}
	f.storages[st.key] = data
	return data, nil
}

// readAt fills b from offset at.
func readAt(r io.ReaderAt, b []byte, at int64) error {
	if n, err := r.ReadAt(b, at); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return &FormatError{Text: fmt.Sprintf("%d bytes at offset %d cannot be read", len(b), at), Err: err}
	}
	return nil
}

// pickleStream reads pickles that follow each other in a file without saying how long they are.
type pickleStream struct {
	r     io.ReaderAt
	size  int64
	pos   int64
	cost  int64
	elems map[string]int64 // element size of each storage named so far; 0 for a type not read
}

// firstWindow is how much is read of the file at first to find the end of a pickle.
const firstWindow = 64 << 10

// next verifies and runs the next pickle.
func (p *pickleStream) next() (any, error) {
	left := p.size - p.pos
	for window := int64(firstWindow); ; window *= 4 {
		n := min(window, left, maxPickle)
		src := make([]byte, n)
		if err := readAt(p.r, src, p.pos); err != nil {
			return nil, err
		}
		v, err := verifyPickle(src, n == left, p.cost)
		if errors.Is(err, errNeedMore{}) {
			if n == maxPickle {
				return nil, badf("object graph of more than %s; wanted a state dict", sizeText(maxPickle))
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		p.pos += int64(v.length)
		p.cost = v.costLeft
		value, elems, err := loadPickle(v)
		if len(elems) > 0 {
			p.elems = elems
		}
		return value, err
	}
}
