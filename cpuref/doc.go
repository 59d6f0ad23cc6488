// Package cpuref executes a Graph in plain loops: the reference that the GPU is judged against, and the
// device "cpu". It reads any graph: unfused, folded or fused.
//
//	describe, fold, fuse: *graph.Graph → logits; needs no GPU
//
// It shares only the Graph with what it judges, and is written to be read, not to be fast.
//
// # Layout
//
// Values are dense NCHW slices: image, channel, row, column.
//
// # Arithmetic
//
// The element type is float32 or float64. Every constant of the graph is a float64 and is rounded once to
// the element type where it enters a loop: weights, biases, means, and BatchNorm's factor
// weight/sqrt(var+eps), which is computed in float64 first. Sums of convolutions and linear layers are
// accumulated in the element type, in an order that depends on the shapes only, products rounded before
// they are added (no fused multiply-add, so that processors agree). Means over a map are accumulated in
// float64 and rounded once: a float32 sum over a map of 150x150 would lose four decimal digits of its
// seven in the worst case. exp is math.Exp in float64 for both types, its result rounded once.
//
// A fused node computes what the nodes it replaced did, step by step in the same order and rounding, so
// fusing changes no bit of the result; only folding BatchNorm does.
//
// # Determinism
//
// Every channel of every image is computed by one goroutine from that image alone: the result does not
// depend on the number of workers, nor on what else is in the batch.
package cpuref
