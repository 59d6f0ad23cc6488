package pictures_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/pictures"
)

// tree makes files with the given names in a new folder and enters it.
func tree(t *testing.T, names ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range names {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// send returns the paths that a list sends, errors marked with "!".
func send(t *testing.T, l pictures.List) []string {
	t.Helper()
	items := make(chan pictures.Item)
	go l.Send(t.Context(), items)
	var got []string
	for it := range items {
		p := filepath.ToSlash(it.Path)
		if it.Err != nil {
			p = "!" + p
		}
		got = append(got, p)
	}
	return got
}

func TestSend(t *testing.T) {
	tree(t, "p/b.JPG", "p/a.png", "p/.h.png", "p/.git/x.png", "p/sub/z.webp", "p/sub/no.txt", "p/c.tiff", "p/d.Jpeg", "p/jpg", "q/no.txt", "q/no2", "odd", "l\nf.png")
	for name, c := range map[string]struct {
		list    pictures.List
		want    []string
		skipped string
		count   int
	}{
		"files in their order, twice too": {pictures.List{Args: []string{"odd", "p/a.png", "odd"}}, []string{"odd", "p/a.png", "odd"}, "", 3},
		"folder":                          {pictures.List{Args: []string{"p"}}, []string{"p/a.png", "p/b.JPG", "p/c.tiff", "p/d.Jpeg", "p/sub/z.webp"}, "", 5},
		"hidden folder by its name":       {pictures.List{Args: []string{"p/.git/"}}, []string{"p/.git/x.png"}, "", 1},
		"empty folder":                    {pictures.List{Args: []string{"q", "odd"}}, []string{"odd"}, "q 2", 1},
		"missing":                         {pictures.List{Args: []string{"gone", "odd"}}, []string{"!gone", "odd"}, "", 2},
		"list":                            {pictures.List{Args: []string{"odd", "-", "odd"}, Stdin: strings.NewReader("p/a.png\r\n\np/sub\nlast")}, []string{"odd", "p/a.png", "p/sub/z.webp", "!last", "odd"}, "", -1},
		"list with zero bytes":            {pictures.List{Args: []string{"-"}, Stdin: strings.NewReader("l\nf.png\x00\x00odd"), Null: true}, []string{"l\nf.png", "odd"}, "", -1},
		"list that is none":               {pictures.List{Args: []string{"-"}, Stdin: strings.NewReader(strings.Repeat("x", 1<<17))}, []string{"!standard input"}, "", -1},
		"empty list":                      {pictures.List{Args: []string{"-"}, Stdin: strings.NewReader("")}, nil, "", -1},
		"broken list":                     {pictures.List{Args: []string{"-"}, Stdin: io.MultiReader(strings.NewReader("odd\n"), broken{})}, []string{"odd", "!standard input"}, "", -1},
	} {
		skipped := ""
		c.list.Skipped = func(folder string, others int) { skipped += fmt.Sprint(folder, " ", others) }
		if got := c.list.Count(t.Context()); got != c.count {
			t.Errorf("%s: count %d, want %d", name, got, c.count)
		}
		if got := send(t, c.list); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if skipped != c.skipped {
			t.Errorf("%s: skipped %q, want %q", name, skipped, c.skipped)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestAtMost(t *testing.T) {
	tree(t, "a.png", "d/b.png")
	for want, args := range map[int][]string{3: {"a.png", "gone", "a.png"}, 1: {"a.png"}} {
		if got := (pictures.List{Args: args}).AtMost(); got != want {
			t.Errorf("%q: at most %d, want %d", args, got, want)
		}
	}
	for _, arg := range []string{"d", "-"} {
		if got := (pictures.List{Args: []string{arg}}).AtMost(); got < 1<<30 {
			t.Errorf("%q: at most %d, want no bound", arg, got)
		}
	}
}

// TestCancel: the walk ends with the context, whoever waits for it, and whether or not the list on
// standard input ever comes.
func TestCancel(t *testing.T) {
	tree(t, "d/a.png", "d/b.png", "d/c.png")
	r, w := io.Pipe()
	defer w.Close()
	for name, l := range map[string]pictures.List{"folder": {Args: []string{"d"}}, "list": {Args: []string{"d/a.png", "-"}, Stdin: r}} {
		ctx, cancel := context.WithCancel(t.Context())
		items := make(chan pictures.Item)
		go l.Send(ctx, items)
		<-items
		cancel()
		select {
		case it, ok := <-items:
			if ok { // one more may have been on its way
				if it, ok = <-items; ok {
					t.Errorf("%s: %v after the end", name, it)
				}
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: goes on after its context's end", name)
		}
	}
}

func TestRead(t *testing.T) {
	tree(t, "a.png")
	if data, err := pictures.Read("a.png", 1); err != nil || string(data) != "x" {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := pictures.Read("a.png", 0); err == nil {
		t.Error("a file over the limit is no error")
	}
	if _, err := pictures.ReadFrom(strings.NewReader("xyz"), 2); err == nil {
		t.Error("a stream over the limit is no error")
	}
	if _, err := pictures.Read("gone", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
