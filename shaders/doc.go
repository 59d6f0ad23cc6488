// Package shaders holds the compute kernels: GLSL sources, the SPIR-V compiled from them, and what the
// SPIR-V says of its bindings, push constants and specialization constants. It is pure data.
//
// A kernel's name is <op>[_geometry]_<dtype>[_feature]. What changes the source is in the name; what
// shapes the code and is known at plan time (kernel size, stride, activation, workgroup size) is a
// specialization constant; sizes are push constants, so that one pipeline serves every layer and every
// input size. Constants 0, 1 and 2 are always the workgroup's size.
//
// `go generate` (make generate) compiles the sources with glslangValidator and rewrites spv/ and
// zkernels.go; both are committed, so that building needs no shader compiler.
package shaders

//go:generate go run gen.go
