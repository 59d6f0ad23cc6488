package conformance

import (
	"context"
	"fmt"
	"math"

	"github.com/vkinfer/vkinfer/cpuref"
	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
)

// The float32 gates: relative L2 errors against float64 arithmetic.
const (
	GateNode          = 1e-5 // every materialised tensor, of the whole network run in one go
	GateLogits        = 2e-6 // |error| / |logits|
	GateLogitsCentred = 1e-5 // |error| / |logits - their mean|
)

// Row is the verdict on one value of the network.
type Row struct {
	Node   string      `json:"node"`   // node of the unfused graph whose value was compared
	Kernel string      `json:"kernel"` // kernel that wrote it on the device
	Shape  graph.Shape `json:"-"`      // of one image
	Dims   [4]int      `json:"shape"`  // N, C, H, W

	MaxError float64 `json:"max_error"` // largest absolute error
	Worst    [4]int  `json:"worst"`     // where: image, channel, row, column
	Got      float64 `json:"got"`       // the device's value there
	Want     float64 `json:"want"`      // the reference's
	RelL2    float64 `json:"rel_l2"`    // |error| / |reference|
	Centred  float64 `json:"centred,omitempty"`
	Gate     float64 `json:"gate"` // what RelL2 may be
	NotZero  int     `json:"padding_not_zero,omitempty"`
	Verdict  string  `json:"verdict"` // "ok" or what is wrong
}

// OK reports whether the value passed.
func (r Row) OK() bool { return r.Verdict == "ok" }

// Report is the outcome of a comparison.
type Report struct {
	Model     string `json:"model"`
	Device    string `json:"device"`
	Driver    string `json:"driver"`
	Precision string `json:"precision"`
	Batch     int    `json:"batch"`
	Rows      []Row  `json:"rows"`
	Replays   int    `json:"replays"`          // runs of the same input
	Distinct  int    `json:"distinct_outputs"` // different logits among them, bit for bit
	Failed    int    `json:"failed"`           // rows that are not ok

	// What further checks found; nil where they did not run.
	Fingerprint *Fingerprint `json:"fingerprint,omitempty"`
	Ops         []OpRow      `json:"ops,omitempty"`         // layers by themselves
	Invariances []Check      `json:"invariances,omitempty"` // what must not matter
	Switches    []SwitchRow  `json:"switches,omitempty"`    // other ways to run the network
	Agreement   *Agreement   `json:"agreement,omitempty"`   // classes of pictures
}

// OK reports whether everything passed.
func (r *Report) OK() bool { return r.Failed == 0 && r.Distinct <= 1 && len(r.Failures()) == 0 }

// Failures says in a line each what failed of the further checks: layers, invariances, switches, classes.
func (r *Report) Failures() []string {
	var out []string
	for _, o := range r.Ops {
		if !o.OK() {
			out = append(out, fmt.Sprintf("%s %s %s %s: %s", o.Case, o.Mode, o.Kernel, o.Value, o.Verdict))
		}
	}
	for _, c := range r.Invariances {
		if !c.OK() {
			out = append(out, c.Name+": "+c.Verdict)
		}
	}
	for _, s := range r.Switches {
		if !s.OK() {
			out = append(out, fmt.Sprintf("%s kernels %s, fusion %s, memory %s, arena %s, debug %s: %s",
				s.Precision, s.Kernels, s.Fusion, s.Memory, s.Arena, s.Debug, s.Verdict))
		}
	}
	if !r.Agreement.OK() {
		out = append(out, "classes of pictures: "+r.Agreement.Verdict)
	}
	return out
}

// Network runs the unfused graph g on dev, folded and fused, and compares every value that the device
// materialises with float64 arithmetic on the CPU. input holds n images, NCHW. replays more runs of the
// plan that classification uses must all give the same bits. progress, if not nil, is told of each stage.
func Network(ctx context.Context, g *graph.Graph, dev *gpu.Device, input []float32, n, replays int, progress func(string)) (*Report, error) {
	if progress == nil {
		progress = func(string) {}
	}
	fused, err := netplan.RunPasses(g, "fold", "fuse")
	if err != nil {
		return nil, err
	}
	caps := dev.Caps()
	rep := &Report{Model: g.Model, Device: caps.Name, Driver: caps.DriverName + " " + caps.DriverInfo, Precision: "float32", Batch: n}
	progress("running every node on " + caps.Name)
	plan, got, err := trace(ctx, fused, dev, input, n)
	if err != nil {
		return nil, err
	}
	progress("running the reference in float64")
	want, err := reference(ctx, g, plan, input, n)
	if err != nil {
		return nil, err
	}
	for _, tr := range got {
		w, ok := want[tr.Yields]
		if !ok {
			continue // partial sums have no counterpart
		}
		rep.add(compare(plan, tr, w, n))
	}
	progress("replaying")
	if err := rep.replay(ctx, fused, dev, input, n, replays); err != nil {
		return nil, err
	}
	return rep, nil
}

func (r *Report) add(row Row) {
	if !row.OK() {
		r.Failed++
	}
	r.Rows = append(r.Rows, row)
}

// trace runs the plan that keeps every tensor.
func trace(ctx context.Context, fused *graph.Graph, dev *gpu.Device, input []float32, n int) (*netplan.Plan, []gpu.TraceValue, error) {
	plan, err := netplan.Lower(fused, dev.Caps(), netplan.Options{KeepAll: true})
	if err != nil {
		return nil, nil, err
	}
	exec, err := gpu.NewExecutor(dev, plan, gpu.ExecutorOptions{MaxBatch: n, Poison: true})
	if err != nil {
		return nil, nil, err
	}
	defer exec.Close()
	got, err := exec.Trace(ctx, input, n)
	return plan, got, err
}

// reference returns the float64 values of the nodes that the plan's tensors hold.
func reference(ctx context.Context, g *graph.Graph, plan *netplan.Plan, input []float32, n int) (map[string][]float64, error) {
	wanted := map[string]bool{}
	for _, t := range plan.Tensors {
		wanted[t.Yields] = true
	}
	in := make([]float64, len(input))
	for i, v := range input {
		in[i] = float64(v)
	}
	want := map[string][]float64{}
	_, err := cpuref.Trace(ctx, g, in, n, cpuref.Options{}, func(node *graph.Node, v []float64) {
		if wanted[node.Name] {
			want[node.Name] = v
		}
	})
	return want, err
}

func (r *Report) replay(ctx context.Context, fused *graph.Graph, dev *gpu.Device, input []float32, n, replays int) error {
	plan, err := netplan.Lower(fused, dev.Caps(), netplan.Options{})
	if err != nil {
		return err
	}
	exec, err := gpu.NewExecutor(dev, plan, gpu.ExecutorOptions{MaxBatch: n, Poison: true})
	if err != nil {
		return err
	}
	defer exec.Close()
	seen := map[string]bool{}
	for r.Replays = 0; r.Replays < replays; r.Replays++ {
		logits, err := exec.Run(ctx, input, n)
		if err != nil {
			return err
		}
		seen[bitKey(logits)] = true
	}
	r.Distinct = len(seen)
	return nil
}

func bitKey(v []float32) string {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		u := math.Float32bits(x)
		b = append(b, byte(u), byte(u>>8), byte(u>>16), byte(u>>24))
	}
	return string(b)
}

// compare judges one tensor against the reference.
func compare(plan *netplan.Plan, got gpu.TraceValue, want []float64, n int) Row {
	s := got.Shape
	row := Row{Node: got.Yields, Kernel: got.Kernel, Shape: s, Dims: [4]int{n, s.C, s.H, s.W}, Gate: GateNode, NotZero: got.NotZero, Verdict: "ok"}
	if len(got.Data) != len(want) {
		row.Verdict = fmt.Sprintf("%d values, want %d", len(got.Data), len(want))
		return row
	}
	worst := -1
	for i, w := range want {
		d := float64(got.Data[i]) - w
		if a := math.Abs(d); worst < 0 || a > row.MaxError || math.IsNaN(a) && !math.IsNaN(row.MaxError) {
			row.MaxError, worst = a, i
		}
	}
	row.Worst = place(worst, s)
	row.Got, row.Want = float64(got.Data[worst]), want[worst]
	per := s.NumElements()
	for i := 0; i < len(want); i += per { // each image by itself, so that none hides behind another
		plain, centred := errors(got.Data[i:i+per], want[i:i+per])
		row.RelL2, row.Centred = worse(row.RelL2, plain), worse(row.Centred, centred)
	}
	output := plan.Tensors[plan.OutputTensor].Yields == got.Yields
	if output {
		row.Gate = GateLogits
	} else {
		row.Centred = 0
	}
	switch {
	case !(row.RelL2 <= row.Gate):
		row.Verdict = fmt.Sprintf("relative L2 %.2e, want at most %.1e", row.RelL2, row.Gate)
	case output && !(row.Centred <= GateLogitsCentred):
		row.Verdict = fmt.Sprintf("centred error %.2e, want at most %.0e", row.Centred, GateLogitsCentred)
	case row.NotZero > 0:
		row.Verdict = fmt.Sprintf("%d padding lanes are not zero", row.NotZero)
	}
	return row
}

// errors returns |got - want| / |want| and |got - want| / |want - mean(want)|.
func errors(got []float32, want []float64) (plain, centred float64) {
	var e2, w2, c2, mean float64
	for _, w := range want {
		mean += w / float64(len(want))
	}
	for i, w := range want {
		d := float64(got[i]) - w
		e2, w2, c2 = e2+d*d, w2+w*w, c2+(w-mean)*(w-mean)
	}
	if e2 == 0 {
		return 0, 0
	}
	return math.Sqrt(e2 / w2), math.Sqrt(e2 / c2)
}

// worse returns the larger error; NaN is the worst of all.
func worse(a, b float64) float64 {
	if math.IsNaN(a) || a > b {
		return a
	}
	return b
}

// place turns an index of an NCHW tensor into image, channel, row and column.
func place(i int, s graph.Shape) [4]int {
	return [4]int{i / s.NumElements(), i / (s.H * s.W) % s.C, i / s.W % s.H, i % s.W}
}
