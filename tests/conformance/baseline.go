package conformance

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Comparison is a report held against an earlier one.
type Comparison struct {
	Name    string   `json:"name"`    // of the earlier report
	Date    string   `json:"date"`    // its
	Program string   `json:"program"` // which made it
	Factor  float64  `json:"factor"`  // by which an error may grow
	Rows    int      `json:"rows"`    // of the earlier report that were compared
	Notes   []string `json:"notes"`   // what could not be compared, and why
	Worse   []Change `json:"worse"`
	Better  []Change `json:"better"` // what failed and passes now
}

// Change is a difference between two reports.
type Change struct {
	What string `json:"what"`
	Was  string `json:"was"`
	Is   string `json:"is"`
}

func (c Change) String() string { return fmt.Sprintf("%s: was %s, is %s", c.What, c.Was, c.Is) }

// OK reports whether nothing got worse.
func (c *Comparison) OK() bool { return c == nil || len(c.Worse) == 0 }

// smallShare is up to which part of its bound an error may grow freely: what is so small is noise.
const smallShare = 0.01

// Comparable returns why no report of these settings can be held against old, nil if one can.
func Comparable(s Settings, old *Report) error {
	if !slices.ContainsFunc(s.Stages, func(stage string) bool { return slices.Contains(old.Settings.Stages, stage) }) {
		return fmt.Errorf("conformance: the baseline holds the checks %s, want some of %s", strings.Join(old.Settings.Stages, ", "), strings.Join(s.Stages, ", "))
	}
	if s.Op != "" && old.Settings.Op == s.Op {
		return nil
	}
	if !slices.ContainsFunc(s.Models, func(m string) bool { return slices.Contains(old.Settings.Models, m) }) {
		return fmt.Errorf("conformance: the baseline is about %s, want %s", strings.Join(old.Settings.Models, ", "), strings.Join(s.Models, ", "))
	}
	return nil
}

// Compare holds a report against an earlier one and says what got worse: a check that passed fails, an error has
// grown by more than the factor (and beyond a hundredth of its bound), logits have other bits although device,
// driver and kernels are the same, or a check that the settings cover is missing. Where the device or the
// numbers that went in differ, errors and bits are not compared; the notes say so.
func Compare(r, old *Report, name string, factor float64) *Comparison {
	c := &comparer{Comparison: Comparison{Name: name, Date: old.Date, Program: old.Program, Factor: factor,
		Notes: []string{}, Worse: []Change{}, Better: []Change{}}, now: r, old: old}
	c.devices()
	c.settings()
	c.ops()
	c.networks()
	c.switches()
	return &c.Comparison
}

type comparer struct {
	Comparison
	now, old   *Report
	sameDevice bool // device and driver
	sameBits   bool // and kernels and their arithmetic
}

func (c *comparer) note(format string, args ...any) {
	c.Notes = append(c.Notes, fmt.Sprintf(format, args...))
}

func (c *comparer) devices() {
	a, b := c.old.Fingerprint, c.now.Fingerprint
	if b == nil {
		c.note("this run did not get so far as to tell the device: only verdicts are compared")
		return
	}
	was, is := a.Device+", "+a.Driver+" "+a.DriverVersion, b.Device+", "+b.Driver+" "+b.DriverVersion
	c.sameDevice = was == is && a.VendorID == b.VendorID && a.DeviceID == b.DeviceID
	c.sameBits = c.sameDevice && a.Kernels == b.Kernels && a.Floats == b.Floats && a.SubgroupSize == b.SubgroupSize && slices.Equal(a.Quirks, b.Quirks)
	switch {
	case !c.sameDevice:
		c.note("the baseline is of another device or driver (%s; here %s): only verdicts and missing checks are compared", was, is)
	case a.Kernels != b.Kernels:
		c.note("the baseline is of other kernels (%s, here %s): the bits of logits are not compared", a.Kernels, b.Kernels)
	case !c.sameBits:
		c.note("the device calculates otherwise than in the baseline (%v, subgroups of %d, quirks %q; was: %v, %d, %q): the bits of logits are not compared",
			b.Floats, b.SubgroupSize, b.Quirks, a.Floats, a.SubgroupSize, a.Quirks)
	}
}

// settings notes what the reports do not share.
func (c *comparer) settings() {
	only := func(what string, a, b []string) {
		var missing []string
		for _, s := range a {
			if !slices.Contains(b, s) {
				missing = append(missing, s)
			}
		}
		if len(missing) > 0 {
			c.note("%s that only the baseline has: %s", what, strings.Join(missing, ", "))
		}
	}
	only("checks", c.old.Settings.Stages, c.now.Settings.Stages)
	only("models", c.old.Settings.Models, c.now.Settings.Models)
	if c.old.Ended != "" {
		c.note("the baseline ended early: %s", c.old.Ended)
	}
}

// has reports whether the new report's settings cover a check of the old one.
func (c *comparer) has(stage, model, precision, kernels string) bool {
	s := c.now.Settings
	if !c.sameDevice && slices.ContainsFunc(c.now.Unavailable, func(u Unavailable) bool { return u.Precision == precision && u.Kernels == kernels }) {
		return false
	}
	return slices.Contains(s.Stages, stage) && (model == "" || slices.Contains(s.Models, model)) &&
		(s.Precision == "" || s.Precision == precision) && (s.Kernels == "" || s.Kernels == kernels)
}

// verdict compares what became of a check.
func (c *comparer) verdict(what, was, is string) {
	switch {
	case was == "ok" && is != "ok":
		c.Worse = append(c.Worse, Change{what, was, is})
	case was != "ok" && is == "ok":
		c.Better = append(c.Better, Change{what, was, is})
	}
}

func (c *comparer) missing(what, was string) {
	c.Worse = append(c.Worse, Change{what, was, "missing"})
}

// grown compares errors as parts of their bounds.
func (c *comparer) grown(what string, was, is float64) {
	if is > smallShare && is > c.Factor*was || math.IsNaN(is) && !math.IsNaN(was) {
		c.Worse = append(c.Worse, Change{what + ", error", digits(was) + " of its bound", digits(is) + " of its bound"})
	}
}

func (c *comparer) ops() {
	type key struct {
		value, precision, candidate string
		mode                        Mode
		name                        string
	}
	of := func(o OpRow) key { return key{o.Value, o.Precision, o.Candidate, o.Mode, o.Case} }
	rows := map[key]OpRow{}
	for _, o := range c.now.Ops {
		rows[of(o)] = o
	}
	other := 0
	for _, o := range c.old.Ops {
		if !c.covers(o) {
			continue
		}
		c.Rows++
		what := fmt.Sprintf("%s, %s, %s", o.Case, o.Mode, candidateTitle(strings.TrimSpace(o.Kernel+" "+o.Value), o.Precision, o.Candidate))
		n, ok := rows[of(o)]
		if !ok {
			if o.Value == "" { // a fault of the whole case, which is no more
				c.verdict(what, o.Verdict, "ok")
			} else {
				c.missing(what, o.Verdict)
			}
			continue
		}
		c.verdict(what, o.Verdict, n.Verdict)
		switch {
		case !c.sameDevice || !o.OK() || !n.OK():
		case o.Seed != n.Seed || o.Map != n.Map || !slices.Equal(o.Batches, n.Batches):
			other++
		case o.Mode == Real:
			c.grown(what, float64(o.Ratio), float64(n.Ratio))
		}
	}
	if other > 0 {
		c.note("errors of %d values of layers are not compared: the seed, the map or the batches are others", other)
	}
	c.newlyBroken()
}

// newlyBroken finds the cases that fail as a whole and did not: of those that do not there is no such row.
func (c *comparer) newlyBroken() {
	whole := func(o OpRow) string {
		return fmt.Sprintf("%s, %s, %s", o.Case, o.Mode, candidateTitle(o.Precision, o.Candidate))
	}
	was, checked := map[string]bool{}, map[string]bool{}
	for _, o := range c.old.Ops {
		checked[whole(o)] = true
		if o.Value == "" {
			was[whole(o)] = true
		}
	}
	for _, o := range c.now.Ops {
		if w := whole(o); o.Value == "" && checked[w] && !was[w] {
			c.verdict(w, "ok", o.Verdict)
		}
	}
}

// covers reports whether the new report's settings cover a layer of the old one.
func (c *comparer) covers(o OpRow) bool {
	s := c.now.Settings
	if !c.has("ops", "", o.Precision, o.Candidate) || !slices.Contains(s.Modes, o.Mode) {
		return false
	}
	if s.Op != "" {
		return s.Op == o.Case
	}
	found, err := FindCase(o.Case)
	if err != nil { // the networks have no such layer any more, or the baseline was edited
		return true
	}
	return found.InModels(s.Models)
}

func (c *comparer) networks() {
	for _, o := range c.old.Networks {
		i := slices.IndexFunc(c.now.Networks, func(n *NetworkReport) bool {
			return n.Model == o.Model && n.Precision == o.Precision && n.Kernels == o.Kernels
		})
		n := &NetworkReport{}
		if i >= 0 {
			n = c.now.Networks[i]
		}
		same := c.sameDevice && n.Batch == o.Batch && n.Input == o.Input && n.Weights == o.Weights && c.old.Settings.Seed == c.now.Settings.Seed
		if i >= 0 && c.sameDevice && !same {
			c.note("%s: errors and logits are not compared: the batch, the input's size, the seed or the weights are others", o.title())
		}
		c.network(o, n, same)
	}
}

func (c *comparer) network(o, n *NetworkReport, same bool) {
	title := o.title() + ": "
	if c.has("network", o.Model, o.Precision, o.Kernels) {
		rows := map[string]Row{}
		for _, row := range n.Rows {
			rows[row.Node] = row
		}
		for _, was := range o.Rows {
			c.Rows++
			is, ok := rows[was.Node]
			if !ok {
				c.missing(title+"node "+was.Node, was.Verdict)
				continue
			}
			c.verdict(title+"node "+was.Node, was.Verdict, is.Verdict)
			if same && was.OK() && is.OK() {
				c.grown(title+"node "+was.Node, was.share(), is.share())
			}
		}
	}
	if c.has("replays", o.Model, o.Precision, o.Kernels) && o.Replays != nil {
		c.replays(title, o.Replays, n.Replays, same && c.sameBits)
	}
	checks := func(stage string, was, is []Check) {
		if c.has(stage, o.Model, o.Precision, o.Kernels) {
			c.checks(title, was, is)
		}
	}
	checks("invariances", o.Invariances, n.Invariances)
	checks("processes", list(o.Processes), list(n.Processes))
	if c.has("images", o.Model, o.Precision, o.Kernels) && o.Agreement != nil {
		c.Rows++
		if n.Agreement == nil {
			c.missing(title+"classes of pictures", o.Agreement.Verdict)
		} else {
			c.verdict(title+"classes of pictures", o.Agreement.Verdict, n.Agreement.Verdict)
		}
	}
}

func (c *comparer) replays(title string, was, is *Replays, bits bool) {
	c.Rows++
	verdict := func(r *Replays) string {
		if r.OK() {
			return "ok"
		}
		return fmt.Sprintf("%d distinct outputs in %d runs", r.Distinct, r.Runs)
	}
	if is == nil {
		c.missing(title+"replays", verdict(was))
		return
	}
	c.verdict(title+"replays", verdict(was), verdict(is))
	if bits && was.OK() && is.OK() && was.Logits != is.Logits {
		c.Worse = append(c.Worse, Change{title + "bits of the logits, SHA-256", fmt.Sprintf("%.16s", was.Logits), fmt.Sprintf("%.16s", is.Logits)})
	}
}

func list(c *Check) []Check {
	if c == nil {
		return nil
	}
	return []Check{*c}
}

func (c *comparer) checks(title string, was, is []Check) {
	for _, o := range was {
		c.Rows++
		i := slices.IndexFunc(is, func(n Check) bool { return n.Name == o.Name })
		if i < 0 {
			c.missing(title+o.Name, o.Verdict)
			continue
		}
		c.verdict(title+o.Name, o.Verdict, is[i].Verdict)
	}
}

func (c *comparer) switches() {
	type key struct{ model, precision, kernels, fusion, memory, arena, debug string }
	of := func(s SwitchRow) key {
		return key{s.Model, s.Precision, s.Kernels, s.Fusion, s.Memory, s.Arena, s.Debug}
	}
	rows := map[key]SwitchRow{}
	for _, s := range c.now.Switches {
		rows[of(s)] = s
	}
	for _, o := range c.old.Switches {
		if !o.Available || !c.has("switches", o.Model, o.Precision, o.Kernels) {
			continue
		}
		c.Rows++
		what := fmt.Sprintf("%s: switches %s, fusion %s, memory %s, arena %s, debug %s", o.Model, candidateTitle(o.Precision, o.Kernels), o.Fusion, o.Memory, o.Arena, o.Debug)
		n, ok := rows[of(o)]
		switch {
		case !ok && !c.sameDevice && o.Memory == "direct": // the other device may not have it
		case !ok:
			c.missing(what, o.Verdict)
		default:
			c.verdict(what, o.Verdict, n.Verdict)
		}
	}
}
