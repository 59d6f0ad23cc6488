package netplan

import (
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// TestLoopBound: on a device that ends long loops a head of too many pixels is a clear error. Depthwise layers loop
// over few patches whatever their size, and over one at published sizes.
func TestLoopBound(t *testing.T) {
	bounded := MinimalCaps()
	bounded.MaxLoopIterations = 65535
	const patches = 8 // the constant's id
	for size, want := range map[int]uint32{150: 1, 4096: 64} {
		d := lowerFragment(t, depthwiseFragment(t, size, size), bounded).Dispatches[0]
		if d.Spec[patches] != want || d.Groups[1].For(1) > 1024 {
			t.Errorf("%d pixels a side: %d patches a lane in %d tiles, want %d patches and at most 1024 tiles", size, d.Spec[patches], d.Groups[1].For(1), want)
		}
	}
	bounded.MaxStorageBufferRange, bounded.MaxAllocation = 1<<40, 1<<40
	_, err := Lower(headFragment(t, 4096, 4096), bounded, Options{})
	if err == nil || !strings.Contains(err.Error(), "65535") || !strings.Contains(err.Error(), "node y") {
		t.Errorf("a head that cannot be split: got %v", err)
	}
	lowerFragment(t, headFragment(t, 4096, 4096), MinimalCaps())
}

func lowerFragment(t *testing.T, g *graph.Graph, c Caps) *Plan {
	t.Helper()
	c.MaxStorageBufferRange, c.MaxAllocation = 1<<40, 1<<40
	p, err := Lower(g, c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func depthwiseFragment(t *testing.T, h, w int) *graph.Graph {
	t.Helper()
	return convFragment(t, graph.Shape{C: 8, H: h, W: w}, &graph.Conv{Stride: 1, Groups: 8}, 8, 1, 3)
}

func headFragment(t *testing.T, h, w int) *graph.Graph {
	t.Helper()
	return convFragment(t, graph.Shape{C: 64, H: h, W: w}, &graph.Conv{Stride: 1, Groups: 1, Pool: true}, 64, 64, 1)
}

func convFragment(t *testing.T, in graph.Shape, op *graph.Conv, out, perOut, k int) *graph.Graph {
	t.Helper()
	op.Weight = &graph.Param{Name: "w", Shape: []int{out, perOut, k, k}, Data: make([]float64, out*perOut*k*k)}
	op.Bias = &graph.Param{Name: "b", Shape: []int{out}, Data: make([]float64, out)}
	b := graph.NewBuilder("fragment")
	g, err := b.Graph(b.Add("y", op, b.Add("x", &graph.Input{Shape: in, Inner: true})))
	if err != nil {
		t.Fatal(err)
	}
	return g
}
