package conformance

import (
	"cmp"
	"context"
	stderrors "errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
)

// Candidate is a way in which the planner may lower a layer. A plan must be right with every one of them,
// whichever the planner prefers on the device at hand.
type Candidate struct {
	Name      string
	Precision string
	Options   netplan.Options
}

// Candidates lists all of them. New kernels for the same layers, and new precisions, are new rows.
func Candidates() []Candidate {
	var list []Candidate
	for _, kernels := range append([]string{""}, netplan.Kernels...) {
		for _, precision := range []string{netplan.PrecisionFloat32, netplan.PrecisionAMP} {
			list = append(list, Candidate{Name: cmp.Or(kernels, "default"), Options: netplan.Options{Precision: precision, Kernels: kernels}})
		}
	}
	list = append(list, Candidate{Name: "packed", Options: netplan.Options{Precision: netplan.PrecisionAMP, Packed: true}})
	for i := range list {
		list[i].Precision = list[i].Options.Precision
	}
	return list
}

// CandidatesFor lists those that a device has and that differ there: without storage of 16 bits the planner packs anyway,
// some kernels are the default, and small texel buffers do not hold the networks' maps.
func CandidatesFor(c netplan.Caps) []Candidate {
	const texels = 1 << 24
	return slices.DeleteFunc(Candidates(), func(cand Candidate) bool {
		k := cand.Options.Kernels
		return cand.Options.Packed && !c.Storage16 || k == netplan.KernelsFor(c) || k != "" && netplan.CheckKernels(c, k) != nil || k == netplan.KernelsTexel && c.MaxTexelElements < texels
	})
}

// differsIn reports whether the candidate may lower a case in another way than the others: the stem's kernel for shared
// memory is that for lanes.
func (cand Candidate) differsIn(c Case) bool {
	return cand.Options.Kernels != netplan.KernelsShared || c.Kind != "stem"
}

// Batches are the batch sizes that every case runs with: one image, even and odd numbers, full and ragged
// tiles of rows.
func Batches() []int { return []int{1, 2, 3, 7, 8} }

// OpOptions say what Ops runs; the zero value is everything, with large maps cut.
type OpOptions struct {
	Cases      []Case // nil for Cases and Further
	Modes      []Mode
	Batches    []int       // of at most 8 images; nil for all, but for 1 and 3 of large layers on devices that are CPUs
	Candidates []Candidate // nil for CandidatesFor the device
	Full       bool        // do not cut large maps
	Seed       uint64
	Flags      string // further ones of the command that runs a failure again, such as "--device vulkan:1"

	Progress func(done, total int, name string) // called before each case; may be nil
	// Alter changes a plan before it runs: to show that the checks see faults.
	Alter func(*netplan.Plan)
}

func (o OpOptions) complete(c netplan.Caps) (OpOptions, error) {
	var err error
	if o.Cases == nil {
		if o.Cases, err = Cases(); err != nil {
			return o, err
		}
		o.Cases = append(o.Cases, Further()...)
	}
	if o.Modes == nil {
		o.Modes = Modes()
	}
	if o.Candidates == nil {
		o.Candidates = CandidatesFor(c)
	}
	if o.Progress == nil {
		o.Progress = func(int, int, string) {}
	}
	if len(o.Batches) > 0 && (slices.Min(o.Batches) < 1 || slices.Max(o.Batches) > images) {
		return o, fmt.Errorf("conformance: batches %v, want 1 to %d", o.Batches, images)
	}
	return o, nil
}

// largeLayer is how many multiply-adds per image make a layer large for a device that is a CPU.
const largeLayer = 8 << 20

// batchesFor returns the batches of a problem on a device of that type.
func (o OpOptions) batchesFor(pr *problem, deviceType string) []int {
	switch {
	case o.Batches != nil:
		return o.Batches
	case deviceType == "cpu" && pr.graph.TotalMACs() > largeLayer:
		return []int{1, 3}
	}
	return Batches()
}

// OpRow is the verdict on one value of a case, over all batches.
type OpRow struct {
	Case      string `json:"case"`
	Value     string `json:"value"` // "y", "y.sums" (of a depthwise convolution) or "se"; "" for what concerns all
	Kernel    string `json:"kernel"`
	Precision string `json:"precision"`
	Candidate string `json:"candidate"`
	Mode      Mode   `json:"mode"`
	Seed      uint64 `json:"seed"`
	Map       [3]int `json:"map"` // channels, rows, columns of the input as it was run
	Batches   []int  `json:"batches"`
	Elements  int    `json:"elements"`

	MaxError Figure   `json:"max_error"`
	Bound    Figure   `json:"bound"` // on the element whose error came nearest to its own
	Ratio    Figure   `json:"ratio"` // that error by that bound; at most 1
	NMSE     Figure   `json:"nmse"`
	Verdict  string   `json:"verdict"` // "ok" or what is wrong
	Failure  *Failure `json:"failure,omitempty"`
}

// OK reports whether the value passed.
func (r OpRow) OK() bool { return r.Verdict == "ok" }

// Ops runs layers one by one on dev and judges every value that they write: every case, in every mode, with
// every candidate, at every batch size. Tensors lie apart in an arena full of NaNs, with guards around
// everything. What fails is in the rows; the error is for what ends the run: a lost device, or ctx. The rows made
// before it are returned beside it.
func Ops(ctx context.Context, dev *gpu.Device, opts OpOptions) ([]OpRow, error) {
	o, err := opts.complete(dev.Caps())
	if err != nil {
		return nil, err
	}
	var rows []OpRow
	total, done := 0, 0
	for _, c := range o.Cases {
		total += len(o.Modes) * len(o.ways(c))
	}
	for _, c := range o.Cases {
		for _, mode := range o.Modes {
			problems := map[way]*problem{}
			for _, w := range o.ways(c) {
				if err := ctx.Err(); err != nil {
					return rows, err
				}
				o.Progress(done, total, c.Name+" "+string(mode))
				done++
				pr := problems[way{w.precision, w.pictures, nil}]
				if pr == nil {
					var err error
					if pr, err = newProblem(c, mode, w.precision, w.pictures, o.Full, o.Seed); err != nil {
						return rows, err
					}
					pr.solve(o.batchesFor(pr, dev.Caps().Type))
					problems[way{w.precision, w.pictures, nil}] = pr
				}
				cand, batches := *w.cand, o.batchesFor(pr, dev.Caps().Type)
				run := &opRun{problem: pr, cand: cand, fromPictures: w.pictures, opts: o, batches: batches}
				err := run.run(ctx, dev)
				if ctx.Err() != nil { // half a case is no verdict
					return rows, ctx.Err()
				}
				rows = append(rows, run.rows()...)
				if stderrors.Is(err, gpu.ErrDeviceLost) || stderrors.Is(err, gpu.ErrClosed) {
					return rows, err
				}
			}
		}
	}
	return rows, nil
}

// way is one of those in which a case runs.
type way struct {
	precision string
	pictures  bool // the stem, from 8-bit pictures
	cand      *Candidate
}

// ways lists those of a case: every candidate, and for the stem every one from pictures too.
func (o OpOptions) ways(c Case) (list []way) {
	for i := range o.Candidates {
		cand := &o.Candidates[i]
		if !cand.differsIn(c) {
			continue
		}
		list = append(list, way{cand.Precision, false, cand})
		if c.Kind == "stem" {
			list = append(list, way{cand.Precision, true, cand})
		}
	}
	return list
}

// opRun is one case in one mode with one candidate.
type opRun struct {
	*problem
	cand Candidate
	// fromPictures says that the input is pictures.
	fromPictures bool

	opts    OpOptions
	batches []int

	plan    *netplan.Plan
	values  []*opValue
	broken  *Failure          // what concerns no single value
	earlier [images][]float32 // what image i gave in an earlier batch, all values
}

// opValue is a value that is judged.
type opValue struct {
	name, kernel string
	measure
	failure *Failure
}

// guard is how many bytes per image lie around every tensor, and how many kernels could reach beyond it.
const guard = 1024

func (r *opRun) run(ctx context.Context, dev *gpu.Device) error {
	options := r.cand.Options
	options.KeepAll, options.Guard = true, guard
	if r.fromPictures {
		options.Pictures = normalization(r.mode)
	}
	var err error
	if r.plan, err = netplan.Lower(r.graph, dev.Caps(), options); err != nil {
		return r.fail(0, err)
	}
	if r.opts.Alter != nil {
		r.opts.Alter(r.plan)
	}
	if err := CheckPlan(r.plan); err != nil {
		return r.fail(0, err)
	}
	exec, err := gpu.NewExecutor(dev, r.plan, gpu.ExecutorOptions{MaxBatch: slices.Max(r.batches), Poison: true, Guards: true, Overhang: guard})
	if err != nil {
		return r.fail(0, err)
	}
	defer exec.Close()
	for _, n := range r.batches {
		if n > exec.MaxBatch() {
			r.fail(n, fmt.Errorf("conformance: the device has memory for %d images only", exec.MaxBatch()))
			continue
		}
		if err := r.batch(ctx, exec, n); err != nil {
			return r.fail(n, err)
		}
	}
	return nil
}

// fail notes what went wrong with the case as a whole.
func (r *opRun) fail(n int, err error) error {
	if r.broken == nil {
		r.broken = &Failure{Batch: n, What: err.Error()}
	}
	return err
}

// imageIn returns which image lies in a slot of the batch of n: it depends on nothing else, so that a batch can
// be run again alone, and image 0 is in all of them, in different slots.
func imageIn(n, slot int) int { return (images - n/2 + slot) % images }

// batch runs n images and judges what they gave.
func (r *opRun) batch(ctx context.Context, exec *gpu.Executor, n int) error {
	image := func(slot int) int { return imageIn(n, slot) }
	trace, err := r.trace(ctx, exec, n)
	if err != nil {
		return err
	}
	byName := map[string]gpu.TraceValue{}
	for _, t := range trace {
		byName[t.Name] = t
	}
	if f := r.inputsChanged(byName, n, image); f != nil && r.broken == nil {
		r.broken = f
	}
	for _, t := range trace {
		if slices.Contains([]string{nodeX, nodeGate, nodeResidual, "pictures"}, t.Name) {
			continue
		}
		f := r.judge(t, byName, n, image)
		if f == nil && t.NotZero > 0 {
			f = &Failure{Batch: n, What: fmt.Sprintf("%d padding lanes are not zero", t.NotZero)}
		}
		if v := r.value(t); f != nil && v.failure == nil {
			v.failure = f
		}
	}
	if f := r.sameBits(trace, n, image); f != nil && r.broken == nil {
		r.broken = f
	}
	return nil
}

// trace runs n images.
func (r *opRun) trace(ctx context.Context, exec *gpu.Executor, n int) ([]gpu.TraceValue, error) {
	if r.fromPictures {
		var pictures []uint8
		for slot := range n {
			pictures = append(pictures, r.pictures[imageIn(n, slot)]...)
		}
		return exec.TracePictures(ctx, pictures, n)
	}
	images := make([][]float32, n)
	for slot := range images {
		images[slot] = r.input(imageIn(n, slot))
	}
	return exec.Trace(ctx, slices.Concat(images...), n)
}

// value returns what is collected about t.
func (r *opRun) value(t gpu.TraceValue) *opValue {
	for _, v := range r.values {
		if v.name == t.Name {
			return v
		}
	}
	v := &opValue{name: t.Name, kernel: t.Kernel}
	r.values = append(r.values, v)
	return v
}

// judge compares a value with what it must be.
func (r *opRun) judge(t gpu.TraceValue, all map[string]gpu.TraceValue, n int, image func(int) int) *Failure {
	m := &r.value(t).measure
	switch {
	case t.Name == nodeY:
		return m.add(t.Shape, t.Data, n, func(i int) bounded { return r.stored(t, r.y[image(i)]) })
	case t.Name == nodeSE && r.mode == Exact:
		return m.add(t.Shape, t.Data, n, func(i int) bounded { return r.gates[image(i)] })
	case t.Name == nodeSE:
		// Each kernel is judged by itself: the gates by the sums that the depthwise kernel wrote.
		sums := all[nodeY+".sums"]
		per := sums.Shape.NumElements()
		return m.add(t.Shape, t.Data, n, func(i int) bounded {
			return boundedSE(r.c, float64s(sums.Data[i*per:][:per]), r.layer.out.H*r.layer.out.W, r.p)
		})
	case t.Name == nodeY+".sums":
		return r.judgeSums(m, t, all[nodeY], n)
	}
	return &Failure{Batch: n, What: fmt.Sprintf("conformance: nothing is known of value %s", t.Name)}
}

// stored widens the bounds on a value by what its storage may round.
func (r *opRun) stored(t gpu.TraceValue, want bounded) bounded {
	if r.mode == Exact || t.DType != netplan.Float16 {
		return want
	}
	return inHalf(want, t.Kernel)
}

// judgeSums compares the tiles' sums, added up, with the sum of the map that the kernel stored: which pixels
// make a tile is the kernel's own business. The sums are of results before their storage rounds them.
func (r *opRun) judgeSums(m *measure, t, y gpu.TraceValue, n int) *Failure {
	tiles, pixels := t.Shape.H, y.Shape.H*y.Shape.W
	if len(y.Data) != n*y.Shape.NumElements() {
		return &Failure{Batch: n, What: "there is no map to compare with"}
	}
	totals := make([]float32, n*t.Shape.C)
	want := make([]bounded, n)
	for i := range n {
		want[i] = newBounded(t.Shape.C)
		for c := range t.Shape.C {
			var total, sum, size, rounded float64
			for _, v := range t.Data[(i*t.Shape.C+c)*tiles:][:tiles] {
				total += float64(v)
			}
			for _, v := range y.Data[(i*t.Shape.C+c)*pixels:][:pixels] {
				sum += float64(v)
				size += math.Abs(float64(v))
				if y.DType == netplan.Float16 && r.mode == Real {
					rounded += inHalf(bounded{[]float64{float64(v)}, []float64{0}}, y.Kernel).bound[0]
				}
			}
			rounded *= 1 + 1.0/(1<<9) // a part of the rounded value, not of that before
			totals[i*t.Shape.C+c] = float32(total)
			want[i].value[c] = sum
			if r.mode == Real {
				want[i].bound[c] = gamma(pixels)*(size+rounded) + rounded + tiny
			}
		}
	}
	s := t.Shape
	s.H = 1
	return m.add(s, totals, n, func(i int) bounded { return want[i] })
}

// inputsChanged looks whether the inputs are still those that were given.
func (r *opRun) inputsChanged(all map[string]gpu.TraceValue, n int, image func(int) int) *Failure {
	for i := range n {
		for j, v := range r.pictures[image(i)] {
			pixels := len(r.pictures[image(i)]) / 3
			if got := all["pictures"].Data[i*3*pixels+j%3*pixels+j/3]; got != float32(v) {
				return &Failure{Batch: n, What: fmt.Sprintf("picture %d changed: byte %d is %v, was %d", i, j, got, v)}
			}
		}
	}
	for name, parts := range map[string]*[images][]float64{nodeX: &r.x, nodeGate: &r.gate, nodeResidual: &r.residual} {
		t, ok := all[name]
		if !ok || r.fromPictures {
			continue
		}
		for i := range n {
			want := parts[image(i)]
			for j, v := range want {
				if got := t.Data[i*len(want)+j]; float64(got) != v {
					return &Failure{Batch: n, What: fmt.Sprintf("input %s of image %d changed: element %d is %v, was %v", name, i, j, got, v)}
				}
			}
		}
		if t.NotZero > 0 {
			return &Failure{Batch: n, What: fmt.Sprintf("input %s changed: %d padding lanes are not zero", name, t.NotZero)}
		}
	}
	return nil
}

// sameBits looks whether every image gave what it gave in an earlier batch.
func (r *opRun) sameBits(trace []gpu.TraceValue, n int, image func(int) int) *Failure {
	for slot := range n {
		values := make([][]float32, len(trace))
		for i, t := range trace {
			per := t.Shape.NumElements()
			values[i] = t.Data[slot*per : (slot+1)*per]
		}
		all := slices.Concat(values...)
		i := image(slot)
		if r.earlier[i] == nil {
			r.earlier[i] = all
			continue
		}
		for j, v := range all {
			if math.Float32bits(v) != math.Float32bits(r.earlier[i][j]) {
				return &Failure{Batch: n, What: fmt.Sprintf("the image in slot %d has other bits than in an earlier batch: %v, was %v", slot, v, r.earlier[i][j])}
			}
		}
	}
	return nil
}

func float64s(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

// rows returns the verdicts.
func (r *opRun) rows() []OpRow {
	in := r.layer.in
	row := OpRow{Case: r.c.Name, Precision: r.cand.Precision, Candidate: r.cand.Name, Mode: r.mode, Seed: r.opts.Seed,
		Map: [3]int{in.C, in.H, in.W}, Batches: r.batches, Verdict: "ok"}
	var rows []OpRow
	for _, v := range r.values {
		v.row(&row)
		row.Failure, row.Verdict = r.repro(v.failure), "ok"
		if v.failure != nil {
			row.Verdict = v.failure.What
		}
		rows = append(rows, row)
	}
	if r.broken != nil {
		row.Value, row.Kernel, row.Elements, row.MaxError, row.Bound, row.Ratio, row.NMSE = "", "", 0, 0, 0, 0, 0
		row.Verdict, row.Failure = r.broken.What, r.repro(r.broken)
		rows = append(rows, row)
	}
	return rows
}

func (v *opValue) row(row *OpRow) {
	row.Value, row.Kernel, row.Elements = v.name, v.kernel, v.elements
	if strings.HasPrefix(v.kernel, "conv_stem_pictures") {
		row.Value += " from pictures"
	}
	row.MaxError, row.Bound, row.Ratio, row.NMSE = Figure(v.maxError), Figure(v.bound), Figure(v.ratio), Figure(v.nmse())
}

// upTo returns the batches that ran until the one that failed, all of them if none did by itself: what came
// before may have left something behind.
func (r *opRun) upTo(batch int) []int {
	if i := slices.Index(r.batches, batch); i >= 0 {
		return r.batches[:i+1]
	}
	return r.batches
}

// repro adds to a failure the command that runs it alone.
func (r *opRun) repro(f *Failure) *Failure {
	if f == nil {
		return nil
	}
	var sb strings.Builder
	fmt.Fprintf(&sb, "vkinfer verify --op %s --mode %s --seed %d --precision %s --kernels %s --batch-size %s",
		r.c.Name, r.mode, r.opts.Seed, r.cand.Precision, r.cand.Name, strings.Trim(strings.ReplaceAll(fmt.Sprint(r.upTo(f.Batch)), " ", ","), "[]"))
	if r.opts.Full {
		sb.WriteString(" --full")
	}
	if r.opts.Flags != "" {
		sb.WriteString(" " + r.opts.Flags)
	}
	g := *f
	g.Repro = sb.String()
	return &g
}
