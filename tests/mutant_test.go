package tests

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/tests/conformance"
	"github.com/vkinfer/vkinfer/tests/oracle"
)

// layerResult is what one layer of checks says of the program as it was built.
type layerResult struct {
	Layer  string  `json:"layer"`
	Caught bool    `json:"caught"`
	Above  float64 `json:"above,omitempty"` // largest error by its bound; 0 where bits are compared, -1 for NaN and infinity
	What   string  `json:"what,omitempty"`
}

// TestMutant runs one check of every layer, each on little data. tests/mutation (make mutation) builds this
// test with faults put into the sources and asks which layers notice: then VKINFER_MUTANT_RESULT names a
// file for the answers, one JSON object per line, VKINFER_MUTANT_CASES the layers' cases, and VKINFER_MUTANT_PRECISION
// the precision of whole networks, if it is not float32. By itself it tests that nothing is noticed where there is no fault.
func TestMutant(t *testing.T) {
	names := []string{opDepthwise, opLinear}
	if list := os.Getenv("VKINFER_MUTANT_CASES"); list != "" {
		names = strings.Split(list, ",")
	}
	device(t) // skips, or fails, where there is none
	dev, err := gpu.Open(gpu.Options{Device: deviceName(), Validation: os.Getenv("VKINFER_VALIDATION") == "1"})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	report := func(r layerResult) {
		if r.Caught {
			t.Errorf("%s: %s", r.Layer, r.What)
		}
	}
	if name := os.Getenv("VKINFER_MUTANT_RESULT"); name != "" {
		file, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		report = func(r layerResult) {
			if err := json.NewEncoder(file).Encode(r); err != nil { // at once: the next layer may crash
				t.Fatal(err)
			}
		}
	}
	m := &mutant{t: t, dev: dev, report: report, cand: conformance.Candidates()[0]}
	if precision := os.Getenv("VKINFER_MUTANT_PRECISION"); precision != "" {
		m.cand.Precision, m.cand.Options.Precision = precision, precision
	}
	m.ops(names)
	m.network()
	dev.Close()
	said := layerResult{Layer: "validation"}
	if list := append(m.said, dev.Messages()...); len(list) > 0 {
		said.Caught, said.What = true, fmt.Sprintf("%d messages; the first: %v", len(list), list[0])
	}
	report(said)
}

type mutant struct {
	t      *testing.T
	dev    *gpu.Device
	cand   conformance.Candidate // that runs networks
	report func(layerResult)
	said   []gpu.Message // of other devices than dev
}

// above returns a ratio as JSON can hold it.
func above(ratio float64) float64 {
	if math.IsNaN(ratio) || math.IsInf(ratio, 0) {
		return -1
	}
	return ratio
}

// worst keeps the larger of two ratios; NaN is the largest.
func worst(a, b float64) float64 {
	if math.IsNaN(a) || a > b {
		return a
	}
	return b
}

// ops runs cases by themselves, in exact-integer and in real-number mode.
func (m *mutant) ops(names []string) {
	var cases []conformance.Case
	for _, name := range names {
		c, err := conformance.FindCase(name)
		if err != nil {
			m.t.Fatal(err)
		}
		cases = append(cases, c)
	}
	for _, mode := range conformance.Modes() {
		r := layerResult{Layer: string(mode)}
		rows, err := conformance.Ops(m.t.Context(), m.dev, conformance.OpOptions{Cases: cases, Modes: []conformance.Mode{mode}, Batches: []int{1, 3}})
		if err != nil {
			r.Caught, r.What = true, err.Error()
		}
		ratio := 0.0
		for _, row := range rows {
			if row.OK() {
				continue
			}
			if !r.Caught {
				r.Caught, r.What = true, fmt.Sprintf("%s %s: %s", row.Case, row.Value, row.Verdict)
			}
			ratio = worst(float64(row.Ratio), ratio)
		}
		if mode == conformance.Real {
			r.Above = above(ratio)
		}
		m.report(r)
	}
}

// network runs a small network through the layers that take whole ones.
func (m *mutant) network() {
	const model = "efficientnet_b1_pruned"
	goldens := readSynthGoldens(m.t)
	build := func(h, w int) *graph.Graph {
		g, err := specOf(m.t, model).Build(synthWeights(m.t, model, goldens.Seed), h, w)
		if err != nil {
			m.t.Fatal(err)
		}
		return g
	}
	g := build(35, 50)
	m.report(m.plan(g))
	input := noise(5, 2*g.InputShape().NumElements())
	m.report(m.nodes(g, input))
	m.report(m.invariances(g, input, build(36, 36)))
	m.report(m.golden(model, goldens, build))
}

// plan checks the network's plans without running them.
func (m *mutant) plan(g *graph.Graph) layerResult {
	r := layerResult{Layer: "plan"}
	fused, err := netplan.RunPasses(g, "fold", "fuse")
	for _, opts := range []netplan.Options{{}, {KeepAll: true}, {Guard: 512}} {
		if err != nil {
			break
		}
		var p *netplan.Plan
		if p, err = netplan.Lower(fused, m.dev.Caps(), opts); err == nil {
			err = conformance.CheckPlan(p)
		}
	}
	if err != nil {
		r.Caught, r.What = true, err.Error()
	}
	return r
}

// nodes compares every value that the network stores with float64, and replays.
func (m *mutant) nodes(g *graph.Graph, input []float32) layerResult {
	r := layerResult{Layer: "network"}
	s := m.subject(g, input)
	rows, err := conformance.Network(m.t.Context(), s, nil)
	if err != nil {
		r.Caught, r.What = true, err.Error()
		return r
	}
	ratio := 0.0
	for _, row := range rows {
		if !row.OK() {
			if !r.Caught {
				r.Caught, r.What = true, fmt.Sprintf("%s: %s", row.Node, row.Verdict)
			}
			ratio = worst(float64(row.RelL2/row.Gate), ratio)
		}
	}
	r.Above = above(ratio)
	replays, err := conformance.Replay(m.t.Context(), s, 5, nil)
	switch {
	case r.Caught:
	case err != nil:
		r.Caught, r.Above, r.What = true, 0, err.Error()
	case !replays.OK():
		r.Caught, r.Above, r.What = true, 0, fmt.Sprintf("%d different results in %d runs", replays.Distinct, replays.Runs)
	}
	return r
}

// subject is the network with two images.
func (m *mutant) subject(g *graph.Graph, input []float32) conformance.Subject {
	return conformance.Subject{Graph: g, Device: m.dev, Candidate: m.cand, Input: input, N: 2}
}

// invariances checks what must not matter, and that copies through staging buffers do not.
func (m *mutant) invariances(g *graph.Graph, input []float32, square *graph.Graph) layerResult {
	r := layerResult{Layer: "invariance"}
	fail := func(what string) layerResult {
		r.Caught, r.What = true, what
		return r
	}
	checks, err := conformance.Invariances(m.t.Context(), m.subject(g, input), nil)
	if err != nil {
		return fail(err.Error())
	}
	if i := slices.IndexFunc(checks, func(c conformance.Check) bool { return !c.OK() }); i >= 0 {
		return fail(checks[i].Name + ": " + checks[i].Verdict)
	}
	if c, err := conformance.Resized(m.t.Context(), m.subject(square, nil)); err != nil || !c.OK() {
		return fail(fmt.Sprint(c.Name, ": ", c.Verdict, " ", err))
	}
	staged, err := gpu.Open(gpu.Options{Device: deviceName(), ForceStaging: true})
	if err != nil {
		return fail(err.Error())
	}
	defer func() {
		staged.Close()
		m.said = append(m.said, staged.Messages()...)
	}()
	var hash [2]string
	for i, dev := range []*gpu.Device{m.dev, staged} {
		s := m.subject(g, input)
		s.Device = dev
		if hash[i], err = conformance.LogitsHash(m.t.Context(), s); err != nil {
			return fail(err.Error())
		}
	}
	if hash[0] != hash[1] {
		return fail("copies through staging buffers change the bits")
	}
	return r
}

// golden compares logits with PyTorch's, which know nothing of this module's graph. Of the goldens' sizes
// the odd one has asymmetric padding everywhere.
func (m *mutant) golden(model string, goldens synthGoldens, build func(h, w int) *graph.Graph) layerResult {
	r := layerResult{Layer: "golden"}
	gate, gateCentred := oracle.Float32Logits, oracle.Float32LogitsCentred
	if m.cand.Precision == netplan.PrecisionAMP {
		gate, gateCentred = oracle.AMPLogits, oracle.AMPLogitsCentred
	}
	for _, name := range []string{"size32", "odd_97x131"} {
		c, ok := goldens.Models[model][name]
		if !ok {
			m.t.Fatalf("no golden %s of %s", name, model)
		}
		n, h, w := c.InputShape[0], c.InputShape[2], c.InputShape[3]
		got, err := m.run(build(h, w), synthPicture(n, h, w), n)
		if err != nil {
			r.Caught, r.What = true, err.Error()
			return r
		}
		plain, centred := oracle.LogitErrors(got, synthLogits(m.t, model, name), c.LogitsShape[1])
		ratio := worst(plain/gate, centred/gateCentred)
		if !(ratio <= 1) {
			r.Caught, r.Above, r.What = true, above(worst(ratio, r.Above)), fmt.Sprintf("%s: relative error %.3g, centred %.3g", name, plain, centred)
		}
	}
	return r
}

// run runs the network as classification does.
func (m *mutant) run(g *graph.Graph, input []float32, n int) ([]float32, error) {
	fused, err := netplan.RunPasses(g, "fold", "fuse")
	if err != nil {
		return nil, err
	}
	plan, err := netplan.Lower(fused, m.dev.Caps(), m.cand.Options)
	if err != nil {
		return nil, err
	}
	exec, err := gpu.NewExecutor(m.dev, plan, gpu.ExecutorOptions{MaxBatch: n, Poison: true})
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	return exec.Run(m.t.Context(), input, n)
}
