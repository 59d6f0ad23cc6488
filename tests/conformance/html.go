package conformance

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed report.html.tmpl
var reportHTML string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"yes":     func(b bool) string { return map[bool]string{true: "yes", false: "no"}[b] },
	"figure":  func(f Figure) string { return digits(float64(f)) },
	"share":   func(r Row) string { return digits(r.share()) },
	"numbers": func(v []int) string { return strings.Trim(strings.ReplaceAll(fmt.Sprint(v), " ", ", "), "[]") },
}).Parse(reportHTML))

// digits prints a figure of a table.
func digits(v float64) string {
	if v == 0 {
		return "0"
	}
	return fmt.Sprintf("%.2g", v)
}

// WriteHTML writes the report as one page that needs nothing else, on screen or on paper. The same report
// gives the same bytes.
func WriteHTML(w io.Writer, r *Report) error {
	page := struct {
		R              *Report
		Title, Verdict string
		OK             bool
		Summary        []Summary
		Failures       []FailureText
		Kernels        []kernelTable
		OpPlot         template.HTML
		Networks       []networkPage
	}{R: r, OK: r.OK(), Summary: r.Summary(), Failures: r.Failures(), Kernels: kernelTables(r.Ops), OpPlot: plot(opPoints(r.Ops)),
		Title: "vkinfer conformance"}
	if r.Fingerprint != nil {
		page.Title += ": " + r.Fingerprint.Device
	}
	for _, n := range r.Networks {
		page.Networks = append(page.Networks, networkPage{NetworkReport: n, Title: n.title(), Plot: plot(netPoints(n.Rows))})
	}
	page.Verdict = r.Verdict()
	return reportTemplate.Execute(w, page)
}

// networkPage is a network's part of the page.
type networkPage struct {
	*NetworkReport
	Title string
	Plot  template.HTML
}

// Verdict sums the report up in a line.
func (r *Report) Verdict() string {
	failed, done := 0, 0
	for _, s := range r.Summary() {
		failed, done = failed+s.Failed, done+s.Done
	}
	text := fmt.Sprintf("Passed: %d checks, none failed", done)
	switch {
	case failed > 0:
		text = fmt.Sprintf("Failed: %d of %d checks", failed, done)
	case !r.OK():
		text = "Not " + strings.ToLower(text[:1]) + text[1:]
	}
	if n := len(r.Messages); n > 0 {
		text += fmt.Sprintf("; %d %s of the validation layers", n, plural(n, "message"))
	}
	if r.Baseline != nil {
		n := len(r.Baseline.Worse)
		text += fmt.Sprintf("; %d %s since the baseline", n, plural(n, "regression"))
	}
	if r.Ended != "" {
		text += "; it ended early: " + r.Ended
	}
	return text + "."
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// kernelTable is the rows of one kernel.
type kernelTable struct {
	Name          string
	Cases, Failed int
	Rows          []OpRow
}

// kernelTables sorts rows by kernel, in the order in which kernels first occur.
func kernelTables(rows []OpRow) []kernelTable {
	var out []kernelTable
	at := map[string]int{}
	for _, r := range rows {
		name := r.Kernel
		if name == "" {
			name = "whole cases"
		}
		i, ok := at[name]
		if !ok {
			i = len(out)
			at[name] = i
			out = append(out, kernelTable{Name: name})
		}
		t := &out[i]
		if len(t.Rows) == 0 || t.Rows[len(t.Rows)-1].Case != r.Case {
			t.Cases++
		}
		if !r.OK() {
			t.Failed++
		}
		t.Rows = append(t.Rows, r)
	}
	return out
}

// opPoints are the ratios of real-number mode, kernel by kernel.
func opPoints(rows []OpRow) []point {
	var out []point
	for _, t := range kernelTables(rows) {
		for _, r := range t.Rows {
			if r.Mode != Real || r.Kernel == "" {
				continue
			}
			p := point{group: t.Name, label: r.Case + " " + r.Value, ratio: float64(r.Ratio), mark: "circle"}
			switch {
			case strings.HasSuffix(r.Value, ".sums"):
				p.mark = "square"
			case r.Value == nodeSE:
				p.mark = "diamond"
			}
			out = append(out, p)
		}
	}
	return out
}

// netPoints are the nodes' errors along the network, stage by stage.
func netPoints(rows []Row) []point {
	var out []point
	for _, r := range rows {
		group := r.Node
		if parts := strings.Split(r.Node, "."); parts[0] == "blocks" && len(parts) > 1 {
			group = "blocks." + parts[1]
		}
		out = append(out, point{group: group, label: r.Node, ratio: r.share(), mark: "circle"})
	}
	return out
}
