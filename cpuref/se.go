package cpuref

import "github.com/vkinfer/vkinfer/netplan/graph"

// se computes squeeze-and-excitation's gate: sigmoid(expand(silu(reduce(mean over the map)))).
func se[T Float](r runner, op *graph.SE, x tensor[T]) (tensor[T], error) {
	channels, reduced := x.shape.C, op.Reduced()
	squeezed, err := conv(r, pointwise(op.ReduceWeight, op.ReduceBias, reduced, channels, graph.SiLU), []tensor[T]{pool(r, x)})
	if err != nil {
		return squeezed, err
	}
	return conv(r, pointwise(op.ExpandWeight, op.ExpandBias, channels, reduced, graph.Sigmoid), []tensor[T]{squeezed})
}

// pointwise is a 1x1 convolution with an activation.
func pointwise(weight, bias *graph.Param, out, in int, act graph.Act) *graph.Conv {
	w := &graph.Param{Name: weight.Name, Shape: []int{out, in, 1, 1}, Data: weight.Data}
	return &graph.Conv{Weight: w, Bias: bias, Stride: 1, Groups: 1, Act: act}
}
