package netplan

import (
	"math"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// matchBatchNorm folds y = (conv(x) + b - mean)/sqrt(var+eps)·γ + β into the convolution's weights and
// bias, in float64.
func matchBatchNorm(m *matcher, n *graph.Node) *merge {
	bn, ok := n.Op.(*graph.BatchNorm)
	if !ok {
		return nil
	}
	c, conv := m.conv(n.Inputs[0])
	if c == nil || conv.Act != graph.Identity || conv.Residual || conv.Pool {
		return nil
	}
	folded := *conv
	channels := conv.Weight.Shape[0]
	per := len(conv.Weight.Data) / channels
	w := make([]float64, len(conv.Weight.Data))
	b := make([]float64, channels)
	for o := range channels {
		scale := bn.Weight.Data[o] / math.Sqrt(bn.Var.Data[o]+bn.Eps)
		for i := o * per; i < (o+1)*per; i++ {
			w[i] = conv.Weight.Data[i] * scale
		}
		if conv.Bias != nil {
			b[o] = conv.Bias.Data[o]
		}
		b[o] = (b[o]-bn.Mean.Data[o])*scale + bn.Bias.Data[o]
	}
	folded.Weight = &graph.Param{Name: conv.Weight.Name + ".folded", Shape: conv.Weight.Shape, Data: w}
	folded.Bias = &graph.Param{Name: c.Name + ".bias.folded", Shape: []int{channels}, Data: b}
	folded.Beta = bn.Bias
	return &merge{name: c.Name, op: &folded, inputs: c.Inputs, absorbs: []*graph.Node{c}}
}
