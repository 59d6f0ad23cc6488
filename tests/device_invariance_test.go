package tests

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
)

// noise returns n reproducible values in [-1, 1).
func noise(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	x := make([]float32, n)
	for i := range x {
		x[i] = 2*r.Float32() - 1
	}
	return x
}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Errorf("%s: value %d is %v (%#08x), want the bits of %v (%#08x)", what, i, got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
			return
		}
	}
}

// TestDeviceSameBits: an image has the same logits, bit for bit, alone, in every slot of a batch, among
// other neighbours, in a batch that is split, and from run to run. With -short at one size.
func TestDeviceSameBits(t *testing.T) {
	sizes, again := [][2]int{{97, 45}, {64, 64}}, 5
	if testing.Short() {
		sizes, again = [][2]int{{45, 50}}, 2
	}
	for _, size := range sizes {
		spec := specOf(t, "efficientnet_b1_pruned")
		g, err := spec.Build(spec.Synth(7), size[0], size[1])
		if err != nil {
			t.Fatal(err)
		}
		exec := executor(t, g, netplan.Options{}, 8)
		per := g.InputShape().NumElements()
		images := noise(1, 8*per)
		classes := g.OutputShape().C
		batch := runDevice(t, exec, images, 8)
		for range again {
			sameBits(t, "the same batch again", runDevice(t, exec, images, 8), batch)
		}
		for slot := range 8 {
			alone := runDevice(t, exec, images[slot*per:(slot+1)*per], 1)
			sameBits(t, "alone and in its slot", alone, batch[slot*classes:(slot+1)*classes])
		}
		rotated := slices.Concat(images[per:], images[:per])
		sameBits(t, "first to last", runDevice(t, exec, rotated, 8)[7*classes:], batch[:classes])
		eleven := slices.Concat(images, images[:3*per])
		sameBits(t, "split batch", runDevice(t, exec, eleven, 11)[8*classes:], batch[:3*classes])
		if slices.Equal(batch[:classes], batch[classes:2*classes]) {
			t.Error("two images have the same logits, so the comparisons above show nothing")
		}
	}
}

// TestDeviceTexels: where kernels that read texel buffers are the default, those that read storage buffers give the same bits:
// they differ in nothing else.
func TestDeviceTexels(t *testing.T) {
	if !device(t).Caps().TexelReads {
		t.Skip("this device's default is another")
	}
	spec := specOf(t, "efficientnet_b1_pruned")
	g, err := spec.Build(spec.Synth(7), 45, 50)
	if err != nil {
		t.Fatal(err)
	}
	images := noise(3, 3*g.InputShape().NumElements())
	eachPrecision(t, func(t *testing.T, opts netplan.Options) {
		texels := runDevice(t, executor(t, g, opts, 3), images, 3)
		opts.Kernels = netplan.KernelsLane
		sameBits(t, "storage buffers", runDevice(t, executor(t, g, opts, 3), images, 3), texels)
	})
}

// TestDeviceStaging: copying through staging buffers changes nothing.
func TestDeviceStaging(t *testing.T) {
	direct := device(t)
	staged, err := gpu.Open(gpu.Options{Device: deviceName(), ForceStaging: true})
	if err != nil {
		t.Fatal(err)
	}
	defer staged.Close()
	spec := specOf(t, "efficientnet_b2_pruned")
	g, err := spec.Build(spec.Synth(3), 45, 61)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := netplan.Lower(fused(t, g), direct.Caps(), netplan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	input := noise(2, 3*g.InputShape().NumElements())
	var got [2][]float32
	for i, dev := range []*gpu.Device{direct, staged} {
		exec, err := gpu.NewExecutor(dev, plan, gpu.ExecutorOptions{MaxBatch: 3, Poison: true})
		if err != nil {
			t.Fatal(err)
		}
		got[i] = runDevice(t, exec, input, 3)
		if err := exec.Close(); err != nil {
			t.Error(err)
		}
	}
	sameBits(t, "staged", got[1], got[0])
	for _, m := range staged.Messages() {
		t.Errorf("validation: %v", m)
	}
	checkFloat32(t, got[0], run[float64](t, g, input, 3), 1000)
}

// TestDeviceSynth compares networks of random weights with the reference in float64 at odd sizes.
func TestDeviceSynth(t *testing.T) {
	for i, c := range []struct {
		model   string
		h, w, n int
	}{{"efficientnet_b1_pruned", 32, 32, 1}, {"efficientnet_b2_pruned", 33, 79, 2}, {"efficientnet_b3_pruned", 71, 50, 3}, {"efficientnet_b3_pruned", 1, 1, 2}} {
		spec := specOf(t, c.model)
		g, err := spec.Build(spec.Synth(uint64(i)), c.h, c.w)
		if err != nil {
			t.Fatal(err)
		}
		input := noise(uint64(i), c.n*g.InputShape().NumElements())
		got := runDevice(t, executor(t, g, netplan.Options{}, c.n), input, c.n)
		checkFloat32(t, got, run[float64](t, g, input, c.n), 1000)
	}
}
