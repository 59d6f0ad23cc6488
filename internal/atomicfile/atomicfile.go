// Package atomicfile writes files that appear whole or not at all: under a temporary name in the same folder, which begins
// with a dot and ends with the file's own name, until they are complete. Nothing is synced: a file survives its process,
// whatever becomes of that, but not every loss of power.
package atomicfile

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// File is a file that is being written, through a buffer. Commit gives it its name; Abandon, which may be deferred as it
// does nothing after that, removes it.
type File struct {
	*bufio.Writer
	path   string // as given, for errors
	target string // the name to get; "" where the file is written in place
	f      *os.File
	err    error // of Close
	closed bool
	ended  bool // committed or abandoned
}

// bufferSize keeps writes of small pieces from being as many calls of the system.
const bufferSize = 1 << 16

// Create begins a file that Commit puts at path. What a symbolic link there points to is replaced, not the link. Where path
// is neither a regular file nor missing (/dev/null, a pipe) it is written directly, and at once. perm is cut by the umask;
// a file that was there does not pass on its own. An error names path and says why it cannot be written.
func Create(path string, perm fs.FileMode) (*File, error) {
	target := path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		target = real
	}
	if info, err := os.Stat(target); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(target, os.O_WRONLY, 0)
		if err != nil {
			return nil, failure(path, err)
		}
		return &File{Writer: bufio.NewWriterSize(f, bufferSize), path: path, f: f}, nil
	}
	return create(path, target, perm)
}

// Replace is Create for a file that takes the place of whatever has its name, a symbolic link or a device too. A folder
// stays, and is an error of Commit.
func Replace(path string, perm fs.FileMode) (*File, error) { return create(path, path, perm) }

func create(path, target string, perm fs.FileMode) (*File, error) {
	base := filepath.Base(target)
	if len(base) > 200 { // most file systems take 255 bytes
		base = strings.ToValidUTF8(base[len(base)-200:], "")
	}
	temp := filepath.Join(filepath.Dir(target), fmt.Sprintf(".%016x.%s", rand.Uint64(), base))
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, failure(path, err)
	}
	return &File{Writer: bufio.NewWriterSize(f, bufferSize), path: path, target: target, f: f}, nil
}

// Close completes the file without giving it its name. Commit does it where it was not done, so that it is for those who
// want several files complete before the first one appears. It returns the first error of writing, every time.
func (f *File) Close() error {
	if f.closed {
		return f.err
	}
	f.closed = true
	err := f.Flush()
	if e := f.f.Close(); err == nil {
		err = e
	}
	f.err = failure(f.path, err)
	return f.err
}

// Commit completes the file and gives it its name. After an error of writing, closing or renaming there is no file, and what
// was at path before is untouched. It is an error after Commit or Abandon.
func (f *File) Commit() error {
	if f.ended {
		return failure(f.path, fs.ErrClosed)
	}
	err := f.Close()
	if err == nil && f.target != "" {
		err = failure(f.path, os.Rename(f.f.Name(), f.target))
	}
	if err != nil {
		f.Abandon()
	}
	f.ended = true
	return err
}

// Abandon removes what was written, unless Commit or Abandon was called before.
func (f *File) Abandon() {
	if f.ended {
		return
	}
	f.ended = true
	if !f.closed {
		f.closed, f.err = true, failure(f.path, fs.ErrClosed)
		f.f.Close()
	}
	if f.target != "" {
		os.Remove(f.f.Name())
	}
}

// Write is Create, write, and Commit. After an error, which names path, nothing is left of the file.
func Write(path string, perm fs.FileMode, write func(io.Writer) error) error {
	f, err := Create(path, perm)
	if err != nil {
		return err
	}
	defer f.Abandon()
	if err := write(f); err != nil {
		return failure(path, err)
	}
	return f.Commit()
}

// failure says what cannot be written, and not under which temporary name. No error stays none.
func failure(path string, err error) error {
	switch e := err.(type) {
	case nil:
		return nil
	case *fs.PathError:
		err = e.Err
	case *os.LinkError:
		err = e.Err
	}
	return fmt.Errorf("%s: cannot be written: %w", path, err)
}
