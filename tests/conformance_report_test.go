package tests

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/tests/conformance"
)

// TestReport makes a whole report of a few layers and a small network, one layer broken on purpose, and
// writes it as JSON and HTML. VKINFER_REPORT=FILE keeps the page.
func TestReport(t *testing.T) {
	dev := device(t)
	s := small(t, dev, 2)
	ctx := t.Context()
	net := &conformance.NetworkReport{Model: s.Graph.Model, Precision: s.Candidate.Precision, Kernels: s.Candidate.Name, Batch: 2}
	rep := &conformance.Report{Networks: []*conformance.NetworkReport{net}}
	var err error
	if net.Rows, err = conformance.Network(ctx, s, nil); err != nil {
		t.Fatal(err)
	}
	if net.Replays, err = conformance.Replay(ctx, s, 5, nil); err != nil {
		t.Fatal(err)
	}
	if rep.Fingerprint, err = conformance.NewFingerprint(ctx, dev); err != nil {
		t.Fatal(err)
	}
	var cases []conformance.Case
	for _, name := range []string{opStem, opDepthwise, opProject, opLinear} {
		c, err := conformance.FindCase(name)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	if rep.Ops, err = conformance.Ops(ctx, dev, conformance.OpOptions{Cases: cases}); err != nil {
		t.Fatal(err)
	}
	if net.Invariances, err = conformance.Invariances(ctx, s, nil); err != nil {
		t.Fatal(err)
	}
	if rep.Switches, err = conformance.Switches(ctx, s, conformance.Candidates()[:1], nil); err != nil {
		t.Fatal(err)
	}
	net.Agreement, err = conformance.Agree(ctx, s, func(yield func(string, []float32) bool) { yield("noise <1>", s.Input[:len(s.Input)/2]) })
	if err != nil {
		t.Fatal(err)
	}
	good := page(t, rep)
	if !rep.OK() || !strings.Contains(good, "none failed") || strings.Contains(good, "Failures") {
		t.Errorf("a report of a good device: %v", rep.Failures())
	}
	if good != page(t, rep) {
		t.Error("the same report gives other bytes")
	}
	for _, want := range []string{opDepthwise, "y.sums", rep.Fingerprint.Device, "blocks.3.0.bn3", "classifier doubled", "without residual", "<svg", "5 runs of one input gave 1 distinct result"} {
		if !strings.Contains(good, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, no := range []string{"<script", "http://", "https://", "src=", "href="} {
		if strings.Contains(good, no) {
			t.Errorf("the page has %q: it must need nothing else", no)
		}
	}

	lane := slices.DeleteFunc(conformance.Candidates(), func(c conformance.Candidate) bool { return c.Options.Kernels != netplan.KernelsLane })
	broken, err := conformance.Ops(ctx, dev, conformance.OpOptions{Cases: cases[2:3], Candidates: lane, Seed: 77, Alter: func(p *netplan.Plan) {
		d := first(p, "conv1x1")
		d.Groups[1] = oneLess(d.Groups[1])
	}})
	if err != nil {
		t.Fatal(err)
	}
	rep.Ops = append(rep.Ops, broken...)
	bad := page(t, rep)
	for _, want := range []string{"Failed: 4 of", "Failures", "bands of 8 channels: 1 of 5", "vkinfer verify --op " + opProject + " --mode exact --seed 77 --precision float32 --kernels lane --batch-size 1</code>", "channels 0..34 across", "....#"} {
		if !strings.Contains(bad, want) {
			t.Errorf("the page of a bad device lacks %q", want)
		}
	}
	if rep.OK() {
		t.Error("a report with failures is OK")
	}
	b, err := json.Marshal(rep.Ops)
	if err != nil {
		t.Fatal(err)
	}
	var back []conformance.OpRow
	if err := json.Unmarshal(b, &back); err != nil || len(back) != len(rep.Ops) || back[len(back)-1].Failure == nil || back[len(back)-1].Seed != 77 {
		t.Errorf("rows do not survive JSON: %v", err)
	}
	if file := os.Getenv("VKINFER_REPORT"); file != "" {
		if err := os.WriteFile(file, []byte(bad), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func page(t *testing.T, rep *conformance.Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := conformance.WriteHTML(&out, rep); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
