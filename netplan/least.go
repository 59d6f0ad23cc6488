package netplan

import "github.com/vkinfer/vkinfer/netplan/graph"

// leastBytes is what any kernel for a node of a fused graph must move per image, however well it is written:
// each distinct map that it reads, once, and the map that it writes, at their channels without padding, in the
// precision's element size. The fused graph says what is a map of memory at all: a depthwise convolution's
// epilogue has the squeeze-and-excitation's sums, a projection's prologue multiplies by the gate and its
// epilogue adds the residual, the head's map is never stored.
//
// Not counted are what no kernel needs or what is next to nothing: the padding to eight channels, tile sums,
// gates, pooled vectors and logits (together 0.2 % of the networks' maps), and weights, which a batch reads
// once. A squeeze-and-excitation reads sums, not the map, so its least is 0, as is a linear layer's. Fusing
// more, such as an expansion with the depthwise convolution after it, would be another graph with another sum.
func leastBytes(g *graph.Graph, n *graph.Node, element int64) (bytes int64) {
	if _, ok := n.Op.(*graph.SE); ok {
		return 0
	}
	seen := map[graph.ID]bool{}
	for _, id := range append([]graph.ID{n.ID}, n.Inputs...) {
		if v := g.Node(id); !seen[id] && isMap(v) {
			seen[id] = true
			bytes += element * int64(v.Shape.NumElements())
		}
	}
	return bytes
}

// isMap reports whether a node's value has rows and columns, be it only one of each.
func isMap(n *graph.Node) bool {
	switch op := n.Op.(type) {
	case *graph.Conv:
		return !op.Pool
	case *graph.SE, *graph.Linear, *graph.Pool:
		return false
	case *graph.Input:
		return !op.Inner || n.Shape.H*n.Shape.W > 1
	}
	return true
}
