package conformance

import (
	"context"
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
	Precision string `json:"precision"`
	Kernels   string `json:"kernels"` // the candidate (see Candidates)
	Fusion    string `json:"fusion"`  // "all", or which pass was left out
	Memory    string `json:"memory"`  // "direct" or "staging"
	Arena     string `json:"arena"`   // "shared", or "apart": every tensor in its own place
	Debug     string `json:"debug"`   // "off", or "on": NaN poison and guards

	Available bool   `json:"available"` // false where nothing can run: Verdict says why
	RelL2     Figure `json:"rel_l2"`    // of the logits, against float64; the worst image's
	Centred   Figure `json:"centred"`   // the same relative to the logits without their mean
	Verdict   string `json:"verdict"`   // "ok" or what is wrong, or missing
}

// OK reports whether the row passed, or cannot run on purpose.
func (r SwitchRow) OK() bool { return r.Verdict == "ok" || !r.Available }

// Switches runs the unfused graph g with every combination of switches on n images: candidates' kernels,
// fusion levels, direct memory and staging, arena layouts, debug aids. Every row must be near float64
// arithmetic, and rows with the same kernels, whatever else is switched, must agree to the last bit.
func Switches(ctx context.Context, g *graph.Graph, dev *gpu.Device, input []float32, n int) ([]SwitchRow, error) {
	in := make([]float64, len(input))
	for i, v := range input {
		in[i] = float64(v)
	}
	want, err := cpuref.Run(ctx, g, in, n, cpuref.Options{})
	if err != nil {
		return nil, err
	}
	staged, err := reopen(dev, true)
	if err != nil {
		return nil, err
	}
	defer staged.Close()
	s := &switches{ctx: ctx, input: input, n: n, want: want, classes: g.OutputShape().C, bits: map[string][]float32{}}
	s.devices = map[string]*gpu.Device{"staging": staged}
	if dev.Caps().HostVisible {
		s.devices["direct"] = dev
	}
	for _, level := range fusionLevels() {
		fused, err := fuse(g, level)
		if err != nil {
			return s.rows, err
		}
		for _, cand := range Candidates() {
			if err := s.level(fused, level, cand); err != nil {
				return s.rows, err
			}
		}
	}
	if said := closeAndListen(staged); said != "" {
		s.rows = append(s.rows, SwitchRow{Fusion: "all", Memory: "staging", Available: true, Verdict: said})
	}
	return s.rows, nil
}

type switches struct {
	ctx        context.Context
	input      []float32
	n, classes int
	want       []float64
	devices    map[string]*gpu.Device
	bits       map[string][]float32 // logits by what may change them
	rows       []SwitchRow
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
	row := SwitchRow{Precision: cand.Precision, Kernels: cand.Name, Fusion: level, Arena: "shared", Debug: "off"}
	if _, err := netplan.Lower(fused, s.anyDevice().Caps(), cand.Options); err != nil {
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
				if err := s.run(fused, cand, row); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *switches) anyDevice() *gpu.Device { return s.devices["staging"] }

// run runs one row and judges it; what the device refuses is the row's verdict.
func (s *switches) run(fused *graph.Graph, cand Candidate, row SwitchRow) error {
	logits, err := s.logits(fused, cand, row)
	if err == nil {
		row.Verdict = s.judge(&row, logits)
	} else {
		row.Verdict = err.Error()
	}
	s.rows = append(s.rows, row)
	return s.ctx.Err()
}

func (s *switches) logits(fused *graph.Graph, cand Candidate, row SwitchRow) ([]float32, error) {
	dev, opts := s.devices[row.Memory], cand.Options
	opts.KeepAll = row.Arena == "apart"
	plan, err := netplan.Lower(fused, dev.Caps(), opts)
	if err != nil {
		return nil, err
	}
	debug := row.Debug == "on"
	exec, err := gpu.NewExecutor(dev, plan, gpu.ExecutorOptions{MaxBatch: s.n, Poison: debug, Guards: debug})
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	return exec.Run(s.ctx, s.input, s.n)
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
	switch differs := differ("compared with the row whose kernels are the same", logits, s.bits[key]); {
	case !(centred <= GateLogitsCentred):
		return fmt.Sprintf("centred error %.2e, want at most %.0e", centred, GateLogitsCentred)
	case differs != "":
		return differs
	}
	return "ok"
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
