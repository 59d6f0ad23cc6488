package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// layers are all layers, in the order in which they are asked.
var layers = []string{"interface", "unit", "plan", "exact", "real", "network", "invariance", "golden", "validation", "crash"}

// controls are runs without a fault, in which nothing may be noticed, on every driver that the table uses.
func controls() []mutation {
	var cases, drivers []string
	for _, m := range slices.Concat(kernels, planner) {
		for c := range strings.SplitSeq(m.cases, ",") {
			if c != "" && !slices.Contains(cases, c) {
				cases = append(cases, c)
			}
		}
		if !slices.Contains(drivers, m.on) {
			drivers = append(drivers, m.on)
		}
	}
	var list []mutation
	for _, d := range drivers {
		list = append(list, mutation{name: strings.TrimSpace("no fault " + d), cases: strings.Join(cases, ","), on: d})
	}
	return list
}

// caughtBy lists the layers that noticed.
func (o outcome) caughtBy() []string {
	var list []string
	for _, l := range layers {
		if slices.ContainsFunc(o.layers, func(f found) bool { return f.Layer == l && f.Caught }) {
			list = append(list, l)
		}
	}
	return list
}

// verdict is "" if all is as it should be, or what is not.
func (o outcome) verdict() string {
	caught := o.caughtBy()
	switch {
	case o.err != nil:
		return "ERROR: " + o.err.Error()
	case o.skipped != "":
		return "SKIPPED: " + o.skipped
	case o.edits == nil && len(caught) > 0:
		i := slices.IndexFunc(o.layers, func(f found) bool { return f.Caught })
		return "FALSE ALARM: " + o.layers[i].What
	case o.edits == nil:
		return ""
	case len(caught) == 0:
		return "NOT NOTICED"
	}
	for want := range strings.FieldsSeq(o.by) {
		if !slices.Contains(caught, want) {
			return "not noticed by " + want
		}
	}
	return ""
}

// failed reports whether the run as a whole fails. A driver that is not there fails it where it is required.
func (o outcome) failed() bool {
	if o.skipped != "" && o.err == nil {
		return slices.Contains(strings.Split(os.Getenv("VKINFER_REQUIRE_DRIVERS"), ","), o.on)
	}
	return o.verdict() != ""
}

func (o outcome) summary() string {
	text := strings.Join(o.caughtBy(), " ")
	if text == "" {
		text = "nothing noticed"
	}
	if v := o.verdict(); v != "" {
		text += "; " + v
	}
	return text
}

// mark is a layer's cell: how many times its bound the error was, or what it noticed.
func (o outcome) mark(layer string) string {
	for _, f := range o.layers {
		switch {
		case f.Layer != layer:
			continue
		case !f.Caught:
			return "-"
		case f.Above < 0:
			return "NaN"
		case f.Above > 0:
			return fmt.Sprintf("%.2g×", f.Above)
		case (layer == "exact" || layer == "invariance") && !strings.Contains(f.What, "validation: "):
			return "bits"
		}
		return "yes"
	}
	return ""
}

// write prints the table and the sum; it returns whether all is well.
func write(w io.Writer, format string, outcomes []outcome) bool {
	shown := slices.DeleteFunc(slices.Clone(layers), func(l string) bool {
		return l == "crash" && !slices.ContainsFunc(outcomes, func(o outcome) bool { return o.mark(l) == "yes" })
	})
	rows := [][]string{append([]string{"fault", "file"}, append(slices.Clone(shown), "")...)}
	faults, noticed, failed, skipped := 0, 0, 0, 0
	for _, o := range outcomes {
		name := o.name
		if o.on != "" && o.edits != nil {
			name += " (" + o.on + ")"
		}
		row := []string{name, o.file}
		for _, l := range shown {
			row = append(row, o.mark(l))
		}
		v, _, _ := strings.Cut(o.verdict(), "\n")
		rows = append(rows, append(row, v))
		switch {
		case o.skipped != "":
			skipped++
		case o.edits != nil:
			faults++
			if len(o.caughtBy()) > 0 {
				noticed++
			}
		}
		if o.failed() {
			failed++
		}
	}
	if format == "md" {
		markdown(w, rows)
	} else {
		text(w, rows)
	}
	fmt.Fprintf(w, "\n%d of %d faults noticed, %d rows failed, %d skipped\n", noticed, faults, failed, skipped)
	for _, o := range outcomes {
		if v := o.verdict(); v != "" {
			fmt.Fprintf(w, "%s: %s\n", o.name, v)
		}
	}
	return failed == 0
}

func markdown(w io.Writer, rows [][]string) {
	for i, row := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintln(w, strings.Repeat("|---", len(row))+"|")
		}
	}
}

func text(w io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		var sb strings.Builder
		for i, cell := range row {
			sb.WriteString(cell + strings.Repeat(" ", widths[i]-len([]rune(cell))+2))
		}
		fmt.Fprintln(w, strings.TrimRight(sb.String(), " "))
	}
}
