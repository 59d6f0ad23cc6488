package results

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gofrs/flock"
)

// Lock keeps other processes from writing a file of results. The system lets go of it when its holder ends, however it
// ends; a lock file that is left holds nobody up.
type Lock struct {
	// Unsupported is why the file system has no locks, nil where it does: nothing keeps others out then.
	Unsupported error

	f *flock.Flock
}

// LockFile takes the lock for the file of results at path, or says that another process has it.
func LockFile(path string) (*Lock, error) {
	beside := path + ".lock"
	for {
		f := flock.New(beside, flock.SetPermissions(0o666))
		mine, err := f.TryLock()
		var opening *fs.PathError
		switch {
		case errors.As(err, &opening):
			f.Close()
			return nil, err
		case err != nil:
			f.Close()
			os.Remove(beside)
			return &Lock{Unsupported: err}, nil
		case !mine:
			f.Close()
			return nil, fmt.Errorf("%s: another process writes it at this moment (it holds %s); want one process for each file", path, beside)
		}
		// The one that had the lock before removes the file: another may have a lock on a new one then.
		held, err1 := f.Stat()
		named, err2 := os.Stat(beside)
		if err1 == nil && err2 == nil && os.SameFile(held, named) {
			return &Lock{f: f}, nil
		}
		f.Close()
		if err1 != nil || err2 != nil && !errors.Is(err2, fs.ErrNotExist) {
			return nil, errors.Join(err1, err2)
		}
	}
}

// Unlock lets others write the file. A nil Lock is none.
func (l *Lock) Unlock() {
	if l == nil || l.f == nil {
		return
	}
	os.Remove(l.f.Path()) // while it is held; where open files cannot be removed (Windows) it stays
	l.f.Close()
	l.f = nil
}
