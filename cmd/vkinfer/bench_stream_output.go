package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/stages"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
)

// object is a JSON object whose members keep their order.
type object[T any] []member[T]

type member[T any] struct {
	name  string
	value T
}

func (o object[T]) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// streamWriter prints measurements of streams in the forms of benchWriter.
type streamWriter struct {
	w      io.Writer
	format string
	rows   []streamRow
}

func (o *streamWriter) add(r streamRow) error {
	o.rows = append(o.rows, r)
	if o.format == "jsonl" {
		return table.JSONLine(o.w, r)
	}
	return nil
}

func (o *streamWriter) close() error {
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

// timm prints what timm's benchmark prints at its end, under names made as it makes them: what was measured, and then what
// of it.
func (o *streamWriter) timm() error {
	type result struct {
		Model      string  `json:"model"`
		PerSec     float64 `json:"end_to_end_samples_per_sec"`
		StepTime   float64 `json:"end_to_end_step_time"`
		BatchSize  int     `json:"end_to_end_batch_size"`
		ImgSize    int     `json:"end_to_end_img_size"`
		GMACs      float64 `json:"end_to_end_gmacs"`
		MActs      float64 `json:"end_to_end_macts"`
		ParamCount float64 `json:"param_count"`
	}
	results := make([]result, len(o.rows))
	for i, r := range o.rows {
		c := r.timm
		c.setInfer(r.Batch, r.ImagesPerSecond)
		results[i] = result{r.Model, c.SamplesPerSec, c.StepTime, c.BatchSize, c.ImgSize, c.GMACs, c.MActs, c.ParamCount}
	}
	return timmResults(o.w, results)
}

// benchstat prints a line per run; an operation is a picture.
func (o *streamWriter) benchstat() error {
	var sb strings.Builder
	fmt.Fprintf(&sb, "goos: %s\ngoarch: %s\n", runtime.GOOS, runtime.GOARCH)
	config := ""
	for _, r := range o.rows {
		if c := r.configuration(); c != config {
			config = c
			sb.WriteString(c)
		}
		for _, t := range r.times {
			each := t / float64(r.classified())
			fmt.Fprintf(&sb, "BenchmarkStream/%s/batch=%d/workers=%d \t%8d\t%15.0f ns/op\t%12.4g images/s\n",
				r.network(), r.Batch, r.Workers, r.classified(), 1e6*each, 1e3/each)
		}
	}
	_, err := io.WriteString(o.w, sb.String())
	return err
}

func (o *streamWriter) markdown() error {
	if len(o.rows) == 0 {
		return nil
	}
	t := table.Table{Titles: []string{"model", "device", "precision", "kernels", "batch", "workers", "pictures", "ms/image (median)", "p10", "p90", "images/s", "runs"},
		Right: []bool{4: true, 5: true, 6: true, 7: true, 8: true, 9: true, 10: true, 11: true}}
	for _, r := range o.rows {
		t.Add(fmt.Sprintf("%s %dx%d", r.Model, r.Height, r.Width), r.Device, r.Precision, r.Kernels, r.Batch, r.Workers, r.Pictures, figure(r.MsPerImage), figure(r.P10), figure(r.P90),
			figure(r.ImagesPerSecond), r.Runs)
	}
	if err := t.Markdown(o.w); err != nil {
		return err
	}
	for _, r := range o.rows {
		var sb strings.Builder
		fmt.Fprintf(&sb, "\n%s on %s (%s), %s, %s kernels, batches of %d, %d workers on %d cores, all runs together:\n\n", r.Model, r.Device, r.Driver, r.Precision, cmp.Or(r.Kernels, "no"), r.Batch, r.Workers, r.Cores)
		stages.Table(r.report).Markdown(&sb)
		sb.WriteByte('\n')
		stages.QueueTable(r.report).Markdown(&sb)
		fmt.Fprintf(&sb, "\n- %s\n", r.Bottleneck)
		for _, line := range stages.Devices(r.report) {
			sb.WriteString("- " + line + "\n")
		}
		if r.Failed > 0 {
			fmt.Fprintf(&sb, "- %d of %d pictures failed, and are in no rate above the stages'\n", r.Failed, r.Pictures)
		}
		if r.PeakRSS > 0 {
			fmt.Fprintf(&sb, "- memory: peak of the process %s\n", table.Bytes(r.PeakRSS))
		}
		fmt.Fprintf(&sb, "- %s\n", r.made())
		if _, err := io.WriteString(o.w, sb.String()); err != nil {
			return err
		}
	}
	return nil
}
