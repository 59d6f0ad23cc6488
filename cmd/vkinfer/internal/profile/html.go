package profile

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
)

//go:embed page.html.tmpl
var pageHTML string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"number":    number,
	"percent":   percent,
	"time":      duration,
	"share":     func(v float64) string { return fmt.Sprintf("%.1f", 100*v) },
	"thousands": func(n int64) string { return table.Thousands(n) },
	"bytes":     table.Bytes,
	"raw":       func(v float64) string { return fmt.Sprintf("%.6g", v) },
	"width":     func(share float64) string { return fmt.Sprintf("%.1f%%", 100*min(max(share, 0), 1)) },
}).Parse(pageHTML))

// section is the part of the page that shows one report.
type section struct {
	*Report
	Roofline, Timeline template.HTML
	Colours            map[string]int
	Verdict            string
	ImagesPerSecond    float64
	Sums               []sumTable
}

// sumTable is a table of sums.
type sumTable struct {
	Title string
	Rows  []namedRow
}

type namedRow struct {
	Row
	Name   string
	Colour int // -1 for none
}

// HTML prints one page that needs nothing else. The same reports give the same bytes.
func HTML(w io.Writer, reports []*Report) error {
	page := struct {
		Title    string
		Sections []section
	}{}
	var titles []string
	for _, r := range reports {
		s := section{Report: r, Roofline: r.roofline(), Timeline: r.timeline(), Colours: r.colours(), Verdict: r.verdict(),
			ImagesPerSecond: ratio(float64(r.Batch)*1e6, r.Us)}
		kernels, stages := sumTable{Title: "Kernel"}, sumTable{Title: "Stage"}
		for _, x := range r.Kernels {
			kernels.Rows = append(kernels.Rows, namedRow{x, x.Kernel, s.Colours[x.Kernel]})
		}
		for _, x := range r.Stages {
			stages.Rows = append(stages.Rows, namedRow{x, x.Stage, -1})
		}
		s.Sums = []sumTable{kernels, stages}
		page.Sections = append(page.Sections, s)
		if title := r.Model + " on " + r.Device; len(titles) == 0 || titles[len(titles)-1] != title {
			titles = append(titles, title)
		}
	}
	page.Title = "vkinfer profile: " + strings.Join(titles, ", ")
	return pageTemplate.Execute(w, page)
}
