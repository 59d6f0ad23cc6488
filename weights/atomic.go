package weights

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// writeAtomic writes a file by way of a temporary one beside it, so that path holds either what
// it held before or the whole new contents. Where path is no regular file (/dev/null, a pipe),
// it is written directly; where it is a symbolic link, what it points to is replaced.
func writeAtomic(path string, write func(io.Writer) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("weights: %s: cannot be written: %w", path, err)
		}
	}()
	target := path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		target = real
	}
	if info, err := os.Stat(target); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(target, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return fill(f, write)
	}
	temp := filepath.Join(filepath.Dir(target), fmt.Sprintf(".%s.%d-%08x.tmp", filepath.Base(target), os.Getpid(), rand.Uint32()))
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if err = fill(f, write); err == nil {
		err = os.Rename(temp, target)
	}
	if err != nil {
		os.Remove(temp)
	}
	return err
}

// fill writes through a buffer and closes the file; the first error counts.
func fill(f *os.File, write func(io.Writer) error) error {
	w := bufio.NewWriterSize(f, 1<<20)
	err := write(w)
	if err == nil {
		err = w.Flush()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
