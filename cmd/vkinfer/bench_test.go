package main

import (
	"bytes"
	"encoding/json"
	"image/jpeg"
	"regexp"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

func benchRows() []benchRow {
	a := benchRow{benchHead: benchHead{Model: "m", Height: 8, Width: 9, Device: "a b", Driver: "d 1", Precision: "float32"}, Batch: 2, ResidentPasses: 5,
		resident: []float64{4, 5}, transfer: []float64{8}, end: []float64{16}}
	a.setInfer(2, 500)
	b := a
	b.Precision = "other"
	return []benchRow{a, b}
}

func TestTimmForm(t *testing.T) {
	for n, rows := range [][]benchRow{nil, benchRows()[:1], benchRows()} {
		var out bytes.Buffer
		if err := (&benchWriter{w: &out, format: "timm", rows: rows}).close(); err != nil {
			t.Fatal(err)
		}
		text, ok := strings.CutPrefix(out.String(), "--result\n")
		if !ok {
			t.Fatalf("got %q", out.String())
		}
		if n == 1 { // one object
			text = "[" + text + "]"
		}
		var got []map[string]any
		if err := json.Unmarshal([]byte(text), &got); err != nil || len(got) != n {
			t.Fatalf("%d results, %v: %s", len(got), err, text)
		}
		for _, g := range got {
			if g["model"] != "m" || g["infer_samples_per_sec"] != 500. || g["infer_step_time"] != 4. || g["infer_batch_size"] != 2. {
				t.Errorf("got %v", g)
			}
		}
	}
}

// TestTimmColumns holds the counts against those that timm publishes for its file of these weights.
func TestTimmColumns(t *testing.T) {
	spec, err := model("efficientnet_b1_pruned")
	if err != nil {
		t.Fatal(err)
	}
	c, err := newTimmColumns(spec, graph.Shape{C: 3, H: 240, W: 240})
	if err != nil || c.ImgSize != 240 || c.GMACs != 0.39 || c.MActs != 6.21 || c.ParamCount != 6.33 {
		t.Errorf("got %+v, %v", c, err)
	}
}

// TestBenchstatForm: configuration lines, then results whose names have no spaces.
func TestBenchstatForm(t *testing.T) {
	var out bytes.Buffer
	if err := (&benchWriter{w: &out, format: "benchstat", rows: benchRows()}).close(); err != nil {
		t.Fatal(err)
	}
	config := regexp.MustCompile(`^[a-z]+: \S.*$`)
	result := regexp.MustCompile(`^Benchmark(Resident|Transfer|EndToEnd)/\S+ \s*[0-9]+\s+[0-9.]+ ns/op\s+[0-9.e+]+ images/s$`)
	results := 0
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case result.MatchString(line):
			results++
		case !config.MatchString(line) || results > 0:
			t.Errorf("line %q", line)
		}
	}
	if results != 8 {
		t.Errorf("%d results, want 8", results)
	}
	if s := out.String(); !regexp.MustCompile(`Resident/model=m/size=8x9/precision=other/batch=2 \s*5\s+4000000 ns/op\s+500 images/s`).MatchString(s) {
		t.Errorf("got\n%s", s)
	}
}

func TestSameBits(t *testing.T) {
	if err := sameBits([]float32{1, 0}, []float32{1, 0}); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]float32{{1}, {1, 2}, {1, -1e-45}} {
		if sameBits(bad, []float32{1, 0}) == nil {
			t.Errorf("%v passes for 1, 0", bad)
		}
	}
}

func TestMadeUpPicture(t *testing.T) {
	data, err := madeUpPicture(1)
	if err != nil {
		t.Fatal(err)
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil || img.Bounds().Dx() != 640 || img.Bounds().Dy() != 480 {
		t.Errorf("%v, %v", img, err)
	}
	if perPixel := float64(8*len(data)) / (640 * 480); perPixel < 1 || perPixel > 5 {
		t.Errorf("%.2f bits a pixel, want about what photographs take", perPixel)
	}
}

func TestChoices(t *testing.T) {
	var got []string
	c := &choices{&got, []string{"one", "two"}}
	if err := c.Set("two, ONE,two"); err != nil || c.String() != "two,one" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "one,", "three", "one two"} {
		if c.Set(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
