package shaders

import (
	"embed"
	"slices"
	"strings"
)

// Variant is a row of the kernel table: a kernel's name, the source it is compiled from and the
// preprocessor definitions that make it this variant.
type Variant struct {
	Name    string
	Source  string
	Defines []string // "NAME=VALUE"
}

// Variants is the kernel table. New features are new rows.
var Variants = slices.Concat(
	dtypes("conv_stem"),
	dtypes("conv_stem", "PICTURES"),
	dtypes("conv_dw"),
	dtypes("conv1x1"),
	dtypes("conv1x1_pool"),
	dtypes("conv1x1_shared"),
	dtypes("conv1x1_pool_shared"),
	dtypes("conv_stem", "TEXEL"),
	dtypes("conv_stem", "PICTURES", "TEXEL"),
	dtypes("conv_dw", "TEXEL"),
	dtypes("conv1x1", "TEXEL"),
	dtypes("conv1x1_pool", "TEXEL"),
	[]Variant{
		{Name: "linear_f32", Source: "linear.comp"},
		{Name: "linear_texel_f32", Source: "linear.comp", Defines: []string{"TEXEL"}},
		{Name: "se_f32", Source: "se.comp"},
		{Name: "se_texel_f32", Source: "se.comp", Defines: []string{"TEXEL"}},
		{Name: "resize", Source: "resize.comp"},

		// No part of any network: what a device can do at most (gpu.Device.Roofs).
		{Name: "roof_copy", Source: "roof_copy.comp"},
		{Name: "roof_fma_f32", Source: "roof_fma.comp"},
		{Name: "roof_fma_f16", Source: "roof_fma.comp", Defines: []string{"F16"}},
	},
)

// dtypes returns a kernel's rows for every dtype that maps are stored in (types.glsl). A feature is a
// definition of the source and a part of the name.
func dtypes(op string, features ...string) []Variant {
	source, defines := op+".comp", features
	for _, f := range features {
		op += "_" + strings.ToLower(f)
	}
	return []Variant{
		{Name: op + "_f32", Source: source, Defines: defines},
		{Name: op + "_f16", Source: source, Defines: append([]string{"F16"}, defines...)},
		{Name: op + "_f16p", Source: source, Defines: append([]string{"F16P"}, defines...)},
	}
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
