// Mutation puts faults into the kernels, the planner, the recorder and the model's description, one at a
// time, and reports which layers of checks notice each:
//
//	interface   the kernel's compiled module: spirv-val, its bindings and constants, the barriers
//	            between its accesses of shared memory
//	unit        go vet and the tests of the changed package (Go files only)
//	plan        the network's plans, looked through for hazards
//	exact       layers by themselves in integers, bit for bit
//	real        layers by themselves, every element within its derived bound
//	network     a small network, every value that it stores against float64; replays
//	invariance  slots, neighbours, splits, arena layouts, executors, staging: bit for bit
//	golden      logits against PyTorch's
//	validation  core and synchronization validation
//
// The working tree is not touched: a copy of shaders/ is changed and compiled, and Go files are replaced by
// go's -overlay. The layers themselves are TestMutant in package tests.
//
// The exit status is 0 when every fault is noticed, by the layers that the table names at least, and
// nothing is noticed where there is no fault; 1 otherwise; 2 for usage and what cannot be run.
package main
