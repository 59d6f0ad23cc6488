package conformance

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
)

//go:embed report.html.tmpl
var reportHTML string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"yes":     func(b bool) string { return map[bool]string{true: "yes", false: "no"}[b] },
	"figure":  func(f Figure) string { return digits(float64(f)) },
	"number":  digits,
	"ratio":   func(a, b float64) string { return digits(a / b) },
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
		R               *Report
		Title, Verdict  string
		OK              bool
		Summary         []summaryRow
		Failures        []failureText
		Kernels         []kernelTable
		OpPlot, NetPlot template.HTML
	}{R: r, OK: r.OK(), Summary: summary(r), Failures: failureTexts(r), Kernels: kernelTables(r.Ops), OpPlot: plot(opPoints(r.Ops)), NetPlot: plot(netPoints(r.Rows))}
	page.Title = "vkinfer conformance"
	switch {
	case r.Fingerprint != nil:
		page.Title += ": " + r.Fingerprint.Device
	case r.Device != "":
		page.Title += ": " + r.Device
	}
	failed, done := 0, 0
	for _, s := range page.Summary {
		failed, done = failed+s.Failed, done+s.Done
	}
	page.Verdict = fmt.Sprintf("Passed: %d checks, none failed.", done)
	if !page.OK {
		page.Verdict = fmt.Sprintf("Failed: %d of %d checks.", failed, done)
	}
	return reportTemplate.Execute(w, page)
}

// summaryRow counts the checks of a kind.
type summaryRow struct {
	Name         string
	Done, Failed int
	Nearest      string
	ratio        float64
}

func (s *summaryRow) add(ok bool, ratio float64, what string) {
	s.Done++
	if !ok {
		s.Failed++
	}
	if beyond(ratio, s.ratio) {
		s.ratio, s.Nearest = ratio, fmt.Sprintf("%s: %s of it", what, digits(ratio))
	}
}

// summary has a row for every kind of check that was made.
func summary(r *Report) []summaryRow {
	exact, real := summaryRow{Name: "layers, exact integers"}, summaryRow{Name: "layers, real numbers"}
	for _, o := range r.Ops {
		s := &exact
		if o.Mode == Real {
			s = &real
		}
		ratio := float64(o.Ratio)
		if o.Mode == Exact && o.OK() {
			ratio = 0 // only divisions have a bound there
		}
		s.add(o.OK(), ratio, o.Case+" "+o.Value)
	}
	nodes := summaryRow{Name: "nodes of the network"}
	for _, n := range r.Rows {
		nodes.add(n.OK(), n.RelL2/n.Gate, n.Node)
	}
	replays := summaryRow{Name: "replays", Done: r.Replays, Failed: max(r.Distinct-1, 0)}
	invariances, switches, pictures := summaryRow{Name: "invariances"}, summaryRow{Name: "switches"}, summaryRow{Name: "classes of pictures"}
	for _, c := range r.Invariances {
		invariances.add(c.OK(), 0, "")
	}
	for _, s := range r.Switches {
		if s.Available {
			switches.add(s.OK(), 0, "")
		}
	}
	if a := r.Agreement; a != nil {
		pictures.Done, pictures.Failed = a.Pictures, a.Inexcused
		if a.Inexcused == 0 && !a.OK() {
			pictures.Failed = 1
		}
	}
	var out []summaryRow
	for _, s := range []summaryRow{exact, real, nodes, replays, invariances, switches, pictures} {
		if s.Done > 0 {
			out = append(out, s)
		}
	}
	return out
}

// failureText is a failure for people.
type failureText struct{ Title, What, Repro, TileMap string }

func failureTexts(r *Report) []failureText {
	var out []failureText
	for _, o := range r.Ops {
		if o.OK() {
			continue
		}
		f := failureText{Title: fmt.Sprintf("%s, %s, %s", o.Case, o.Mode, strings.TrimSpace(o.Kernel+" "+o.Value)), What: o.Verdict}
		if o.Failure != nil {
			f.What = fmt.Sprintf("Batch %d: %s", o.Failure.Batch, o.Failure.What)
			f.Repro, f.TileMap = o.Failure.Repro, o.Failure.TileMap
		}
		out = append(out, f)
	}
	for _, n := range r.Rows {
		if !n.OK() {
			out = append(out, failureText{Title: "node " + n.Node, What: n.Verdict})
		}
	}
	if r.Distinct > 1 {
		out = append(out, failureText{Title: "replays", What: fmt.Sprintf("%d runs of one input gave %d different results", r.Replays, r.Distinct)})
	}
	rest := Report{Invariances: r.Invariances, Switches: r.Switches, Agreement: r.Agreement}
	for _, line := range rest.Failures() {
		title, what, _ := strings.Cut(line, ": ")
		out = append(out, failureText{Title: title, What: what})
	}
	return out
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
		ratio := r.RelL2 / r.Gate
		if r.Gate == 0 {
			ratio = math.NaN()
		}
		out = append(out, point{group: group, label: r.Node, ratio: ratio, mark: "circle"})
	}
	return out
}
