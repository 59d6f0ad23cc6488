package conformance

import (
	"context"
	stderrors "errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vkinfer/vkinfer/cpuref"
	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
)

// SwitchRow is the verdict on a network run with its switches set in one way.
type SwitchRow struct {
	Model     string `json:"model"`
	Precision string `json:"precision"`
	Kernels   string `json:"kernels"` // the candidate (see Candidates)
	Fusion    string `json:"fusion"`  // "all", or which pass was left out
	Memory    string `json:"memory"`  // "direct" or "staging"
	Arena     string `json:"arena"`   // "shared", or "apart": every tensor in its own place
	Debug     string `json:"debug"`   // "off", or "on": NaN poison and guards

	Available bool   `json:"available"`         // false where nothing can run: Verdict says why
	RelL2     Figure `json:"rel_l2"`            // of the logits, against float64; the worst image's
	Centred   Figure `json:"centred"`           // the same relative to the logits without their mean
	Verdict   string `json:"verdict"`           // "ok" or what is wrong, or missing
	Command   string `json:"command,omitempty"` // that runs the network's switches again
}

// OK reports whether the row passed, or cannot run on purpose.
func (r SwitchRow) OK() bool { return r.Verdict == "ok" || !r.Available }

// Switches runs the network with every combination of switches: the candidates' kernels (nil for
// CandidatesFor the device; the subject's own candidate is not used), fusion levels, direct memory and staging, arena layouts, debug
// aids. Every row must be near float64 arithmetic, and rows with the same kernels, whatever else is switched,
// must agree to the last bit. progress, if not nil, is told of each kind of kernels. The rows made before an
// error are returned beside it.
func Switches(ctx context.Context, s Subject, cands []Candidate, progress func(done, total int, what string)) ([]SwitchRow, error) {
	if cands == nil {
		cands = CandidatesFor(s.Device.Caps())
	}
	if progress == nil {
		progress = func(int, int, string) {}
	}
	want, err := cpuref.Run(ctx, s.Graph, float64s(s.Input), s.N, cpuref.Options{})
	if err != nil {
		return nil, err
	}
	staged, err := reopen(s.Device, true)
	if err != nil {
		return nil, err
	}
	defer staged.Close()
	w := &switches{Subject: s, ctx: ctx, want: want, classes: s.Graph.OutputShape().C, bits: map[string][]float32{}}
	w.devices = map[string]*gpu.Device{"staging": staged}
	if s.Device.Caps().HostVisible {
		w.devices["direct"] = s.Device
	}
	levels := fusionLevels()
	for i, level := range levels {
		fused, err := fuse(s.Graph, level)
		if err != nil {
			return w.rows, err
		}
		for j, cand := range cands {
			progress(i*len(cands)+j, len(levels)*len(cands), fmt.Sprintf("%s, %s, fusion %s", cand.Precision, cand.Name, level))
			if err := w.level(fused, level, cand); err != nil {
				return w.rows, err
			}
		}
	}
	if said := closeAndListen(staged); said != "" {
		w.rows = append(w.rows, SwitchRow{Model: s.Graph.Model, Fusion: "all", Memory: "staging", Available: true, Verdict: said})
	}
	return w.rows, nil
}

type switches struct {
	Subject
	ctx     context.Context
	classes int
	want    []float64
	devices map[string]*gpu.Device
	bits    map[string][]float32 // logits by what may change them
	rows    []SwitchRow
}

// fusionLevels lists "all" and, for every pass of the fuse stage, the level without it.
func fusionLevels() []string {
	levels := []string{"all"}
	for _, p := range netplan.Passes {
		if p.Stage == "fuse" {
			levels = append(levels, "without "+p.Name)
		}
	}
	return levels
}

// fuse folds g and fuses it up to a level.
func fuse(g *graph.Graph, level string) (*graph.Graph, error) {
	var err error
	for _, p := range netplan.Passes {
		if level == "without "+p.Name {
			continue
		}
		if g, err = p.Run(g); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// level runs one fusion level with one candidate.
func (s *switches) level(fused *graph.Graph, level string, cand Candidate) error {
	s.Candidate = cand
	row := SwitchRow{Model: s.Graph.Model, Precision: cand.Precision, Kernels: cand.Name, Fusion: level, Arena: "shared", Debug: "off"}
	if _, err := s.lower(s.devices["staging"], fused, layout{}); err != nil {
		row.Memory = "-"
		row.Verdict = fmt.Sprintf("not available: %s", strings.TrimPrefix(err.Error(), "netplan: "))
		s.rows = append(s.rows, row)
		return nil
	}
	row.Available = true
	for _, memory := range slices.Sorted(maps.Keys(s.devices)) {
		for _, arena := range []string{"shared", "apart"} {
			for _, debug := range []string{"off", "on"} {
				row.Memory, row.Arena, row.Debug = memory, arena, debug
				if err := s.run(fused, row); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// run runs one row and judges it; what the device refuses is the row's verdict. An interrupted row is left out.
func (s *switches) run(fused *graph.Graph, row SwitchRow) error {
	logits, err := s.logits(fused, row)
	if e := s.ctx.Err(); e != nil {
		return e
	}
	if err == nil {
		row.Verdict = s.judge(&row, logits)
	} else {
		row.Verdict = err.Error()
	}
	s.rows = append(s.rows, row)
	if stderrors.Is(err, gpu.ErrDeviceLost) {
		return err
	}
	return nil
}

func (s *switches) logits(fused *graph.Graph, row SwitchRow) ([]float32, error) {
	dev := s.devices[row.Memory]
	plan, err := s.lower(dev, fused, layout{keepAll: row.Arena == "apart"})
	if err != nil {
		return nil, err
	}
	debug := row.Debug == "on"
	exec, err := gpu.NewExecutor(dev, plan, gpu.ExecutorOptions{MaxBatch: s.N, Poison: debug, Guards: debug})
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	return exec.Run(s.ctx, s.Input, s.N)
}

func (s *switches) judge(row *SwitchRow, logits []float32) string {
	var plain, centred float64
	for i := 0; i < len(logits); i += s.classes {
		p, c := errors(logits[i:i+s.classes], s.want[i:i+s.classes])
		plain, centred = worse(plain, p), worse(centred, c)
	}
	row.RelL2, row.Centred = Figure(plain), Figure(centred)
	key := row.Precision + row.Kernels + row.Fusion
	if s.bits[key] == nil {
		s.bits[key] = logits
	}
	gate := GatesFor(row.Precision).LogitsCentred
	switch differs := differ("compared with the row whose kernels are the same", logits, s.bits[key]); {
	case !(centred <= gate):
		return fmt.Sprintf("centred error %.2e, want at most %.0e", centred, gate)
	case differs != "":
		return differs
	}
	return "ok"
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
