package netplan

import (
	"fmt"
	"strings"
	"testing"
)

// TestSharedTiles: tiles for every number of columns and pixels are such as shaders/conv1x1_shared.glsl can compute, and
// leave less than half of their columns empty.
func TestSharedTiles(t *testing.T) {
	check := func(tile sharedTile, what string, n int) {
		t.Helper()
		if tile.sharedBytes() > maxSharedBytes || tile.rows*tile.slab4%tile.colLanes != 0 || sharedLanes%(tile.colLanes*tile.slab4) != 0 {
			t.Errorf("%d %s: %+v with %d bytes of shared memory", n, what, tile, tile.sharedBytes())
		}
	}
	for n4 := 1; n4 < 1000; n4++ {
		tile := sharedTileFor(n4)
		check(tile, "groups of columns", n4)
		if across := ceilDiv(n4, tile.tileCols4()); n4 > 1 && across*tile.tileCols4() >= 2*n4 {
			t.Errorf("%d groups of columns in %d tiles of %d", n4, across, tile.tileCols4())
		}
	}
	for pixels := 1; pixels < 1000; pixels++ {
		tile := pooledTileFor(pixels)
		check(tile, "pixels", pixels)
		if sums := sharedLanes / tile.colLanes * tile.tileCols4(); sums > tile.tileRows()*(tile.slab4|1) || tile.tileCols4() > sharedLanes {
			t.Errorf("%d pixels: %+v has no place for %d sums", pixels, tile, sums)
		}
	}
	if a, b := pooledTileFor(64), pooledTileFor(100); a.tileRows() != 64 || b.tileRows() != 128 {
		t.Errorf("tiles of %d and %d rows for 64 and 100 pixels", a.tileRows(), b.tileRows())
	}
}

// TestKernels: CPUs get the kernels of lanes, by way of texel buffers where that is faster, others those of shared memory,
// and whoever asks what he asks for.
func TestKernels(t *testing.T) {
	for _, test := range []struct {
		device    string
		texels    bool
		ask, want string
	}{
		{"cpu", false, "", KernelsLane}, {"discrete", false, "", KernelsShared}, {"cpu", false, KernelsShared, KernelsShared},
		{"integrated", false, KernelsLane, KernelsLane}, {"cpu", true, "", KernelsTexel}, {"cpu", true, KernelsLane, KernelsLane},
		{"discrete", true, "", KernelsShared}, {"discrete", false, KernelsTexel, KernelsTexel},
	} {
		c := MinimalCaps()
		c.Type, c.TexelReads, c.SubgroupShuffle, c.SubgroupSize = test.device, test.texels, true, 8
		p, err := Lower(headFragment(t, 8, 8), c, Options{Kernels: test.ask})
		if err != nil {
			t.Fatal(err)
		}
		got := p.Dispatches[0].Kernel
		if p.Kernels != test.want || strings.Contains(got, "shared") != (test.want == KernelsShared) || strings.Contains(got, "texel") != (test.want == KernelsTexel) {
			t.Errorf("%+v: plan of kernels %s with %s", test, p.Kernels, got)
		}
	}
	for _, lanes := range []int{0, 2, 6, 32} {
		c := MinimalCaps()
		c.Type, c.TexelReads, c.SubgroupShuffle, c.SubgroupSize = "cpu", true, true, lanes
		if k := KernelsFor(c); k != KernelsLane {
			t.Errorf("kernels %s for subgroups of %d lanes", k, lanes)
		}
		_, err := Lower(headFragment(t, 8, 8), c, Options{Kernels: KernelsTexel})
		if want := fmt.Sprintf(`those of device "minimal Vulkan 1.0" have %d (shuffle: true)`, lanes); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("subgroups of %d lanes: %v", lanes, err)
		}
	}
	c := MinimalCaps()
	if c.SubgroupSize = 8; CheckKernels(c, KernelsTexel) == nil {
		t.Error("subgroups that do not shuffle will do")
	}
	if _, err := Lower(headFragment(t, 8, 8), MinimalCaps(), Options{Kernels: "tensor"}); err == nil || !strings.Contains(err.Error(), `kernels "tensor", want one of lane, texel, shared`) {
		t.Errorf("kernels that do not exist: %v", err)
	}
}
