package conformance

import "fmt"

// Summary counts the checks of a kind.
type Summary struct {
	Check, Of    string // the kind, and what was checked
	Done, Failed int
	Note         string  // the figure that matters most
	nearest      float64 // as part of its bound
}

// add counts a check whose figure is so much of its bound.
func (s *Summary) add(ok bool, ratio float64, what string) {
	s.Done++
	if !ok {
		s.Failed++
	}
	if beyond(ratio, s.nearest) {
		s.nearest, s.Note = ratio, fmt.Sprintf("%s: %s of its bound", what, digits(ratio))
	}
}

// Summary has a row for every kind of check that was made, in the order of Stages.
func (r *Report) Summary() []Summary {
	out := opSummaries(r.Ops)
	for _, n := range r.Networks {
		out = append(out, n.summaries()...)
	}
	return append(out, switchSummaries(r.Switches)...)
}

// opSummaries has a row for every mode and candidate.
func opSummaries(rows []OpRow) []Summary {
	var out []Summary
	at := map[[2]string]int{}
	for _, o := range rows {
		name := map[Mode]string{Exact: "layers, exact integers", Real: "layers, real numbers"}[o.Mode]
		of := candidateTitle(o.Precision, o.Candidate)
		i, ok := at[[2]string{name, of}]
		if !ok {
			i = len(out)
			at[[2]string{name, of}] = i
			out = append(out, Summary{Check: name, Of: of})
		}
		ratio := float64(o.Ratio)
		if o.Mode == Exact && o.OK() {
			ratio = 0 // only divisions have a bound there
		}
		out[i].add(o.OK(), ratio, o.Case+" "+o.Value)
	}
	return out
}

func (n *NetworkReport) summaries() (out []Summary) {
	if n.Rows != nil {
		s := Summary{Check: "network, node by node", Of: n.title()}
		for _, row := range n.Rows {
			s.add(row.OK(), row.share(), row.Node)
		}
		out = append(out, s)
	}
	if r := n.Replays; r != nil {
		out = append(out, Summary{Check: "replays", Of: n.title(), Done: r.Runs, Failed: max(r.Distinct-1, 0),
			Note: fmt.Sprintf("%d distinct %s", r.Distinct, map[bool]string{true: "output", false: "outputs"}[r.Distinct == 1])})
	}
	if n.Invariances != nil {
		s := Summary{Check: "invariances", Of: n.title()}
		runs := 0
		for _, c := range n.Invariances {
			s.add(c.OK(), 0, "")
			runs += c.Runs
		}
		s.Note = fmt.Sprintf("in %d runs", runs)
		out = append(out, s)
	}
	if c := n.Processes; c != nil {
		s := Summary{Check: "processes", Of: n.title(), Done: c.Runs}
		if !c.OK() {
			s.Failed = 1
		}
		out = append(out, s)
	}
	if a := n.Agreement; a != nil {
		s := Summary{Check: "classes of pictures", Of: n.title(), Done: a.Pictures, Failed: a.Inexcused,
			Note: fmt.Sprintf("top-1 agrees for %d, top-5 for %d; %d ties", a.Top1, a.Top5, len(a.Flips)-a.Inexcused)}
		if a.Inexcused == 0 && !a.OK() {
			s.Failed = 1
		}
		out = append(out, s)
	}
	return out
}

// switchSummaries has a row for every network.
func switchSummaries(rows []SwitchRow) []Summary {
	var out []Summary
	missing := 0
	for _, s := range rows {
		if len(out) == 0 || out[len(out)-1].Of != s.Model {
			out, missing = append(out, Summary{Check: "switches", Of: s.Model}), 0
		}
		last := &out[len(out)-1]
		if !s.Available {
			missing++
			last.Note = fmt.Sprintf("%d more are not available", missing)
			continue
		}
		last.add(s.OK(), 0, "")
	}
	return out
}

// share is the row's error as part of its gate.
func (r Row) share() float64 { return share(float64(r.RelL2), float64(r.Gate)) }
