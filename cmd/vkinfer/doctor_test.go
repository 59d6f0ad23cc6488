package main

import (
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
)

// TestSmoke: the smoke test passes on a device that works, and fails on one that computes something else.
func TestSmoke(t *testing.T) {
	if ok, err := device(); !ok {
		t.Skip(err)
	}
	good, err := smoke(t.Context(), gpu.Options{}, nil)
	if err != nil || !good.OK {
		t.Errorf("got %+v, %v", good, err)
	}
	t.Logf("%+v", good)
	for name, edit := range map[string]func(*netplan.Plan){
		"a weight's bit":    func(p *netplan.Plan) { p.Weights[7] ^= 1 },
		"a dispatch less":   func(p *netplan.Plan) { p.Dispatches = append(p.Dispatches[:2], p.Dispatches[3:]...) },
		"one pixel too few": func(p *netplan.Plan) { p.Dispatches[0].Push[2]-- },
	} {
		bad, err := smoke(t.Context(), gpu.Options{}, edit)
		if err != nil || bad.OK || !strings.Contains(bad.Detail, "wrong results") {
			t.Errorf("%s: got %+v, %v; want a failure", name, bad, err)
		}
	}
}

func TestJudgeSmoke(t *testing.T) {
	want := []float64{1, 2, -3}
	if s := judgeSmoke([]float32{1, 2, -3}, []float32{1, 2, -3}, want); !s.OK {
		t.Errorf("equal: %+v", s)
	}
	if s := judgeSmoke([]float32{1, 2, -3}, []float32{1, 2, -2.9999998}, want); s.OK || !strings.Contains(s.Detail, "different bits") {
		t.Errorf("two runs that differ: %+v", s)
	}
	nan := float32(0)
	nan /= nan
	for _, got := range [][]float32{{1, 2, -3.001}, {1, nan, -3}, {0, 0, 0}} {
		if s := judgeSmoke(got, got, want); s.OK {
			t.Errorf("%v: %+v", got, s)
		}
	}
}

// TestEveryKernelIsSmoked: the small network has every kernel that the models' plans use.
func TestEveryKernelIsSmoked(t *testing.T) {
	g, err := smokeGraph()
	if err != nil {
		t.Fatal(err)
	}
	if g, err = netplan.RunPasses(g, "fold", "fuse"); err != nil {
		t.Fatal(err)
	}
	for _, kind := range netplan.Kernels {
		shared, texel := "", ""
		switch kind {
		case netplan.KernelsShared:
			shared = "_shared"
		case netplan.KernelsTexel:
			texel = "_texel"
		}
		caps := netplan.MinimalCaps()
		caps.SubgroupShuffle, caps.SubgroupSize, caps.TexelReads = true, 8, true
		p, err := netplan.Lower(g, caps, netplan.Options{Kernels: kind})
		if err != nil {
			t.Fatal(err)
		}
		kernels := map[string]bool{}
		for _, d := range p.Dispatches {
			kernels[d.Kernel] = true
		}
		for _, k := range []string{"conv_stem" + texel + "_f32", "conv_dw" + texel + "_f32", "se" + texel + "_f32", "conv1x1" + shared + texel + "_f32",
			"conv1x1_pool" + shared + texel + "_f32", "linear" + texel + "_f32"} {
			if !kernels[k] {
				t.Errorf("%s kernels: no dispatch of %s", kind, k)
			}
		}
	}
}
