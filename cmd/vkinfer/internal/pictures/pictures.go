// Package pictures finds the pictures that a command line names: files, folders, archives, and lists on standard
// input.
package pictures

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// extensions are those of the formats that package preprocess reads. They decide only which files of a
// folder are taken; a file named by itself is read whatever its name.
var extensions = map[string]bool{
	".jpg": true, ".jpeg": true, ".jpe": true, ".jfif": true, ".png": true, ".gif": true,
	".bmp": true, ".dib": true, ".tif": true, ".tiff": true, ".webp": true,
}

// IsPicture reports whether a file's name looks like a picture's. Names that begin with a dot do not.
func IsPicture(name string) bool {
	base := filepath.Base(name)
	return !strings.HasPrefix(base, ".") && extensions[strings.ToLower(filepath.Ext(base))]
}

// Item is a picture, or an error about a path that was named.
type Item struct {
	Path string
	Err  error
	Read func() ([]byte, error) // returns the bytes of an archive's member or an array's picture, once; nil for the file at Path

	// Height and Width, unless 0, say that Read returns pixels, uint8 [Height,Width,3], which are prepared already.
	Height, Width int

	Class *int // the label of an archive's member, where List.Labels wants it and there is one
}

// Drop lets go of a picture that is not wanted. Every item must be read or dropped.
func (it Item) Drop() {
	if it.Read != nil {
		it.Read()
	}
}

// List says where to look.
type List struct {
	Args  []string  // files, folders, archives, arrays, and "-" for paths in Stdin, one per line
	Stdin io.Reader // read where Args says "-"
	// Take chooses among the sources, which are the Args and the lines of Stdin, numbered from 0; nil takes all.
	Take func(i int) bool
	// Labels asks for the labels of archives' members in WebDataset's manner: KEY.cls, or "label" in KEY.json, beside KEY.jpg.
	Labels bool
	Null   bool // the paths in Stdin end with a zero byte instead
	// Skipped, if set, is told of every folder or archive that was named and holds no picture, and of the number of
	// other files in it.
	Skipped func(folder string, others int)
}

// maxPath is the longest path that a list may hold.
const maxPath = 1 << 16

// errStop ends a walk early.
var errStop = errors.New("stop")

// Send sends the pictures in order to items, those of a folder in the order of their names, and closes it.
// Sub-folders are entered, hidden ones and links to folders are not. It stops when ctx ends.
func (l List) Send(ctx context.Context, items chan<- Item) {
	defer close(items)
	send := func(it Item) error {
		select {
		case items <- it:
			return nil
		case <-ctx.Done():
			return errStop
		}
	}
	next := 0
	for _, arg := range l.Args {
		var err error
		if arg == "-" {
			err = l.stdin(ctx, &next, send)
		} else if l.takes(&next) {
			err = l.path(ctx, arg, send)
		}
		if err != nil {
			return
		}
	}
}

// takes reports whether the next source is wanted.
func (l List) takes(next *int) bool {
	i := *next
	*next++
	return l.Take == nil || l.Take(i)
}

// Count returns the number of pictures that Send would send, -1 where a list on standard input or an archive hides it.
func (l List) Count(ctx context.Context) int {
	n := 0
	l.Skipped = nil
	next := 0
	for _, arg := range l.Args {
		if arg == "-" {
			return -1
		}
		if !l.takes(&next) {
			continue
		}
		if IsArchive(arg) {
			return -1
		}
		err := l.path(ctx, arg, func(Item) error {
			n++
			return nil
		})
		if err != nil {
			return -1
		}
	}
	return n
}

// path sends a file, or the pictures of a folder or archive.
func (l List) path(ctx context.Context, path string, send func(Item) error) error {
	info, err := os.Stat(path)
	if err != nil {
		return send(Item{Path: path, Err: err})
	}
	if !info.IsDir() && IsArchive(path) {
		return l.archive(ctx, path, send)
	}
	if !info.IsDir() && IsArray(path) {
		return l.array(ctx, path, send)
	}
	if !info.IsDir() {
		return send(Item{Path: path})
	}
	root := path
	if link, err := os.Lstat(path); err == nil && link.Mode()&fs.ModeSymlink != 0 {
		root += string(filepath.Separator) // a walk does not follow the link itself
	}
	found, others := 0, 0
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return errStop
		case err != nil:
			found++
			if e := send(Item{Path: p, Err: err}); e != nil {
				return e
			}
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			if p != root && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		case !IsPicture(p) || !regular(p, d):
			others++
			return nil
		}
		found++
		return send(Item{Path: p})
	})
	if err == nil && found == 0 && l.Skipped != nil {
		l.Skipped(path, others)
	}
	return err
}

// regular reports whether an entry is a file, or a link to one; a link to nowhere passes, so that it is
// reported when it is read.
func regular(path string, d fs.DirEntry) bool {
	if d.Type().IsRegular() {
		return true
	}
	if d.Type()&fs.ModeSymlink == 0 {
		return false
	}
	info, err := os.Stat(path)
	return err != nil || info.Mode().IsRegular()
}

// stdin sends what the list on standard input names. A reader cannot be interrupted, so it is left to
// itself when ctx ends.
func (l List) stdin(ctx context.Context, next *int, send func(Item) error) error {
	paths := make(chan Item)
	go func() {
		defer close(paths)
		sc := bufio.NewScanner(l.Stdin)
		sc.Buffer(nil, maxPath)
		sc.Split(l.split)
		put := func(it Item) bool {
			select {
			case paths <- it:
				return true
			case <-ctx.Done():
				return false
			}
		}
		for sc.Scan() {
			if p := sc.Text(); p != "" && !put(Item{Path: p}) {
				return
			}
		}
		if err := sc.Err(); err != nil {
			if errors.Is(err, bufio.ErrTooLong) {
				err = fmt.Errorf("a line is longer than %d bytes, want one path per line", maxPath)
			}
			put(Item{Path: "standard input", Err: err})
		}
	}()
	for {
		select {
		case it, ok := <-paths:
			if !ok {
				return nil
			}
			err := error(nil)
			if it.Err != nil {
				err = send(it)
			} else if l.takes(next) {
				err = l.path(ctx, it.Path, send)
			}
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return errStop
		}
	}
}

// split cuts a list into paths.
func (l List) split(data []byte, atEOF bool) (int, []byte, error) {
	if !l.Null {
		return bufio.ScanLines(data, atEOF)
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// Read returns a file's bytes, at most limit of them; a larger file is an error.
func Read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > limit {
		return nil, fmt.Errorf("the file has %d bytes, want at most %d", info.Size(), limit)
	}
	return ReadFrom(f, limit)
}

// ReadFrom is Read for an open file.
func ReadFrom(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, fmt.Errorf("more than %d bytes, want a picture", limit)
	}
	return data, err
}

// AtMost returns a bound on the number of pictures where the arguments alone tell one: when all are files.
func (l List) AtMost() int {
	for _, arg := range l.Args {
		if info, err := os.Stat(arg); arg == "-" || IsArchive(arg) || err == nil && info.IsDir() {
			return math.MaxInt
		}
	}
	return len(l.Args)
}
