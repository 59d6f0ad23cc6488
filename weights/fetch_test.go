package weights

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// payload is what the test servers hold: no run of it looks like another. It begins with '<' as a page does.
var payload = func() []byte {
	b := make([]byte, 300_000)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}()

func digits(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])[:8]
}

func source(urls ...string) Source {
	return Source{Name: "net-" + digits(payload) + ".pth", URLs: urls, SHA256Prefix: digits(payload)}
}

// server counts requests and notes their Range and If-Range.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	ranges []string
}

func serve(t *testing.T, h http.HandlerFunc) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.ranges = append(s.ranges, r.Header.Get("Range")+"|"+r.Header.Get("If-Range"))
		s.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ranges
}

// whole serves payload as a sound server does, with ranges and an ETag.
func whole(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"one"`)
	http.ServeContent(w, r, "net.pth", time.Time{}, bytes.NewReader(payload))
}

// cut sends the first n bytes of b under its full length, then breaks the connection.
func cut(w http.ResponseWriter, b []byte, n int, status int) {
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	w.WriteHeader(status)
	w.Write(b[:n])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// mustFetch fetches and compares, and wants nothing but the file and its lock in the cache.
func mustFetch(t *testing.T, src Source, opts FetchOptions) {
	t.Helper()
	path, err := Fetch(context.Background(), src, opts)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, payload) || path != filepath.Join(opts.CacheDir, src.Name) {
		t.Fatalf("%s: %d bytes, %v", path, len(got), err)
	}
	left, _ := os.ReadDir(opts.CacheDir)
	for _, e := range left {
		if e.Name() != src.Name && e.Name() != src.Name+".lock" {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

func quick(t *testing.T) FetchOptions {
	return FetchOptions{CacheDir: filepath.Join(t.TempDir(), "a", "b"), Stall: 20 * time.Second, pause: time.Millisecond}
}

func TestFetch(t *testing.T) {
	s := serve(t, whole)
	opts := quick(t)
	var done, total atomic.Int64
	opts.Progress = func(d, n int64) {
		if d < done.Load() {
			t.Errorf("progress falls from %d to %d", done.Load(), d)
		}
		done.Store(d)
		total.Store(n)
	}
	mustFetch(t, source(s.URL), opts)
	if done.Load() != int64(len(payload)) || total.Load() != int64(len(payload)) {
		t.Errorf("progress ends at %d of %d", done.Load(), total.Load())
	}
	mustFetch(t, source(s.URL), opts) // from the cache
	if n := len(s.seen()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	// A cached file that went bad is fetched again.
	path := filepath.Join(opts.CacheDir, source().Name)
	if err := os.WriteFile(path, payload[:1000], 0o644); err != nil {
		t.Fatal(err)
	}
	opts.Progress = nil
	mustFetch(t, source(s.URL), opts)
	if n := len(s.seen()); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

func TestFetchResumesCutConnections(t *testing.T) {
	n := 0
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		switch n {
		case 1:
			w.Header().Set("ETag", `"one"`)
			cut(w, payload, 100_000, 200)
		case 2:
			w.Header().Set("ETag", `"one"`)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 100000-%d/%d", len(payload)-1, len(payload)))
			cut(w, payload[100_000:], 50_000, 206)
		default:
			whole(w, r)
		}
	})
	mustFetch(t, source(s.URL), quick(t))
	want := []string{"|", `bytes=100000-|"one"`, `bytes=150000-|"one"`}
	if got := s.seen(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("requests %q, want %q", got, want)
	}
}

// What an earlier process left is taken up; a new version (the server answers 200 to If-Range), a
// server that ignores Range, a part that is too long or of something else are all started afresh.
func TestFetchWithAPartThere(t *testing.T) {
	for name, c := range map[string]struct {
		part, origin string
		handler      http.HandlerFunc
		requests     int
	}{
		"resumed":              {string(payload[:1234]), "URL\n\"one\"\n", whole, 1},
		"resumed without note": {string(payload[:1234]), "", whole, 1},
		"other version":        {"of another file", "URL\n\"two\"\n", whole, 1},
		"range ignored": {string(payload[:1234]), "", func(w http.ResponseWriter, r *http.Request) {
			w.Write(payload)
		}, 1},
		"complete":     {string(payload), "URL\n\"one\"\n", whole, 1},
		"too long":     {string(payload) + "x", "", whole, 2},
		"other bytes":  {"of another file", "", whole, 2}, // resumed, found wrong, started again
		"other server": {string(payload[:1234]), "http://elsewhere/\n\"two\"\n", whole, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c.handler)
			opts := quick(t)
			os.MkdirAll(opts.CacheDir, 0o755)
			base := filepath.Join(opts.CacheDir, source().Name)
			os.WriteFile(base+".part", []byte(c.part), 0o644)
			if c.origin != "" {
				os.WriteFile(base+".part.from", []byte(strings.Replace(c.origin, "URL", s.URL, 1)), 0o644)
			}
			mustFetch(t, source(s.URL), opts)
			if got := s.seen(); len(got) != c.requests {
				t.Errorf("requests %q, want %d", got, c.requests)
			}
		})
	}
}

// Bad answers: each is listed with its address and reason, and nothing stays under the file's name.
func TestFetchListsWhatWentWrong(t *testing.T) {
	wrong := bytes.Clone(payload)
	wrong[200_000] ^= 1
	refused := httptest.NewServer(nil)
	refused.Close()
	handlers := map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"XML": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(403)
			io.WriteString(w, "<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>The bucket is closed.</Message></Error>")
		}, `403 Forbidden saying "The bucket is closed."`},
		"missing": {http.NotFound, "404 Not Found"},
		"page": {func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "<html><head><title>Please log in</title></head>")
		}, `sends a page ("text/html; charset=utf-8") instead of the file saying "Please log in"`},
		"pointer": {func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "version https://git-lfs.github.com/spec/v1\noid")
		}, "instead of the file"},
		"digest":  {func(w http.ResponseWriter, r *http.Request) { w.Write(wrong) }, "its sha256 begins with " + digits(wrong) + ", wanted " + digits(payload) + ": altered on the way, or another file; what arrived was deleted"},
		"empty":   {func(w http.ResponseWriter, r *http.Request) {}, "its sha256 begins with e3b0c442"},
		"cut":     {func(w http.ResponseWriter, r *http.Request) { cut(w, payload, 0, 200) }, "broke off: "},
		"bad 206": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(206) }, "without a valid Content-Range"},
		"odd 206": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 7-9/10")
			w.WriteHeader(206)
		}, "asked for byte 0 on, got byte 7"},
		"loop": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) }, "stopped after 10 redirects"},
		"503":  {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }, "503 Service Unavailable"},
		"large": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "2000000000")
			w.Write(payload)
		}, "has 2000000000 bytes there, more than the 1073741824 allowed"},
	}
	var urls []string
	var wants []string
	for name, c := range handlers {
		urls = append(urls, serve(t, c.h).URL+"/"+strings.ReplaceAll(name, " ", "-"))
		wants = append(wants, urls[len(urls)-1]+": ", c.want)
	}
	urls = append(urls, refused.URL, "ftp://example.invalid/x", "http://[bad")
	wants = append(wants, "connection refused", "unsupported protocol scheme", "missing ']'")
	opts := quick(t)
	_, err := Fetch(context.Background(), source(urls...), opts)
	var failed *FetchError
	if !errors.As(err, &failed) || len(failed.Attempts) != len(urls) {
		t.Fatalf("%v", err)
	}
	for _, w := range wants {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("does not say %q", w)
		}
	}
	for _, a := range failed.Attempts {
		if !errors.Is(err, a.Err) {
			t.Errorf("errors.Is does not find %v", a.Err)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
	if _, err := os.Stat(filepath.Join(opts.CacheDir, source().Name)); err == nil {
		t.Error("a file appeared under the name")
	}
	// A sound address after all of these still gives the file.
	mustFetch(t, source(append(urls, serve(t, whole).URL)...), opts)
}

// A server that always breaks off at the same place, or gives a byte a time, is given up in the end.
func TestFetchGivesUp(t *testing.T) {
	same := serve(t, func(w http.ResponseWriter, r *http.Request) { cut(w, payload, 1000, 200) })
	drip := serve(t, func(w http.ResponseWriter, r *http.Request) {
		at := 0
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &at)
		if at > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, len(payload)-1, len(payload)))
			cut(w, payload[at:], 1, 206)
		}
		cut(w, payload, 1, 200)
	})
	opts := quick(t)
	_, err := Fetch(context.Background(), source(same.URL), opts)
	if err == nil || len(same.seen()) > tries+1 {
		t.Errorf("%d requests, %v", len(same.seen()), err)
	}
	opts = quick(t)
	_, err = Fetch(context.Background(), source(drip.URL), opts)
	if err == nil || len(drip.seen()) != maxAttempts {
		t.Errorf("%d requests, %v", len(drip.seen()), err)
	}
}

func TestFetchSizes(t *testing.T) {
	s := serve(t, whole)
	src := source(s.URL)
	src.Size = int64(len(payload))
	mustFetch(t, src, quick(t))
	src.Size--
	_, err := Fetch(context.Background(), src, quick(t))
	if err == nil || !strings.Contains(err.Error(), "has 300000 bytes there, wanted 299999") {
		t.Errorf("%v", err)
	}
	endless := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for { // without a length
			if _, err := w.Write(payload); err != nil {
				return
			}
		}
	})
	opts := quick(t)
	src = source(endless.URL)
	src.Size = 1_000_000
	_, err = Fetch(context.Background(), src, opts)
	if err == nil || !strings.Contains(err.Error(), "sends more than the 1000000 bytes allowed") {
		t.Errorf("%v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(opts.CacheDir, "*.part*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFetchStalls(t *testing.T) {
	n := atomic.Int64{}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			w.Header().Set("ETag", `"one"`)
			w.Header().Set("Content-Length", fmt.Sprint(len(payload)))
			w.Write(payload[:5000])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		whole(w, r)
	})
	opts := quick(t)
	opts.Stall = time.Second
	mustFetch(t, source(s.URL), opts)
	if got := s.seen(); len(got) != 2 || got[1] != `bytes=5000-|"one"` {
		t.Errorf("requests %q", got)
	}
}

func TestFetchStopsWithItsContext(t *testing.T) {
	reached := make(chan bool, 10)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(payload)))
		w.Write(payload[:7000])
		w.(http.Flusher).Flush()
		reached <- true
		<-r.Context().Done()
	})
	opts := quick(t)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-reached
		for { // the client has them, not only the wire
			if b, _ := os.ReadFile(filepath.Join(opts.CacheDir, source().Name+".part")); len(b) == 7000 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	start := time.Now()
	_, err := Fetch(ctx, source(s.URL, s.URL), opts)
	if !errors.Is(err, context.Canceled) || time.Since(start) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	if n := len(s.seen()); n != 1 {
		t.Errorf("%d requests", n)
	}
	// What arrived is kept, and used.
	good := serve(t, whole)
	mustFetch(t, source(good.URL), opts)
	if got := good.seen(); len(got) != 1 || got[0] != "bytes=7000-|" {
		t.Errorf("requests %q", got)
	}
	// Waiting for the lock ends with the context too.
	unlock, err := lockFile(context.Background(), filepath.Join(opts.CacheDir, "other.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	src := source(good.URL)
	src.Name = "other"
	ctx, cancel = context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := Fetch(ctx, src, opts); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestFetchConcurrently(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(50 * time.Millisecond)
		whole(w, r)
	})
	opts := quick(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			path, err := Fetch(context.Background(), source(s.URL), opts)
			if got, _ := os.ReadFile(path); err != nil || !bytes.Equal(got, payload) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	if n := len(s.seen()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestFetchRefusesBadSources(t *testing.T) {
	for _, src := range []Source{
		{}, {Name: "../x", SHA256Prefix: "00000000"}, {Name: "a/b", SHA256Prefix: "00000000"}, {Name: `a\b`, SHA256Prefix: "00000000"},
		{Name: "..", SHA256Prefix: "00000000"}, {Name: "x"}, {Name: "x", SHA256Prefix: "0000000"}, {Name: "x", SHA256Prefix: "0000000G"},
	} {
		if _, err := Fetch(context.Background(), src, quick(t)); err == nil {
			t.Errorf("%+v is accepted", src)
		}
	}
	opts := quick(t)
	_, err := Fetch(context.Background(), source(), opts)
	if err == nil || !strings.Contains(err.Error(), "no address is known") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(opts.CacheDir); err == nil {
		t.Error("looking into the cache makes it")
	}
	mustFetch(t, source(serve(t, whole).URL), opts)
	mustFetch(t, source(), opts)
}

func TestCacheDir(t *testing.T) {
	t.Setenv("VKINFER_CACHE", "/somewhere")
	if dir, err := CacheDir(); err != nil || dir != "/somewhere" {
		t.Errorf("%q %v", dir, err)
	}
	t.Setenv("VKINFER_CACHE", "")
	t.Setenv("XDG_CACHE_HOME", "/cache")
	t.Setenv("HOME", "/home/x")
	if dir, err := CacheDir(); err != nil || filepath.Base(dir) != "vkinfer" {
		t.Errorf("%q %v", dir, err)
	}
	// Fetch follows it.
	dir := t.TempDir()
	t.Setenv("VKINFER_CACHE", dir)
	if path, err := Fetch(context.Background(), source(serve(t, whole).URL), FetchOptions{}); err != nil || filepath.Dir(path) != dir {
		t.Errorf("%q %v", path, err)
	}
}

// The default client heeds HTTP_PROXY. The variables are read once in a process, so another one tries.
func TestFetchThroughAProxy(t *testing.T) {
	const target = "http://weights.invalid/net.pth"
	if dir := os.Getenv("VKINFER_TEST_PROXY_CACHE"); dir != "" {
		if _, err := Fetch(context.Background(), source(target), FetchOptions{CacheDir: dir}); err != nil {
			t.Fatal(err)
		}
		return
	}
	var asked atomic.Value
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.String())
		whole(w, r)
	})
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFetchThroughAProxy$")
	cmd.Env = append(os.Environ(), "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=", "VKINFER_TEST_PROXY_CACHE="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if asked.Load() != target {
		t.Errorf("the proxy was asked for %v", asked.Load())
	}
	if got, _ := os.ReadFile(filepath.Join(dir, source().Name)); !bytes.Equal(got, payload) {
		t.Errorf("%d bytes", len(got))
	}
}

func TestPublished(t *testing.T) {
	for _, model := range []string{"efficientnet_b1_pruned", "efficientnet_b2_pruned", "efficientnet_b3_pruned"} {
		list := Published[model]
		if len(list) == 0 || len(list[0].URLs) == 0 {
			t.Fatalf("%s: nothing to fetch", model)
		}
		for _, src := range list {
			if err := src.check(); err != nil {
				t.Error(err)
			}
			if !strings.HasSuffix(src.Name, src.SHA256Prefix+".pth") {
				t.Errorf("%s: the digits in the name are not %s", src.Name, src.SHA256Prefix)
			}
			for _, u := range src.URLs {
				if p, err := url.Parse(u); err != nil || p.Scheme != "https" || filepath.Base(p.Path) != src.Name {
					t.Errorf("%s: address %s %v", src.Name, u, err)
				}
			}
		}
	}
}
