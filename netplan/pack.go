package netplan

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/weights/float16"
)

// weightsAlign is the alignment of every packed constant: the largest storage-buffer offset alignment
// that the specification allows a device to ask for.
const weightsAlign = 256

// pack appends constants to the plan's weights, rounded to float32 once, and returns their binding.
func (l *lowering) pack(v []float64) Binding {
	l.alignWeights()
	b := Binding{Tensor: -1, Offset: int64(len(l.plan.Weights)), Size: int64(4 * len(v))}
	for _, x := range v {
		l.plan.Weights = binary.LittleEndian.AppendUint32(l.plan.Weights, math.Float32bits(float32(x)))
	}
	return b
}

// packStored appends constants in the type that the precision stores maps in. The error is for one that
// this type cannot hold.
func (l *lowering) packStored(p *graph.Param, v []float64) (Binding, error) {
	if l.stored == Float32 {
		return l.pack(v), nil
	}
	l.alignWeights()
	b := Binding{Tensor: -1, Offset: int64(len(l.plan.Weights)), Size: int64(2 * len(v))}
	for _, x := range v {
		h := float16.FromFloat32(float32(x))
		if h&0x7fff == 0x7c00 {
			return b, fmt.Errorf("weights %s hold %g, beyond the 65504 that 16 bits hold; use precision %s", p.Name, x, PrecisionFloat32)
		}
		l.plan.Weights = binary.LittleEndian.AppendUint16(l.plan.Weights, h)
	}
	return b, nil
}

func (l *lowering) alignWeights() {
	for len(l.plan.Weights)%weightsAlign != 0 {
		l.plan.Weights = append(l.plan.Weights, 0)
	}
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

// packMatrix packs [N, K, …] as a row-major matrix [K][N], both padded to multiples of 8, in the type that maps
// are stored in.
func (l *lowering) packMatrix(p *graph.Param) (Binding, error) {
	return l.packStored(p, transposed(p))
}

// packTransposed packs [N, K, …] like packMatrix, but always in float32.
func (l *lowering) packTransposed(p *graph.Param) Binding { return l.pack(transposed(p)) }

// transposed returns [N, K, …] as [K][N], both padded to multiples of 8.
func transposed(p *graph.Param) []float64 {
	n, k := p.Shape[0], p.Shape[1]
	v := make([]float64, pad8(k)*pad8(n))
	for i := range n {
		for j := range k {
			v[j*pad8(n)+i] = p.Data[i*k+j]
		}
	}
	return v
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
