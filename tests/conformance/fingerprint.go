package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"runtime"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/shaders"
)

// Fingerprint says what a report is about: the device, its driver, and how its kernels calculate.
type Fingerprint struct {
	Device        string   `json:"device"`
	Type          string   `json:"type"`
	VendorID      uint32   `json:"vendor_id"`
	DeviceID      uint32   `json:"device_id"`
	Driver        string   `json:"driver"`
	DriverVersion string   `json:"driver_version"`
	APIVersion    string   `json:"api_version"`
	SubgroupSize  int      `json:"subgroup_size"`
	Float16       bool     `json:"float16"`
	Storage16     bool     `json:"storage16"`
	HostVisible   bool     `json:"host_visible"`
	Quirks        []string `json:"quirks"`
	Floats        Floats   `json:"floats"`
	Kernels       string   `json:"kernels"` // hash of all SPIR-V
	Host          string   `json:"host"`    // operating system and processor architecture
}

// Floats is how a device's kernels calculate in float32 where Vulkan leaves a choice, as measured by a 1×1
// convolution.
type Floats struct {
	Rounding  string `json:"rounding"`  // of additions: "nearest", "zero" or "other"
	Denormals string `json:"denormals"` // "kept" or "flushed"
	Fused     bool   `json:"fused"`     // products are added without rounding them first
	Halves    string `json:"halves"`    // rounding of results that precision amp stores: "nearest", "zero" or "other"
}

func (f Floats) String() string {
	products := "products rounded before they are added"
	if f.Fused {
		products = "multiply-adds fused"
	}
	return fmt.Sprintf("rounds to %s, denormal numbers %s, %s; 16-bit results rounded to %s", f.Rounding, f.Denormals, products, f.Halves)
}

// NewFingerprint describes dev.
func NewFingerprint(ctx context.Context, dev *gpu.Device) (*Fingerprint, error) {
	i := dev.Info()
	f := &Fingerprint{Device: i.Caps.Name, Type: i.Caps.Type, VendorID: i.Caps.VendorID, DeviceID: i.Caps.DeviceID,
		Driver: i.Driver, DriverVersion: i.DriverVersion, APIVersion: i.APIVersion, SubgroupSize: i.Caps.SubgroupSize,
		Float16: i.Caps.Float16, Storage16: i.Caps.Storage16, HostVisible: i.Caps.HostVisible,
		Quirks: append([]string{}, i.Quirks...), Host: runtime.GOOS + "/" + runtime.GOARCH}
	h := sha256.New()
	for _, v := range shaders.Variants {
		if k, ok := shaders.Lookup(v.Name); ok {
			h.Write(k.Code)
		}
	}
	f.Kernels = hex.EncodeToString(h.Sum(nil)[:8])
	var err error
	f.Floats, err = measureFloats(ctx, dev)
	return f, err
}

// measureFloats runs 1×1 convolutions of one pixel whose outputs depend on what it measures.
func measureFloats(ctx context.Context, dev *gpu.Device) (Floats, error) {
	const ulp = 1.0 / (1 << 23) // of 1
	x := []float64{1, 1 + 1.0/(1<<12), math.Ldexp(1, -130)}
	w := []float64{
		1, 0, 0, // 1 + 3/4 ulp
		-1, 0, 0, // the same below zero
		-(1 + 1.0/(1<<11)), 1 + 1.0/(1<<12), 0, // 2^-24, unless the square is rounded, to 1 + 2^-11
		0, 0, 1, // a denormal number
	}
	y, err := pixel(ctx, dev, netplan.PrecisionFloat32, x, w, []float64{0.75 * ulp, -0.75 * ulp, 0, 0})
	if err != nil {
		return Floats{}, err
	}
	f := Floats{Rounding: rounding(y, ulp), Denormals: "flushed", Fused: y[2] != 0}
	if y[3] != 0 {
		f.Denormals = "kept"
	}
	const halfUlp = 1.0 / (1 << 10) // of 1 in 16 bits
	y, err = pixel(ctx, dev, netplan.PrecisionAMP, []float64{1}, []float64{1, -1}, []float64{0.75 * halfUlp, -0.75 * halfUlp})
	if err != nil {
		return f, err
	}
	f.Halves = rounding(y, halfUlp)
	return f, nil
}

// rounding says what became of 1 + 3/4 ulp and of its negative.
func rounding(y []float32, ulp float32) string {
	switch {
	case y[0] == 1+ulp && y[1] == -1-ulp:
		return "nearest"
	case y[0] == 1 && y[1] == -1:
		return "zero"
	}
	return "other"
}

// pixel runs a 1×1 convolution of one pixel x with weights [outputs][inputs].
func pixel(ctx context.Context, dev *gpu.Device, precision string, x, w, bias []float64) ([]float32, error) {
	c := Case{Name: "floats", Kind: "conv1x1", In: graph.Shape{C: len(x), H: 1, W: 1}, Out: len(bias), Kernel: 1, Stride: 1}
	g, err := c.fragment(c.In, graph.Identity, params{w: w, bias: bias})
	if err != nil {
		return nil, err
	}
	plan, err := netplan.Lower(g, dev.Caps(), netplan.Options{Precision: precision})
	if err != nil {
		return nil, err
	}
	exec, err := gpu.NewExecutor(dev, plan, gpu.ExecutorOptions{MaxBatch: 1})
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	input := make([]float32, len(x))
	for i, v := range x {
		input[i] = float32(v)
	}
	y, err := exec.Run(ctx, input, 1)
	if err == nil && len(y) != c.Out {
		err = fmt.Errorf("conformance: %d results, want %d", len(y), c.Out)
	}
	return y, err
}
