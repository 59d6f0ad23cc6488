package netplan

import (
	"slices"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// Maps of 16 bits are rounded by half a thousandth of their values at most, and the values of a channel that no activation
// follows often differ little from their mean. Such a map is stored less the means of its channels where all that read it are
// 1×1 convolutions, because then it costs nothing: the kernel that makes it subtracts the means with its bias, and those that
// read it add what the means would have added to their sums with theirs. The mean that is taken is BatchNorm's beta
// (graph.Conv.Beta), and that of the residual as well.

// centre decides which maps are stored less their means.
func (l *lowering) centre() {
	if l.stored != Float16 {
		return
	}
	l.centred = map[graph.ID][]float64{}
	means, users := map[graph.ID][]float64{}, l.g.Users()
	for _, n := range l.g.Nodes {
		op, ok := n.Op.(*graph.Conv)
		if !ok || op.Beta == nil || op.Act != graph.Identity || op.Pool {
			continue
		}
		mean := slices.Clone(op.Beta.Data)
		if op.Residual {
			addTo(mean, means[n.Inputs[len(n.Inputs)-1]])
		}
		means[n.ID] = mean
		isOther := func(u graph.ID) bool { return !readsCentred(l.g.Node(u), n.ID) }
		if op.Kernel() == 1 && op.Groups == 1 && op.Stride == 1 && n.ID != l.g.Output && !slices.ContainsFunc(users[n.ID], isOther) {
			l.centred[n.ID] = mean
		}
	}
}

// readsCentred reports whether u can make up for means that are missing in the map it reads: it is a 1×1 convolution
// that neither multiplies the map by a gate, nor adds it to what an activation has made.
func readsCentred(u *graph.Node, id graph.ID) bool {
	op, ok := u.Op.(*graph.Conv)
	if !ok || op.Kernel() != 1 || op.Groups != 1 || op.Stride != 1 {
		return false
	}
	for i, in := range u.Inputs {
		residual := op.Residual && i == len(u.Inputs)-1
		switch {
		case in != id:
		case residual && op.Act != graph.Identity, !residual && op.Gate:
			return false
		}
	}
	return true
}

// centredBias returns the bias of a 1×1 convolution that reads and makes maps without their means.
func (l *lowering) centredBias(n *graph.Node, op *graph.Conv) *graph.Param {
	bias := &graph.Param{Name: op.Bias.Name, Shape: op.Bias.Shape, Data: slices.Clone(op.Bias.Data)}
	if mean := l.centred[n.Inputs[0]]; mean != nil {
		for o := range bias.Data {
			row := op.Weight.Data[o*len(mean) : (o+1)*len(mean)]
			for k, m := range mean {
				bias.Data[o] += row[k] * m
			}
		}
	}
	if op.Residual {
		addTo(bias.Data, l.centred[n.Inputs[len(n.Inputs)-1]])
	}
	for o, m := range l.centred[n.ID] {
		bias.Data[o] -= m
	}
	return bias
}

// addTo adds v, or nothing if it is nil, to sum.
func addTo(sum, v []float64) {
	for i, x := range v {
		sum[i] += x
	}
}
