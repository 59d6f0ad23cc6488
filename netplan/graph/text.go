package graph

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Ops lists one value of every op, for tests that must cover all of them.
func Ops() []Op {
	return []Op{&Input{}, &Conv{}, &BatchNorm{}, &Activation{}, &Pool{}, &Scale{}, &Add{}, &SE{}, &Linear{}}
}

// Params returns the constants of op in a fixed order.
func Params(op Op) []*Param { return op.params() }

// Attrs describes the op's settings for people.
func Attrs(op Op) string { return op.attrs() }

// WriteText prints the graph, a line per node.
func (g *Graph) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "graph %s: %d nodes, input %v, output %v, %d multiply-adds per image\n",
		g.Model, len(g.Nodes), g.InputShape(), g.OutputShape(), g.TotalMACs())
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "id\tname\top\tattributes\tinputs\tshape\tmultiply-adds\tyields")
	for _, n := range g.Nodes {
		in := make([]string, len(n.Inputs))
		for i, id := range n.Inputs {
			in[i] = fmt.Sprintf("%%%d", id)
		}
		yields := n.Yields
		if yields == n.Name {
			yields = "="
		}
		fmt.Fprintf(tw, "%%%d\t%s\t%s\t%s\t%s\t%v\t%d\t%s\n", n.ID, n.Name, n.Op.Kind(), n.Op.attrs(),
			strings.Join(in, " "), n.Shape, g.MACs(n), yields)
	}
	return tw.Flush()
}

// WriteDOT prints the graph in Graphviz's language.
func (g *Graph) WriteDOT(w io.Writer) error {
	var sb strings.Builder
	fmt.Fprintf(&sb, "digraph %q {\n  rankdir=TB;\n  node [shape=box, fontname=\"sans-serif\", fontsize=10];\n", g.Model)
	for _, n := range g.Nodes {
		fmt.Fprintf(&sb, "  n%d [label=%q];\n", n.ID, strings.TrimSpace(fmt.Sprintf("%s\n%s %s\n%v", n.Name, n.Op.Kind(), n.Op.attrs(), n.Shape)))
		for _, in := range n.Inputs {
			fmt.Fprintf(&sb, "  n%d -> n%d;\n", in, n.ID)
		}
	}
	sb.WriteString("}\n")
	_, err := io.WriteString(w, sb.String())
	return err
}
