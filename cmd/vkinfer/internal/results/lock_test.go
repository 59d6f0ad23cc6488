package results_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/results"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.csv")
	l, err := results.LockFile(path)
	if err != nil || l.Unsupported != nil {
		t.Fatal(err, l)
	}
	if _, err := results.LockFile(path); err == nil || !strings.Contains(err.Error(), "another process writes it") {
		t.Errorf("a second lock: %v", err)
	}
	l.Unlock()
	l.Unlock()
	if _, err := os.Stat(path + ".lock"); err == nil {
		t.Error("the lock file stays")
	}
	if err := os.WriteFile(path+".lock", nil, 0o666); err != nil { // what a killed process leaves
		t.Fatal(err)
	}
	if l, err = results.LockFile(path); err != nil {
		t.Fatal(err)
	}
	l.Unlock()
	if _, err := results.LockFile(filepath.Join(path, "no", "folder")); err == nil {
		t.Error("a lock in a folder that is not there")
	}
	(*results.Lock)(nil).Unlock()
}

// TestLockOne: however many try at once, and remove what they locked, there are never two that have it.
func TestLockOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.csv")
	var holders, had atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				l, err := results.LockFile(path)
				if err != nil {
					continue
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold it", n)
				}
				had.Add(1)
				holders.Add(-1)
				l.Unlock()
			}
		})
	}
	all.Wait()
	if had.Load() == 0 {
		t.Error("nobody had it")
	}
}
