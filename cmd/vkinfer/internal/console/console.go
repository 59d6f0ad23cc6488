// Package console is the program's standard error: log lines for people, and one progress bar when it is
// a terminal.
package console

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Console writes to a file, most often standard error. It is safe for concurrent use.
type Console struct {
	mu   sync.Mutex
	w    io.Writer
	bars bool // a progress bar makes sense
	bar  *progressbar.ProgressBar
}

// New returns a Console that writes to f and shows progress bars if f is a terminal that can.
func New(f *os.File) *Console {
	return &Console{w: f, bars: IsTerminal(f) && os.Getenv("TERM") != "dumb"}
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Write writes whole lines past the progress bar.
func (c *Console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bar != nil {
		c.bar.Clear()
	}
	n, err := c.w.Write(b)
	if c.bar != nil {
		c.bar.RenderBlank()
	}
	return n, err
}

// HideProgress makes Progress do nothing.
func (c *Console) HideProgress() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bars = false
}

// ShowsProgress reports whether a Progress would be seen.
func (c *Console) ShowsProgress() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bars
}

// Progress starts a progress bar over total units (negative: unknown), bytes or pictures. Without a
// terminal nothing is shown, but the result can be used all the same.
func (c *Console) Progress(what string, total int64, bytes bool) *Progress {
	return c.progress(what, total, bytes, "img")
}

// Count is Progress over pieces of another kind.
func (c *Console) Count(what string, total int64, unit string) *Progress {
	return c.progress(what, total, false, unit)
}

func (c *Console) progress(what string, total int64, bytes bool, unit string) *Progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.bars {
		return &Progress{}
	}
	if total < 0 {
		total = -1
	}
	c.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetDescription(what), progressbar.OptionSetWriter(c.w), progressbar.OptionShowBytes(bytes),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit), progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionEnableColorCodes(false))
	return &Progress{c}
}

// StopProgress removes the progress bar, if there is one.
func (c *Console) StopProgress() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bar != nil {
		c.bar.Clear()
		c.bar = nil
	}
}

// Progress is a progress bar, or nothing.
type Progress struct{ c *Console }

func (p *Progress) do(f func(*progressbar.ProgressBar)) {
	if p.c == nil {
		return
	}
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if p.c.bar != nil {
		f(p.c.bar)
	}
}

// Add counts n units as done.
func (p *Progress) Add(n int) { p.do(func(b *progressbar.ProgressBar) { b.Add(n) }) }

// Set says how many units are done.
func (p *Progress) Set(n int64) { p.do(func(b *progressbar.ProgressBar) { b.Set64(n) }) }

// SetTotal says how many units there are, once that is known.
func (p *Progress) SetTotal(n int64) {
	if n > 0 {
		p.do(func(b *progressbar.ProgressBar) { b.ChangeMax64(n) })
	}
}

// Stop removes the bar.
func (p *Progress) Stop() {
	if p.c != nil {
		p.c.StopProgress()
	}
}

// Printable returns s, quoted if it holds anything that a terminal could take for more than text.
func Printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) >= 0 {
		return strconv.Quote(s)
	}
	return s
}

// Handler returns a slog handler for people: "vkinfer: text key=value", a line per record.
func (c *Console) Handler(level slog.Level) slog.Handler { return &handler{c: c, level: level} }

type handler struct {
	c     *Console
	level slog.Level
	attrs []slog.Attr
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	var sb strings.Builder
	sb.WriteString("vkinfer: ")
	if r.Level == slog.LevelWarn {
		sb.WriteString("warning: ")
	}
	sb.WriteString(r.Message)
	write := func(a slog.Attr) bool {
		fmt.Fprintf(&sb, " %s=%s", a.Key, Printable(a.Value.String()))
		return true
	}
	for _, a := range h.attrs {
		write(a)
	}
	r.Attrs(write)
	sb.WriteByte('\n')
	_, err := io.WriteString(h.c, sb.String())
	return err
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.c, h.level, append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// WithGroup returns the handler itself: the program's attributes need no groups.
func (h *handler) WithGroup(string) slog.Handler { return h }
