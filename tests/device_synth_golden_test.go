package tests

import (
	"maps"
	"slices"
	"testing"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/tests/oracle"
)

// TestDeviceGoldenSynth is the device's part of TestSynthGoldens: all three variants against PyTorch.
func TestDeviceGoldenSynth(t *testing.T) {
	goldens := readSynthGoldens(t)
	for _, model := range slices.Sorted(maps.Keys(goldens.Models)) {
		for _, name := range slices.Sorted(maps.Keys(goldens.Models[model])) {
			c := goldens.Models[model][name]
			t.Run(model+"/"+name, func(t *testing.T) {
				n, h, w := c.InputShape[0], c.InputShape[2], c.InputShape[3]
				if testing.Short() && h*w > 200*200 {
					t.Skip("a large case, with -short")
				}
				g, err := specOf(t, model).Build(synthWeights(t, model, goldens.Seed), h, w)
				if err != nil {
					t.Fatal(err)
				}
				want, classes := synthLogits(t, model, name), c.LogitsShape[1]
				eachPrecision(t, func(t *testing.T, opts netplan.Options) {
					exec := executor(t, g, opts, n)
					got := runDevice(t, exec, synthPicture(n, h, w), n)
					checkPrecision(t, exec, got, want, classes)
					if opts.Precision == netplan.PrecisionAMP {
						return // classes of made-up weights lie close together
					}
					for i, top := range c.Top1 {
						if best := oracle.ArgMax(got[i*classes:][:classes]); best != top {
							t.Errorf("image %d: best class %d, want %d", i, best, top)
						}
					}
				})
			})
		}
	}
}
