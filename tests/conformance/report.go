package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Format names the form of reports. A reader that does not know it must not guess.
const Format = "vkinfer verify 1"

// Report is the outcome of any number of checks on one device, for people and programs.
type Report struct {
	Format   string   `json:"format"`
	Program  string   `json:"program"` // which one made it
	Date     string   `json:"date"`    // RFC 3339
	Command  string   `json:"command"` // that makes it again
	Settings Settings `json:"settings"`

	Fingerprint *Fingerprint     `json:"fingerprint"`
	Unavailable []Unavailable    `json:"unavailable"`        // kernels that the device cannot run
	Ops         []OpRow          `json:"ops,omitempty"`      // layers by themselves
	Networks    []*NetworkReport `json:"networks,omitempty"` // one per network and candidate
	Switches    []SwitchRow      `json:"switches,omitempty"` // other ways to run the networks
	Messages    []string         `json:"validation_messages"`
	Ended       string           `json:"ended,omitempty"`    // what ended the checks early
	Baseline    *Comparison      `json:"baseline,omitempty"` // with an earlier report
	Passed      bool             `json:"ok"`                 // set by Finish
}

// Unavailable says why a device cannot run a candidate's kernels.
type Unavailable struct {
	Precision string `json:"precision"`
	Kernels   string `json:"kernels"`
	Why       string `json:"why"`
}

// Settings are what decides a report's figures, beside the device.
type Settings struct {
	Stages    []string `json:"stages"`          // of Stages
	Models    []string `json:"models"`          // whose layers and networks were checked
	Op        string   `json:"op,omitempty"`    // the only layer that was checked
	Modes     []Mode   `json:"modes,omitempty"` // of layers
	Full      bool     `json:"full"`            // no map of a layer was cut
	Seed      uint64   `json:"seed"`
	Precision string   `json:"precision,omitempty"` // the only one that was checked
	Kernels   string   `json:"kernels,omitempty"`   // the only candidate that was checked
}

// Stages lists the kinds of checks in the order in which they are made.
func Stages() []string {
	return []string{"ops", "network", "replays", "invariances", "processes", "images", "switches"}
}

// NetworkReport is the outcome for one network with one candidate's kernels. What is nil was not checked.
type NetworkReport struct {
	Model     string `json:"model"`
	Precision string `json:"precision"`
	Kernels   string `json:"kernels"` // the candidate
	Batch     int    `json:"batch"`
	Input     [3]int `json:"input"`   // C, H, W
	Weights   string `json:"weights"` // which they are
	Command   string `json:"command"` // that checks this network again

	Rows        []Row      `json:"rows,omitempty"`        // node by node
	Replays     *Replays   `json:"replays,omitempty"`     // the same again and again
	Invariances []Check    `json:"invariances,omitempty"` // what must not matter
	Processes   *Check     `json:"processes,omitempty"`   // what others get
	Agreement   *Agreement `json:"agreement,omitempty"`   // classes of pictures
}

// title says which network it is.
func (n *NetworkReport) title() string { return candidateTitle(n.Model, n.Precision, n.Kernels) }

// candidateTitle names kernels only where there is a choice.
func candidateTitle(parts ...string) string {
	if len(parts) > 1 && parts[len(parts)-1] == "default" {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, ", ")
}

// OK reports whether everything passed and nothing was left out. Where nothing was checked nothing passed.
func (r *Report) OK() bool {
	return len(r.Summary()) > 0 && len(r.Failures()) == 0 && len(r.Messages) == 0 && r.Ended == "" && r.Baseline.OK()
}

// FailureText is a failure for people.
type FailureText struct {
	Title   string
	What    string
	Again   string // the command that makes only this check again
	TileMap string // where the bad elements are; may be empty
}

// Failures lists all that failed.
func (r *Report) Failures() []FailureText {
	var out []FailureText
	for _, o := range r.Ops {
		if o.OK() {
			continue
		}
		f := FailureText{Title: fmt.Sprintf("%s, %s, %s", o.Case, o.Mode, candidateTitle(strings.TrimSpace(o.Kernel+" "+o.Value), o.Precision, o.Candidate)), What: o.Verdict}
		if o.Failure != nil {
			if f.What = o.Failure.What; o.Failure.Batch > 0 {
				f.What = fmt.Sprintf("Batch %d: %s", o.Failure.Batch, o.Failure.What)
			}
			f.Again, f.TileMap = o.Failure.Repro, o.Failure.TileMap
		}
		out = append(out, f)
	}
	for _, n := range r.Networks {
		out = append(out, n.failures()...)
	}
	for _, s := range r.Switches {
		if !s.OK() {
			out = append(out, FailureText{Title: fmt.Sprintf("%s: %s kernels %s, fusion %s, memory %s, arena %s, debug %s",
				s.Model, s.Precision, s.Kernels, s.Fusion, s.Memory, s.Arena, s.Debug), What: s.Verdict, Again: s.Command})
		}
	}
	return out
}

func (n *NetworkReport) failures() (out []FailureText) {
	add := func(stage, what, verdict string) {
		f := FailureText{Title: n.title() + ": " + what, What: verdict}
		if n.Command != "" {
			f.Again = n.Command + " --only " + stage
		}
		out = append(out, f)
	}
	for _, row := range n.Rows {
		if !row.OK() {
			add("network", "node "+row.Node, fmt.Sprintf("%s; the largest error is at image %d, channel %d, row %d, column %d: %.7g, want %.7g",
				row.Verdict, row.Worst[0], row.Worst[1], row.Worst[2], row.Worst[3], float64(row.Got), float64(row.Want)))
		}
	}
	if !n.Replays.OK() {
		add("replays", "replays", fmt.Sprintf("%d runs of one input gave %d different results", n.Replays.Runs, n.Replays.Distinct))
	}
	for _, c := range n.Invariances {
		if !c.OK() {
			add("invariances", c.Name, c.Verdict)
		}
	}
	if c := n.Processes; c != nil && !c.OK() {
		add("processes", c.Name, c.Verdict)
	}
	if !n.Agreement.OK() {
		add("images", "classes of pictures", n.Agreement.Verdict)
		if n.Agreement.Command != "" {
			out[len(out)-1].Again = n.Agreement.Command
		}
	}
	return out
}

// Finish sets Passed, and empty lists where JSON should not have null.
func (r *Report) Finish() {
	r.Format = Format
	r.Unavailable, r.Messages = append([]Unavailable{}, r.Unavailable...), append([]string{}, r.Messages...)
	r.Passed = r.OK()
}

// maxReport is the largest report that is read.
const maxReport = 1 << 28

// ReadReport reads a report that was written as JSON.
func ReadReport(from io.Reader, name string) (*Report, error) {
	b, err := io.ReadAll(io.LimitReader(from, maxReport+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("conformance: %s: %w", name, err)
	case len(b) > maxReport:
		return nil, fmt.Errorf("conformance: %s: more than %d bytes, want a report", name, maxReport)
	}
	const want = "want a report that 'vkinfer verify -o json' wrote"
	var head struct {
		Format string `json:"format"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("conformance: %s: is no JSON, %s: %w", name, want, err)
	}
	if head.Format != Format {
		return nil, fmt.Errorf("conformance: %s: its format is %.40q and not %q, %s", name, head.Format, Format, want)
	}
	r := &Report{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("conformance: %s: %s: %w", name, want, err)
	}
	for _, n := range r.Networks {
		if n == nil {
			return nil, fmt.Errorf("conformance: %s: holds an empty network, %s", name, want)
		}
	}
	if r.Fingerprint == nil {
		return nil, fmt.Errorf("conformance: %s: says nothing of a device, %s", name, want)
	}
	return r, nil
}
