package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/console"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/pictures"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/netplan/preprocess"
	"github.com/vkinfer/vkinfer/tests/conformance"
	"github.com/vkinfer/vkinfer/weights"
)

// verify makes the checks and writes the reports, of what there is also where the checks ended early.
func (v *verifier) verify(ctx context.Context) error {
	dev, err := v.openDevice()
	if err != nil {
		return err
	}
	run := &verifyRun{verifier: v, dev: dev, text: newVerifyText(v.out, v.verbose, v.format != "text"),
		rep: &conformance.Report{Program: build().String(), Date: time.Now().UTC().Format(time.RFC3339), Command: v.command("", nil), Settings: v.settings()}}
	run.rep.Settings.Full = run.full()
	err = run.checks(ctx)
	if e := dev.Close(); err == nil {
		err = e
	}
	run.listen("closing") // objects never destroyed are told then
	if run.rep.Fingerprint == nil && err != nil {
		return err // nothing was run
	}
	switch {
	case ctx.Err() != nil:
		run.rep.Ended = "interrupted"
	case err != nil:
		run.rep.Ended = err.Error()
	case v.before != nil:
		run.rep.Baseline = conformance.Compare(run.rep, v.before, v.baseline, float64(v.factor))
	}
	run.rep.Finish()
	if e := run.write(); err == nil {
		err = e
	}
	if err == nil && !run.rep.Passed {
		err = &failure{exitCheck, fmt.Errorf("verify: %s: %s", run.rep.Fingerprint.Device, run.rep.Verdict())}
	}
	return err
}

func (v *verifier) openDevice() (*gpu.Device, error) {
	return gpu.Open(gpu.Options{Device: v.net.device, Validation: v.validation, NoQuirks: v.noQuirks})
}

// verifyRun is one run of the checks.
type verifyRun struct {
	*verifier
	dev   *gpu.Device
	cands []conformance.Candidate // those that the device can run
	rep   *conformance.Report
	text  *verifyText

	// Of the checkpoint, which is for one model; nil without one.
	graph   *graph.Graph
	weights *weights.StateDict
}

func (r *verifyRun) has(stage string) bool { return slices.Contains(r.stages, stage) }

// full reports whether layers are run with their whole maps.
func (r *verifyRun) full() bool { return r.verifier.full || r.dev.Caps().Type != "cpu" }

// checks makes all checks that were chosen. What was found before an error is in the report.
func (r *verifyRun) checks(ctx context.Context) error {
	if err := r.available(); err != nil {
		return err
	}
	var err error
	onlyOps := slices.Equal(r.stages, []string{"ops"})
	if r.net.checkpoint != "" && !onlyOps { // one that does not fit ends it before anything is run
		if r.graph, r.weights, err = r.build(ctx, r.specs[0]); err != nil {
			return err
		}
	}
	if r.rep.Fingerprint, err = conformance.NewFingerprint(ctx, r.dev); err != nil {
		r.rep.Fingerprint = nil
		return err
	}
	if err := r.text.begin(r.rep); err != nil {
		return err
	}
	if r.has("ops") {
		if err := r.ops(ctx); err != nil {
			return err
		}
	}
	if onlyOps {
		return nil
	}
	for _, spec := range r.specs {
		if err := r.network(ctx, spec); err != nil {
			return err
		}
	}
	return nil
}

// available sorts out which kernels the device can run. None at all is an error.
func (r *verifyRun) available() error {
	var why error
	distinct := conformance.CandidatesFor(r.dev.Caps())
	for _, c := range r.candidates() {
		if r.kernels == all && !slices.Contains(distinct, c) {
			continue // the default under another name
		}
		if err := conformance.Available(r.dev, c); err != nil {
			why = err
			r.rep.Unavailable = append(r.rep.Unavailable, conformance.Unavailable{Precision: c.Precision, Kernels: c.Name, Why: err.Error()})
			continue
		}
		r.cands = append(r.cands, c)
	}
	switch {
	case len(r.cands) > 0:
		return nil
	case why == nil:
		return usagef("verify: there are no kernels %s of precision %s", r.kernels, r.net.precision)
	}
	return &failure{exitDevice, fmt.Errorf("verify: %s: %w", r.dev.Caps().Name, why)}
}

// done tells the end of a stage: what is new in the report is printed.
func (r *verifyRun) done(stage string, bar *console.Progress) error {
	bar.Stop()
	r.listen(stage)
	return r.text.more(r.rep)
}

// listen collects what the validation layers had to say.
func (r *verifyRun) listen(stage string) {
	for _, m := range r.dev.Messages() {
		r.rep.Messages = append(r.rep.Messages, fmt.Sprintf("%s: %v", stage, m))
	}
}

// begin shows that a stage begins.
func (r *verifyRun) begin(stage string, total int, unit string) *console.Progress {
	r.log.Debug(stage)
	return r.console.Count(stage, int64(total), unit)
}

// ops checks the layers of the chosen models by themselves.
func (r *verifyRun) ops(ctx context.Context) (err error) {
	chosen, err := r.cases()
	if err != nil {
		return err
	}
	opts := conformance.OpOptions{Cases: chosen, Modes: r.modes(), Candidates: r.cands, Full: r.full(), Seed: uint64(r.net.seed), Alter: alterPlan, Flags: r.deviceFlags()}
	switch {
	case r.op != "" && len(r.batches) > 0:
		opts.Batches = r.batches
	case r.verifier.full:
		opts.Batches = conformance.Batches()
	}
	bar := r.begin("layers by themselves", len(chosen)*len(opts.Modes)*len(r.cands), "layer")
	opts.Progress = func(done, total int, name string) {
		bar.Set(int64(done))
		r.log.Debug(fmt.Sprintf("layer %d of %d: %s", done+1, total, name))
	}
	defer func() {
		if e := r.done("ops", bar); err == nil {
			err = e
		}
	}()
	r.rep.Ops, err = conformance.Ops(ctx, r.dev, opts)
	return err
}

// cases are the layers to check: those of the chosen models, or that of --op.
func (r *verifyRun) cases() ([]conformance.Case, error) {
	if r.op != "" {
		c, err := conformance.FindCase(r.op)
		return []conformance.Case{c}, err
	}
	cases, err := conformance.Cases()
	return slices.DeleteFunc(cases, func(c conformance.Case) bool { return !c.InModels(r.rep.Settings.Models) }), err
}

// network makes the checks of a whole network.
func (r *verifyRun) network(ctx context.Context, spec *models.Spec) error {
	g, sd, err := r.graph, r.weights, error(nil)
	if g == nil {
		if g, sd, err = r.build(ctx, spec); err != nil {
			return err
		}
	}
	per := g.InputShape().NumElements()
	images := noise(uint64(r.net.seed), max(r.net.batch, 2)*per)
	s := conformance.Subject{Graph: g, Device: r.dev, Input: images[:r.net.batch*per], N: r.net.batch, Alter: alterPlan}
	in := g.InputShape()
	for _, s.Candidate = range r.cands {
		n := &conformance.NetworkReport{Model: spec.Name, Precision: s.Candidate.Precision, Kernels: s.Candidate.Name, Batch: s.N,
			Input: [3]int{in.C, in.H, in.W}, Weights: r.weightsName(sd), Command: r.command(spec.Name, &s.Candidate)}
		r.rep.Networks = append(r.rep.Networks, n)
		if err := r.candidate(ctx, spec, sd, s, n, images); err != nil {
			return err
		}
	}
	if !r.has("switches") {
		return nil
	}
	bar := r.begin(spec.Name+": switches", -1, "way")
	rows, err := conformance.Switches(ctx, s, r.cands, func(done, total int, what string) {
		bar.SetTotal(int64(total))
		bar.Set(int64(done))
		r.log.Debug(fmt.Sprintf("%s: %s", spec.Name, what))
	})
	for i := range rows {
		rows[i].Command = r.command(spec.Name, nil) + " --only switches"
	}
	r.rep.Switches = append(r.rep.Switches, rows...)
	if e := r.done(spec.Name+": switches", bar); err == nil {
		err = e
	}
	return err
}

// candidate makes the checks of a network with one candidate's kernels. images are at least two.
func (r *verifyRun) candidate(ctx context.Context, spec *models.Spec, sd *weights.StateDict, s conformance.Subject, n *conformance.NetworkReport, images []float32) error {
	several := s
	several.Input, several.N = images, max(s.N, 2)
	for _, stage := range []struct {
		name string
		unit string
		n    int
		run  func(bar *console.Progress) error
	}{
		{"network", "step", 3, func(bar *console.Progress) (err error) {
			n.Rows, err = conformance.Network(ctx, s, func(what string) { bar.Add(1); r.log.Debug(spec.Name + ": " + what) })
			return err
		}},
		{"replays", "run", r.replays, func(bar *console.Progress) (err error) {
			n.Replays, err = conformance.Replay(ctx, s, r.replays, func(done int) { bar.Set(int64(done)) })
			return err
		}},
		{"invariances", "kind", 6, func(bar *console.Progress) (err error) {
			n.Invariances, err = conformance.Invariances(ctx, several, func(what string) { bar.Add(1); r.log.Debug(spec.Name + ": " + what) })
			return err
		}},
		{"processes", "process", furtherProcesses, func(bar *console.Progress) error { return r.processes(ctx, spec, sd, s, n, bar) }},
		{"images", "img", -1, func(bar *console.Progress) error { return r.agreement(ctx, spec, s, n, bar) }},
	} {
		if !r.has(stage.name) {
			continue
		}
		bar := r.begin(spec.Name+": "+stage.name, stage.n, stage.unit)
		err := stage.run(bar)
		if e := r.done(spec.Name+": "+stage.name, bar); err == nil {
			err = e
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// build makes the network, and returns its weights.
func (v *verifier) build(ctx context.Context, spec *models.Spec) (*graph.Graph, *weights.StateDict, error) {
	sd, err := v.synthetic(spec, v.net.seed), error(nil)
	if v.net.checkpoint != "" {
		if sd, err = v.stateDict(ctx, spec, v.net.checkpoint); err != nil {
			return nil, nil, err
		}
	}
	g, err := spec.Build(sd, v.size(spec), v.size(spec))
	return g, sd, setup(err)
}

// weightsName says which weights they are: two names are equal if the weights are.
func (v *verifier) weightsName(sd *weights.StateDict) string {
	if v.net.checkpoint == "" {
		return fmt.Sprintf("weights made up with seed %d", v.net.seed)
	}
	h := sha256.New()
	for _, name := range sd.Names() {
		t := sd.Get(name)
		fmt.Fprintln(h, name, t.DType, t.Shape)
		h.Write(t.Data)
	}
	return fmt.Sprintf("weights of a checkpoint, SHA-256 of its tensors %.16x", h.Sum(nil))
}

// agreement compares the classes of pictures.
func (r *verifyRun) agreement(ctx context.Context, spec *models.Spec, s conformance.Subject, n *conformance.NetworkReport, bar *console.Progress) error {
	tr := spec.Transform
	tr.Size = r.size(spec)
	var unread []string
	seq, stop := r.pictures(ctx, tr, bar, func(why string) { unread = append(unread, why) })
	defer stop()
	a, err := conformance.Agree(ctx, s, seq)
	if err != nil {
		if ctx.Err() == nil && a != nil && a.Pictures == 0 {
			return usagef("--images %s: no picture could be read (%d tried)", r.images, len(unread))
		}
		return err
	}
	a.Unread, a.Command, n.Agreement = unread, n.Command+" --only images "+shellLine(r.imageArgs()), a
	return nil
}

// pictures returns the prepared pictures of --images. What cannot be read is told.
func (r *verifyRun) pictures(ctx context.Context, tr preprocess.Transform, bar *console.Progress, skipped func(string)) (seq iter.Seq2[string, []float32], stop func()) {
	ctx, stop = context.WithCancel(ctx)
	list := pictures.List{Args: []string{r.images}}
	total := list.Count(ctx)
	if r.samples > 0 {
		total = min(total, r.samples)
	}
	bar.SetTotal(int64(total))
	items := make(chan pictures.Item)
	go list.Send(ctx, items)
	return func(yield func(string, []float32) bool) {
		done := 0
		for it := range items {
			if r.samples > 0 && done == r.samples {
				return
			}
			done++
			bar.Add(1)
			pixels, err := readPicture(it, tr)
			if err != nil {
				r.log.Warn(console.Printable(it.Path) + ": " + err.Error())
				skipped(it.Path + ": " + err.Error())
				continue
			}
			x := make([]float32, len(pixels))
			tr.Tensor(pixels, x)
			if !yield(it.Path, x) {
				return
			}
		}
	}, stop
}

func readPicture(it pictures.Item, tr preprocess.Transform) ([]uint8, error) {
	if it.Err != nil {
		return nil, plain(it.Err)
	}
	data, err := pictures.Read(it.Path, maxPicture)
	if err != nil {
		return nil, plain(err)
	}
	return tr.Picture(data, preprocess.Limits{})
}

// write writes the report in the forms that were asked for.
func (r *verifyRun) write() error {
	err := r.writeTo(r.out, r.format)
	for _, path := range r.reports {
		form := map[string]string{".json": "json"}[strings.ToLower(filepath.Ext(path))]
		if form == "" {
			form = "html"
		}
		var b bytes.Buffer
		e := r.writeTo(&b, form)
		if e == nil {
			e = os.WriteFile(path, b.Bytes(), 0o666)
		}
		if e != nil && err == nil {
			err = fmt.Errorf("--report %s: %w", path, plain(e))
		}
	}
	return err
}

func (r *verifyRun) writeTo(w io.Writer, form string) error {
	out := bufio.NewWriter(w)
	var err error
	switch form {
	case "json":
		err = table.JSON(out, r.rep)
	case "html":
		err = conformance.WriteHTML(out, r.rep)
	default:
		err = r.text.end(out, r.rep)
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

// noise returns n values of seeded noise as normalised pictures have them: multiples of 1/127.5 from -1 to 1.
func noise(seed uint64, n int) []float32 {
	rng := rand.New(rand.NewPCG(seed, 0x7669647265736f6c))
	out := make([]float32, n)
	for i := range out {
		out[i] = (float32(rng.UintN(256))/255 - 0.5) / 0.5
	}
	return out
}
