package doctor

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Cache reports on a folder that is written to when it can be: what it holds, and whether it can be written. A folder
// within it, apart, is another cache and does not count; "" for none.
func (r *Report) Cache(what, dir, apart string, err error) {
	const area = "caches"
	if err != nil {
		r.add(area, Warn, "set HOME, or VKINFER_CACHE to a folder", "%s: %v", what, err)
		return
	}
	files, size := 0, int64(0)
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && path == apart && path != dir {
			return fs.SkipDir
		}
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				files, size = files+1, size+info.Size()
			}
		}
		return nil
	})
	holds := fmt.Sprintf("%d files, %.1f MB", files, float64(size)/1e6)
	at := dir // what is not there yet is made; its nearest parent decides
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			r.add(area, Warn, "remove it, or set VKINFER_CACHE to a folder", "%s: %s is no folder", what, at)
			return
		}
		if err == nil || filepath.Dir(at) == at {
			break
		}
		at = filepath.Dir(at)
	}
	f, err := os.CreateTemp(at, ".vkinfer-*")
	if err != nil {
		r.add(area, Warn, "set VKINFER_CACHE to a folder that can be written", "%s: %s (%s) cannot be written: %s", what, dir, holds, reason(err))
		return
	}
	f.Close()
	os.Remove(f.Name())
	r.add(area, OK, "", "%s: %s, %s", what, dir, holds)
}
