package cpuref

import (
	"context"
	"fmt"
	"runtime"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// Float is the element type of a run.
type Float interface{ float32 | float64 }

// Options are the settings of a run; the zero value is good.
type Options struct {
	Workers int // goroutines that compute at once; 0 means one per available core
}

// Run executes g on a batch of n images and returns the output node's value for all of them.
//
// input holds n·C·H·W elements, NCHW, of g.InputShape(); the result n·C·H·W of g.OutputShape(), which for
// a classifier is n rows of logits. Run does not change input. It stops with ctx's error between two
// nodes once ctx is done. Other errors: a graph that fails its Check, an input of another length.
func Run[T Float](ctx context.Context, g *graph.Graph, input []T, n int, opts Options) ([]T, error) {
	return Trace(ctx, g, input, n, opts, func(*graph.Node, []T) {})
}

// Trace is Run with a callback that gets every node's value, n·C·H·W elements of the node's Shape, in the
// graph's order. The callback may keep the slice but must not change it. Values nobody kept are dropped
// after their last reader.
func Trace[T Float](ctx context.Context, g *graph.Graph, input []T, n int, opts Options, keep func(node *graph.Node, value []T)) ([]T, error) {
	if err := g.Check(); err != nil {
		return nil, fmt.Errorf("cpuref: %w", err)
	}
	if n < 1 {
		return nil, fmt.Errorf("cpuref: %s: batch of %d images, want at least 1", g.Model, n)
	}
	if in := g.Inputs(); len(in) > 1 {
		return nil, fmt.Errorf("cpuref: %s: a fragment with %d inputs, want one; Eval computes its nodes one by one", g.Model, len(in))
	}
	if want := n * g.InputShape().NumElements(); len(input) != want {
		return nil, fmt.Errorf("cpuref: %s: input has %d elements, want %d for %d images of %v", g.Model, len(input), want, n, g.InputShape())
	}
	r := newRunner(n, opts)
	lastReader := make([]graph.ID, len(g.Nodes))
	for _, node := range g.Nodes {
		for _, id := range node.Inputs {
			lastReader[id] = node.ID
		}
	}
	values := make([][]T, len(g.Nodes))
	for _, node := range g.Nodes {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("cpuref: %s: stopped before node %s: %w", g.Model, node.Name, err)
		}
		in := make([]tensor[T], len(node.Inputs))
		for i, id := range node.Inputs {
			in[i] = tensor[T]{g.Node(id).Shape, values[id]}
		}
		if _, ok := node.Op.(*graph.Input); ok {
			in = []tensor[T]{{node.Shape, input}}
		}
		out, err := eval(r, node, in)
		if err != nil {
			return nil, err
		}
		values[node.ID] = out.data
		keep(node, out.data)
		for _, id := range node.Inputs {
			if lastReader[id] == node.ID && id != g.Output {
				values[id] = nil
			}
		}
	}
	return values[g.Output], nil
}

// Eval computes one node of a graph that passes its Check: in holds the values of the node's inputs in
// their order, each of n images; for the input node it is the batch itself. It serves to judge a node by
// itself, fed with another implementation's values. Errors: an input of another number or length.
func Eval[T Float](g *graph.Graph, node *graph.Node, in [][]T, n int, opts Options) ([]T, error) {
	shapes := g.InputShapes(node)
	if _, ok := node.Op.(*graph.Input); ok {
		shapes = []graph.Shape{node.Shape}
	}
	if len(in) != len(shapes) {
		return nil, fmt.Errorf("cpuref: %s: node %s takes %d inputs, got %d", g.Model, node.Name, len(shapes), len(in))
	}
	tensors := make([]tensor[T], len(in))
	for i, data := range in {
		if want := n * shapes[i].NumElements(); n < 1 || len(data) != want {
			return nil, fmt.Errorf("cpuref: %s: node %s: input %d has %d elements, want %d for %d images of %v", g.Model, node.Name, i, len(data), want, n, shapes[i])
		}
		tensors[i] = tensor[T]{shapes[i], data}
	}
	out, err := eval(newRunner(n, opts), node, tensors)
	return out.data, err
}

// eval computes one node's value from its inputs' values.
func eval[T Float](r runner, node *graph.Node, in []tensor[T]) (tensor[T], error) {
	switch op := node.Op.(type) {
	case *graph.Input:
		return input(op, in[0]), nil
	case *graph.Conv:
		return conv(r, op, in)
	case *graph.BatchNorm:
		return batchNorm(r, op, in[0]), nil
	case *graph.Activation:
		return activation(r, op.Func, in[0])
	case *graph.Pool:
		return pool(r, in[0]), nil
	case *graph.Scale:
		return scale(r, in[0], in[1]), nil
	case *graph.Add:
		return add(r, in[0], in[1]), nil
	case *graph.SE:
		return se(r, op, in[0])
	case *graph.Linear:
		return linear(r, op, in[0]), nil
	default:
		return tensor[T]{}, fmt.Errorf("cpuref: node %s: op %s is not known here", node.Name, op.Kind())
	}
}

// tensor is a node's value for a batch: the shape is one image's.
type tensor[T Float] struct {
	shape graph.Shape
	data  []T // n·C·H·W
}

// plane returns channel c of image i.
func (t tensor[T]) plane(i, c int) []T {
	hw := t.shape.H * t.shape.W
	return t.data[(i*t.shape.C+c)*hw:][:hw]
}

// rounded returns a parameter's values in the element type.
func rounded[T Float](p *graph.Param) []T {
	out := make([]T, len(p.Data))
	for i, v := range p.Data {
		out[i] = T(v)
	}
	return out
}

// runner is what a run's ops share: the batch and how many goroutines may compute.
type runner struct{ n, workers int }

func newRunner(n int, opts Options) runner {
	if opts.Workers < 1 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	return runner{n, opts.Workers}
}

// alloc returns a zero value of that shape for the whole batch.
func alloc[T Float](r runner, s graph.Shape) tensor[T] {
	return tensor[T]{s, make([]T, r.n*s.NumElements())}
}
