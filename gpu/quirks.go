package gpu

import "github.com/vkinfer/vkinfer/netplan"

// A quirk edits the Caps of devices whose drivers misreport or misbehave. Planners and kernels never ask
// for vendors; this table is the only place that does.
type quirk struct {
	reason  string // what was measured, on what
	applies func(*netplan.Caps) bool
	edit    func(*netplan.Caps)
}

// quirks is read top to bottom; every row that applies edits. No driver measured so far needed one.
var quirks []quirk

// applyQuirks edits c and returns the reasons of the rows that applied.
func applyQuirks(c *netplan.Caps, table []quirk) []string {
	var reasons []string
	for _, q := range table {
		if q.applies(c) {
			q.edit(c)
			reasons = append(reasons, q.reason)
		}
	}
	return reasons
}
