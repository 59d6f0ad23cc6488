package graph

import "fmt"

// BatchNorm is batch normalisation with fixed statistics:
// y = (x - mean) / sqrt(var + eps) · weight + bias, per channel.
type BatchNorm struct {
	Weight, Bias, Mean, Var *Param // [C]
	Eps                     float64
}

// Kind returns "batchnorm".
func (*BatchNorm) Kind() string { return "batchnorm" }

func (op *BatchNorm) attrs() string { return fmt.Sprintf("eps=%g", op.Eps) }

func (op *BatchNorm) infer(in []Shape) (Shape, error) {
	if len(in) != 1 {
		return Shape{}, fmt.Errorf("batchnorm takes 1 input, got %d", len(in))
	}
	for _, p := range op.params() {
		if len(p.Data) != in[0].C {
			return Shape{}, fmt.Errorf("batchnorm %s has %d values, want %d", p.Name, len(p.Data), in[0].C)
		}
	}
	return in[0], nil
}

func (op *BatchNorm) params() []*Param       { return []*Param{op.Weight, op.Bias, op.Mean, op.Var} }
func (*BatchNorm) macs([]Shape, Shape) int64 { return 0 }
