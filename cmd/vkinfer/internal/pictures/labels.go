package pictures

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
)

// maxLabel is the largest member that is taken for a label.
const maxLabel = 1 << 20

// labels joins an archive's pictures with their labels as WebDataset lays them out: members that follow each other and
// have the same name up to its first dot are one sample; KEY.cls holds the class in digits, KEY.json may have it as "label",
// which does not count beside the other. Of a sample with a label KEY.jpg is the picture, and KEY.seg.png is none.
// One picture at most waits for its label.
type labels struct {
	send    func(Item) error
	key     string // of the sample that class and err are of
	class   *int
	err     error
	waiting *Item
	stem    string // the last label's name without its extension
	digits  bool   // it was a .cls
}

// wants reports whether a member of that name may hold a label. Nil labels want none.
func (l *labels) wants(name string) bool {
	return l != nil && (strings.HasSuffix(name, ".cls") || strings.HasSuffix(name, ".json"))
}

// sampleKey is what the members of one sample have in common.
func sampleKey(name string) string {
	dir, base := path.Split(name)
	base, _, _ = strings.Cut(base, ".")
	return dir + base
}

// stemOf is a name without its extension.
func stemOf(name string) string { return strings.TrimSuffix(name, path.Ext(name)) }

// begin makes name's sample the present one.
func (l *labels) begin(name string) error {
	if key := sampleKey(name); key != l.key {
		err := l.flush()
		l.key, l.class, l.err, l.stem, l.digits = key, nil, nil, "", false
		return err
	}
	return nil
}

// read takes a label from the member of that name.
func (l *labels) read(name string, r io.Reader) error {
	if err := l.begin(name); err != nil {
		return err
	}
	data, err := ReadFrom(r, maxLabel)
	if err != nil && data != nil { // the archive's; a label that is too long comes without data
		return err
	}
	if l.digits && l.stem == stemOf(name) {
		return nil
	}
	l.class, l.err, l.stem, l.digits = nil, nil, stemOf(name), strings.HasSuffix(name, ".cls")
	switch {
	case err != nil:
		l.err = fmt.Errorf("label %s: %w", path.Base(name), err)
	case strings.HasSuffix(name, ".cls"):
		class, err := strconv.Atoi(strings.TrimSpace(string(data[:min(len(data), 40)])))
		if err != nil || class < 0 {
			l.err = fmt.Errorf("label %s: %.40q, want the number of a class", path.Base(name), data)
			break
		}
		l.class = &class
	default:
		var sample struct {
			Label *int `json:"label"`
		}
		if err := json.Unmarshal(data, &sample); err != nil {
			l.err = fmt.Errorf("label %s: %w; want an object with an integer \"label\"", path.Base(name), err)
		} else if sample.Label != nil {
			l.class = sample.Label
		}
	}
	if l.class != nil || l.err != nil {
		return l.flush()
	}
	return nil
}

// add sends a picture, when its label is known or cannot come any more.
func (l *labels) add(it Item) error {
	if err := l.begin(it.Path); err != nil {
		return err.(stopped).error
	}
	if own := stemOf(it.Path); l.class != nil && own != l.stem {
		if strings.HasPrefix(own, l.stem+".") { // a mask or the like
			it.Drop()
			return nil
		}
		l.class = nil // of another key with dots
	}
	l.waiting = &it
	if l.class != nil || l.err != nil {
		if err := l.flush(); err != nil {
			return err.(stopped).error
		}
	}
	return nil
}

// flush sends the picture that waits.
func (l *labels) flush() error {
	it := l.waiting
	if it == nil {
		return nil
	}
	l.waiting = nil
	if it.Class = l.class; it.Err == nil && l.err != nil {
		it.Drop()
		it.Read, it.Err = nil, l.err
	}
	if err := l.send(*it); err != nil {
		return stopped{err}
	}
	return nil
}
