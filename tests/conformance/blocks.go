package conformance

import (
	"context"
	"strings"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
)

// block is a part of a fused network that has one result: "blocks.2.1", "conv_stem", "classifier".
type block struct {
	name  string
	graph *graph.Graph
	feeds []string // what its inputs yield, in their order
}

// blocksOf cuts a fused graph into its blocks, each with inner inputs for what it reads from others.
func blocksOf(g *graph.Graph) (list []block, err error) {
	nodes := g.Nodes
	for len(nodes) > 0 {
		name, n := blockName(nodes[0].Name), 1
		for n < len(nodes) && blockName(nodes[n].Name) == name {
			n++
		}
		part := nodes[:n]
		nodes = nodes[n:]
		if _, ok := part[0].Op.(*graph.Input); ok {
			continue
		}
		b := block{name: name}
		build := graph.NewBuilder(g.Model + " " + name)
		id := map[graph.ID]graph.ID{}
		for _, node := range part { // inputs come first
			for _, in := range node.Inputs {
				if _, known := id[in]; !known && in < part[0].ID {
					id[in] = build.Add(g.Node(in).Name, &graph.Input{Shape: g.Node(in).Shape, Inner: in != g.Input})
					b.feeds = append(b.feeds, g.Node(in).Yields)
				}
			}
		}
		for _, node := range part {
			var inputs []graph.ID
			for _, in := range node.Inputs {
				inputs = append(inputs, id[in])
			}
			id[node.ID] = build.AddYielding(node.Name, node.Yields, node.Op, inputs...)
		}
		if b.graph, err = build.Graph(id[part[n-1].ID]); err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, nil
}

// blockName returns the first three parts of a name in "blocks", and the first of another.
func blockName(node string) string {
	parts := strings.Split(node, ".")
	if parts[0] == "blocks" && len(parts) > 3 {
		return strings.Join(parts[:3], ".")
	}
	return parts[0]
}

// blocks runs every block of a fused network by itself, fed what the reference has there, so that no error comes from
// another block. want are the reference's values by the names of unfused nodes.
func (s Subject) blocks(ctx context.Context, fused *graph.Graph, want map[string][]float64) ([]Row, error) {
	list, err := blocksOf(fused)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, b := range list {
		row, err := s.block(ctx, b, want)
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (s Subject) block(ctx context.Context, b block, want map[string][]float64) (Row, error) {
	plan, err := s.lower(s.Device, b.graph, layout{keepAll: true})
	if err != nil {
		return Row{}, err
	}
	exec, err := gpu.NewExecutor(s.Device, plan, gpu.ExecutorOptions{MaxBatch: s.N, Poison: true})
	if err != nil {
		return Row{}, err
	}
	defer exec.Close()
	var input []float32
	for i := range s.N { // an image has all its inputs, one after the other
		for k, t := range plan.InputTensors() {
			per := plan.Tensors[t].Shape.NumElements()
			for _, v := range want[b.feeds[k]][i*per : (i+1)*per] {
				input = append(input, float32(v))
			}
		}
	}
	got, err := exec.Trace(ctx, input, s.N)
	if err != nil {
		return Row{}, err
	}
	row := compare(plan, valueOf(got, plan), want[plan.Tensors[plan.OutputTensor].Yields], s.N, GatesFor(plan.Precision).Block, false)
	row.Node = b.name + " alone"
	return row, nil
}

// valueOf returns the plan's output among the values of a trace.
func valueOf(trace []gpu.TraceValue, plan *netplan.Plan) gpu.TraceValue {
	for _, t := range trace {
		if t.Name == plan.Tensors[plan.OutputTensor].Name {
			return t
		}
	}
	return gpu.TraceValue{}
}
