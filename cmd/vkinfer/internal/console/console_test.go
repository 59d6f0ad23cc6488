package console

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
)

func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{
		"photo 1.jpg": "photo 1.jpg", "große/ñ.png": "große/ñ.png", "": "",
		"a\nb": `"a\nb"`, "\x1b[31m": `"\x1b[31m"`, "\xff": `"\xff"`, "\u202egpj.exe": `"\u202egpj.exe"`,
	} {
		if got := Printable(s); got != want {
			t.Errorf("Printable(%q) is %s, want %s", s, got, want)
		}
	}
}

func TestHandler(t *testing.T) {
	var b bytes.Buffer
	log := slog.New((&Console{w: &b}).Handler(slog.LevelInfo))
	log.Debug("unseen")
	log.Info("ready", "device", "a\x1bb", "n", 3)
	log.With("k", "v").Warn("careful")
	log.Error("x.jpg: damaged")
	want := "vkinfer: ready device=\"a\\x1bb\" n=3\nvkinfer: warning: careful k=v\nvkinfer: x.jpg: damaged\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// TestProgress: without a terminal there is no bar; with one, log lines have a line of their own, and
// nothing of the bar stays.
func TestProgress(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := New(f)
	if c.ShowsProgress() {
		t.Error("a file shows progress")
	}
	p := c.Progress("work", 10, false)
	p.Add(1)
	p.SetTotal(5)
	p.Stop()
	if info, _ := f.Stat(); info.Size() != 0 {
		t.Errorf("%d bytes of a bar in a file", info.Size())
	}

	var b bytes.Buffer
	c = &Console{w: &b, bars: true}
	p = c.Progress("work", -1, false)
	p.SetTotal(4)
	p.Add(2)
	c.Write([]byte("a line\n"))
	p.Set(4)
	p.Stop()
	p.Add(1)
	text := b.String()
	if !strings.Contains(text, "work") || !strings.Contains(text, "\ra line\n") {
		t.Errorf("%q", text)
	}
	if last := text[strings.LastIndexByte(strings.TrimRight(text, "\r"), '\r')+1:]; strings.Trim(last, " \r") != "" {
		t.Errorf("%q is left of the bar", last)
	}
	b.Reset()
	c.HideProgress()
	c.Progress("work", 4, true).Add(1)
	if b.Len() != 0 {
		t.Errorf("hidden, but %q", b.String())
	}
}
