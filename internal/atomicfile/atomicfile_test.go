package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// holds wants a folder's files to be these, and no temporary ones.
func holds(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
}

func contents(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %.40q, %v; want %.40q", filepath.Base(path), got, err, want)
	}
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// TestCommit: the file is not there before Commit, whole after it, and Abandon and Commit change nothing then.
func TestCommit(t *testing.T) {
	for name, begin := range map[string]func(string, fs.FileMode) (*File, error){"create": Create, "replace": Replace} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "x.txt")
			long := strings.Repeat("line\n", bufferSize)
			for _, old := range []string{"", "old"} {
				if old != "" {
					if err := os.WriteFile(path, []byte(old), 0o666); err != nil {
						t.Fatal(err)
					}
				}
				f, err := begin(path, 0o666)
				if err != nil {
					t.Fatal(err)
				}
				f.WriteString(long)
				if old != "" {
					contents(t, path, old)
				} else if _, err := os.Stat(path); err == nil {
					t.Error("there before Commit")
				}
				temps, _ := filepath.Glob(filepath.Join(dir, ".*x.txt"))
				if len(temps) != 1 {
					t.Errorf("temporary files %q, want one in the same folder", temps)
				}
				if err := f.Commit(); err != nil {
					t.Fatal(err)
				}
				f.Abandon()
				contents(t, path, long)
				holds(t, dir, "x.txt")
				if err := f.Commit(); !errors.Is(err, fs.ErrClosed) {
					t.Errorf("a second Commit: %v", err)
				}
			}
		})
	}
}

// TestClose: closed files are complete, and get their names by Commit alone.
func TestClose(t *testing.T) {
	dir := t.TempDir()
	var files []*File
	for _, name := range []string{"a", "b"} {
		f, err := Create(filepath.Join(dir, name), 0o666)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(name)
		for range 2 {
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		files = append(files, f)
	}
	if got, _ := filepath.Glob(filepath.Join(dir, "[ab]")); got != nil {
		t.Errorf("%q are there after Close", got)
	}
	if err := files[0].Commit(); err != nil {
		t.Fatal(err)
	}
	files[1].Abandon()
	holds(t, dir, "a")
	contents(t, filepath.Join(dir, "a"), "a")
}

// TestAbandon: nothing is left, what was there stays, and a Commit after it is an error.
func TestAbandon(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	if err := os.WriteFile(path, []byte("old"), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := Create(path, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("new")
	f.Abandon()
	f.Abandon()
	for _, end := range []func() error{f.Commit, f.Close} {
		if err := end(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("after Abandon: %v", err)
		}
	}
	holds(t, dir, "x")
	contents(t, path, "old")
}

// TestFailures: whatever fails, nothing is left behind, the error names the path and no temporary file.
func TestFailures(t *testing.T) {
	dir := t.TempDir()
	path, folder := filepath.Join(dir, "x"), filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("old"), 0o666); err != nil {
		t.Fatal(err)
	}
	check := func(what, path string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), path+": cannot be written: ") || strings.Count(err.Error(), dir) > 1 {
			t.Errorf("%s: %v, want %s and %v", what, err, path, want)
		}
		holds(t, dir, "x", "folder")
		contents(t, filepath.Join(dir, "x"), "old")
	}
	check("the writer's error", path, Write(path, 0o666, func(w io.Writer) error {
		io.WriteString(w, strings.Repeat("new", bufferSize))
		return io.ErrUnexpectedEOF
	}), io.ErrUnexpectedEOF)
	func() {
		defer func() { recover() }()
		Write(path, 0o666, func(w io.Writer) error { panic("writer") })
	}()
	holds(t, dir, "x", "folder")

	f, err := Create(path, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	f.f.Close() // as a full disk: what is buffered cannot be written
	f.WriteString("new")
	check("a failed write", path, f.Commit(), fs.ErrClosed)

	nowhere := filepath.Join(dir, "none", "x")
	check("no folder", nowhere, Write(nowhere, 0o666, text("new")), fs.ErrNotExist)
	check("a folder", folder, Write(folder, 0o666, text("new")), syscall.EISDIR)
	if f, err = Replace(folder, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err == nil {
		t.Error("a folder was replaced")
	}
	holds(t, dir, "x", "folder")
}

// TestFullDisk: the buffer's last bytes fail as the first ones do.
func TestFullDisk(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a /dev/full")
	}
	for _, n := range []int{1, 10 * bufferSize} {
		if err := Write("/dev/full", 0o666, text(strings.Repeat("x", n))); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%d bytes: %v, want %v", n, err, syscall.ENOSPC)
		}
	}
}

// TestPermissions: those asked for, cut by the umask, and not those of the file that was there.
func TestPermissions(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(plain)
	if err != nil {
		t.Fatal(err)
	}
	cut := 0o666 &^ info.Mode().Perm()
	for _, perm := range []fs.FileMode{0o666, 0o644, 0o600} {
		path := filepath.Join(dir, "x")
		if err := Write(path, perm, text("new")); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != perm&^cut {
			t.Errorf("%v, %v; want %v", info.Mode(), err, perm&^cut)
		}
	}
}

// TestLinks: Create writes what a link points to, Replace replaces the link; one to nowhere both replace.
func TestLinks(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	target := filepath.Join(other, "target")
	if err := os.WriteFile(target, []byte("old"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"through", "instead"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "broken")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"through", "broken"} {
		if err := Write(filepath.Join(dir, name), 0o666, text(name)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Replace(filepath.Join(dir, "instead"), 0o666)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("instead")
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	contents(t, target, "through")
	for name, link := range map[string]bool{"through": true, "instead": false, "broken": false} {
		contents(t, filepath.Join(dir, name), name)
		if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || (info.Mode()&fs.ModeSymlink != 0) != link {
			t.Errorf("%s: %v, %v; a link: want %v", name, info.Mode(), err, link)
		}
	}
	holds(t, dir, "broken", "instead", "through")
	holds(t, other, "target")
}

// TestDevices: what is no regular file is written in place, and is there after Abandon too.
func TestDevices(t *testing.T) {
	before, err := os.Stat(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(os.DevNull, 0o666, text("new")); err != nil {
		t.Error(err)
	}
	f, err := Create(os.DevNull, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	f.Abandon()
	if after, err := os.Stat(os.DevNull); err != nil || after.Mode() != before.Mode() {
		t.Errorf("%s is %v now, %v; want %v", os.DevNull, after, err, before.Mode())
	}
}

// TestLongNames: the temporary name fits where the name does, and ends as it does.
func TestLongNames(t *testing.T) {
	dir := t.TempDir()
	name := strings.Repeat("ä", 125) + ".txt"
	if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := Create(filepath.Join(dir, name), 0o666)
	if err != nil {
		t.Fatal(err)
	}
	if temps, _ := filepath.Glob(filepath.Join(dir, ".*.txt")); len(temps) != 1 {
		t.Errorf("temporary files %q", temps)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, name)
}
