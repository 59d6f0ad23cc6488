package netplan

import (
	"fmt"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// Pass is one rewriting of the graph that leaves its results the same.
type Pass struct {
	Stage string // "fold" or "fuse": what `vkinfer plan --stage` shows
	Name  string
	Doc   string
	match func(*matcher, *graph.Node) *merge
}

// Passes is the pipeline, run from top to bottom.
var Passes = []Pass{
	{"fold", "batchnorm", "BatchNorm into the weights and bias of the convolution before it", matchBatchNorm},
	{"fuse", "activation", "an activation into the convolution before it", matchActivation},
	{"fuse", "se", "pool, reduce and expand of squeeze-and-excitation into one gate", matchSE},
	{"fuse", "gate", "the multiplication by the gate into the projection after it", matchGate},
	{"fuse", "residual", "the residual addition into the projection before it", matchResidual},
	{"fuse", "pool", "the mean over the map into the head convolution before it", matchPool},
}

// RunPasses applies the passes of the given stages in the table's order and checks the graph after each.
func RunPasses(g *graph.Graph, stages ...string) (*graph.Graph, error) {
	for _, p := range Passes {
		for _, s := range stages {
			if p.Stage != s {
				continue
			}
			var err error
			if g, err = p.Run(g); err != nil {
				return nil, err
			}
		}
	}
	return g, nil
}

// Fold returns g with every BatchNorm folded into its convolution.
func Fold(g *graph.Graph) (*graph.Graph, error) { return RunPasses(g, "fold") }

// Fuse returns the folded graph g in the form that Lower takes.
func Fuse(g *graph.Graph) (*graph.Graph, error) { return RunPasses(g, "fuse") }

// Run applies the pass once to every node that matches.
func (p Pass) Run(g *graph.Graph) (*graph.Graph, error) {
	m := &matcher{g: g, users: g.Users()}
	merges := make([]*merge, len(g.Nodes))
	absorbed := make([]bool, len(g.Nodes))
	for _, n := range g.Nodes {
		mg := p.match(m, n)
		if mg == nil {
			continue
		}
		merges[n.ID] = mg
		for _, a := range mg.absorbs {
			absorbed[a.ID] = true
		}
	}
	b := graph.NewBuilder(g.Model)
	ids := make([]graph.ID, len(g.Nodes))
	for _, n := range g.Nodes {
		if absorbed[n.ID] {
			ids[n.ID] = -1 // nobody else reads it
			continue
		}
		name, op, from := n.Name, n.Op, n.Inputs
		if mg := merges[n.ID]; mg != nil {
			name, op, from = mg.name, mg.op, mg.inputs
		}
		in := make([]graph.ID, len(from))
		for i, id := range from {
			in[i] = ids[id]
		}
		ids[n.ID] = b.AddYielding(name, n.Yields, op, in...)
	}
	out, err := b.Graph(ids[g.Output])
	if err != nil {
		return nil, fmt.Errorf("netplan: pass %s: %w", p.Name, err)
	}
	return out, nil
}

// merge replaces a node, and the nodes it absorbs, by one: it stands where the matched node stood and
// has its value.
type merge struct {
	name    string
	op      graph.Op
	inputs  []graph.ID // of the old graph
	absorbs []*graph.Node
}

type matcher struct {
	g     *graph.Graph
	users [][]graph.ID
}

// only returns the node id if n is its only reader and it is not the graph's result, else nil.
func (m *matcher) only(id graph.ID) *graph.Node {
	if len(m.users[id]) != 1 || id == m.g.Output {
		return nil
	}
	return m.g.Node(id)
}

// conv returns the node id and its op if it is a convolution read only once.
func (m *matcher) conv(id graph.ID) (*graph.Node, *graph.Conv) {
	n := m.only(id)
	if n == nil {
		return nil, nil
	}
	op, ok := n.Op.(*graph.Conv)
	if !ok {
		return nil, nil
	}
	return n, op
}
