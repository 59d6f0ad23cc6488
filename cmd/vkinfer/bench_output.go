package main

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
)

// benchWriter prints measurements: jsonl as they come, the other forms at the end.
type benchWriter struct {
	w      io.Writer
	format string
	rows   []benchRow
}

func (o *benchWriter) add(rows []benchRow) error {
	o.rows = append(o.rows, rows...)
	if o.format != "jsonl" {
		return nil
	}
	for _, r := range rows {
		if err := table.JSONLine(o.w, r); err != nil {
			return err
		}
	}
	return nil
}

func (o *benchWriter) close() error {
	switch o.format {
	case "timm":
		return o.timm()
	case "benchstat":
		return o.benchstat()
	case "md":
		return o.markdown()
	}
	return writeRows(o.w, o.format, o.rows)
}

// writeRows prints rows as json or csv; as jsonl they have been printed when they came.
func writeRows[T any](w io.Writer, format string, rows []T) error {
	switch format {
	case "json":
		if rows == nil {
			rows = []T{}
		}
		return table.JSON(w, rows)
	case "csv":
		return writeCSV(w, rows)
	}
	return nil
}

// writeCSV prints the columns that JSON has, under the same names; those of an object within have its name before theirs,
// and lists are left out.
func writeCSV[T any](w io.Writer, rows []T) error {
	c := csv.NewWriter(w)
	if len(rows) == 0 {
		names, _, err := csvRow(*new(T))
		if err != nil {
			return err
		}
		c.Write(names)
	}
	for i, r := range rows {
		names, values, err := csvRow(r)
		if err != nil {
			return err
		}
		if i == 0 {
			c.Write(names)
		}
		c.Write(values)
	}
	c.Flush()
	return c.Error()
}

func csvRow(row any) (names, values []string, err error) {
	b, err := json.Marshal(row)
	if err != nil {
		return nil, nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	d.Token() // {
	return fields(d, "")
}

// fields returns the names and values of the JSON object that d is in, in their order.
func fields(d *json.Decoder, before string) (names, values []string, err error) {
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, nil, err
		}
		within := json.NewDecoder(bytes.NewReader(raw))
		within.UseNumber()
		value, err := within.Token()
		switch {
		case err != nil:
			return nil, nil, err
		case value == json.Delim('['):
		case value == json.Delim('{'):
			n, v, err := fields(within, before+fmt.Sprint(key)+"_")
			if err != nil {
				return nil, nil, err
			}
			names, values = append(names, n...), append(values, v...)
		default:
			names, values = append(names, before+fmt.Sprint(key)), append(values, fmt.Sprint(value))
		}
	}
	return names, values, nil
}

func (o *benchWriter) markdown() error {
	if len(o.rows) == 0 {
		return nil
	}
	t := table.Table{Titles: []string{"model", "device", "precision", "kernels", "batch", "timed", "ms/image (median)", "p10", "p90", "images/s", "GFLOP/s", "runs"},
		Right: []bool{4: true, 6: true, 7: true, 8: true, 9: true, 10: true, 11: true}}
	for _, r := range o.rows {
		add := func(timed string, ms, p10, p90, rate, gflops float64, runs int) {
			t.Add(fmt.Sprintf("%s %dx%d", r.Model, r.Height, r.Width), r.Device, r.Precision, r.Kernels, r.Batch, timed, figure(ms), figure(p10), figure(p90),
				figure(rate), figure(gflops), runs)
		}
		add("resident", r.ResidentMs, r.ResidentP10, r.ResidentP90, r.ResidentRate, r.ResidentGFLOPS, r.ResidentRuns)
		add("transfer", r.MsPerImage, r.P10, r.P90, r.ImagesPerSecond, r.GFLOPS, r.Runs)
		add("end to end", r.EndMs, r.EndP10, r.EndP90, r.EndRate, 2*float64(r.MACs)*r.EndRate/1e9, r.EndRuns)
	}
	if err := t.Markdown(o.w); err != nil {
		return err
	}
	var sb strings.Builder
	for i, r := range o.rows {
		if i > 0 && r.Model == o.rows[i-1].Model && r.Device == o.rows[i-1].Device && r.Precision == o.rows[i-1].Precision && r.Kernels == o.rows[i-1].Kernels && r.Date == o.rows[i-1].Date {
			continue
		}
		last := r // the peak grows from row to row
		for _, s := range o.rows[i:] {
			if s.Model == r.Model && s.Device == r.Device && s.Precision == r.Precision && s.Kernels == r.Kernels && s.Date == r.Date {
				last = s
			}
		}
		fmt.Fprintf(&sb, "\n%s on %s (%s), %s, %s kernels\n\n", r.Model, r.Device, r.Driver, r.Precision, cmp.Or(r.Kernels, "no"))
		fmt.Fprintf(&sb, "- open: %s ms, first logits after %s ms; again in the same process: %s ms, %s ms\n", figure(r.OpenMs), figure(r.FirstLogitsMs), figure(r.WarmOpenMs), figure(r.WarmFirstLogitsMs))
		fmt.Fprintf(&sb, "- memory: weights %s, arena %s for %d images", table.Bytes(r.WeightsBytes), table.Bytes(r.ArenaBytes), r.MaxBatch)
		if last.PeakRSS > 0 {
			fmt.Fprintf(&sb, ", peak of the process %s", table.Bytes(last.PeakRSS))
		}
		fmt.Fprintf(&sb, "\n- work: %d dispatches per batch; per image %s multiply-adds, %s moved\n", r.Dispatches, table.Thousands(r.MACs), table.Bytes(r.Bytes))
		fmt.Fprintf(&sb, "- %s\n", r.made())
	}
	_, err := io.WriteString(o.w, sb.String())
	return err
}

// figure prints four significant digits.
func figure(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 100:
		return fmt.Sprintf("%.1f", v)
	case v >= 10:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
