package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
	"github.com/vkinfer/vkinfer/tests/conformance"
)

// maxFailures is how many failures of a stage are told in full, unless all rows are wanted.
const maxFailures = 10

// verifyText prints a report while it grows: a line per kind of check as soon as it is made, failures in full.
type verifyText struct {
	w     io.Writer
	all   bool // print all rows
	quiet bool // print nothing
	gap   bool // the last thing printed was a failure

	messages, ops, networks, switches int // printed so far
	// So are these. What is new is not at the end: networks come before the switches of earlier ones.
	summaries map[[2]string]bool
	failures  map[conformance.FailureText]bool
}

// newVerifyText returns the text form that writes to w.
func newVerifyText(w io.Writer, all, quiet bool) *verifyText {
	return &verifyText{w: w, all: all, quiet: quiet, summaries: map[[2]string]bool{}, failures: map[conformance.FailureText]bool{}}
}

// begin prints what the report is about.
func (t *verifyText) begin(r *conformance.Report) error {
	if t.quiet {
		return nil
	}
	f := r.Fingerprint
	var sb strings.Builder
	fmt.Fprintf(&sb, "%s (%s), %s %s, Vulkan %s\n", f.Device, f.Type, f.Driver, f.DriverVersion, f.APIVersion)
	fmt.Fprintf(&sb, "float32 %s; subgroups of %d; kernels %s, %s\n", f.Floats, f.SubgroupSize, f.Kernels, f.Host)
	for _, q := range f.Quirks {
		fmt.Fprintf(&sb, "quirk: %s\n", q)
	}
	for _, u := range r.Unavailable {
		fmt.Fprintf(&sb, "not available: %s, kernels %s: %s\n", u.Precision, u.Kernels, u.Why)
	}
	if !t.all {
		fmt.Fprintf(&sb, "\n%-6s  %-22s  %-32s  %5s\n", "", "check", "of", "done")
	}
	_, err := io.WriteString(t.w, sb.String())
	return err
}

// more prints what has come to the report since the last call.
func (t *verifyText) more(r *conformance.Report) error {
	if t.quiet {
		return nil
	}
	var sb strings.Builder
	if t.all {
		t.rows(&sb, r)
	}
	summaries := slices.DeleteFunc(r.Summary(), func(s conformance.Summary) bool { return t.summaries[[2]string{s.Check, s.Of}] })
	if t.gap && len(summaries) > 0 {
		sb.WriteByte('\n')
	}
	for _, s := range summaries {
		t.summaries[[2]string{s.Check, s.Of}] = true
		verdict := "ok"
		if s.Failed > 0 {
			verdict = "FAILED"
		}
		note := s.Note
		if s.Failed > 0 {
			note = strings.TrimSuffix(fmt.Sprintf("%d failed; %s", s.Failed, note), "; ")
		}
		sb.WriteString(strings.TrimRight(fmt.Sprintf("%-6s  %-22s  %-32s  %5d  %s", verdict, s.Check, s.Of, s.Done, note), " ") + "\n")
	}
	failures := slices.DeleteFunc(r.Failures(), func(f conformance.FailureText) bool { return t.failures[f] })
	for i, f := range failures {
		t.failures[f] = true
		switch {
		case i < maxFailures || t.all:
			failureText(&sb, f)
		case i == maxFailures:
			fmt.Fprintf(&sb, "\n  and %d more failures: --verbose, or -o html or json, has them all\n", len(failures)-i)
		}
	}
	if len(summaries) > 0 || len(failures) > 0 {
		t.gap = len(failures) > 0
	}
	for _, m := range r.Messages[min(t.messages, len(r.Messages)):] {
		fmt.Fprintf(&sb, "  %s\n", m)
	}
	t.messages = len(r.Messages)
	_, err := io.WriteString(t.w, sb.String())
	return err
}

func failureText(sb *strings.Builder, f conformance.FailureText) {
	fmt.Fprintf(sb, "\n  %s\n    %s\n", f.Title, f.What)
	if f.TileMap != "" {
		sb.WriteString("    " + strings.ReplaceAll(strings.TrimRight(f.TileMap, "\n"), "\n", "\n    ") + "\n")
	}
	if f.Again != "" {
		fmt.Fprintf(sb, "    again: %s\n", f.Again)
	}
}

// end prints the comparison with the baseline and the verdict.
func (t *verifyText) end(w io.Writer, r *conformance.Report) error {
	t.w = w
	if err := t.more(r); err != nil {
		return err
	}
	var sb strings.Builder
	if b := r.Baseline; b != nil {
		fmt.Fprintf(&sb, "\ncompared with %d checks of %s, of %s:\n", b.Rows, b.Name, b.Date)
		for _, n := range b.Notes {
			fmt.Fprintf(&sb, "  note: %s\n", n)
		}
		for i, c := range b.Worse {
			if i == maxFailures && !t.all {
				fmt.Fprintf(&sb, "  and %d more that got worse: --verbose, or -o html or json, has them all\n", len(b.Worse)-i)
				break
			}
			fmt.Fprintf(&sb, "  worse: %v\n", c)
		}
		for _, c := range b.Better {
			fmt.Fprintf(&sb, "  better: %v\n", c)
		}
	}
	fmt.Fprintf(&sb, "\n%s\n", r.Verdict())
	_, err := io.WriteString(w, sb.String())
	return err
}

// rows prints the rows that are new.
func (t *verifyText) rows(sb *strings.Builder, r *conformance.Report) {
	if ops := r.Ops[min(t.ops, len(r.Ops)):]; len(ops) > 0 {
		tab := table.Table{Titles: []string{"layer", "mode", "value", "kernel", "precision", "candidate", "values", "max error", "of bound", "NMSE", "verdict"},
			Right: []bool{6: true, 7: true, 8: true, 9: true, 10: false}}
		for _, o := range ops {
			tab.Add(o.Case, o.Mode, o.Value, o.Kernel, o.Precision, o.Candidate, o.Elements, short(o.MaxError), short(o.Ratio), short(o.NMSE), o.Verdict)
		}
		printTable(sb, &tab)
		t.ops = len(r.Ops)
	}
	// A network's stages come one by one; whatever its rows are, they come first and at once.
	for ; t.networks < len(r.Networks) && r.Networks[t.networks].Rows != nil; t.networks++ {
		n := r.Networks[t.networks]
		fmt.Fprintf(sb, "\n%s, %s, kernels %s, batch %d of %dx%d\n", n.Model, n.Precision, n.Kernels, n.Batch, n.Input[1], n.Input[2])
		tab := table.Table{Titles: []string{"node", "kernel", "shape", "max error", "at", "got", "want", "relative L2", "of bound", "verdict"},
			Right: []bool{3: true, 5: true, 6: true, 7: true, 8: true, 9: false}}
		for _, row := range n.Rows {
			tab.Add(row.Node, row.Kernel, join(row.Dims[:], "x"), short(row.MaxError), join(row.Worst[:], ","), fmt.Sprintf("%.7g", float64(row.Got)),
				fmt.Sprintf("%.7g", float64(row.Want)), short(row.RelL2), short(row.RelL2/row.Gate), row.Verdict)
		}
		printTable(sb, &tab)
	}
	if rows := r.Switches[min(t.switches, len(r.Switches)):]; len(rows) > 0 {
		tab := table.Table{Titles: []string{"model", "precision", "kernels", "fusion", "memory", "arena", "debug", "relative L2", "centred", "verdict"}, Right: []bool{7: true, 8: true, 9: false}}
		for _, s := range rows {
			tab.Add(s.Model, s.Precision, s.Kernels, s.Fusion, s.Memory, s.Arena, s.Debug, short(s.RelL2), short(s.Centred), s.Verdict)
		}
		printTable(sb, &tab)
		t.switches = len(r.Switches)
	}
}

func printTable(sb *strings.Builder, tab *table.Table) {
	sb.WriteByte('\n')
	tab.Text(sb) // a Builder takes everything
	sb.WriteByte('\n')
}

func short(f conformance.Figure) string { return fmt.Sprintf("%.2e", float64(f)) }

func join(v []int, by string) string {
	s := make([]string, len(v))
	for i, n := range v {
		s[i] = fmt.Sprint(n)
	}
	return strings.Join(s, by)
}
