package graph

import "fmt"

// ID numbers a Node within its Graph; it is the node's index in Graph.Nodes.
type ID int

// Shape is the shape of one image's value: channels, rows, columns. A vector is C×1×1.
type Shape struct{ C, H, W int }

// NumElements returns C·H·W.
func (s Shape) NumElements() int { return s.C * s.H * s.W }

func (s Shape) String() string { return fmt.Sprintf("%dx%dx%d", s.C, s.H, s.W) }

// Param is a constant tensor of the network: a weight, a bias or a BatchNorm statistic.
// Float64 holds every checkpoint type exactly, so that folding rounds once, at the end.
type Param struct {
	Name  string // the state-dict entry it came from, or a derived name such as "blocks.0.0.conv_dw.folded"
	Shape []int
	Data  []float64 // C order
}

// Op is what a Node computes. The set is closed: see the op_*.go files and Ops.
type Op interface {
	// Kind is the op's name in texts: "conv", "batchnorm", …
	Kind() string
	// attrs describes the op's settings for people, "" when there are none.
	attrs() string
	// infer checks the inputs and returns the output's shape.
	infer(in []Shape) (Shape, error)
	// params lists the constants, in a fixed order, without nils.
	params() []*Param
	// macs is the number of multiply-adds for one image.
	macs(in []Shape, out Shape) int64
}

// Node is one value of the network and how it is computed.
type Node struct {
	ID     ID
	Name   string // the module's name in the state dict ("blocks.1.0.conv_dw"), or that plus what it yields
	Op     Op
	Inputs []ID
	Shape  Shape
	// Yields names the node of the unfused graph whose value this node's value is. In an unfused
	// graph it equals Name; passes that merge nodes keep the last one's.
	Yields string
}

// Graph is a network for one input size.
type Graph struct {
	Model  string
	Nodes  []*Node // topologically ordered: inputs precede their users
	Input  ID      // the picture; of a fragment, its first input
	Output ID
}

// Node returns the node of that ID.
func (g *Graph) Node(id ID) *Node { return g.Nodes[id] }

// InputShape returns the shape of one input image.
func (g *Graph) InputShape() Shape { return g.Nodes[g.Input].Shape }

// OutputShape returns the shape of one image's result (logits: classes×1×1).
func (g *Graph) OutputShape() Shape { return g.Nodes[g.Output].Shape }

// InputShapes returns the shapes of n's inputs.
func (g *Graph) InputShapes(n *Node) []Shape {
	in := make([]Shape, len(n.Inputs))
	for i, id := range n.Inputs {
		in[i] = g.Nodes[id].Shape
	}
	return in
}

// MACs returns n's multiply-adds for one image.
func (g *Graph) MACs(n *Node) int64 { return n.Op.macs(g.InputShapes(n), n.Shape) }

// TotalMACs returns the multiply-adds of the convolutions and linear layers for one image.
func (g *Graph) TotalMACs() int64 {
	var sum int64
	for _, n := range g.Nodes {
		sum += g.MACs(n)
	}
	return sum
}

// NumParams returns the number of constants' elements, running statistics included.
func (g *Graph) NumParams() int64 {
	var sum int64
	for _, n := range g.Nodes {
		for _, p := range n.Op.params() {
			sum += int64(len(p.Data))
		}
	}
	return sum
}

// Inputs returns the IDs of the input nodes in order: one, unless the graph is a fragment.
func (g *Graph) Inputs() []ID {
	var ids []ID
	for _, n := range g.Nodes {
		if _, ok := n.Op.(*Input); ok {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// Users returns, for every node, the IDs of the nodes that read it, in order.
func (g *Graph) Users() [][]ID {
	users := make([][]ID, len(g.Nodes))
	for _, n := range g.Nodes {
		for _, in := range n.Inputs {
			users[in] = append(users[in], n.ID)
		}
	}
	return users
}

// Check verifies that the graph is well formed: IDs in order, inputs before users, shapes as
// inferred, parameters of the right size, unique names, one picture or inner inputs, an output that exists.
func (g *Graph) Check() error {
	names := map[string]bool{}
	inputs := 0
	for i, n := range g.Nodes {
		bad := func(format string, a ...any) error {
			return fmt.Errorf("graph: %s: node %d %q: %s", g.Model, i, n.Name, fmt.Sprintf(format, a...))
		}
		switch {
		case n.ID != ID(i):
			return bad("has ID %d, want its index", n.ID)
		case n.Name == "" || n.Yields == "":
			return bad("has no name")
		case names[n.Name]:
			return bad("name is used twice")
		}
		names[n.Name] = true
		for _, in := range n.Inputs {
			if in < 0 || in >= n.ID {
				return bad("reads node %d, want an earlier one", in)
			}
		}
		shape, err := n.Op.infer(g.InputShapes(n))
		if err != nil {
			return bad("%v", err)
		}
		if in, ok := n.Op.(*Input); ok {
			inputs++
			shape = in.Shape
			if n.ID != g.Input && !in.Inner {
				return bad("is an input but not the graph's")
			}
		}
		if shape != n.Shape {
			return bad("has shape %v, inferred %v", n.Shape, shape)
		}
		if err := checkParams(n.Op.params()); err != nil {
			return bad("%v", err)
		}
	}
	if inputs == 0 || g.Input != g.Inputs()[0] {
		return fmt.Errorf("graph: %s: %d inputs, want 1, the graph's, or several inner ones after it", g.Model, inputs)
	}
	if g.Output < 0 || int(g.Output) >= len(g.Nodes) {
		return fmt.Errorf("graph: %s: output %d is not a node", g.Model, g.Output)
	}
	return nil
}

func checkParams(ps []*Param) error {
	for _, p := range ps {
		n := 1
		for _, d := range p.Shape {
			n *= d
		}
		if n != len(p.Data) {
			return fmt.Errorf("parameter %s has %d values for shape %v", p.Name, len(p.Data), p.Shape)
		}
	}
	return nil
}

// Builder appends nodes, inferring shapes. The first error sticks and Graph returns it.
type Builder struct {
	g   Graph
	err error
}

// NewBuilder starts a graph of that model name.
func NewBuilder(model string) *Builder {
	return &Builder{g: Graph{Model: model, Input: -1, Output: -1}}
}

// Add appends a node and returns its ID; after an error it does nothing.
func (b *Builder) Add(name string, op Op, inputs ...ID) ID {
	return b.AddYielding(name, name, op, inputs...)
}

// AddYielding is Add with the name of the unfused node whose value the new node has.
func (b *Builder) AddYielding(name, yields string, op Op, inputs ...ID) ID {
	if b.err != nil {
		return -1
	}
	in := make([]Shape, len(inputs))
	for i, id := range inputs {
		if id < 0 || int(id) >= len(b.g.Nodes) {
			b.err = fmt.Errorf("graph: %s: node %q reads node %d, which does not exist", b.g.Model, name, id)
			return -1
		}
		in[i] = b.g.Nodes[id].Shape
	}
	shape, err := op.infer(in)
	if err != nil {
		b.err = fmt.Errorf("graph: %s: node %q: %w", b.g.Model, name, err)
		return -1
	}
	id := ID(len(b.g.Nodes))
	if in, ok := op.(*Input); ok && (b.g.Input < 0 || !in.Inner) {
		b.g.Input = id
	}
	b.g.Nodes = append(b.g.Nodes, &Node{ID: id, Name: name, Yields: yields, Op: op, Inputs: inputs, Shape: shape})
	return id
}

// Rename changes a node's name and what it yields.
func (b *Builder) Rename(id ID, name string) {
	if b.err == nil {
		b.g.Nodes[id].Name, b.g.Nodes[id].Yields = name, name
	}
}

// Shape returns a node's inferred shape, zero after an error.
func (b *Builder) Shape(id ID) Shape {
	if b.err != nil || id < 0 {
		return Shape{}
	}
	return b.g.Nodes[id].Shape
}

// Graph finishes: output is the network's result.
func (b *Builder) Graph(output ID) (*Graph, error) {
	if b.err != nil {
		return nil, b.err
	}
	b.g.Output = output
	if err := b.g.Check(); err != nil {
		return nil, err
	}
	g := b.g
	return &g, nil
}
