// Package graph is the network's intermediate representation: a topologically ordered slice of
// Nodes, each with an Op, its inputs by ID, a name and an inferred Shape.
//
// Stages describe, fold and fuse produce Graphs; package cpuref executes any of them, package
// netplan lowers the fused form. The batch is not part of a Graph: every Shape is per image and
// every op treats the images of a batch independently.
//
// A Graph is built with a Builder, which infers shapes and refuses ill-formed nodes; Check verifies a
// finished one. Text and DOT print it.
package graph
