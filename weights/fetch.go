package weights

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Source is a file that Fetch can get and check.
type Source struct {
	Name         string   // the file's name in the cache
	URLs         []string // where it lies; tried in order
	SHA256Prefix string   // the first hex digits of its sha256, at least 8
	Size         int64    // in bytes; 0 where it is not known
}

// FetchOptions say how to fetch. The zero value is fine.
type FetchOptions struct {
	// CacheDir is where files are kept; "" is $VKINFER_CACHE, or vkinfer in the user's cache directory.
	CacheDir string
	// Client makes the requests; nil is one that heeds HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
	Client *http.Client
	// Progress, if set, is called now and then with the bytes that are there and the bytes
	// in all, negative where that is not known.
	Progress func(done, total int64)
	// Stall is how long nothing may arrive before a connection is given up; 0 is one minute.
	Stall time.Duration

	pause time.Duration // before trying again; 0 is one second
}

const (
	// maxFetch bounds a file whose size is not known. The largest published one has 40 MB.
	maxFetch = 1 << 30
	// minDigits is torch.hub's habit: eight digits of the sha256 in the name.
	minDigits = 8
	// tries is how often one address is tried when its connection breaks without any progress.
	tries = 3
	// maxAttempts is how often one address is tried at all, however much progress each try makes.
	maxAttempts = 50
)

// FetchError says that no address gave the file.
type FetchError struct {
	Name     string
	Attempts []FetchAttempt
}

// FetchAttempt is one address and what went wrong there.
type FetchAttempt struct {
	URL string
	Err error
}

// Error lists every attempt on a line of its own.
func (e *FetchError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "weights: fetch: %s: could not be had from any of %d addresses; check the network and proxy settings, or download it by other means and name the file:", e.Name, len(e.Attempts))
	for _, a := range e.Attempts {
		fmt.Fprintf(&b, "\n  %s: %s", a.URL, clip(a.Err.Error(), maxErrorText))
	}
	return b.String()
}

// Unwrap returns the errors of all attempts.
func (e *FetchError) Unwrap() []error {
	out := make([]error, len(e.Attempts))
	for i, a := range e.Attempts {
		out[i] = a.Err
	}
	return out
}

// CacheDir returns the directory that Fetch keeps files in by default: $VKINFER_CACHE, or vkinfer
// in the user's cache directory. It need not exist.
func CacheDir() (string, error) {
	if dir := os.Getenv("VKINFER_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("weights: fetch: no cache directory: %w; set VKINFER_CACHE", err)
	}
	return filepath.Join(dir, "vkinfer"), nil
}

// Fetch returns the path of the file in the cache, downloading it when it is not there yet. The
// sha256 is checked in any case. An interrupted download is taken up where it
// stopped, the file appears under its name only when it is whole and right, and several
// processes may fetch at once: one downloads, the others wait for it. Without URLs, Fetch only looks
// into the cache and touches nothing.
//
// When every address fails the error is a *FetchError. When ctx ends, errors.Is finds its cause,
// and what has arrived is kept for the next time.
func Fetch(ctx context.Context, src Source, opts FetchOptions) (path string, err error) {
	if err := src.check(); err != nil {
		return "", err
	}
	dir := opts.CacheDir
	if dir == "" {
		if dir, err = CacheDir(); err != nil {
			return "", err
		}
	}
	path = filepath.Join(dir, src.Name)
	// Without the lock first: a read-only cache that holds the file will do.
	held := checkDigest(ctx, path, src)
	if held == nil {
		return path, nil
	}
	if len(src.URLs) == 0 {
		return "", fmt.Errorf("weights: fetch: %s: no address is known for this file, and the cache does not hold it (%w); put it there, or name the file where you have it", src.Name, held)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", fmt.Errorf("weights: fetch: %s: %w", src.Name, err)
	}
	unlock, err := lockFile(ctx, path+".lock")
	if err != nil {
		return "", fmt.Errorf("weights: fetch: %s: waiting for another process that is fetching it: %w", src.Name, err)
	}
	defer unlock()
	if checkDigest(ctx, path, src) == nil { // somebody else was faster
		return path, nil
	}
	d := newDownload(src, opts, path)
	failed := &FetchError{Name: src.Name}
	for _, url := range src.URLs {
		err := d.from(ctx, url)
		if err == nil {
			return path, nil
		}
		if ctx.Err() != nil {
			return "", fmt.Errorf("weights: fetch: %s: stopped: %w", src.Name, context.Cause(ctx))
		}
		failed.Attempts = append(failed.Attempts, FetchAttempt{url, err})
		var local *fs.PathError
		if errors.As(err, &local) { // a full disk does not get better at the next address
			break
		}
	}
	return "", failed
}

// check refuses a source that cannot be verified or would leave the cache.
func (s Source) check() error {
	if s.Name == "" || s.Name != filepath.Base(s.Name) || strings.ContainsAny(s.Name, `/\`) || strings.HasPrefix(s.Name, ".") {
		return fmt.Errorf("weights: fetch: %s is no file name", quote(s.Name))
	}
	if len(s.SHA256Prefix) < minDigits || len(s.SHA256Prefix) > 2*sha256.Size || strings.Trim(s.SHA256Prefix, "0123456789abcdef") != "" {
		return fmt.Errorf("weights: fetch: %s: %s are no sha256 digits; wanted at least %d in lower case", s.Name, quote(s.SHA256Prefix), minDigits)
	}
	return nil
}

// errDigest says that a file is whole but not the one that was wanted.
type errDigest struct{ got, want string }

func (e errDigest) Error() string {
	return fmt.Sprintf("its sha256 begins with %s, wanted %s: altered on the way, or another file", e.got, e.want)
}

// checkDigest reads the file at path and compares size and digest. The eight digits of a name tell
// damage from soundness; they are no proof against somebody who forges a file on purpose.
func checkDigest(ctx context.Context, path string, src Source) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return err
	} else if src.Size > 0 && info.Size() != src.Size {
		return errDigest{fmt.Sprintf("… (%d bytes)", info.Size()), fmt.Sprintf("%s (%d bytes)", src.SHA256Prefix, src.Size)}
	}
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	got := hex.EncodeToString(h.Sum(nil))[:len(src.SHA256Prefix)]
	if got != src.SHA256Prefix {
		return errDigest{got, src.SHA256Prefix}
	}
	return nil
}
