package results

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// Resumable are the Formats that a File can have.
var Resumable = []string{"jsonl", "csv"}

// File is a file of rows that is complete once it has its name: until then they are in Part, and a process that is
// killed leaves them for another one to continue.
type File struct {
	Part   string // the path while it is incomplete
	Rows   int    // rows that Part had when it was opened
	Failed int    // those of them with an error

	Writer
	path string
	f    *os.File
	buf  *bufio.Writer
	old  *rows // reads the first Rows again
	oldF *os.File
}

// OpenFile begins a file, or with resume continues what a process left. settings tell what all rows depend on; they
// are kept beside Part, and must be the same to continue. k is the number of predictions a row has.
func OpenFile(path, format string, k int, settings map[string]string, resume bool) (file *File, err error) {
	o := &File{path: path, Part: path + ".part"}
	info, statErr := os.Stat(o.Part)
	if statErr == nil && info.Size() > 0 && !resume {
		return nil, fmt.Errorf("%s: %s is left of an interrupted run; --resume continues it, and without it there is a new beginning", path, o.Part)
	}
	if o.f, err = os.OpenFile(o.Part, os.O_RDWR|os.O_CREATE, 0o666); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			o.Close()
		}
	}()
	end, err := o.count(format)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove it to begin anew", o.Part, err)
	}
	if err := o.agree(settings, end); err != nil {
		return nil, err
	}
	if err := o.f.Truncate(end); err != nil {
		return nil, err
	}
	if _, err := o.f.Seek(end, io.SeekStart); err != nil {
		return nil, err
	}
	if o.oldF, err = os.Open(o.Part); err != nil {
		return nil, err
	}
	o.old = newRows(o.oldF, format)
	o.buf = bufio.NewWriter(o.f)
	if o.Writer = New(format, o.buf, k); end > 0 {
		o.Writer = Continue(format, o.buf, k)
	}
	return o, nil
}

// count counts the complete rows, and returns where the last one ends.
func (o *File) count(format string) (end int64, err error) {
	r := newRows(o.f, format)
	for {
		row, err := r.next()
		if err == io.EOF {
			return r.end, nil
		}
		if err != nil {
			return 0, fmt.Errorf("row %d: %w", o.Rows+1, err)
		}
		o.Rows++
		if row.Error != "" {
			o.Failed++
		}
	}
}

// agree compares settings with those kept beside the file, or keeps them.
func (o *File) agree(settings map[string]string, end int64) error {
	beside := o.Part + ".json"
	if end > 0 {
		var kept map[string]string
		data, err := os.ReadFile(beside)
		if err == nil {
			err = json.Unmarshal(data, &kept)
		}
		if err != nil {
			return fmt.Errorf("%s: what the rows were made with is not known (%v); remove it to begin anew", o.Part, err)
		}
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			if kept[name] != settings[name] {
				return fmt.Errorf("%s: its rows were made with %s %q, now it is %q; want the same to continue, or another file", o.Part, name, kept[name], settings[name])
			}
		}
		return nil
	}
	data, err := json.MarshalIndent(settings, "", "  ")
	if err == nil {
		err = os.WriteFile(beside, append(data, '\n'), 0o666)
	}
	return err
}

// NextName returns the names of the first Rows rows, one after the other.
func (o *File) NextName() (string, error) {
	row, err := o.old.next()
	return row.Filename, err
}

// Write adds a row. It is in the file, whatever becomes of the process, when Write returns.
func (o *File) Write(r Row) error {
	err := o.Writer.Write(r)
	if err == nil {
		err = o.buf.Flush()
	}
	return err
}

// Commit completes the file and gives it its name.
func (o *File) Commit() error {
	err := o.Writer.Close()
	for _, f := range []func() error{o.buf.Flush, o.f.Sync, o.Close} {
		if err == nil {
			err = f()
		}
	}
	if err == nil {
		err = os.Rename(o.Part, o.path)
	}
	if err == nil {
		err = os.Remove(o.Part + ".json")
	}
	return err
}

// Close ends without completing; Part stays. After Commit it does nothing.
func (o *File) Close() error {
	if o.oldF != nil {
		o.oldF.Close()
	}
	if o.f == nil {
		return nil
	}
	err := o.f.Close()
	o.f = nil
	return err
}

// rows reads rows back. An incomplete last row is not there.
type rows struct {
	lines  *bufio.Reader // jsonl
	csv    *csv.Reader   // or csv
	tail   *tail
	end    int64    // where the last complete row ends
	cut    bool     // something incomplete follows
	raw    []byte   // the row itself: of jsonl
	record []string // of csv
	header []string
}

func newRows(r io.Reader, format string) *rows {
	if format == "csv" {
		t := &tail{r: r}
		return &rows{csv: csv.NewReader(t), tail: t}
	}
	return &rows{lines: bufio.NewReaderSize(r, 1<<16)}
}

// next returns the next complete row, and io.EOF after the last.
func (r *rows) next() (row Row, err error) {
	if r.csv == nil {
		if r.raw, err = r.lines.ReadBytes('\n'); err != nil {
			r.cut = r.cut || len(r.raw) > 0
			return Row{}, err
		}
		if err := json.Unmarshal(r.raw, &row); err != nil || row.Filename == "" {
			return Row{}, errors.Join(errors.New("not a row of results"), err)
		}
		r.end += int64(len(r.raw))
		return row, nil
	}
	if r.header == nil {
		if r.header, err = r.read(); err != nil {
			return Row{}, err
		}
		if n := len(r.header); r.header[0] != "filename" || r.header[n-1] != "error" {
			return Row{}, fmt.Errorf("the header is %q, want filename first and error last", strings.Join(r.header, ","))
		}
	}
	if r.record, err = r.read(); err != nil {
		return Row{}, err
	}
	return Row{Filename: r.record[0], Error: r.record[len(r.record)-1]}, nil
}

// read reads one record.
func (r *rows) read() ([]string, error) {
	record, err := r.csv.Read()
	open := r.tail.last != '\n' // within the last line, if the end has been read
	if errors.Is(err, csv.ErrQuote) || err != nil && err != io.EOF && open || err == nil && open && r.csv.InputOffset() == r.tail.n {
		r.cut = true
		return nil, io.EOF
	}
	if err == nil {
		r.end = r.csv.InputOffset()
	}
	return record, err
}

// tail counts what is read and keeps the last byte.
type tail struct {
	r    io.Reader
	n    int64
	last byte
}

func (t *tail) Read(b []byte) (int, error) {
	k, err := t.r.Read(b)
	if k > 0 {
		t.n += int64(k)
		t.last = b[k-1]
	}
	return k, err
}

// Merge writes the rows of shards, the complete files of shards 0/N to N-1/N in this order, as one file would have had
// them, and returns how many there are.
func Merge(w io.Writer, format string, names []string, shards []io.Reader) (total int, err error) {
	m := newMerger(w, format, names, shards)
	all := m.all
	for at := 0; ; at++ {
		i := at % len(all)
		more, err := m.next(i)
		if err != nil {
			return total, err
		}
		if !more {
			for step := 1; step < len(all); step++ { // those whose turn is next have no more either
				j := (i + step) % len(all)
				if more, err := m.next(j); err != nil {
					return total, err
				} else if more {
					return total, fmt.Errorf("%s has more rows than %s allows; want the complete files of all shards, in the order of --shard, from 0/%d on", names[j], names[i], len(all))
				}
			}
			return total, m.flush()
		}
		total++
		if err := m.copy(i); err != nil {
			return total, err
		}
	}
}

// Concat writes the rows of the shards' complete files one behind the other, and returns how many there are.
func Concat(w io.Writer, format string, names []string, shards []io.Reader) (total int, err error) {
	m := newMerger(w, format, names, shards)
	for i := range m.all {
		for {
			more, err := m.next(i)
			if err != nil {
				return total, err
			}
			if !more {
				break
			}
			total++
			if err := m.copy(i); err != nil {
				return total, err
			}
		}
	}
	return total, m.flush()
}

// merger reads shards' rows and writes them to one file.
type merger struct {
	format string
	names  []string
	all    []*rows
	out    *bufio.Writer
	table  *csv.Writer
	begun  bool // the header is written
}

func newMerger(w io.Writer, format string, names []string, shards []io.Reader) *merger {
	m := &merger{format: format, names: names, out: bufio.NewWriter(w)}
	m.table = csv.NewWriter(m.out)
	for _, s := range shards {
		m.all = append(m.all, newRows(s, format))
	}
	return m
}

// next reads a row of shard i, if there is one.
func (m *merger) next(i int) (bool, error) {
	all, names := m.all, m.names
	_, err := all[i].next()
	switch {
	case err == io.EOF && all[i].cut:
		return false, fmt.Errorf("%s: ends within a row, want the complete file", names[i])
	case err != nil && err != io.EOF:
		return false, fmt.Errorf("%s: %w", names[i], err)
	case m.format == "csv" && all[i].header == nil:
		return false, fmt.Errorf("%s: is empty, want at least the header", names[i])
	case m.format == "csv" && !slices.Equal(all[i].header, all[0].header):
		return false, fmt.Errorf("%s: has other columns than %s", names[i], names[0])
	}
	if m.format == "csv" && !m.begun {
		m.begun = true
		if err := m.table.Write(all[0].header); err != nil {
			return false, err
		}
	}
	return err == nil, nil
}

// copy writes the row of shard i that was read last.
func (m *merger) copy(i int) error {
	if m.format == "csv" {
		return m.table.Write(m.all[i].record)
	}
	_, err := m.out.Write(m.all[i].raw)
	return err
}

func (m *merger) flush() error {
	m.table.Flush()
	return errors.Join(m.table.Error(), m.out.Flush())
}
