package netplan_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vkinfer/vkinfer/cpuref"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
)

// centredNet has a map of each kind: read by a padded depthwise convolution (a), by a 1×1 convolution and as a residual (b),
// made of a residual (c), multiplied by a gate (d), added to what an activation made (e), read by the head (f).
func centredNet(t *testing.T) *graph.Graph {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	param := func(shape ...int) *graph.Param {
		n := 1
		for _, d := range shape {
			n *= d
		}
		p := &graph.Param{Name: "p", Shape: shape, Data: make([]float64, n)}
		for i := range p.Data {
			p.Data[i] = float64(float32(rng.NormFloat64()))
		}
		return p
	}
	conv := func(out, in int, edit func(*graph.Conv)) *graph.Conv {
		c := &graph.Conv{Weight: param(out, in, 1, 1), Bias: param(out), Beta: param(out), Stride: 1, Groups: 1}
		if edit != nil {
			edit(c)
		}
		return c
	}
	residual := func(c *graph.Conv) { c.Residual = true }
	silu := func(c *graph.Conv) { c.Act = graph.SiLU }
	b := graph.NewBuilder("centred")
	x := b.Add("x", &graph.Input{Shape: graph.Shape{C: 5, H: 3, W: 3}, Inner: true})
	gate := b.Add("gate", &graph.Input{Shape: graph.Shape{C: 5, H: 1, W: 1}, Inner: true})
	a := b.Add("a", conv(5, 5, nil), x)
	dw := b.Add("dw", &graph.Conv{Weight: param(5, 1, 3, 3), Bias: param(5), Beta: param(5), Stride: 1, Groups: 5}, a)
	b1 := b.Add("b", conv(5, 5, residual), dw, a)
	c := b.Add("c", conv(5, 5, residual), b1, b1)
	d := b.Add("d", conv(5, 5, residual), c, b1)
	e := b.Add("e", conv(5, 5, func(c *graph.Conv) { c.Gate = true }), d, gate)
	act := b.Add("act", conv(5, 5, func(c *graph.Conv) { silu(c); c.Residual = true }), c, e)
	f := b.Add("f", conv(6, 5, nil), act)
	head := b.Add("head", conv(7, 6, func(c *graph.Conv) { silu(c); c.Pool = true }), f)
	g, err := b.Graph(head)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// biasOf returns the bias that the plan gives to the kernel of a node: its third binding.
func biasOf(t *testing.T, p *netplan.Plan, node string, channels int) []float64 {
	t.Helper()
	for _, d := range p.Dispatches {
		if d.Node != node {
			continue
		}
		out := make([]float64, channels)
		for i := range out {
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(p.Weights[d.Bind[2].Offset+int64(4*i):])))
		}
		return out
	}
	t.Fatalf("no dispatch computes %s", node)
	return nil
}

// TestCentred runs a network on maps without their means, with the biases that the plan has: what it gives is the
// network's own result.
func TestCentred(t *testing.T) {
	g := centredNet(t)
	for _, kernels := range []string{netplan.KernelsLane, netplan.KernelsShared} {
		p, err := netplan.Lower(g, netplan.MinimalCaps(), netplan.Options{Precision: netplan.PrecisionAMP, Kernels: kernels})
		if err != nil {
			t.Fatal(err)
		}
		means := map[string][]float64{}
		var centred []string
		for _, tensor := range p.Tensors {
			if tensor.Mean != nil {
				means[tensor.Name] = tensor.Mean
				centred = append(centred, tensor.Name)
			}
		}
		if want := []string{"b", "c", "f"}; !slices.Equal(centred, want) {
			t.Fatalf("centred are %q, want %q", centred, want)
		}
		beta := func(name string) []float64 {
			i := slices.IndexFunc(g.Nodes, func(n *graph.Node) bool { return n.Name == name })
			return g.Nodes[i].Op.(*graph.Conv).Beta.Data
		}
		for i, m := range means["c"] { // a's mean is known although a is stored with it
			if want := beta("c")[i] + beta("b")[i] + beta("a")[i]; math.Abs(m-want) > 1e-12 {
				t.Errorf("mean %d of c is %v, want %v", i, m, want)
			}
		}
		full, less := map[graph.ID][]float64{}, map[graph.ID][]float64{}
		for _, n := range g.Nodes {
			if in, ok := n.Op.(*graph.Input); ok {
				v := make([]float64, in.Shape.NumElements())
				for i := range v {
					v[i] = math.Sin(float64(3*i + 1))
				}
				full[n.ID], less[n.ID] = v, v
				continue
			}
			full[n.ID] = eval(t, g, n, full)
			planned, op := *n, *n.Op.(*graph.Conv)
			if !op.Depthwise() {
				op.Bias = &graph.Param{Name: "planned", Shape: op.Bias.Shape, Data: biasOf(t, p, n.Name, len(op.Bias.Data))}
			}
			planned.Op = &op
			less[n.ID] = eval(t, g, &planned, less)
			pixels := n.Shape.H * n.Shape.W
			for i, v := range less[n.ID] {
				if m := means[n.Name]; m != nil {
					v += m[i/pixels]
				}
				if d := math.Abs(v - full[n.ID][i]); !(d <= 1e-4*(1+math.Abs(v))) {
					t.Fatalf("%s kernels: element %d of %s is %v, want %v", kernels, i, n.Name, v, full[n.ID][i])
				}
			}
		}
	}
}

func eval(t *testing.T, g *graph.Graph, n *graph.Node, values map[graph.ID][]float64) []float64 {
	t.Helper()
	var in [][]float64
	for _, id := range n.Inputs {
		in = append(in, values[id])
	}
	out, err := cpuref.Eval(g, n, in, 1, cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCentredOnlyIn16Bits: float32 gains nothing by it.
func TestCentredOnlyIn16Bits(t *testing.T) {
	p, err := netplan.Lower(centredNet(t), netplan.MinimalCaps(), netplan.Options{Kernels: netplan.KernelsLane})
	if err != nil {
		t.Fatal(err)
	}
	for _, tensor := range p.Tensors {
		if tensor.Mean != nil {
			t.Errorf("%s is stored less its means", tensor.Name)
		}
	}
}
