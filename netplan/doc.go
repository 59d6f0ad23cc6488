// Package netplan turns a Graph into a Plan: stages fold, fuse and lower.
//
//	fold:  Graph → Graph, BatchNorm into the convolutions
//	fuse:  Graph → Graph, activations, squeeze-and-excitation, gates, residuals, pooling
//	lower: Lower(g, caps, opts): Graph + Caps → *Plan: kernels, packed weights, arena offsets, barriers
//
// Nothing here needs a GPU: a Plan is plain data that prints, computed from Caps, which is plain data
// too. Package gpu runs it.
package netplan
