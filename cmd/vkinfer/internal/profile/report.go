// Package profile turns the times of a network's kernel launches into reports: how fast each was, how fast it
// could have been on this device, and where the time goes.
package profile

import (
	"cmp"
	"slices"
	"strings"

	"github.com/vkinfer/vkinfer"
)

// Subject is what was measured, on what.
type Subject struct {
	Date      string `json:"date"`
	Version   string `json:"version"`
	Commit    string `json:"commit"`
	Model     string `json:"model"`
	Height    int    `json:"height"`
	Width     int    `json:"width"`
	Device    string `json:"device"`
	Driver    string `json:"driver"`
	Precision string `json:"precision"`
}

// Roofs are what the device can do at most, in units for people.
type Roofs struct {
	KernelCopy float64 `json:"kernel_copy_gb_per_s"`
	BufferCopy float64 `json:"buffer_copy_gb_per_s"`
	Copy       float64 `json:"copy_gb_per_s"` // the larger one
	CopiedFrom int64   `json:"copied_bytes"`
	Float32    float64 `json:"float32_gflops"`
	Float16    float64 `json:"float16_gflops"` // 0 where the device has none
}

// NewRoofs converts a measurement.
func NewRoofs(r vkinfer.Roofs) Roofs {
	return Roofs{KernelCopy: r.KernelCopy / 1e9, BufferCopy: r.BufferCopy / 1e9, Copy: r.Copy() / 1e9, CopiedFrom: r.CopiedFrom,
		Float32: r.Float32 / 1e9, Float16: r.Float16 / 1e9}
}

// Report is the profile of one batch size.
type Report struct {
	Subject
	Batch int   `json:"batch_size"`
	Runs  int   `json:"runs"`
	Roofs Roofs `json:"roofs"`

	// The whole batch: the median of the time from before the first launch to after the last.
	Us  float64 `json:"us"`
	P10 float64 `json:"us_p10"`
	P90 float64 `json:"us_p90"`

	Rows    []Row `json:"dispatches"`
	Kernels []Row `json:"kernels"` // sums per kernel, the longest first
	Stages  []Row `json:"stages"`  // sums per stage of the network, in its order
	Total   Row   `json:"total"`
}

// Row is the figures of a launch, or sums of several. Times are microseconds, bytes and operations are of the
// whole batch; a multiply-add is two operations, and weights are read once.
type Row struct {
	Index  int    `json:"index"` // in the network's order; of sums, that of the first
	Node   string `json:"node,omitempty"`
	Kernel string `json:"kernel,omitempty"`
	Stage  string `json:"stage,omitempty"`
	Count  int    `json:"dispatches"`

	Us    float64 `json:"us"` // median
	P10   float64 `json:"us_p10"`
	P90   float64 `json:"us_p90"`
	Share float64 `json:"share"` // of the sum of all

	Flops  int64   `json:"flops"`
	Bytes  int64   `json:"bytes"`
	GFLOPS float64 `json:"gflops"`
	GBs    float64 `json:"gb_per_s"`

	OfCopy float64 `json:"of_copy_roof"` // GB/s as a part of the roof
	OfFMA  float64 `json:"of_flop_roof"`
	// Bound is the least time the device could take, were it as fast as its roofs: the longer of moving the
	// bytes and of computing. Over is Us/Bound; it is below 1 where caches are faster than the roof.
	Bound   float64 `json:"bound_us"`
	BoundBy string  `json:"bound_by"` // "bytes" or "flops"; of sums, what most of the bound is
	Over    float64 `json:"over_bound"`

	byBytes float64 // microseconds of Bound that bytes decide
}

// New makes the report of a profile.
func New(s Subject, batch int, p *vkinfer.Profile, roofs Roofs) *Report {
	r := &Report{Subject: s, Batch: batch, Runs: p.Runs, Roofs: roofs, Us: p.Ns / 1e3, P10: p.P10 / 1e3, P90: p.P90 / 1e3}
	for i, d := range p.Dispatches {
		r.Rows = append(r.Rows, row(Row{Index: i, Node: d.Node, Kernel: d.Kernel, Stage: Stage(d.Node), Count: 1, Us: d.Ns / 1e3,
			P10: d.P10 / 1e3, P90: d.P90 / 1e3, Flops: 2 * d.MACs, Bytes: d.Bytes + d.WeightBytes}, roofs))
	}
	for i := range r.Rows {
		r.Total.add(&r.Rows[i])
	}
	r.Total.finish(roofs, r.Total.Us)
	for i := range r.Rows {
		r.Rows[i].finish(roofs, r.Total.Us)
	}
	r.Kernels = sums(r.Rows, roofs, r.Total.Us, func(x *Row) string { return x.Kernel }, func(x *Row, key string) { x.Kernel = key })
	r.Stages = sums(r.Rows, roofs, r.Total.Us, func(x *Row) string { return x.Stage }, func(x *Row, key string) { x.Stage = key })
	slices.SortStableFunc(r.Kernels, func(a, b Row) int { return cmp.Compare(b.Us, a.Us) })
	return r
}

// row fills in what a single launch is bound by.
func row(x Row, roofs Roofs) Row {
	move, compute := ratio(float64(x.Bytes)/1e3, roofs.Copy), ratio(float64(x.Flops)/1e3, roofs.Float32)
	x.Bound = max(move, compute)
	if move >= compute {
		x.byBytes = x.Bound
	}
	return x
}

// add makes s the sum of itself and a launch.
func (s *Row) add(x *Row) {
	s.Count++
	s.Us, s.P10, s.P90 = s.Us+x.Us, s.P10+x.P10, s.P90+x.P90
	s.Flops, s.Bytes = s.Flops+x.Flops, s.Bytes+x.Bytes
	s.Bound, s.byBytes = s.Bound+x.Bound, s.byBytes+x.byBytes
}

// finish computes the ratios of a row whose sums are complete; all is the time of all launches.
func (s *Row) finish(roofs Roofs, all float64) {
	s.Share = ratio(s.Us, all)
	s.GFLOPS, s.GBs = ratio(float64(s.Flops)/1e3, s.Us), ratio(float64(s.Bytes)/1e3, s.Us)
	s.OfCopy, s.OfFMA = ratio(s.GBs, roofs.Copy), ratio(s.GFLOPS, roofs.Float32)
	s.Over = ratio(s.Us, s.Bound)
	s.BoundBy = "flops"
	if 2*s.byBytes >= s.Bound {
		s.BoundBy = "bytes"
	}
}

// ratio is a/b, 0 where b is.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// sums adds up the rows that have a key in common, in the order in which keys first occur.
func sums(rows []Row, roofs Roofs, all float64, key func(*Row) string, name func(*Row, string)) []Row {
	var out []Row
	at := map[string]int{}
	for i := range rows {
		k := key(&rows[i])
		j, ok := at[k]
		if !ok {
			j = len(out)
			at[k] = j
			out = append(out, Row{Index: rows[i].Index})
			name(&out[j], k)
		}
		out[j].add(&rows[i])
	}
	for i := range out {
		out[i].finish(roofs, all)
	}
	return out
}

// Stage is the part of the network that a node belongs to: "blocks.2" of "blocks.2.0.conv_pw", and the
// node's own name outside the blocks.
func Stage(node string) string {
	if parts := strings.Split(node, "."); parts[0] == "blocks" && len(parts) > 1 {
		return "blocks." + parts[1]
	}
	return node
}

// Sorted returns the launches with the longest first, or in the network's order.
func (r *Report) Sorted(byTime bool) []Row {
	rows := slices.Clone(r.Rows)
	if byTime {
		slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(b.Us, a.Us) })
	}
	return rows
}
