package graph

import "fmt"

// SE is the fused form of squeeze-and-excitation's gate: the mean over the map (input 0, C×H×W),
// reduced to R values with SiLU, expanded to C again with a sigmoid. Its value is the gate, C×1×1.
type SE struct {
	ReduceWeight *Param // [R, C, 1, 1]
	ReduceBias   *Param // [R]
	ExpandWeight *Param // [C, R, 1, 1]
	ExpandBias   *Param // [C]
}

// Kind returns "se".
func (*SE) Kind() string { return "se" }

// Reduced returns R, the width between the two layers.
func (op *SE) Reduced() int { return len(op.ReduceBias.Data) }

func (op *SE) attrs() string { return fmt.Sprintf("reduced=%d", op.Reduced()) }

func (op *SE) infer(in []Shape) (Shape, error) {
	if len(in) != 1 {
		return Shape{}, fmt.Errorf("se takes 1 input, got %d", len(in))
	}
	c, r := in[0].C, op.Reduced()
	if len(op.ReduceWeight.Data) != r*c || len(op.ExpandWeight.Data) != r*c || len(op.ExpandBias.Data) != c {
		return Shape{}, fmt.Errorf("se weights do not fit %d channels reduced to %d", c, r)
	}
	return Shape{c, 1, 1}, nil
}

func (op *SE) params() []*Param {
	return []*Param{op.ReduceWeight, op.ReduceBias, op.ExpandWeight, op.ExpandBias}
}

func (op *SE) macs(in []Shape, _ Shape) int64 { return 2 * int64(in[0].C) * int64(op.Reduced()) }
