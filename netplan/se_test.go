package netplan

import "testing"

// TestSELanes: the lanes of shaders/se.comp keep its rules on small and large devices, and no part of the tiles is empty.
func TestSELanes(t *testing.T) {
	for _, invocations := range []int{128, 256, 384, 1024} {
		l := &lowering{plan: &Plan{Kernels: KernelsShared}, caps: MinimalCaps()}
		l.caps.MaxWorkgroupInvocations, l.caps.MaxWorkgroupSize[0] = invocations, invocations
		for c4 := 2; c4 <= seMaxChannels/4; c4 += 2 {
			for _, tiles := range []int{1, 2, 3, 8, 29, 113, 1024} {
				lanes, across := l.seLanes(c4, tiles)
				parts := lanes / across
				if lanes > invocations || lanes < 128 || lanes > 512 || parts < 1 || parts*across != lanes || parts > max(tiles, 1) ||
					parts > 1 && (across < c4 || across > 256 || across+lanes > seMaxChannels/4) {
					t.Fatalf("%d lanes at most, %d groups of channels, %d tiles: %d lanes, %d across", invocations, c4, tiles, lanes, across)
				}
			}
		}
		l.plan.Kernels = KernelsLane
		if lanes, across := l.seLanes(8, 100); lanes != 128 || across != 128 {
			t.Errorf("%d lanes, %d across for a CPU", lanes, across)
		}
	}
}
