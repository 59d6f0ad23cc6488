// Package conformance shows whether a Vulkan device computes what it should, in enough detail for a driver's
// bug report. The verify command and the tests both use it.
//
// Its parts, from the smallest piece to whole runs:
//
//   - Ops runs every layer shape of the networks by itself (Cases), in exact-integer mode, where results must
//     be those of integer arithmetic, and in real-number mode, where every element has a bound derived for it.
//     A failure names the worst element, the pattern of the bad ones, and the command that runs it again.
//   - Network compares every value that a whole network stores with package cpuref in float64, and replays.
//   - Invariances changes what must not matter (slots, neighbours, splits, places, executors) and compares bits.
//   - Switches runs the network with its switches set in every way.
//   - Agree compares the classes of pictures.
//   - CheckPlan looks for hazards in a plan without running it.
//
// A Report holds all of it; WriteHTML makes a page of one. The references here share no code with package
// cpuref or with the planner.
package conformance
