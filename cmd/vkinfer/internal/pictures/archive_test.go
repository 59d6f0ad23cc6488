package pictures

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// member is a file of an archive.
type member struct {
	name string
	data []byte
	kind byte
}

var members = []member{
	{"a/", nil, tar.TypeDir}, {"a/1.jpg", []byte("one"), tar.TypeReg}, {"a/1.cls", []byte("7"), tar.TypeReg}, {"./b.PNG", []byte("two"), tar.TypeReg},
	{"../up.gif", []byte("three"), tar.TypeReg}, {"a/.hidden.jpg", []byte("x"), tar.TypeReg}, {"link.jpg", nil, tar.TypeSymlink}, {"empty.jpg", nil, tar.TypeReg},
	{"large.jpg", bytes.Repeat([]byte("large"), 20000), tar.TypeReg},
}

func makeTar(t testing.TB, list []member) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range list {
		h := &tar.Header{Name: m.name, Size: int64(len(m.data)), Mode: 0o644, Typeflag: m.kind}
		if m.kind == tar.TypeSymlink {
			h.Linkname = "a/1.jpg"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		w.Write(m.data)
	}
	w.Close()
	return b.Bytes()
}

func makeZip(t testing.TB, list []member) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, m := range list {
		h := &zip.FileHeader{Name: m.name, Method: uint16(i % 2 * 8)}
		if m.kind == tar.TypeSymlink {
			h.SetMode(os.ModeSymlink)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		f.Write(m.data)
	}
	w.Close()
	return b.Bytes()
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

// listed sends what the files name and returns a line for each item.
func listed(t testing.TB, dir string, l List) string {
	t.Helper()
	items := make(chan Item)
	go l.Send(t.Context(), items)
	var b strings.Builder
	for it := range items {
		var data []byte
		err := it.Err
		switch {
		case err != nil:
		case it.Read != nil:
			data, err = it.Read()
		default:
			data, err = Read(it.Path, 1<<20)
		}
		text := string(data)
		if len(text) > 9 {
			text = fmt.Sprint(len(text))
		}
		rel := strings.TrimPrefix(it.Path, dir+"/")
		if err != nil {
			text = "ERROR " + err.Error()
		}
		fmt.Fprintf(&b, "%s=%s\n", rel, text)
	}
	return b.String()
}

func TestArchives(t *testing.T) {
	dir := t.TempDir()
	plain := makeTar(t, members)
	write := func(name string, data []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o666); err != nil {
			t.Fatal(err)
		}
		return p
	}
	want := "X/a/1.jpg=one\nX/b.PNG=two\nX/../up.gif=three\nX/empty.jpg=\nX/large.jpg=100000\n"
	for name, data := range map[string][]byte{"x.tar": plain, "x.tar.gz": gzipped(plain), "x.TGZ": gzipped(plain), "x.zip": makeZip(t, members)} {
		p := write(name, data)
		if got := listed(t, dir, List{Args: []string{p}}); got != strings.ReplaceAll(want, "X", name) {
			t.Errorf("%s:\n%s", name, got)
		}
		if got := listed(t, dir, List{Args: []string{"-"}, Stdin: strings.NewReader(p + "\n")}); got != strings.ReplaceAll(want, "X", name) {
			t.Errorf("%s in a list:\n%s", name, got)
		}
		l := List{Args: []string{p}}
		if l.Count(t.Context()) != -1 || l.AtMost() < 1<<30 {
			t.Errorf("%s: counted without looking: %d, %d", name, l.Count(t.Context()), l.AtMost())
		}
	}
	// In a folder an archive is no picture.
	if got := listed(t, dir, List{Args: []string{dir}}); got != "" {
		t.Errorf("a folder with archives:\n%s", got)
	}
	skipped := ""
	only := write("text.tar", makeTar(t, members[2:3]))
	listed(t, dir, List{Args: []string{only}, Skipped: func(p string, n int) { skipped = fmt.Sprint(filepath.Base(p), n) }})
	if skipped != "text.tar1" {
		t.Errorf("an archive without pictures: %q", skipped)
	}

	damaged := makeZip(t, members)
	at := bytes.Index(damaged, []byte("two"))
	if at >= 0 {
		damaged[at] = 'T'
	} else {
		at = bytes.Index(damaged, []byte("three"))
		damaged[at] = 'T'
	}
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"cut.tar":      {plain[:len(plain)/2], "archive, after 4 pictures: the archive is truncated"},
		"cut.tar.gz":   {gzipped(plain)[:200], "truncated"},
		"damaged.zip":  {damaged, "damaged member: zip: checksum error"},
		"cut.zip":      {damaged[:len(damaged)-30], "archive, after 0 pictures: zip: not a valid zip file"},
		"none.zip":     {nil, "archive, after 0 pictures"},
		"text.tar.gz":  {[]byte("this is not one"), "archive, after 0 pictures: gzip"},
		"garbage.tar":  {bytes.Repeat([]byte("garbage."), 200), "archive, after 0 pictures: archive/tar"},
		"missing.tar/": {nil, "no such file"},
	} {
		p := filepath.Join(dir, name)
		if !strings.HasSuffix(name, "/") {
			write(name, test.data)
		}
		if got := listed(t, dir, List{Args: []string{p}}); !strings.Contains(got, test.want) || strings.Count(got, "ERROR") != 1 {
			t.Errorf("%s:\n%swant %s", name, got, test.want)
		}
	}
}

// TestLabels: labels before and after their pictures, none, bad ones, and pictures that share one.
func TestLabels(t *testing.T) {
	file := func(name, data string) member { return member{name, []byte(data), tar.TypeReg} }
	list := []member{file("1.cls", "7\n"), file("1.jpg", "one"), file("2.png", "two"), file("2.json", `{"label": 3}`), file("3.jpg", "three"), file("d/3.cls", "5"),
		file("4.cls", "x"), file("4.jpg", "four"), file("5.seg.png", "five"), file("5.jpg", "more"), file("5.cls", "9"), file("6.json", `{"caption": "a"}`), file("6.jpg", "six"),
		file("7.cls", strings.Repeat("1", maxLabel+1)), file("7.jpg", "seven"), file("8.json", `{"label": "cat"}`), file("8.jpg", "eight"), file("9.jpg", "nine"),
		file("10.cls", "1"), file("10.depth.png", "mask"), file("10.jpg", "ten"), file("10.json", `{"label": 2}`), file("10.seg.png", "mask"),
		file("11.cls", "4"), file("11.json", `{"label": "cat"}`), file("11.jpg", "eleven"), file("a.b.cls", "5"), file("a.b.jpg", "dots"), file("a.c.jpg", "other")}
	want := "1.jpg one 7\n2.png two 3\n3.jpg three -\n4.jpg ! -\n5.seg.png five -\n5.jpg more 9\n6.jpg six -\n7.jpg ! -\n8.jpg ! -\n9.jpg nine -\n" +
		"10.jpg ten 1\n11.jpg eleven 4\na.b.jpg dots 5\na.c.jpg other -\n"
	dir := t.TempDir()
	for name, data := range map[string][]byte{"x.tar": makeTar(t, list), "x.tgz": gzipped(makeTar(t, list)), "x.zip": makeZip(t, list)} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o666); err != nil {
			t.Fatal(err)
		}
		for _, labels := range []bool{true, false} {
			items, got := make(chan Item), ""
			go List{Args: []string{p}, Labels: labels}.Send(t.Context(), items)
			for it := range items {
				text, class := "!", "-"
				if it.Err == nil {
					data, _ := it.Read()
					text = string(data)
				}
				if it.Class != nil {
					class = fmt.Sprint(*it.Class)
				}
				if !labels && (it.Class != nil || it.Err != nil) {
					t.Errorf("%s: %+v without labels being wanted", name, it)
				}
				got += fmt.Sprintln(strings.TrimPrefix(it.Path, p+"/"), text, class)
			}
			if labels && got != want {
				t.Errorf("%s:\n%swant\n%s", name, got, want)
			}
		}
	}
}

// FuzzArchive: damaged archives give items or errors, and no more bytes than are bounded.
func FuzzArchive(f *testing.F) {
	plain := makeTar(f, members)
	f.Add(plain, byte(0))
	f.Add(gzipped(plain), byte(1))
	f.Add(makeZip(f, members), byte(2))
	f.Fuzz(func(t *testing.T, data []byte, kind byte) {
		dir := t.TempDir()
		p := filepath.Join(dir, "x"+[]string{".tar", ".tar.gz", ".zip"}[kind%3])
		if err := os.WriteFile(p, data, 0o666); err != nil {
			t.Fatal(err)
		}
		listed(t, dir, List{Args: []string{p}, Labels: kind >= 128})
	})
}
