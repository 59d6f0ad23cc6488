package cpuref_test

import (
	"context"
	"fmt"

	"github.com/vkinfer/vkinfer/cpuref"
	"github.com/vkinfer/vkinfer/netplan/graph"
)

// A graph of two nodes, run on a batch of two rows of three pixels.
func ExampleTrace() {
	b := graph.NewBuilder("edges")
	x := b.Add("input", &graph.Input{Shape: graph.Shape{C: 1, H: 1, W: 3}})
	kernel := &graph.Param{Name: "kernel", Shape: []int{1, 1, 3, 3}, Data: []float64{0, 0, 0, -1, 0, 1, 0, 0, 0}}
	x = b.Add("edge", &graph.Conv{Weight: kernel, Stride: 1, Groups: 1}, x)
	x = b.Add("mean", &graph.Pool{}, x)
	g, err := b.Graph(x)
	if err != nil {
		fmt.Println(err)
		return
	}
	batch := []float32{1, 2, 4, 8, 8, 8}
	result, err := cpuref.Trace(context.Background(), g, batch, 2, cpuref.Options{}, func(n *graph.Node, value []float32) {
		fmt.Println(n.Name, value)
	})
	fmt.Println("result", result, err)
	// Output:
	// input [1 2 4 8 8 8]
	// edge [2 3 -2 8 0 -8]
	// mean [1 0]
	// result [1 0] <nil>
}
