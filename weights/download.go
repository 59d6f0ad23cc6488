package weights

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// download is the fetching of one file: PATH.part holds what has arrived, PATH.part.from where
// from and the server's name for that version of it.
type download struct {
	src    Source
	opts   FetchOptions
	path   string
	part   string
	origin string
	limit  int64 // the most bytes the file may have
}

func newDownload(src Source, opts FetchOptions, path string) *download {
	if opts.Client == nil {
		opts.Client = &http.Client{} // the default transport heeds the proxy variables
	}
	if opts.Stall <= 0 {
		opts.Stall = time.Minute
	}
	if opts.pause <= 0 {
		opts.pause = time.Second
	}
	d := &download{src: src, opts: opts, path: path, part: path + ".part", origin: path + ".part.from", limit: maxFetch}
	if src.Size > 0 {
		d.limit = src.Size
	}
	return d
}

// errCut marks an attempt that broke off and may be taken up again.
type errCut struct{ err error }

func (e errCut) Error() string { return "broke off: " + e.err.Error() }
func (e errCut) Unwrap() error { return e.err }

// from gets the file from one address, taking up again what breaks off as long as something arrives.
func (d *download) from(ctx context.Context, address string) error {
	var err error
	restarted := false
	for n, idle := 0, 0; n < maxAttempts && idle < tries; n, idle = n+1, idle+1 {
		before := d.have()
		var resumed bool
		resumed, err = d.attempt(ctx, address)
		var cut errCut
		switch {
		case err == nil:
			err = d.finish(ctx)
			var wrong errDigest
			if resumed && !restarted && errors.As(err, &wrong) {
				restarted = true // the first part may be of another version; once more from the beginning
				continue
			}
			return err
		case ctx.Err() != nil || !errors.As(err, &cut):
			return err
		}
		if d.have() > before {
			idle = -1
		}
		if idle+1 == tries {
			break
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Duration(idle+1) * d.opts.pause): // not at all after progress, then ever longer
		}
	}
	return err
}

// have is the number of bytes that have arrived.
func (d *download) have() int64 {
	info, err := os.Stat(d.part)
	if err != nil {
		return 0
	}
	return info.Size()
}

// finish checks what has arrived and gives it its name.
func (d *download) finish(ctx context.Context) error {
	if err := checkDigest(ctx, d.part, d.src); err != nil {
		var wrong errDigest
		if errors.As(err, &wrong) {
			d.discard()
			return fmt.Errorf("%w; what arrived was deleted", err)
		}
		return err
	}
	os.Remove(d.origin)
	return os.Rename(d.part, d.path)
}

// discard deletes what has arrived.
func (d *download) discard() {
	os.Remove(d.part)
	os.Remove(d.origin)
}

// attempt makes one request and stores its answer; resumed says that earlier bytes were kept.
func (d *download) attempt(ctx context.Context, address string) (resumed bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(d.opts.Stall, func() { cancel(fmt.Errorf("nothing arrived for %v", d.opts.Stall)) })
	defer stalled.Stop()

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("User-Agent", "vkinfer")
	req.Header.Set("Accept-Encoding", "identity") // offsets count the file's own bytes
	have := d.have()
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		if from, version, ok := d.readOrigin(); ok && from == address {
			req.Header.Set("If-Range", version)
		}
	}
	resp, err := d.opts.Client.Do(req)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) { // it repeats the address
			err = inner.Err
		}
		return false, errCut{causeOf(ctx, err)}
	}
	defer resp.Body.Close()
	at, total, err := d.accept(resp, have)
	if err != nil {
		return false, err
	}
	if at == have && have > 0 && at == total {
		return true, nil // all there already
	}
	body := io.Reader(resp.Body)
	if at == 0 {
		if body, err = refuseMarkup(resp); err != nil {
			return false, err
		}
	}
	err = d.store(body, at, total, func() { stalled.Reset(d.opts.Stall) }, address, resp)
	var cut errCut
	if errors.As(err, &cut) {
		err = errCut{causeOf(ctx, cut.err)}
	}
	return at > 0, err
}

// causeOf prefers the reason for which a context was cancelled.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// accept judges a response: at is where its body belongs in the file, total the size of the whole
// file, negative where that is not known.
func (d *download) accept(resp *http.Response, have int64) (at, total int64, err error) {
	switch resp.StatusCode {
	case http.StatusOK: // also from a server that ignores Range, or has another version by now
		at, total = 0, resp.ContentLength
	case http.StatusPartialContent:
		var last int64
		if n, _ := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &at, &last, &total); n < 2 {
			return 0, 0, fmt.Errorf("a partial answer without a valid Content-Range (%s)", quote(resp.Header.Get("Content-Range")))
		} else if n == 2 {
			total = -1
		}
		if at != have {
			return 0, 0, fmt.Errorf("asked for byte %d on, got byte %d", have, at)
		}
	case http.StatusRequestedRangeNotSatisfiable:
		n, _ := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes */%d", &total)
		if have > 0 && n == 1 && total == have {
			return have, total, nil
		}
		d.discard() // longer than the file: of another version
		return 0, 0, errCut{errors.New("what had arrived before does not fit the file; starting again")}
	default:
		err := fmt.Errorf("the server answers %s%s", resp.Status, explain(resp))
		if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
			return 0, 0, errCut{err}
		}
		return 0, 0, err
	}
	if d.src.Size > 0 && total >= 0 && total != d.src.Size {
		return 0, 0, fmt.Errorf("has %d bytes there, wanted %d: another file", total, d.src.Size)
	}
	if total > d.limit {
		return 0, 0, fmt.Errorf("has %d bytes there, more than the %d allowed", total, d.limit)
	}
	return at, total, nil
}

// explain quotes the message in the body of a refusal.
func explain(resp *http.Response) string {
	head, _ := io.ReadAll(io.LimitReader(resp.Body, sniffLen))
	return markup(head, "message", "code", "title")
}

// refuseMarkup stops a web page, an XML message or a git-lfs pointer that is sent as if it were
// the file; otherwise it returns the body, complete.
func refuseMarkup(resp *http.Response) (io.Reader, error) {
	head := make([]byte, 512)
	n, err := io.ReadFull(resp.Body, head)
	head = head[:n]
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, errCut{err}
	}
	kind := strings.ToLower(resp.Header.Get("Content-Type"))
	if isMarkup(head) || strings.HasPrefix(string(head), "version https://git-lfs") || strings.HasPrefix(kind, "text/html") {
		return nil, fmt.Errorf("sends a page (%s) instead of the file%s: a login or error page, or a proxy's", quote(resp.Header.Get("Content-Type")), markup(head, "title", "message", "code"))
	}
	return io.MultiReader(strings.NewReader(string(head)), resp.Body), nil
}

// store writes the body at offset at of the part, reporting progress; alive is called whenever something arrives.
func (d *download) store(body io.Reader, at, total int64, alive func(), address string, resp *http.Response) error {
	if at == 0 {
		d.discard()
		d.writeOrigin(address, resp)
	}
	f, err := os.OpenFile(d.part, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(at); err != nil {
		return err
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return err
	}
	buf := make([]byte, 128<<10)
	for done := at; ; {
		n, err := body.Read(buf)
		if n > 0 {
			alive()
			if done += int64(n); done > d.limit {
				f.Close()
				d.discard()
				return fmt.Errorf("sends more than the %d bytes allowed", d.limit)
			}
			if _, werr := f.Write(buf[:n]); werr != nil {
				return werr
			}
			if d.opts.Progress != nil {
				d.opts.Progress(done, total)
			}
		}
		switch {
		case err == io.EOF && total >= 0 && done != total:
			return errCut{fmt.Errorf("%d of %d bytes arrived", done, total)}
		case err == io.EOF:
			return f.Close()
		case err != nil:
			return errCut{fmt.Errorf("%d bytes arrived: %w", done, err)}
		}
	}
}

// writeOrigin notes the address and the server's validator for If-Range: a strong ETag or a date.
func (d *download) writeOrigin(address string, resp *http.Response) {
	version := resp.Header.Get("ETag")
	if version == "" || strings.HasPrefix(version, "W/") {
		version = resp.Header.Get("Last-Modified")
	}
	if version != "" {
		// Without the note the next attempt resumes unconditionally, and the digest judges.
		_ = os.WriteFile(d.origin, []byte(address+"\n"+version+"\n"), 0o666)
	}
}

func (d *download) readOrigin() (address, version string, ok bool) {
	b, err := os.ReadFile(d.origin)
	if err != nil || len(b) > 16<<10 {
		return "", "", false
	}
	address, rest, ok1 := strings.Cut(string(b), "\n")
	version, _, ok2 := strings.Cut(rest, "\n")
	return address, version, ok1 && ok2 && version != ""
}
