package table_test

import (
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
)

func TestForms(t *testing.T) {
	tab := table.Table{Titles: []string{"name", "n", ""}, Right: []bool{false, true}}
	tab.Add("größe", 7, "")
	tab.Add("b", 1234, "x")
	for name, c := range map[string]struct {
		print func(*strings.Builder) error
		want  string
	}{
		"text":     {func(sb *strings.Builder) error { return tab.Text(sb) }, "name      n\ngröße     7\nb      1234  x\n"},
		"markdown": {func(sb *strings.Builder) error { return tab.Markdown(sb) }, "| name  |    n |   |\n| ----- | ---: | - |\n| größe |    7 |   |\n| b     | 1234 | x |\n"},
	} {
		var sb strings.Builder
		if err := c.print(&sb); err != nil || sb.String() != c.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, sb.String(), c.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int]string{0: "0", 12: "12", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -123: "-123", 391208019: "391,208,019"} {
		if got := table.Thousands(n); got != want {
			t.Errorf("Thousands(%d) is %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 9999: "9999 B", 10_000: "10.0 kB", 25_452_704: "25.5 MB", 151_397_597_184: "151.4 GB"} {
		if got := table.Bytes(n); got != want {
			t.Errorf("Bytes(%d) is %s, want %s", n, got, want)
		}
	}
}
