package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/vkinfer/vkinfer/cpuref"
	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
)

// Gates are relative L2 errors against float64 arithmetic that a device may have.
type Gates struct {
	Node          float64 // every materialised tensor, of the whole network run in one go
	Block         float64 // what a block gives that is fed the reference's values
	Logits        float64 // |error| / |logits|
	LogitsCentred float64 // |error| / |logits - their mean|
}

// GatesFor returns a precision's gates: about three times what the arithmetic itself was measured to cost, on
// many pictures and weights.
func GatesFor(precision string) Gates {
	if precision == netplan.PrecisionAMP {
		return Gates{Node: 5e-3, Block: 2e-3, Logits: 2e-3, LogitsCentred: 1.5e-2}
	}
	return Gates{Node: 1e-5, Block: 1e-5, Logits: 2e-6, LogitsCentred: 1e-5}
}

// Row is the verdict on one value of the network.
type Row struct {
	Node   string      `json:"node"`   // node of the unfused graph whose value was compared, or "blocks.1.0 alone"
	Kernel string      `json:"kernel"` // kernel that wrote it on the device
	Shape  graph.Shape `json:"-"`      // of one image
	Dims   [4]int      `json:"shape"`  // N, C, H, W

	MaxError Figure `json:"max_error"` // largest absolute error
	Worst    [4]int `json:"worst"`     // where: image, channel, row, column
	Got      Figure `json:"got"`       // the device's value there
	Want     Figure `json:"want"`      // the reference's
	RelL2    Figure `json:"rel_l2"`    // |error| / |reference|
	Centred  Figure `json:"centred,omitempty"`
	Gate     Figure `json:"gate"` // what RelL2 may be
	NotZero  int    `json:"padding_not_zero,omitempty"`
	Verdict  string `json:"verdict"` // "ok" or what is wrong
}

// OK reports whether the value passed.
func (r Row) OK() bool { return r.Verdict == "ok" }

// Network runs the network, folded and fused, and compares every value that the device materialises with
// float64 arithmetic on the CPU; then every block by itself, fed the reference's values. progress, if not nil, is told of each stage.
func Network(ctx context.Context, s Subject, progress func(string)) ([]Row, error) {
	if progress == nil {
		progress = func(string) {}
	}
	fused, err := s.fused()
	if err != nil {
		return nil, err
	}
	progress("running every node on " + s.Device.Caps().Name)
	plan, got, err := s.trace(ctx, fused)
	if err != nil {
		return nil, err
	}
	progress("running the reference in float64")
	want, err := s.reference(ctx, plan)
	if err != nil {
		return nil, err
	}
	rows := []Row{}
	for _, tr := range got {
		if w, ok := want[tr.Yields]; ok { // partial sums have no counterpart
			rows = append(rows, compare(plan, tr, w, s.N, GatesFor(plan.Precision).Node, plan.Tensors[plan.OutputTensor].Yields == tr.Yields))
		}
	}
	progress("running every block by itself")
	blocks, err := s.blocks(ctx, fused, want)
	return append(rows, blocks...), err
}

// trace runs the plan that keeps every tensor.
func (s Subject) trace(ctx context.Context, fused *graph.Graph) (*netplan.Plan, []gpu.TraceValue, error) {
	plan, err := s.lower(s.Device, fused, layout{keepAll: true})
	if err != nil {
		return nil, nil, err
	}
	exec, err := gpu.NewExecutor(s.Device, plan, gpu.ExecutorOptions{MaxBatch: s.N, Poison: true})
	if err != nil {
		return nil, nil, err
	}
	defer exec.Close()
	got, err := exec.Trace(ctx, s.Input, s.N)
	return plan, got, err
}

// reference returns the float64 values of the nodes that the plan's tensors hold.
func (s Subject) reference(ctx context.Context, plan *netplan.Plan) (map[string][]float64, error) {
	wanted := map[string]bool{}
	for _, t := range plan.Tensors {
		wanted[t.Yields] = true
	}
	want := map[string][]float64{}
	_, err := cpuref.Trace(ctx, s.Graph, float64s(s.Input), s.N, cpuref.Options{}, func(node *graph.Node, v []float64) {
		if wanted[node.Name] {
			want[node.Name] = v
		}
	})
	return want, err
}

// Replays is what came of running one input again and again.
type Replays struct {
	Runs     int    `json:"runs"`
	Distinct int    `json:"distinct_outputs"` // different logits among them, bit for bit
	Logits   string `json:"logits_sha256"`    // of the first run's
}

// OK reports whether all runs gave the same bits.
func (r *Replays) OK() bool { return r == nil || r.Distinct <= 1 }

// Replay runs the plan that classification uses so many times on the same input and counts the different
// results. What was counted before an error is returned beside it.
func Replay(ctx context.Context, s Subject, runs int, progress func(done int)) (*Replays, error) {
	if progress == nil {
		progress = func(int) {}
	}
	fused, err := s.fused()
	if err != nil {
		return nil, err
	}
	plan, err := s.lower(s.Device, fused, layout{})
	if err != nil {
		return nil, err
	}
	// As in use the arena is not poisoned: what is read before it is written then differs from run to run.
	exec, err := gpu.NewExecutor(s.Device, plan, gpu.ExecutorOptions{MaxBatch: s.N})
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	return countRuns(runs, func() ([]float32, error) { return exec.Run(ctx, s.Input, s.N) }, progress)
}

// countRuns counts the different results of run.
func countRuns(runs int, run func() ([]float32, error), progress func(done int)) (*Replays, error) {
	r, seen := &Replays{}, map[string]bool{}
	for r.Runs < runs {
		logits, err := run()
		if err != nil {
			return r, err
		}
		hash := logitsHash(logits)
		if r.Runs == 0 {
			r.Logits = hash
		}
		seen[hash] = true
		r.Runs, r.Distinct = r.Runs+1, len(seen)
		progress(r.Runs)
	}
	return r, nil
}

// logitsHash is a hash of the values' bits.
func logitsHash(v []float32) string {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// compare judges one tensor against the reference, by gate or as logits.
func compare(plan *netplan.Plan, got gpu.TraceValue, want []float64, n int, gate float64, logits bool) Row {
	s := got.Shape
	gates := GatesFor(plan.Precision)
	row := Row{Node: got.Yields, Kernel: got.Kernel, Shape: s, Dims: [4]int{n, s.C, s.H, s.W}, Gate: Figure(gate), NotZero: got.NotZero, Verdict: "ok"}
	if len(got.Data) != len(want) {
		row.Verdict = fmt.Sprintf("%d values, want %d", len(got.Data), len(want))
		return row
	}
	worst := -1
	for i, w := range want {
		d := float64(got.Data[i]) - w
		if a := math.Abs(d); worst < 0 || beyond(a, float64(row.MaxError)) {
			row.MaxError, worst = Figure(a), i
		}
	}
	row.Worst = place(worst, s)
	row.Got, row.Want = Figure(got.Data[worst]), Figure(want[worst])
	per := s.NumElements()
	for i := 0; i < len(want); i += per { // each image by itself, so that none hides behind another
		plain, centred := errors(got.Data[i:i+per], want[i:i+per])
		row.RelL2, row.Centred = Figure(worse(float64(row.RelL2), plain)), Figure(worse(float64(row.Centred), centred))
	}
	if logits {
		row.Gate = Figure(gates.Logits)
		if plan.Precision == netplan.PrecisionAMP && row.Centred < 2*row.RelL2 {
			row.Gate = Figure(gates.LogitsCentred) // the logits share no offset, so that both errors are the same
		}
	} else {
		row.Centred = 0
	}
	switch {
	case !(row.RelL2 <= row.Gate):
		row.Verdict = fmt.Sprintf("relative L2 %.2e, want at most %.1e", float64(row.RelL2), float64(row.Gate))
	case logits && !(float64(row.Centred) <= gates.LogitsCentred):
		row.Verdict = fmt.Sprintf("centred error %.2e, want at most %.0e", float64(row.Centred), gates.LogitsCentred)
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
