package conformance

import "github.com/vkinfer/vkinfer/netplan/graph"

// Further lists small layers that no network has today but that the planner takes: kernels' switches in
// combinations of their own, sums whose ends are ragged everywhere. What a kernel is able to do is tested
// before the first network asks for it.
func Further() []Case {
	list := []Case{
		// Rows of pictures that begin at any byte of a word, and padding on the left.
		{Kind: "stem", In: graph.Shape{C: 3, H: 13, W: 19}, Out: 16, Kernel: 3, Stride: 2, Act: graph.SiLU},
		{Kind: "stem", In: graph.Shape{C: 3, H: 14, W: 10}, Out: 8, Kernel: 3, Stride: 2},
		{Kind: "conv1x1", In: graph.Shape{C: 61, H: 13, W: 9}, Out: 35, Act: graph.SiLU, Gate: true, Residual: true},
		// So few products that the bound is a few ulp: the activation itself is judged.
		{Kind: "conv1x1", In: graph.Shape{C: 2, H: 4, W: 33}, Out: 16, Act: graph.SiLU},
		{Kind: "conv1x1", In: graph.Shape{C: 9, H: 1, W: 3}, Out: 1},
		{Kind: "depthwise", In: graph.Shape{C: 35, H: 9, W: 7}, Out: 35, Kernel: 3, Stride: 2, Act: graph.SiLU},
		{Kind: "depthwise", In: graph.Shape{C: 20, H: 5, W: 6}, Out: 20, Kernel: 5},
		{Kind: "head", In: graph.Shape{C: 35, H: 5, W: 27}, Out: 61, Act: graph.SiLU},
		{Kind: "linear", In: graph.Shape{C: 333, H: 1, W: 1}, Out: 15},
		{Kind: "linear", In: graph.Shape{C: 5, H: 1, W: 1}, Out: 3},
	}
	for i := range list {
		c := &list[i]
		c.Kernel, c.Stride = max(c.Kernel, 1), max(c.Stride, 1)
		c.Name = c.name()
	}
	return list
}
