package pictures

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestGlob(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"s-2.tar", "s-10.tar", "s-1.tar", "x[1].jpg", "x1.jpg", ".s-0.tar", "d1/s.tar", "d2/s.tar", "{a}.jpg"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args, want []string
		err        string
	}{
		{args: []string{"-", "s-1.tar", "missing"}, want: []string{"-", "s-1.tar", "missing"}},
		{args: []string{"x1.jpg", "s-*.tar"}, want: []string{"x1.jpg", "s-1.tar", "s-10.tar", "s-2.tar"}},
		{args: []string{"s-?.tar", "s-[2-3].tar"}, want: []string{"s-1.tar", "s-2.tar", "s-2.tar"}},
		{args: []string{"d*/*.tar", "d?"}, want: []string{"d1/s.tar", "d2/s.tar", "d1", "d2"}},
		{args: []string{"x[1].jpg", "{a}.jpg"}, want: []string{"x[1].jpg", "{a}.jpg"}}, // names, and no patterns
		{args: []string{"*.tar"}, want: []string{"s-1.tar", "s-10.tar", "s-2.tar"}},
		{args: []string{".*.tar"}, want: []string{".s-0.tar"}},
		{args: []string{"s-1.tar", "t-*.tar"}, err: "t-*.tar: nothing has this name or matches"},
		{args: []string{"s-{1..2}.tar"}, err: "braces ({0..9}) are the shell's"},
		{args: []string{"s-[1.tar"}, err: "s-[1.tar: nothing has this name, and it is no pattern either: syntax error"},
	} {
		got, err := Glob(c.args)
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%q: %v, want an error with %q", c.args, err, c.err)
		case c.err == "" && (err != nil || !slices.Equal(got, c.want)):
			t.Errorf("%q: %q, %v, want %q", c.args, got, err, c.want)
		}
	}
}
