package cpuref

import "github.com/vkinfer/vkinfer/netplan/graph"

// input is the batch itself, not copied: no op changes its inputs.
func input[T Float](op *graph.Input, x tensor[T]) tensor[T] {
	return tensor[T]{op.Shape, x.data}
}
