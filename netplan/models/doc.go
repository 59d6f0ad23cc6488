// Package models holds the table of network variants and builds their graphs: stage "describe".
//
//	describe: Lookup(name).Build(stateDict, h, w): Spec + StateDict → *graph.Graph; needs no GPU
//
// A new variant of the family is one row of the table in models.go and one .shapes file.
package models
