package shaders

import "embed"

// Variant is a row of the kernel table: a kernel's name, the source it is compiled from and the
// preprocessor definitions that make it this variant.
type Variant struct {
	Name    string
	Source  string
	Defines []string // "NAME=VALUE"
}

// Variants is the kernel table. New dtypes and features are new rows.
var Variants = []Variant{
	{Name: "conv_stem_f32", Source: "conv_stem.comp"},
	{Name: "conv_dw_f32", Source: "conv_dw.comp"},
	{Name: "conv1x1_f32", Source: "conv1x1.comp"},
	{Name: "conv1x1_pool_f32", Source: "conv1x1_pool.comp"},
	{Name: "se_f32", Source: "se.comp"},
	{Name: "linear_f32", Source: "linear.comp"},

	// No part of any network: what a device can do at most (gpu.Device.Roofs).
	{Name: "roof_copy", Source: "roof_copy.comp"},
	{Name: "roof_fma_f32", Source: "roof_fma.comp"},
	{Name: "roof_fma_f16", Source: "roof_fma.comp", Defines: []string{"F16"}},
}

// Kernel is a compiled kernel.
type Kernel struct {
	Name string
	Code []byte // SPIR-V, little-endian words
	Reflection
}

//go:embed spv/*.spv
var spirv embed.FS

// Lookup returns the kernel of that name.
func Lookup(name string) (*Kernel, bool) {
	r, ok := reflections[name]
	if !ok {
		return nil, false
	}
	code, err := spirv.ReadFile("spv/" + name + ".spv")
	if err != nil {
		return nil, false
	}
	return &Kernel{Name: name, Code: code, Reflection: r}, true
}
