package profile

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/gpu"
)

// sample is a report of four launches on a device that copies 100 GB/s and computes 1000 GFLOP/s.
func sample() *Report {
	p := &vkinfer.Profile{Runs: 3, Ns: 40_000, P10: 39_000, P90: 50_000, Dispatches: []gpu.DispatchTime{
		{Node: "conv_stem", Kernel: "stem", Ns: 10_000, P10: 9_000, P90: 11_000, MACs: 1_000_000, Bytes: 400_000, WeightBytes: 100_000},
		{Node: "blocks.0.0.conv_dw", Kernel: "dw<&>", Ns: 20_000, P10: 20_000, P90: 20_000, MACs: 500_000, Bytes: 1_000_000},
		{Node: "blocks.0.0.se.gate", Kernel: "se", Ns: 1_000, P10: 1_000, P90: 1_000, MACs: 0, Bytes: 1_000},
		{Node: "blocks.1.0.conv_dw", Kernel: "dw<&>", Ns: 4_000, P10: 4_000, P90: 4_000, MACs: 2_000_000, Bytes: 500},
	}}
	s := Subject{Model: "net", Height: 8, Width: 9, Device: "dev <x>", Precision: "float32"}
	return New(s, 2, p, NewRoofs(vkinfer.Roofs{KernelCopy: 90e9, BufferCopy: 100e9, CopiedFrom: 1 << 20, Float32: 1000e9, Float16: 2000e9}))
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Abs(b) }

func TestNew(t *testing.T) {
	r := sample()
	x := r.Rows[0] // 500 kB take 5 µs, 2 MFLOP take 2 µs
	if x.Bytes != 500_000 || x.Flops != 2_000_000 || !near(x.Bound, 5) || x.BoundBy != "bytes" || !near(x.Over, 2) || !near(x.GBs, 50) ||
		!near(x.GFLOPS, 200) || !near(x.OfCopy, 0.5) || !near(x.OfFMA, 0.2) || !near(x.Share, 10./35) {
		t.Errorf("got %+v", x)
	}
	if x := r.Rows[3]; x.BoundBy != "flops" || !near(x.Bound, 4) || !near(x.Over, 1) || x.Stage != "blocks.1" {
		t.Errorf("got %+v", x)
	}
	if k := r.Kernels[0]; len(r.Kernels) != 3 || k.Kernel != "dw<&>" || k.Count != 2 || !near(k.Us, 24) || !near(k.Bound, 14) || k.BoundBy != "bytes" {
		t.Errorf("got %+v", r.Kernels)
	}
	if s := r.Stages[1]; len(r.Stages) != 3 || s.Stage != "blocks.0" || s.Count != 2 || !near(s.Us, 21) {
		t.Errorf("got %+v", r.Stages)
	}
	if r.Total.Count != 4 || !near(r.Total.Us, 35) || !near(r.Total.Share, 1) || !near(r.Us, 40) {
		t.Errorf("got %+v", r.Total)
	}
	if s := r.Sorted(true); s[0].Index != 1 || s[3].Index != 2 || r.Rows[0].Index != 0 {
		t.Errorf("sorted by time: %+v", s)
	}
}

// Without roofs or time there is nothing to divide by.
func TestNothing(t *testing.T) {
	r := New(Subject{}, 1, &vkinfer.Profile{Dispatches: []gpu.DispatchTime{{Node: "a", Kernel: "b"}}}, Roofs{})
	var b bytes.Buffer
	for _, err := range []error{JSON(&b, []*Report{r}), HTML(&b, []*Report{r}), Text(&b, []*Report{r}, true), Trace(&b, []*Report{r})} {
		if err != nil {
			t.Error(err)
		}
	}
	if s := b.String(); strings.Contains(s, "NaN") || strings.Contains(s, "Inf") {
		t.Errorf("no numbers: %s", s)
	}
}

func TestForms(t *testing.T) {
	list := []*Report{sample(), sample()}
	var text, csvOut, jsonOut bytes.Buffer
	for _, err := range []error{Text(&text, list, true), CSV(&csvOut, list, true), JSON(&jsonOut, list)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	first := strings.Index(text.String(), "blocks.0.0.conv_dw")
	if first < 0 || first > strings.Index(text.String(), "conv_stem") || !strings.Contains(text.String(), "float16 2000 GFLOP/s") {
		t.Errorf("text:\n%s", &text)
	}
	rows, err := csv.NewReader(&csvOut).ReadAll()
	if err != nil || len(rows) != 9 || rows[1][9] != "blocks.0.0.conv_dw" || rows[1][12] != "20" {
		t.Errorf("csv: %v %v", rows, err)
	}
	var back []Report
	if err := json.Unmarshal(jsonOut.Bytes(), &back); err != nil || len(back) != 2 || len(back[0].Rows) != 4 || back[1].Rows[0].Over != 2 {
		t.Errorf("json: %v", err)
	}
}

// TestTrace checks what viewers need: slices in order, each within its stage.
func TestTrace(t *testing.T) {
	var b bytes.Buffer
	if err := Trace(&b, []*Report{sample(), sample()}); err != nil {
		t.Fatal(err)
	}
	var trace struct {
		Events []event `json:"traceEvents"`
	}
	if err := json.Unmarshal(b.Bytes(), &trace); err != nil {
		t.Fatal(err)
	}
	slices, counters, stageEnd, at := 0, 0, 0.0, 0.0
	for _, e := range trace.Events {
		switch {
		case e.Phase == "M" && e.Name == "process_name":
			at, stageEnd = 0, 0
		case e.Phase == "C":
			counters++
		case e.Phase == "X" && e.Category == "stage":
			if !near(e.Time+1, at+1) {
				t.Errorf("stage %s begins at %v, want %v", e.Name, e.Time, at)
			}
			stageEnd = e.Time + e.Duration
		case e.Phase == "X":
			slices++
			if !near(e.Time+1, at+1) || e.Time+e.Duration > stageEnd+1e-9 || e.Args["kernel"] != e.Category {
				t.Errorf("slice %+v, want one that begins at %v and ends before its stage at %v", e, at, stageEnd)
			}
			at = e.Time + e.Duration
		}
	}
	if slices != 8 || counters != 20 || !near(at, 35) {
		t.Errorf("%d slices, %d counters until %v", slices, counters, at)
	}
}

func TestHTML(t *testing.T) {
	var b, again bytes.Buffer
	if err := HTML(&b, []*Report{sample(), sample()}); err != nil {
		t.Fatal(err)
	}
	HTML(&again, []*Report{sample(), sample()})
	s := b.String()
	if s != again.String() {
		t.Error("two pages of one report differ")
	}
	if strings.Contains(s, "dw<&>") || !strings.Contains(s, "dw&lt;&amp;&gt;") || strings.Contains(s, "dev <x>") {
		t.Error("names are not escaped")
	}
	if strings.Contains(s, "http:") || strings.Contains(s, "https:") || strings.Contains(s, " src=") {
		t.Error("the page needs something else")
	}
	if n := strings.Count(s, `<circle class="mark`); n != 6 { // the gate has no operations
		t.Errorf("%d marks, want 6", n)
	}
	if n := strings.Count(s, `<rect class="bar`); n != 8 {
		t.Errorf("%d bars, want 8", n)
	}
	for part := range strings.SplitSeq(s, "<svg") { // the drawings are well formed, their coordinates numbers
		svg, _, found := strings.Cut(part, "</svg>")
		if !found {
			continue
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Error("a plot has coordinates that are no numbers")
		}
		d := xml.NewDecoder(strings.NewReader("<svg" + svg + "</svg>"))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}
