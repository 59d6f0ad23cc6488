package conformance

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// Case is a layer shape that the networks have, run by itself: a convolution with all that is fused into
// it, a depthwise convolution together with the squeeze-and-excitation that its sums are for, or a linear
// layer.
type Case struct {
	Name   string      // says all that follows but Layers: "conv1x1-c16-n96-120x120-silu"
	Kind   string      // "stem", "conv1x1", "head", "depthwise" or "linear"
	In     graph.Shape // of one image of the map (or vector) that it reads, at the network's own input size
	Out    int         // channels it makes
	Kernel int
	Stride int
	Act    graph.Act

	Gate, Residual bool
	Reduced        int      // of the squeeze-and-excitation behind it, 0 for none
	Layers         []string // where it occurs, as "model/layer", in the order of models.All; nil for Further
}

// Cases lists every distinct layer shape of all networks at their own input sizes, in the order in which
// the networks have them. It is the same on every machine.
func Cases() ([]Case, error) {
	all, err := cases()
	return slices.Clone(all), err
}

var cases = sync.OnceValues(func() ([]Case, error) {
	var all []Case
	for _, spec := range models.All() {
		g, err := spec.BuildShape(spec.Transform.Size, spec.Transform.Size)
		if err != nil {
			return nil, err
		}
		if g, err = netplan.RunPasses(g, "fold", "fuse"); err != nil {
			return nil, err
		}
		for _, n := range g.Nodes {
			c, ok, err := caseOf(g, n)
			if err != nil {
				return nil, fmt.Errorf("conformance: %s: node %s: %w", g.Model, n.Name, err)
			}
			if !ok {
				continue
			}
			c.Layers = []string{g.Model + "/" + n.Name}
			if i := slices.IndexFunc(all, func(a Case) bool { return a.Name == c.Name }); i >= 0 {
				all[i].Layers = append(all[i].Layers, c.Layers...)
				continue
			}
			all = append(all, c)
		}
	}
	return all, nil
})

// FindCase returns the case of that name, of Cases or Further.
func FindCase(name string) (Case, error) {
	all, err := Cases()
	if err != nil {
		return Case{}, err
	}
	for _, c := range append(all, Further()...) {
		if c.Name == name {
			return c, nil
		}
	}
	return Case{}, fmt.Errorf("conformance: no case %q; wanted one of %d such as %s", name, len(all), all[len(all)/2].Name)
}

// InModels reports whether the layer occurs in one of the models; nil stands for all.
func (c Case) InModels(names []string) bool {
	return names == nil || slices.ContainsFunc(c.Layers, func(layer string) bool {
		model, _, _ := strings.Cut(layer, "/")
		return slices.Contains(names, model)
	})
}

// caseOf describes a node of a fused graph; ok is false for nodes that belong to another one's case.
func caseOf(g *graph.Graph, n *graph.Node) (c Case, ok bool, err error) {
	switch op := n.Op.(type) {
	case *graph.Input, *graph.SE: // the latter is in the case of the depthwise convolution it reads
		return c, false, nil
	case *graph.Linear:
		c = Case{Kind: "linear", In: g.InputShapes(n)[0], Out: n.Shape.C, Kernel: 1, Stride: 1}
	case *graph.Conv:
		c = Case{In: g.InputShapes(n)[0], Out: n.Shape.C, Kernel: op.Kernel(), Stride: op.Stride, Act: op.Act, Gate: op.Gate, Residual: op.Residual}
		switch {
		case op.Depthwise():
			c.Kind, c.Reduced = "depthwise", reducedBehind(g, n)
		case n.Inputs[0] == g.Input:
			c.Kind = "stem"
		case op.Pool:
			c.Kind = "head"
		case op.Kernel() == 1 && op.Stride == 1:
			c.Kind = "conv1x1"
		default:
			return c, false, fmt.Errorf("convolution %s has no kind of case", graph.Attrs(op))
		}
	default:
		return c, false, fmt.Errorf("op %s has no kind of case", op.Kind())
	}
	c.Name = c.name()
	return c, true, nil
}

// reducedBehind returns the width of the squeeze-and-excitation that reads n.
func reducedBehind(g *graph.Graph, n *graph.Node) int {
	for _, u := range g.Nodes {
		if se, ok := u.Op.(*graph.SE); ok && u.Inputs[0] == n.ID {
			return se.Reduced()
		}
	}
	return 0
}

func (c Case) name() string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "%s-c%d", c.Kind, c.In.C)
	if c.Kind != "depthwise" {
		fmt.Fprintf(&sb, "-n%d", c.Out)
	}
	if c.Kernel > 1 {
		fmt.Fprintf(&sb, "-k%d-s%d", c.Kernel, c.Stride)
	}
	if c.Kind != "linear" {
		fmt.Fprintf(&sb, "-%dx%d", c.In.H, c.In.W)
	}
	for _, part := range []struct {
		on   bool
		text string
	}{{c.Gate, "gate"}, {c.Act != graph.Identity, c.Act.String()}, {c.Residual, "residual"}, {c.Reduced > 0, fmt.Sprint("se", c.Reduced)}} {
		if part.on {
			sb.WriteString("-" + part.text)
		}
	}
	return sb.String()
}

// maxCut is the largest map that is never cut.
const maxCut = 17

// cut returns the case's input with a map that is small enough for software drivers and in all that
// matters like the real one. Columns keep their remainder by 8, so that odd and even sizes, padding, and
// ragged strips of the output come as they do in the network; rows are two fewer, so that mixed-up sides
// show. It is the smallest such map that gets dispatches of the same class as the real one.
func (c Case) cut() (graph.Shape, error) {
	if c.In.H <= maxCut && c.In.W <= maxCut {
		return c.In, nil
	}
	want, err := c.class(c.In)
	if err != nil {
		return graph.Shape{}, err
	}
	for w := 10 + (c.In.W+6)%8; w < c.In.W; w += 8 {
		in := graph.Shape{C: c.In.C, H: w - 2, W: w}
		got, err := c.class(in)
		if err != nil {
			return graph.Shape{}, err
		}
		if got == want {
			return in, nil
		}
	}
	return c.In, nil
}

// class sums up what is particular to the dispatches for an input: specialization constants, and which
// push constants and workgroup counts are 0, 1 or more. It does not depend on a device.
func (c Case) class(in graph.Shape) (string, error) {
	g, err := c.fragment(in, c.Act, c.zeros())
	if err != nil {
		return "", err
	}
	var sb strings.Builder
	caps := netplan.MinimalCaps()
	caps.MaxTexelElements, caps.SubgroupShuffle, caps.SubgroupSize = math.MaxInt32, true, 8
	for _, kernels := range netplan.Kernels {
		p, err := netplan.Lower(g, caps, netplan.Options{Kernels: kernels})
		if err != nil {
			return "", err
		}
		for _, d := range p.Dispatches {
			fmt.Fprint(&sb, d.Kernel)
			if !strings.HasPrefix(d.Kernel, "se_") { // whose lanes depend on the number of tiles
				fmt.Fprint(&sb, d.Spec)
			}
			for _, w := range d.Push {
				fmt.Fprint(&sb, " ", min(w, 2))
			}
			for _, g := range d.Groups {
				if g.PerImage == 0 { // others grow with the batch anyway
					fmt.Fprint(&sb, " ", min(g.For(1), 2))
				}
			}
		}
	}
	return sb.String(), nil
}

// params are the constants of a case; those of the squeeze-and-excitation are nil where there is none.
type params struct {
	w    []float64 // [Out][In.C, or 1 of a depthwise][Kernel][Kernel]
	bias []float64 // [Out]

	reduceW []float64 // [Reduced][Out]
	reduceB []float64
	expandW []float64 // [Out][Reduced]
	expandB []float64
}

// weightIn is how many input channels one output channel reads.
func (c Case) weightIn() int {
	if c.Kind == "depthwise" {
		return 1
	}
	return c.In.C
}

// zeros are constants of the right sizes.
func (c Case) zeros() params {
	p := params{w: make([]float64, c.Out*c.weightIn()*c.Kernel*c.Kernel), bias: make([]float64, c.Out)}
	if c.Reduced > 0 {
		p.reduceW, p.reduceB = make([]float64, c.Reduced*c.Out), make([]float64, c.Reduced)
		p.expandW, p.expandB = make([]float64, c.Out*c.Reduced), make([]float64, c.Out)
	}
	return p
}

// Names of the nodes of a case's graph.
const (
	nodeX, nodeGate, nodeResidual, nodeY, nodeSE = "x", "gate", "residual", "y", "se"
)

// fragment returns the case as a graph for an input of that shape.
func (c Case) fragment(in graph.Shape, act graph.Act, p params) (*graph.Graph, error) {
	param := func(name string, data []float64, shape ...int) *graph.Param {
		return &graph.Param{Name: name, Shape: shape, Data: data}
	}
	b := graph.NewBuilder(c.Name)
	x := []graph.ID{b.Add(nodeX, &graph.Input{Shape: in, Inner: c.Kind != "stem"})}
	if c.Kind == "linear" {
		y := b.Add(nodeY, &graph.Linear{Weight: param("w", p.w, c.Out, in.C), Bias: param("b", p.bias, c.Out)}, x...)
		return b.Graph(y)
	}
	op := &graph.Conv{Weight: param("w", p.w, c.Out, c.weightIn(), c.Kernel, c.Kernel), Bias: param("b", p.bias, c.Out),
		Stride: c.Stride, Groups: c.In.C / c.weightIn(), Act: act, Gate: c.Gate, Residual: c.Residual, Pool: c.Kind == "head"}
	if c.Gate {
		x = append(x, b.Add(nodeGate, &graph.Input{Shape: graph.Shape{C: in.C, H: 1, W: 1}, Inner: true}))
	}
	if c.Residual {
		x = append(x, b.Add(nodeResidual, &graph.Input{Shape: op.MapShape(in), Inner: true}))
	}
	y := b.Add(nodeY, op, x...)
	if c.Reduced > 0 {
		y = b.Add(nodeSE, &graph.SE{
			ReduceWeight: param("rw", p.reduceW, c.Reduced, c.Out, 1, 1), ReduceBias: param("rb", p.reduceB, c.Reduced),
			ExpandWeight: param("ew", p.expandW, c.Out, c.Reduced, 1, 1), ExpandBias: param("eb", p.expandB, c.Out)}, y)
	}
	return b.Graph(y)
}
