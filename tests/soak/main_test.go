package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// TestCheckNotices: rows that are lost, repeated, out of order or of another kind are told; complete ones are not.
func TestCheckNotices(t *testing.T) {
	const n = 1000
	s := &soak{n: n}
	rows := make([]string, n)
	for i := range rows {
		outcome := `"predictions":[{"prob":0.5}]`
		if damaged(i) {
			outcome = `"error":"cut short"`
		}
		rows[i] = fmt.Sprintf(`{"filename":"p.tar/%s",%s}`+"\n", s.name(i), outcome)
	}
	swapped := slices.Clone(rows)
	swapped[7], swapped[8] = swapped[8], swapped[7]
	wrong := slices.Clone(rows)
	wrong[7] = strings.Replace(wrong[7], "predictions", "error_", 1)
	for _, c := range []struct {
		what, want string
		rows       []string
	}{
		{"all", "", rows},
		{"lost", "row 7 is of", slices.Delete(slices.Clone(rows), 7, 8)},
		{"the last one lost", "row 999 of 1000: EOF", rows[:n-1]},
		{"repeated", "row 8 is of", slices.Insert(slices.Clone(rows), 7, rows[7])},
		{"the last one repeated", "more than 1000 rows", append(slices.Clone(rows), rows[n-1])},
		{"out of order", "row 7 is of", swapped},
		{"without a class", "0 predictions", wrong},
	} {
		last := 0
		err := s.check("p.tar", strings.NewReader(strings.Join(c.rows, "")), func(i int) { last = i })
		if c.want == "" && (err != nil || last != n) {
			t.Errorf("%s: %v after %d rows", c.what, err, last)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
	if err := s.check("p.tar", strings.NewReader(""), nil); !errors.Is(err, io.EOF) {
		t.Errorf("nothing: %v, want io.EOF", err)
	}
}

// TestMemory: what a start takes hides no growth.
func TestMemory(t *testing.T) {
	for _, c := range []struct {
		what, want string
		rss        func(rows int) int64
	}{
		{"level, after a start that takes much", "", func(rows int) int64 { return 200<<10 + int64(max(0, 100-rows))<<12 }},
		{"just bounded", "", func(rows int) int64 { return 200<<10 + int64(rows/200)*(8<<10) }},
		{"growing, after a start that takes much", "grew by 40.0 MiB", func(rows int) int64 {
			return 200<<10 + int64(max(0, 100-rows))<<12 + int64(rows/200)*(10<<10)
		}},
		{"unseen", "too fast", func(int) int64 { return 0 }},
	} {
		m := memory{n: 1000}
		for rows := range 1000 {
			m.seen(rows, c.rss(rows))
		}
		if err := m.judge(32 << 10); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}

// TestPicturesDiffer: no picture can stand for another.
func TestPicturesDiffer(t *testing.T) {
	seen := map[string]int{}
	for i := range 4000 {
		data, err := picture(i)
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := seen[string(data)]; ok && !damaged(i) {
			t.Fatalf("pictures %d and %d are the same", before, i)
		}
		seen[string(data)] = i
	}
}

// TestInterrupted: making pictures ends when it is told to.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &soak{n: 1000}
	for source, fill := range map[string]func(context.Context, string) error{"tar": s.makeTar, "folder": s.makeFolder} {
		if err := fill(ctx, t.TempDir()+"/pictures"); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", source, err)
		}
	}
}
