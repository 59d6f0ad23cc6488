package results

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func row(i int) Row {
	r := Row{Filename: fmt.Sprintf("dir/%d, \"quoted\"\nand more.png", i)}
	if i%7 == 3 {
		r.Error = "bad, \"very\"\nbad"
		return r
	}
	for k := range 2 {
		r.Predictions = append(r.Predictions, Prediction{i + k, "a, b", 0.25, float32(i)})
	}
	return r
}

// finish writes the rows from the file's last one up to n.
func finish(t *testing.T, f *File, n int) {
	t.Helper()
	for i := range f.Rows {
		if name, err := f.NextName(); err != nil || name != row(i).Filename {
			t.Fatalf("row %d is of %q, %v", i, name, err)
		}
	}
	for i := f.Rows; i < n; i++ {
		if err := f.Write(row(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
}

// TestFileCutAnywhere: wherever the file ends, the rest is written as if nothing had happened.
func TestFileCutAnywhere(t *testing.T) {
	for _, format := range Resumable {
		dir := t.TempDir()
		path := filepath.Join(dir, "r."+format)
		settings := map[string]string{"model": "b1"}
		f, err := OpenFile(path, format, 2, settings, false)
		if err != nil {
			t.Fatal(err)
		}
		if f.Rows != 0 {
			t.Fatal(f.Rows)
		}
		finish(t, f, 12)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(path + ".*"); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
		os.Remove(path)
		last := 0
		for cut := range len(whole) + 1 {
			if err := os.WriteFile(path+".part", whole[:cut], 0o666); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path+".part.json", []byte(`{"model": "b1"}`), 0o666); err != nil {
				t.Fatal(err)
			}
			f, err := OpenFile(path, format, 2, settings, true)
			if err != nil {
				t.Fatalf("%s cut at %d: %v", format, cut, err)
			}
			if f.Rows < last || f.Rows > last+1 || cut == len(whole) && f.Rows != 12 {
				t.Fatalf("%s cut at %d: %d rows, %d before", format, cut, f.Rows, last)
			}
			last = f.Rows
			failed := 0
			for i := range f.Rows {
				if row(i).Error != "" {
					failed++
				}
			}
			if f.Failed != failed {
				t.Fatalf("%s cut at %d: %d of %d rows failed, want %d", format, cut, f.Failed, f.Rows, failed)
			}
			finish(t, f, 12)
			if got, _ := os.ReadFile(path); !bytes.Equal(got, whole) {
				t.Fatalf("%s cut at %d and continued: %q, want %q", format, cut, got, whole)
			}
			os.Remove(path)
		}
	}
}

func TestFileErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.jsonl")
	settings := map[string]string{"model": "b1", "device": "x"}
	f, err := OpenFile(path, "jsonl", 2, settings, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write(row(0)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	want := func(what, text string, resume bool, settings map[string]string) {
		t.Helper()
		if f, err := OpenFile(path, "jsonl", 2, settings, resume); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %s", what, err, text)
			if f != nil {
				f.Close()
			}
		}
	}
	want("no resume", "--resume continues it", false, settings)
	want("another model", `with model "b1", now it is "b2"`, true, map[string]string{"model": "b2", "device": "x"})
	os.Remove(path + ".part.json")
	want("settings lost", "remove it to begin anew", true, settings)
	os.WriteFile(path+".part", []byte("no row\n"), 0o666)
	want("not ours", "row 1: not a row of results", true, settings)
}

func TestMerge(t *testing.T) {
	for _, format := range Resumable {
		for n := 1; n <= 5; n++ {
			for total := range 12 {
				write := func(first, step int) string {
					var b bytes.Buffer
					w := New(format, &b, 2)
					for i := first; i < total; i += step {
						w.Write(row(i))
					}
					w.Close()
					return b.String()
				}
				var names, texts []string
				for i := range n {
					names, texts = append(names, fmt.Sprint("shard", i)), append(texts, write(i, n))
				}
				merge := func() (string, int, error) {
					var readers []io.Reader
					for _, s := range texts {
						readers = append(readers, strings.NewReader(s))
					}
					var b bytes.Buffer
					k, err := Merge(&b, format, names, readers)
					return b.String(), k, err
				}
				if got, k, err := merge(); err != nil || k != total || got != write(0, 1) {
					t.Errorf("%s, %d rows in %d shards: %d, %v, %q", format, total, n, k, err, got)
				}
				if total < n+2 || n < 2 {
					continue
				}
				good := texts[0]
				texts[0] = good[:len(good)-1]
				if _, _, err := merge(); err == nil || !strings.Contains(err.Error(), "within a row") {
					t.Errorf("%s, %d rows in %d shards, one cut: %v", format, total, n, err)
				}
				texts[0] = write(0, total) // its first row alone
				if _, _, err := merge(); err == nil || !strings.Contains(err.Error(), "has more rows than") {
					t.Errorf("%s, %d rows in %d shards, one too short: %v", format, total, n, err)
				}
			}
		}
	}
	if _, _, err := mergeTexts("filename,index,error\na,1,\n", "filename,label,error\n"); err == nil || !strings.Contains(err.Error(), "other columns") {
		t.Errorf("other columns: %v", err)
	}
	if _, _, err := mergeTexts("filename,index,error\na,1,\n", ""); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("an empty file: %v", err)
	}
}

func mergeTexts(a, b string) (string, int, error) {
	var out bytes.Buffer
	n, err := Merge(&out, "csv", []string{"a", "b"}, []io.Reader{strings.NewReader(a), strings.NewReader(b)})
	return out.String(), n, err
}

func TestConcat(t *testing.T) {
	for _, format := range Resumable {
		write := func(rows ...int) string {
			var b bytes.Buffer
			w := New(format, &b, 2)
			for _, i := range rows {
				w.Write(row(i))
			}
			w.Close()
			return b.String()
		}
		concat := func(texts ...string) (string, int, error) {
			var names []string
			var readers []io.Reader
			for i, s := range texts {
				names, readers = append(names, fmt.Sprint("shard", i)), append(readers, strings.NewReader(s))
			}
			var b bytes.Buffer
			n, err := Concat(&b, format, names, readers)
			return b.String(), n, err
		}
		if got, n, err := concat(write(0, 1, 2), write(), write(3, 4)); err != nil || n != 5 || got != write(0, 1, 2, 3, 4) {
			t.Errorf("%s: %d rows, %v, %q", format, n, err, got)
		}
		if got, n, err := concat(write(), write()); err != nil || n != 0 || got != write() {
			t.Errorf("%s: %d rows of none, %v, %q", format, n, err, got)
		}
		whole := write(0, 1)
		if _, _, err := concat(write(5), whole[:len(whole)-3]); err == nil || !strings.Contains(err.Error(), "shard1: ends within a row") {
			t.Errorf("%s: a cut shard gives %v", format, err)
		}
	}
}
