package netplan

import (
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// TestLoopBound: a device that ends long loops gets more tiles where work can be split, and a clear error where
// it cannot. Without the bound nothing changes, and published sizes are far below it.
func TestLoopBound(t *testing.T) {
	bounded := MinimalCaps()
	bounded.MaxLoopIterations = 65535
	// A depthwise layer of a huge picture.
	free, tiled := lowerFragment(t, depthwiseFragment(t, 4096, 8192), MinimalCaps()), lowerFragment(t, depthwiseFragment(t, 4096, 8192), bounded)
	f, b := free.Dispatches[0], tiled.Dispatches[0]
	if f.Push[8] <= b.Push[8] || b.Push[9] <= f.Push[9] || b.Push[8]*b.Push[9] < f.Push[8] {
		t.Errorf("strips per lane and tiles: %v with the bound, %v without", b.Push[8:10], f.Push[8:10])
	}
	small, same := lowerFragment(t, depthwiseFragment(t, 120, 120), MinimalCaps()), lowerFragment(t, depthwiseFragment(t, 120, 120), bounded)
	if small.Dispatches[0].Push[8] != same.Dispatches[0].Push[8] {
		t.Errorf("the bound changes a layer of 120x120")
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
