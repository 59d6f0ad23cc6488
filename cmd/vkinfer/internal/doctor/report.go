// Package doctor finds out why Vulkan works or does not on a machine, and says what to do about it.
//
// It looks at the file system itself and leaves everything that loads foreign code (the loader, drivers, layers)
// to child processes, since a broken driver may crash or hang whoever opens it.
package doctor

import (
	"fmt"
	"io"
	"strings"
)

// Mark says how serious a finding is.
type Mark string

// The marks.
const (
	OK   Mark = "ok"
	Info Mark = "info"
	Warn Mark = "warn" // it works, but not as well as it could, or may not later
	Fail Mark = "fail"
)

// Finding is one line of the report.
type Finding struct {
	Area string `json:"area"` // "loader", "drivers", …
	Mark Mark   `json:"mark"`
	What string `json:"what"`
	Fix  string `json:"fix,omitempty"` // the way out
}

// Report is all that was found.
type Report struct {
	Works    bool       `json:"works"`            // some Vulkan device computes what it should
	Wrong    bool       `json:"wrong"`            // some device computes what it should not
	Reason   string     `json:"reason,omitempty"` // why nothing works
	Findings []Finding  `json:"findings"`
	Loader   *Loader    `json:"loader,omitempty"`
	Drivers  []Manifest `json:"drivers"`
	Devices  []Device   `json:"devices"`
}

func (r *Report) add(area string, mark Mark, fix, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Area: area, Mark: mark, What: fmt.Sprintf(format, args...), Fix: fix})
}

// reasons joins what failed in an area.
func (r *Report) reasons(area string) string {
	var out []string
	for _, f := range r.Findings {
		if f.Area == area && f.Mark == Fail {
			out = append(out, f.What)
		}
	}
	return strings.Join(out, "; ")
}

// Text prints a line per finding, and one more for each way out, under the areas' names.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	area := ""
	for _, f := range r.Findings {
		if f.Area != area {
			if area != "" {
				b.WriteByte('\n')
			}
			area = f.Area
			b.WriteString(area + "\n")
		}
		mark := string(f.Mark)
		if f.Mark == Info {
			mark = "-"
		}
		fmt.Fprintf(&b, "  %-4s  %s\n", mark, strings.ReplaceAll(f.What, "\n", "\n        "))
		if f.Fix != "" {
			fmt.Fprintf(&b, "        -> %s\n", strings.ReplaceAll(f.Fix, "\n", "\n           "))
		}
	}
	counts := map[Mark]int{}
	for _, f := range r.Findings {
		counts[f.Mark]++
	}
	verdict := "Vulkan works here"
	if !r.Works {
		verdict = "Vulkan does not work here: " + r.Reason
	}
	fmt.Fprintf(&b, "\n%s (%d ok, %d warnings, %d failures)\n", verdict, counts[OK], counts[Warn], counts[Fail])
	_, err := io.WriteString(w, b.String())
	return err
}
