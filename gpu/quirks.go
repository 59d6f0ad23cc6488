package gpu

import (
	"fmt"

	"github.com/vkinfer/vkinfer/netplan"
)

// A quirk edits the Caps of devices whose drivers misreport or misbehave. Planners and kernels never ask
// for vendors; this table is the only place that does. Options.NoQuirks switches it off.
type quirk struct {
	reason  string // what was measured, on what
	source  string // the test here, the public thread or, for speed, the results that show it
	applies func(*netplan.Caps) bool
	edit    func(*netplan.Caps)
}

// quirks is read top to bottom; every row that applies edits.
//
// What no edit of Caps can mend is mended where it is, for every driver: SwiftShader leaks a thread-specific
// key with every instance and ends the process at about the thousandth (anchor in loader.go); it takes
// SPIR-V whose capabilities it lacks and computes garbage (checkCapabilities). lavapipe compiles kernels twice for texel
// buffers of some sizes (oneVariant in record.go).
var quirks = []quirk{{
	reason: "lavapipe before Mesa 25 silently ends the loops of an invocation after 65535 iterations in all",
	source: "gpu.TestLongLoops",
	applies: func(c *netplan.Caps) bool {
		return c.DriverName == "llvmpipe" && mesaMajor(c) < 25
	},
	edit: func(c *netplan.Caps) { c.MaxLoopIterations = 65535 },
}, {
	reason: "lavapipe before Mesa 26 loads from storage buffers lane by lane, from texel buffers a vector at once: networks are 1.5 times as fast",
	source: "bench/RESULTS.md",
	applies: func(c *netplan.Caps) bool {
		return c.DriverName == "llvmpipe" && mesaMajor(c) < 26
	},
	edit: func(c *netplan.Caps) { c.TexelReads = true },
}, {
	reason: "MoltenVK says that AMD's GPUs have subgroups of 64, but shuffles never reach beyond 32 lanes",
	source: "https://github.com/KhronosGroup/MoltenVK/issues/2756",
	applies: func(c *netplan.Caps) bool {
		return c.DriverName == "MoltenVK" && c.VendorID == vendorAMD && c.SubgroupSize > 32
	},
	edit: func(c *netplan.Caps) { c.SubgroupShuffle = false },
}}

const vendorAMD = 0x1002

// mesaMajor is the first number of Mesa's version, 0 where the driver does not say. lavapipe says it only in
// words; its number is 0.0.1 up to Mesa 25.
func mesaMajor(c *netplan.Caps) (major int) {
	_, _ = fmt.Sscanf(c.DriverInfo, "Mesa %d.", &major)
	return major
}

// applyQuirks edits c and returns the reasons of the rows that applied, with their sources.
func applyQuirks(c *netplan.Caps, table []quirk) []string {
	var reasons []string
	for _, q := range table {
		if q.applies(c) {
			q.edit(c)
			reasons = append(reasons, q.reason+" ("+q.source+")")
		}
	}
	return reasons
}
