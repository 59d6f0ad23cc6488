package netplan

import (
	"github.com/vkinfer/vkinfer/netplan/graph"
)

func matchActivation(m *matcher, n *graph.Node) *merge {
	act, ok := n.Op.(*graph.Activation)
	if !ok {
		return nil
	}
	c, conv := m.conv(n.Inputs[0])
	if c == nil || conv.Act != graph.Identity || conv.Residual || conv.Pool {
		return nil
	}
	fused := *conv
	fused.Act = act.Func
	return &merge{name: c.Name, op: &fused, inputs: c.Inputs, absorbs: []*graph.Node{c}}
}

// matchSE finds pool → 1x1 conv with SiLU → 1x1 conv with sigmoid.
func matchSE(m *matcher, n *graph.Node) *merge {
	expand, ok := n.Op.(*graph.Conv)
	if !ok || expand.Act != graph.Sigmoid || expand.Kernel() != 1 || expand.Groups != 1 || expand.Bias == nil {
		return nil
	}
	r, reduce := m.conv(n.Inputs[0])
	if r == nil || reduce.Act != graph.SiLU || reduce.Kernel() != 1 || reduce.Groups != 1 || reduce.Bias == nil {
		return nil
	}
	p := m.only(r.Inputs[0])
	if p == nil {
		return nil
	}
	if _, ok := p.Op.(*graph.Pool); !ok {
		return nil
	}
	return &merge{
		name: n.Yields,
		op: &graph.SE{ReduceWeight: reduce.Weight, ReduceBias: reduce.Bias,
			ExpandWeight: expand.Weight, ExpandBias: expand.Bias},
		inputs:  p.Inputs,
		absorbs: []*graph.Node{r, p},
	}
}

// matchGate lets a 1x1 convolution multiply its input by the gate while it reads it.
func matchGate(m *matcher, n *graph.Node) *merge {
	conv, ok := n.Op.(*graph.Conv)
	if !ok || conv.Kernel() != 1 || conv.Groups != 1 || conv.Gate || conv.Residual {
		return nil
	}
	s := m.only(n.Inputs[0])
	if s == nil {
		return nil
	}
	if _, ok := s.Op.(*graph.Scale); !ok {
		return nil
	}
	fused := *conv
	fused.Gate = true
	return &merge{name: n.Name, op: &fused, inputs: s.Inputs, absorbs: []*graph.Node{s}}
}

func matchResidual(m *matcher, n *graph.Node) *merge {
	if _, ok := n.Op.(*graph.Add); !ok {
		return nil
	}
	for i, id := range n.Inputs {
		c, conv := m.conv(id)
		if c == nil || conv.Act != graph.Identity || conv.Residual || conv.Pool || conv.Groups != 1 {
			continue
		}
		fused := *conv
		fused.Residual = true
		inputs := append(append([]graph.ID(nil), c.Inputs...), n.Inputs[1-i])
		return &merge{name: c.Name, op: &fused, inputs: inputs, absorbs: []*graph.Node{c}}
	}
	return nil
}

func matchPool(m *matcher, n *graph.Node) *merge {
	if _, ok := n.Op.(*graph.Pool); !ok {
		return nil
	}
	c, conv := m.conv(n.Inputs[0])
	if c == nil || conv.Kernel() != 1 || conv.Groups != 1 || conv.Residual || conv.Gate || conv.Pool {
		return nil
	}
	fused := *conv
	fused.Pool = true
	return &merge{name: c.Name, op: &fused, inputs: c.Inputs, absorbs: []*graph.Node{c}}
}
