package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"

	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// timmColumns are what timm's benchmark measures, under its names and rounded as it does, so that tables of
// both can be joined: resident images per second and milliseconds per batch, multiply-adds in thousand millions,
// outputs of convolutions and linear layers in millions, parameters in millions.
type timmColumns struct {
	SamplesPerSec float64 `json:"infer_samples_per_sec"`
	StepTime      float64 `json:"infer_step_time"`
	BatchSize     int     `json:"infer_batch_size"`
	ImgSize       int     `json:"infer_img_size"`
	GMACs         float64 `json:"infer_gmacs"`
	MActs         float64 `json:"infer_macts"`
	ParamCount    float64 `json:"param_count"`
}

// newTimmColumns counts from the layers for an input of shape s.
func newTimmColumns(spec *models.Spec, s graph.Shape) (timmColumns, error) {
	g, err := spec.BuildShape(s.H, s.W)
	if err != nil {
		return timmColumns{}, err
	}
	activations := 0
	for _, n := range g.Nodes {
		switch n.Op.(type) {
		case *graph.Conv, *graph.Linear:
			activations += n.Shape.NumElements()
		}
	}
	return timmColumns{ImgSize: s.H, GMACs: round(float64(g.TotalMACs())/1e9, 2), MActs: round(float64(activations)/1e6, 2),
		ParamCount: round(float64(spec.NumParams())/1e6, 2)}, nil
}

// setInfer fills in what was measured.
func (c *timmColumns) setInfer(n int, perSecond float64) {
	c.BatchSize, c.SamplesPerSec, c.StepTime = n, round(perSecond, 2), round(1e3*float64(n)/perSecond, 3)
}

func round(v float64, digits int) float64 {
	p := math.Pow(10, float64(digits))
	return math.Round(v*p) / p
}

// timm prints what timm's benchmark prints at its end: a line "--result", then one object, or a list of
// several.
func (o *benchWriter) timm() error {
	type result struct {
		Model string `json:"model"`
		timmColumns
	}
	results := make([]result, len(o.rows))
	for i, r := range o.rows {
		results[i] = result{r.Model, r.timmColumns}
	}
	return timmResults(o.w, results)
}

func timmResults[T any](w io.Writer, results []T) error {
	var v any = results
	if len(results) == 1 {
		v = results[0]
	}
	text, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "--result\n%s\n", text)
	return err
}

// benchstat prints a line per run in the format of Go's benchmarks (the "Go Benchmark Data Format" proposal),
// which benchstat reads: configuration lines, then name, iterations, and values with units. An operation is a
// batch.
func (o *benchWriter) benchstat() error {
	var sb strings.Builder
	fmt.Fprintf(&sb, "goos: %s\ngoarch: %s\n", runtime.GOOS, runtime.GOARCH)
	config := ""
	for _, r := range o.rows {
		if c := r.configuration(); c != config {
			config = c
			sb.WriteString(c)
		}
		for _, kind := range []struct {
			name       string
			times      []float64
			iterations int
			batch      int
		}{{"Resident", r.resident, r.ResidentPasses, r.BatchSize}, {"Transfer", r.transfer, 1, r.Batch}, {"EndToEnd", r.end, 1, r.Batch}} {
			for _, t := range kind.times {
				fmt.Fprintf(&sb, "Benchmark%s/%s/batch=%d \t%8d\t%15.0f ns/op\t%12.4g images/s\n",
					kind.name, r.network(), r.Batch, kind.iterations, 1e6*t, 1e3*float64(kind.batch)/t)
			}
		}
	}
	_, err := io.WriteString(o.w, sb.String())
	return err
}
