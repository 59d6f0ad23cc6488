// Package table prints small tables: aligned text and Markdown for people, CSV, JSON and JSON lines for
// programs.
package table

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Table has a title per column and a row of cells per line. Right says which columns hold numbers.
type Table struct {
	Titles []string
	Right  []bool
	Rows   [][]string
}

// Add appends a row; each cell is printed with %v.
func (t *Table) Add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	t.Rows = append(t.Rows, row)
}

func (t *Table) widths() []int {
	w := make([]int, len(t.Titles))
	for _, row := range append([][]string{t.Titles}, t.Rows...) {
		for i, c := range row {
			w[i] = max(w[i], utf8.RuneCountInString(c))
		}
	}
	return w
}

func pad(s string, width int, right bool) string {
	fill := strings.Repeat(" ", width-utf8.RuneCountInString(s))
	if right {
		return fill + s
	}
	return s + fill
}

func (t *Table) right(i int) bool { return i < len(t.Right) && t.Right[i] }

// Text prints aligned columns.
func (t *Table) Text(w io.Writer) error { return t.print(w, "", "  ", "", false) }

// Markdown prints a Markdown table, aligned for reading as it is.
func (t *Table) Markdown(w io.Writer) error { return t.print(w, "| ", " | ", " |", true) }

func (t *Table) print(w io.Writer, before, between, after string, rule bool) error {
	widths := t.widths()
	var sb strings.Builder
	line := func(cells []string) {
		padded := make([]string, len(cells))
		for i, c := range cells {
			padded[i] = pad(c, widths[i], t.right(i))
		}
		sb.WriteString(strings.TrimRight(before+strings.Join(padded, between)+after, " "))
		sb.WriteByte('\n')
	}
	line(t.Titles)
	if rule {
		dashes := make([]string, len(widths))
		for i, n := range widths {
			dashes[i] = strings.Repeat("-", n)
			if t.right(i) {
				dashes[i] = strings.Repeat("-", max(n-1, 1)) + ":"
			}
		}
		line(dashes)
	}
	for _, row := range t.Rows {
		line(row)
	}
	_, err := io.WriteString(w, sb.String())
	return err
}

// JSON prints v indented, followed by a newline.
func JSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// JSONLine prints v on one line.
func JSONLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// Thousands writes n with a comma after every three digits.
func Thousands[T ~int | ~int64](n T) string {
	s := fmt.Sprint(int64(n))
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// Bytes writes a number of bytes for people.
func Bytes(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d B", n)
	case n < 10_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 10_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
