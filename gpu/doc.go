// Package gpu runs a netplan.Plan on a Vulkan device.
//
// It is this stage of the pipeline (see ARCHITECTURE.md):
//
//	| stage   | function                          | in → out                          | needs a GPU |
//	| compile | gpu.NewExecutor(dev, plan, opts)  | Plan → Executor (pipelines, buffers, recorded commands) | yes |
//	| run     | exec.Run(ctx, input, n)           | NCHW float32 → logits             | yes         |
//
// The Plan says everything: kernels, specialization constants, offsets and barriers. This package obeys
// it and adds nothing but the copies in and out. It is the only package with cgo and the only one that
// imports github.com/vulkan-go/vulkan.
//
// # Who calls Vulkan
//
// vulkan-go gives the handle types, the constants and the calls whose parameters are scalars, handles or
// single structs without slices (memory, buffers, shader modules, caches, pools, queries, destruction).
// Everything that takes a slice of structs or of strings, as a parameter or inside a create-info, and
// everything newer than Vulkan 1.0 goes through the shim (shim.h): the binding frees the C copy of such
// slices from a finalizer that may run before or during the call. Every VkResult, of either, passes
// through one function (call in errors.go).
//
// # Safety for goroutines
//
// Devices and Executors may be used by any number of goroutines, and several Devices may be open at
// once, also on the same hardware. The queue of a Device is locked for the length of a submit only.
// One Executor runs one batch at a time; callers wait in the order in which they came.
// Close waits for work in flight. The loader and the drivers, once loaded, stay loaded until the process
// ends.
//
// # Environment
//
// VKINFER_LIBVULKAN names the Vulkan loader library to open instead of the system's. VKINFER_VALIDATION=1
// acts as Options.Validation everywhere. VKINFER_PIPELINE_CACHE names the folder for compiled pipelines, or is "off". The loader's own variables (VK_DRIVER_FILES and so on) apply.
//
// Only 64-bit little-endian targets are supported. Linux is tested; Windows and macOS have code but
// no test.
package gpu
