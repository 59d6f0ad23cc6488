package profile

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
)

// Text prints tables for people.
func Text(w io.Writer, reports []*Report, byTime bool) error {
	for i, r := range reports {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s %dx%d, %s, batch %d, on %s (%s)\n", r.Model, r.Height, r.Width, r.Precision, r.Batch, r.Device, r.Driver)
		fmt.Fprintf(w, "medians of %d runs, by the device's clock; roofs measured on it: %s\n\n", r.Runs, r.Roofs.words())
		t := newTable("#", "node", "kernel")
		for _, x := range r.Sorted(byTime) {
			t.Add(append([]any{x.Index, x.Node, x.Kernel}, figures(&x)...)...)
		}
		if err := t.Text(w); err != nil {
			return err
		}
		t = newTable("", "sums", "dispatches")
		for _, x := range r.Kernels {
			t.Add(append([]any{"kernel", x.Kernel, x.Count}, figures(&x)...)...)
		}
		for _, x := range r.Stages {
			t.Add(append([]any{"stage", x.Stage, x.Count}, figures(&x)...)...)
		}
		t.Add(append([]any{"all", "", r.Total.Count}, figures(&r.Total)...)...)
		fmt.Fprintln(w)
		if err := t.Text(w); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "\nthe batch in all: %s (p10 %s, p90 %s), %s images/s; %s\n", duration(r.Us), duration(r.P10), duration(r.P90),
			number(ratio(float64(r.Batch)*1e6, r.Us)), r.verdict())
		if err != nil {
			return err
		}
	}
	return nil
}

// newTable has the columns of figures after the given three.
func newTable(first ...string) *table.Table {
	return &table.Table{
		Titles: append(first, "µs", "%", "GFLOP/s", "GB/s", "of flops", "of copy", "bound µs", "by", "x over"),
		Right:  []bool{0: false, 2: first[2] == "dispatches", 3: true, 4: true, 5: true, 6: true, 7: true, 8: true, 9: true, 11: true},
	}
}

func figures(x *Row) []any {
	return []any{number(x.Us), fmt.Sprintf("%.1f", 100*x.Share), number(x.GFLOPS), number(x.GBs), percent(x.OfFMA), percent(x.OfCopy),
		number(x.Bound), x.BoundBy, number(x.Over)}
}

func (r Roofs) words() string {
	s := fmt.Sprintf("copies %s GB/s (kernel %s, vkCmdCopyBuffer %s, %s), float32 %s GFLOP/s", number(r.Copy), number(r.KernelCopy),
		number(r.BufferCopy), table.Bytes(r.CopiedFrom), number(r.Float32))
	if r.Float16 > 0 {
		s += fmt.Sprintf(", float16 %s GFLOP/s", number(r.Float16))
	}
	return s
}

// verdict says how far from the device's limits the whole is.
func (r *Report) verdict() string {
	return fmt.Sprintf("%s x over what the roofs allow, %.0f %% of which is bytes", number(r.Total.Over), 100*ratio(r.Total.byBytes, r.Total.Bound))
}

func percent(v float64) string { return fmt.Sprintf("%.1f%%", 100*v) }

// duration prints microseconds, or milliseconds if they are many.
func duration(us float64) string {
	if us >= 10_000 {
		return number(us/1e3) + " ms"
	}
	return number(us) + " µs"
}

// number prints three significant digits, more of large numbers.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 0.01:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// JSON prints all there is.
func JSON(w io.Writer, reports []*Report) error { return table.JSON(w, reports) }

// CSV prints a line per launch, each complete in itself.
func CSV(w io.Writer, reports []*Report, byTime bool) error {
	c := csv.NewWriter(w)
	c.Write([]string{"model", "height", "width", "device", "driver", "precision", "batch_size", "runs", "index", "node", "kernel", "stage",
		"us", "us_p10", "us_p90", "share", "flops", "bytes", "gflops", "gb_per_s", "of_flop_roof", "of_copy_roof", "bound_us", "bound_by", "over_bound"})
	float := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	for _, r := range reports {
		for _, x := range r.Sorted(byTime) {
			c.Write([]string{r.Model, strconv.Itoa(r.Height), strconv.Itoa(r.Width), r.Device, r.Driver, r.Precision, strconv.Itoa(r.Batch), strconv.Itoa(r.Runs),
				strconv.Itoa(x.Index), x.Node, x.Kernel, x.Stage, float(x.Us), float(x.P10), float(x.P90), float(x.Share),
				strconv.FormatInt(x.Flops, 10), strconv.FormatInt(x.Bytes, 10), float(x.GFLOPS), float(x.GBs), float(x.OfFMA), float(x.OfCopy),
				float(x.Bound), x.BoundBy, float(x.Over)})
		}
	}
	c.Flush()
	return c.Error()
}

// event is one entry of the Trace Event Format, which Perfetto and chrome://tracing read. Times are
// microseconds.
type event struct {
	Name     string         `json:"name"`
	Category string         `json:"cat,omitempty"`
	Phase    string         `json:"ph"` // X: a complete slice, C: a counter, M: metadata
	Time     float64        `json:"ts"`
	Duration float64        `json:"dur,omitempty"`
	Process  int            `json:"pid"`
	Thread   int            `json:"tid"`
	Args     map[string]any `json:"args,omitempty"`
}

// Trace prints the launches end to end on a time line: a process per report, in it slices of stages that hold
// the slices of launches, and counters of both rates.
func Trace(w io.Writer, reports []*Report) error {
	events := []event{}
	for i, r := range reports {
		pid := i + 1
		events = append(events,
			event{Name: "process_name", Phase: "M", Process: pid, Args: map[string]any{"name": fmt.Sprintf("%s, %s, batch %d, %s", r.Model, r.Precision, r.Batch, r.Device)}},
			event{Name: "thread_name", Phase: "M", Process: pid, Thread: 1, Args: map[string]any{"name": "queue"}})
		at := 0.0
		for j := 0; j < len(r.Rows); {
			stage, begin, end := r.Rows[j].Stage, at, j
			var inner []event
			for ; end < len(r.Rows) && r.Rows[end].Stage == stage; end++ {
				x := &r.Rows[end]
				inner = append(inner,
					event{Name: x.Node, Category: x.Kernel, Phase: "X", Time: at, Duration: x.Us, Process: pid, Thread: 1, Args: map[string]any{
						"kernel": x.Kernel, "index": x.Index, "GFLOP/s": x.GFLOPS, "GB/s": x.GBs, "bound µs": x.Bound, "bound by": x.BoundBy,
						"x over bound": x.Over, "µs p10": x.P10, "µs p90": x.P90, "bytes": x.Bytes, "flops": x.Flops}},
					event{Name: "GFLOP/s", Phase: "C", Time: at, Process: pid, Args: map[string]any{"GFLOP/s": x.GFLOPS}},
					event{Name: "GB/s", Phase: "C", Time: at, Process: pid, Args: map[string]any{"GB/s": x.GBs}})
				at += x.Us
			}
			events = append(events, event{Name: stage, Category: "stage", Phase: "X", Time: begin, Duration: at - begin, Process: pid, Thread: 1})
			events = append(events, inner...)
			j = end
		}
		for _, name := range []string{"GFLOP/s", "GB/s"} {
			events = append(events, event{Name: name, Phase: "C", Time: at, Process: pid, Args: map[string]any{name: 0}})
		}
	}
	return table.JSONLine(w, struct {
		Events []event `json:"traceEvents"`
		Unit   string  `json:"displayTimeUnit"`
	}{events, "ns"})
}
