package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"github.com/vkinfer/vkinfer/netplan"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goodReport is a report in which every kind of check was made and passed.
func goodReport() *Report {
	r := &Report{
		Program: "vkinfer test", Date: "2026-01-02T03:04:05Z", Command: "vkinfer verify",
		Settings: Settings{Stages: Stages(), Models: []string{"efficientnet_b1_pruned"}, Modes: Modes(), Seed: 1},
		Fingerprint: &Fingerprint{Device: "gpu", Driver: "driver", DriverVersion: "1.2", Quirks: []string{}, Kernels: "0123456789abcdef",
			Floats: Floats{Rounding: "nearest", Denormals: "kept"}},
		Ops: []OpRow{
			{Case: "linear-c1280-n1000", Value: "y", Kernel: "linear_f32", Precision: "float32", Candidate: "default", Mode: Exact, Verdict: "ok"},
			{Case: "linear-c1280-n1000", Value: "y", Kernel: "linear_f32", Precision: "float32", Candidate: "default", Mode: Real, Ratio: 0.1, Verdict: "ok"},
		},
		Networks: []*NetworkReport{{
			Model: "efficientnet_b1_pruned", Precision: "float32", Kernels: "default", Batch: 2, Input: [3]int{3, 40, 40}, Weights: "made up, seed 1",
			Command:     "vkinfer verify efficientnet_b1_pruned",
			Rows:        []Row{{Node: "bn1", RelL2: 1e-7, Gate: Figure(GatesFor(netplan.PrecisionFloat32).Node), Verdict: "ok"}},
			Replays:     &Replays{Runs: 25, Distinct: 1, Logits: "00112233445566778899"},
			Invariances: []Check{{Name: "slots", Runs: 2, Verdict: "ok"}},
			Processes:   &Check{Name: "further processes", Runs: 2, Verdict: "ok"},
			Agreement:   &Agreement{Pictures: 3, Top1: 3, Top5: 3, Flips: []Flip{}, Verdict: "ok"},
		}},
		Switches: []SwitchRow{{Model: "efficientnet_b1_pruned", Precision: "float32", Kernels: "default", Fusion: "all", Memory: "direct", Arena: "shared", Debug: "off", Verdict: "ok", Available: true},
			{Model: "efficientnet_b1_pruned", Precision: "float32", Kernels: "default", Fusion: "without swish", Memory: "-", Verdict: "not available: no kernel"}},
	}
	r.Finish()
	return r
}

// faults are what can be wrong with a report: what to change, and what must be said of it.
var faults = map[string]func(*Report){
	"replays: 25 runs of one input gave 2 different": func(r *Report) { r.Networks[0].Replays.Distinct = 2 },
	"linear-c1280-n1000, real, linear_f32 y, float32: off": func(r *Report) {
		r.Ops[1].Verdict = "off"
	},
	"node bn1: too large":           func(r *Report) { r.Networks[0].Rows[0].Verdict = "too large" },
	"slots: differ":                 func(r *Report) { r.Networks[0].Invariances[0].Verdict = "differ" },
	"further processes: other bits": func(r *Report) { r.Networks[0].Processes.Verdict = "other bits" },
	"classes of pictures: 1 change": func(r *Report) { r.Networks[0].Agreement.Verdict = "1 change" },
	"fusion all, memory direct, arena shared, debug off: other logits": func(r *Report) { r.Switches[0].Verdict = "other logits" },
}

// TestReportFailures: every kind of check can fail a report.
func TestReportFailures(t *testing.T) {
	if good := goodReport(); !good.OK() || !good.Passed || len(good.Failures()) != 0 || !strings.HasPrefix(good.Verdict(), "Passed: ") {
		t.Errorf("a report without failures has %v and says %s", good.Failures(), good.Verdict())
	}
	for want, edit := range faults {
		r := goodReport()
		edit(r)
		var all []string
		for _, f := range r.Failures() {
			all = append(all, f.Title+": "+f.What)
		}
		if len(all) != 1 || !strings.Contains(all[0], want) || r.OK() || !strings.HasPrefix(r.Verdict(), "Failed: 1 of ") {
			t.Errorf("failures %q and %s, want %q", all, r.Verdict(), want)
		}
		if f := r.Failures()[0]; strings.HasPrefix(f.Title, "efficientnet_b1_pruned, ") && !strings.HasPrefix(f.Again, "vkinfer verify efficientnet_b1_pruned --only ") {
			t.Errorf("%s: nothing says how to check it again: %q", want, f.Again)
		}
	}
	for want, edit := range map[string]func(*Report){
		"; 1 message of the validation layers":                            func(r *Report) { r.Messages = []string{"hazard"} },
		"Not passed: ":                                                    func(r *Report) { r.Ended = "interrupted" },
		"Not passed: 0 checks, none failed.":                              func(r *Report) { r.Ops, r.Networks, r.Switches = nil, nil, nil },
		"Not passed: 35 checks, none failed; 1 regression since the base": func(r *Report) { r.Baseline = &Comparison{Worse: []Change{{"a", "b", "c"}}} },
	} {
		r := goodReport()
		edit(r)
		if r.OK() || !strings.Contains(r.Verdict(), want) {
			t.Errorf("%s: OK is %v", r.Verdict(), r.OK())
		}
	}
}

// TestReportRoundTrip: JSON carries everything; what is no number comes back as one that is none.
func TestReportRoundTrip(t *testing.T) {
	r := goodReport()
	r.Ops[1].MaxError, r.Ops[1].Failure = Figure(math.NaN()), &Failure{Got: Figure(math.NaN()), TileMap: "#.\n", Repro: "vkinfer verify --op x"}
	r.Networks[0].Rows[0].Got = Figure(math.NaN())
	r.Baseline = Compare(r, goodReport(), "old.json", 2)
	r.Finish()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ReadReport(bytes.NewReader(b), "new.json")
	if err != nil {
		t.Fatal(err)
	}
	equal := cmp.Comparer(func(a, b Figure) bool { return a == b || math.IsNaN(float64(a)) && math.IsNaN(float64(b)) })
	if diff := cmp.Diff(r, back, equal); diff != "" {
		t.Error(diff)
	}
	if !bytes.Contains(b, []byte(`"got":null`)) {
		t.Error("NaN is not null")
	}
	inf, err := json.Marshal(Figure(math.Inf(-1)))
	if err != nil || string(inf) != "null" {
		t.Errorf("infinity is %s, %v", inf, err)
	}
}

// TestReadReport: what is no report is refused, and nothing in one may cause a panic.
func TestReadReport(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "is no JSON",
		"<html>":                        "is no JSON",
		"[]":                            "is no JSON",
		"{}":                            `its format is "" and not "vkinfer verify 1"`,
		`{"format":"other"}`:            `its format is "other"`,
		`{"format":"vkinfer verify 1"`:  "is no JSON",
		`{"format":"vkinfer verify 1"}`: "says nothing of a device",
		`{"format":"vkinfer verify 1","fingerprint":{},"networks":[null]}`:         "holds an empty network",
		`{"format":"vkinfer verify 1","fingerprint":{},"ops":[{"max_error":"x"}]}`: "want a report",
	} {
		if _, err := ReadReport(strings.NewReader(text), "f.json"); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "f.json") {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	old, err := ReadReport(strings.NewReader(`{"format":"vkinfer verify 1","fingerprint":{}}`), "f.json")
	if err != nil {
		t.Fatal(err)
	}
	if c := Compare(goodReport(), old, "f.json", 2); !c.OK() {
		t.Errorf("worse than nothing: %v", c.Worse)
	}
}

// TestCompare: a report is no worse than itself; every fault is a regression, and its end an improvement.
func TestCompare(t *testing.T) {
	if c := Compare(goodReport(), goodReport(), "old", 2); !c.OK() || len(c.Notes) != 0 || len(c.Better) != 0 || c.Rows != 8 {
		t.Errorf("a report compared with itself: %+v", c)
	}
	for name, edit := range faults {
		bad := goodReport()
		edit(bad)
		if c := Compare(bad, goodReport(), "old", 2); len(c.Worse) != 1 || len(c.Better) != 0 {
			t.Errorf("%s: %+v", name, c)
		}
		if c := Compare(goodReport(), bad, "old", 2); len(c.Better) != 1 || !c.OK() {
			t.Errorf("%s has ended: %+v", name, c)
		}
	}
	for name, test := range map[string]struct {
		edit  func(*Report)
		worse string // "" for none
		note  string
	}{
		"error grown":              {func(r *Report) { r.Ops[1].Ratio = 0.21 }, "of its bound", ""},
		"error grown a little":     {func(r *Report) { r.Ops[1].Ratio = 0.19 }, "", ""},
		"error no number":          {func(r *Report) { r.Ops[1].Ratio = Figure(math.NaN()) }, "of its bound", ""},
		"tiny error grown":         {func(r *Report) { r.Networks[0].Rows[0].RelL2 = 9e-8 }, "", ""},
		"node's error grown":       {func(r *Report) { r.Networks[0].Rows[0].RelL2 = 3e-7 }, "node bn1, error: was 0.01 of its bound, is 0.03", ""},
		"other logits":             {func(r *Report) { r.Networks[0].Replays.Logits = "ff" }, "bits of the logits", ""},
		"other logits and kernels": {func(r *Report) { r.Networks[0].Replays.Logits = "ff"; r.Fingerprint.Kernels = "x" }, "", "other kernels"},
		"other logits and floats":  {func(r *Report) { r.Networks[0].Replays.Logits = "ff"; r.Fingerprint.Floats.Fused = true }, "", "calculates otherwise"},
		"other device": {func(r *Report) {
			r.Networks[0].Replays.Logits, r.Ops[1].Ratio, r.Fingerprint.Device = "ff", 0.9, "another"
		}, "", "another device or driver (gpu, driver 1.2; here another, driver 1.2)"},
		"other device, failing":    {func(r *Report) { r.Fingerprint.Device = "another"; r.Ops[0].Verdict = "off" }, "is off", "another device"},
		"other weights":            {func(r *Report) { r.Networks[0].Weights = "b1.pth"; r.Networks[0].Rows[0].RelL2 = 9e-6 }, "", "are others"},
		"other batches of a layer": {func(r *Report) { r.Ops[1].Batches = []int{1}; r.Ops[1].Ratio = 0.9 }, "", "errors of 1 values of layers"},
		"layer missing":            {func(r *Report) { r.Ops = r.Ops[:1] }, "is missing", ""},
		"node missing":             {func(r *Report) { r.Networks[0].Rows = nil }, "node bn1: was ok, is missing", ""},
		"replays missing":          {func(r *Report) { r.Networks[0].Replays = nil }, "replays: was ok, is missing", ""},
		"invariance missing":       {func(r *Report) { r.Networks[0].Invariances = nil }, "slots: was ok, is missing", ""},
		"pictures missing":         {func(r *Report) { r.Networks[0].Agreement = nil }, "pictures: was ok, is missing", ""},
		"switches missing":         {func(r *Report) { r.Switches = nil }, "debug off: was ok, is missing", ""},
		"layers not asked for":     {func(r *Report) { r.Settings.Stages, r.Ops = r.Settings.Stages[1:], nil }, "", "only the baseline has: ops"},
		"mode not asked for":       {func(r *Report) { r.Settings.Modes, r.Ops = []Mode{Exact}, r.Ops[:1] }, "", ""},
		"another model":            {func(r *Report) { r.Settings.Models, r.Ops, r.Networks, r.Switches = []string{"x"}, nil, nil, nil }, "", "only the baseline has: efficientnet_b1"},
		"another precision":        {func(r *Report) { r.Settings.Precision, r.Ops, r.Networks, r.Switches = "amp", nil, nil, nil }, "", ""},
		"a case broken as a whole": {func(r *Report) { o := r.Ops[0]; o.Value, o.Verdict = "", "lost"; r.Ops = append(r.Ops, o) }, "is lost", ""},
		"a precision it has not got": {func(r *Report) {
			r.Fingerprint.Device, r.Unavailable = "another", []Unavailable{{"float32", "default", "no"}}
			r.Ops, r.Networks, r.Switches = nil, nil, nil
		}, "", "another device"},
	} {
		r := goodReport()
		test.edit(r)
		c := Compare(r, goodReport(), "old", 2)
		all := ""
		for _, w := range c.Worse {
			all += w.String() + "\n"
		}
		if (test.worse == "") != c.OK() || !strings.Contains(all, test.worse) || !strings.Contains(strings.Join(c.Notes, "\n"), test.note) {
			t.Errorf("%s: %+v, want %q and %q", name, c, test.worse, test.note)
		}
	}
}

// TestComparable: reports that share nothing are not compared.
func TestComparable(t *testing.T) {
	s := goodReport().Settings
	if err := Comparable(s, goodReport()); err != nil {
		t.Error(err)
	}
	s.Models = []string{"efficientnet_b2_pruned"}
	if err := Comparable(s, goodReport()); err == nil || !strings.Contains(err.Error(), "is about efficientnet_b1_pruned, want efficientnet_b2_pruned") {
		t.Errorf("another model: %v", err)
	}
	s.Stages = nil
	if err := Comparable(s, goodReport()); err == nil || !strings.Contains(err.Error(), "the baseline holds the checks") {
		t.Errorf("no check in common: %v", err)
	}
}

// TestProcessesCheck: what another process prints, or fails with, is the verdict.
func TestProcessesCheck(t *testing.T) {
	for name, test := range map[string]struct {
		child func(context.Context) (string, error)
		want  string
	}{
		"same":  {func(context.Context) (string, error) { return "abc", nil }, "ok"},
		"other": {func(context.Context) (string, error) { return "abd", nil }, "process 1 got other logits: their hash is abd, here it is abc"},
		"fails": {func(context.Context) (string, error) { return "abc", fmt.Errorf("exit status 4") }, "process 1: exit status 4"},
	} {
		if c, err := Processes(t.Context(), "abc", 2, test.child); err != nil || c.Verdict != test.want || c.Runs != 2 {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Processes(ctx, "abc", 2, func(context.Context) (string, error) { return "", ctx.Err() }); err == nil {
		t.Error("an interrupt is no verdict")
	}
}

// TestCountRuns: a bit that changes once is another result, the sign of a zero included; what was counted before
// an error stays.
func TestCountRuns(t *testing.T) {
	n := 0
	r, err := countRuns(25, func() ([]float32, error) {
		if n++; n == 20 {
			return []float32{1, float32(math.Copysign(0, -1))}, nil
		}
		return []float32{1, 0}, nil
	}, func(int) {})
	if err != nil || r.Runs != 25 || r.Distinct != 2 || r.OK() {
		t.Errorf("%+v, %v, want 2 of 25", r, err)
	}
	n = 0
	r, err = countRuns(25, func() ([]float32, error) {
		if n++; n == 4 {
			return nil, fmt.Errorf("lost")
		}
		return []float32{1}, nil
	}, func(int) {})
	if err == nil || r.Runs != 3 || r.Distinct != 1 || len(r.Logits) != 64 {
		t.Errorf("%+v, %v, want 3 runs and an error", r, err)
	}
}
