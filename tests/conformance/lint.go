package conformance

import (
	"fmt"

	"github.com/vkinfer/vkinfer/netplan"
)

// CheckPlan looks for hazards in a plan without running it, by rules written apart from the planner:
// whatever a dispatch reads was given or written before and nothing has overwritten it since, and between
// two dispatches that touch the same bytes, one of them writing, there is a barrier. Drivers that happen to
// run one dispatch after the other hide such faults; others give a different result every time.
func CheckPlan(p *netplan.Plan) error {
	owner := map[int]int{} // of every 64 bytes of the arena: the tensor whose value is there
	cells := func(t int) (from, to int) {
		x := p.Tensors[t]
		return int(x.Offset / 64), int((x.Offset + x.Stride + 63) / 64)
	}
	put := func(t int) {
		for c, to := cells(t); c < to; c++ {
			owner[c] = t
		}
	}
	for _, t := range p.InputTensors() {
		put(t)
	}
	holds := func(t int) error {
		for c, to := cells(t); c < to; c++ {
			if o, ok := owner[c]; !ok {
				return fmt.Errorf("%s, which nothing has written", p.Tensors[t].Name)
			} else if o != t {
				return fmt.Errorf("%s, which %s has overwritten", p.Tensors[t].Name, p.Tensors[o].Name)
			}
		}
		return nil
	}
	begin := 0 // the first dispatch since the last barrier
	for i, d := range p.Dispatches {
		if d.Barrier {
			begin = i
		}
		for _, b := range d.Bind {
			if b.Tensor >= 0 && !b.Write {
				if err := holds(b.Tensor); err != nil {
					return fmt.Errorf("conformance: plan %s: %s reads %w", p.Model, d.Node, err)
				}
			}
		}
		if t, ok := readsWhatItWrites(p, &d); ok {
			return fmt.Errorf("conformance: plan %s: %s reads what it writes, %s", p.Model, d.Node, p.Tensors[t].Name)
		}
		for _, earlier := range p.Dispatches[begin:i] {
			if t, ok := conflict(p, &earlier, &d); ok {
				return fmt.Errorf("conformance: plan %s: no barrier between %s and %s, which both touch %s", p.Model, earlier.Node, d.Node, p.Tensors[t].Name)
			}
		}
		for _, b := range d.Bind {
			if b.Tensor >= 0 && b.Write {
				put(b.Tensor)
			}
		}
	}
	if err := holds(p.OutputTensor); err != nil {
		return fmt.Errorf("conformance: plan %s: the result is %w", p.Model, err)
	}
	return nil
}

// readsWhatItWrites returns a tensor that d writes while it reads the same bytes: lanes run in any order.
func readsWhatItWrites(p *netplan.Plan, d *netplan.Dispatch) (tensor int, ok bool) {
	var reads, writes netplan.Dispatch
	for _, b := range d.Bind {
		if b.Write {
			writes.Bind = append(writes.Bind, b)
		} else {
			reads.Bind = append(reads.Bind, b)
		}
	}
	return conflict(p, &reads, &writes)
}

// conflict returns a tensor of b whose bytes a touches too, where one of the two writes them.
func conflict(p *netplan.Plan, a, b *netplan.Dispatch) (tensor int, ok bool) {
	for _, x := range a.Bind {
		for _, y := range b.Bind {
			if x.Tensor < 0 || y.Tensor < 0 || !x.Write && !y.Write {
				continue
			}
			s, t := p.Tensors[x.Tensor], p.Tensors[y.Tensor]
			if s.Offset < t.Offset+t.Stride && t.Offset < s.Offset+s.Stride {
				return y.Tensor, true
			}
		}
	}
	return 0, false
}
