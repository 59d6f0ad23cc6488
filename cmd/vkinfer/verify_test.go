package main

import (
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/tests/conformance"
)

// TestVerifyText: the text grows with the report and tells everything once, in the order in which it came.
func TestVerifyText(t *testing.T) {
	var sb strings.Builder
	text, r := newVerifyText(&sb, false, false), &conformance.Report{}
	more := func() {
		t.Helper()
		if err := text.more(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, model := range []string{"first", "second"} {
		n := &conformance.NetworkReport{Model: model, Precision: "float32", Kernels: "default", Replays: &conformance.Replays{Runs: 25, Distinct: 2}}
		r.Networks = append(r.Networks, n)
		more()
		n.Processes = &conformance.Check{Runs: 2, Verdict: "ok"}
		more()
		r.Switches = append(r.Switches, conformance.SwitchRow{Model: model, Precision: "float32", Kernels: "default", Available: true, Verdict: "wrong " + model})
		more()
		more()
	}
	var got []string
	for _, line := range strings.Split(sb.String(), "\n") {
		if f := strings.Fields(line); len(f) > 2 && (f[0] == "ok" || f[0] == "FAILED") {
			got = append(got, f[1]+" "+f[2])
		}
	}
	want := "replays first,, processes first,, switches first, replays second,, processes second,, switches second"
	if all := strings.Join(got, ", "); all != want {
		t.Errorf("got  %s\nwant %s", all, want)
	}
	for _, failure := range []string{"wrong first", "wrong second", "first, float32: replays", "second, float32: replays"} {
		if n := strings.Count(sb.String(), failure); n != 1 {
			t.Errorf("%q is told %d times:\n%s", failure, n, sb.String())
		}
	}
}
