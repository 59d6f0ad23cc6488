package netplan

import (
	"encoding/binary"
	"math"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// weightsAlign is the alignment of every packed constant: the largest storage-buffer offset alignment
// that the specification allows a device to ask for.
const weightsAlign = 256

// pack appends constants to the plan's weights, rounded to float32 once, and returns their binding.
func (l *lowering) pack(v []float64) Binding {
	w := l.plan.Weights
	for len(w)%weightsAlign != 0 {
		w = append(w, 0)
	}
	b := Binding{Tensor: -1, Offset: int64(len(w)), Size: int64(4 * len(v))}
	for _, x := range v {
		w = binary.LittleEndian.AppendUint32(w, math.Float32bits(float32(x)))
	}
	l.plan.Weights = w
	return b
}

// packVector packs [C], padded with zeros to a multiple of 8.
func (l *lowering) packVector(p *graph.Param) Binding {
	v := make([]float64, pad8(len(p.Data)))
	copy(v, p.Data)
	return l.pack(v)
}

// packRows packs [R, C, …] as it is, every row padded to a multiple of 8.
func (l *lowering) packRows(p *graph.Param) Binding {
	r, c := p.Shape[0], p.Shape[1]
	v := make([]float64, r*pad8(c))
	for i := range r {
		copy(v[i*pad8(c):], p.Data[i*c:(i+1)*c])
	}
	return l.pack(v)
}

// packMatrix packs [N, K, …] as a row-major matrix [K][N], both padded to multiples of 8.
func (l *lowering) packMatrix(p *graph.Param) Binding {
	n, k := p.Shape[0], p.Shape[1]
	v := make([]float64, pad8(k)*pad8(n))
	for i := range n {
		for j := range k {
			v[j*pad8(n)+i] = p.Data[i*k+j]
		}
	}
	return l.pack(v)
}

// packConv packs [N, C, K, K] as [K][K][C][N], N padded to a multiple of 8: dense weights of the stem
// and, with C = 1, depthwise weights.
func (l *lowering) packConv(op *graph.Conv) Binding {
	s := op.Weight.Shape
	n, c, k := s[0], s[1], s[2]*s[3]
	v := make([]float64, k*c*pad8(n))
	for i := range n {
		for j := range c {
			for t := range k {
				v[(t*c+j)*pad8(n)+i] = op.Weight.Data[(i*c+j)*k+t]
			}
		}
	}
	return l.pack(v)
}
