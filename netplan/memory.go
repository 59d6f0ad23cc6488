package netplan

import (
	"cmp"
	"fmt"
	"slices"
)

// arenaAlign is the alignment of tensors per image of batch; being at least every device's offset
// alignment, n·Offset is aligned for every n.
const arenaAlign = 256

// setLifetimes fills Tensor.First and Last.
func setLifetimes(p *Plan) {
	for i := range p.Tensors {
		p.Tensors[i].First, p.Tensors[i].Last = len(p.Dispatches), -1
	}
	for i, d := range p.Dispatches {
		for _, b := range d.Bind {
			if b.Tensor >= 0 {
				t := &p.Tensors[b.Tensor]
				t.First, t.Last = min(t.First, i), max(t.Last, i)
			}
		}
	}
	for _, i := range p.InputTensors() {
		p.Tensors[i].First = -1
	}
	if p.Pictures != nil {
		p.Tensors[p.Pictures.Tensor].First, p.Tensors[p.Pictures.Tensor].Last = -1, 0
	}
	if p.Resize != nil {
		for _, b := range p.Resize.Dispatches[0].Bind {
			p.Tensors[b.Tensor].First, p.Tensors[b.Tensor].Last = -1, 0
		}
	}
	p.Tensors[p.OutputTensor].Last = len(p.Dispatches)
}

// placeTensors gives every tensor its offset: the largest first, each at the lowest place that is free
// while it lives. With opts.KeepAll all live for ever; opts.Guard keeps them apart.
func placeTensors(p *Plan, opts Options) {
	order := make([]int, len(p.Tensors))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p.Tensors[b].Stride, p.Tensors[a].Stride) })
	var placed []int
	for _, i := range order {
		t := &p.Tensors[i]
		t.Offset = alignUp(opts.Guard, arenaAlign)
		for _, j := range placed { // in order of offset
			o := &p.Tensors[j]
			if !opts.KeepAll && (t.Last < o.First || o.Last < t.First) {
				continue
			}
			if o.Offset-t.Offset >= t.Stride+opts.Guard {
				break
			}
			t.Offset = max(t.Offset, alignUp(o.Offset+o.Stride+opts.Guard, arenaAlign))
		}
		at, _ := slices.BinarySearchFunc(placed, t.Offset, func(j int, off int64) int { return cmp.Compare(p.Tensors[j].Offset, off) })
		placed = slices.Insert(placed, at, i)
		p.ArenaBytes = max(p.ArenaBytes, alignUp(t.Offset+t.Stride+opts.Guard, arenaAlign))
	}
}

func alignUp(n, align int64) int64 { return (n + align - 1) / align * align }

// span is a range of the arena, in bytes per image.
type span struct{ from, to int64 }

func (s span) overlaps(others []span) bool {
	for _, o := range others {
		if s.from < o.to && o.from < s.to {
			return true
		}
	}
	return false
}

// setBarriers asks for a barrier before every dispatch that touches what an earlier dispatch wrote, or
// overwrites what one read, since the last barrier.
func setBarriers(p *Plan) {
	var reads, writes []span
	for i := range p.Dispatches {
		d := &p.Dispatches[i]
		var r, w []span
		for _, b := range d.Bind {
			if b.Tensor < 0 {
				continue
			}
			t := p.Tensors[b.Tensor]
			s := span{t.Offset, t.Offset + t.Stride}
			if b.Write {
				w = append(w, s)
			} else {
				r = append(r, s)
			}
		}
		d.Barrier = slices.ContainsFunc(r, func(s span) bool { return s.overlaps(writes) }) ||
			slices.ContainsFunc(w, func(s span) bool { return s.overlaps(writes) || s.overlaps(reads) })
		if d.Barrier {
			reads, writes = nil, nil
		}
		reads, writes = append(reads, r...), append(writes, w...)
	}
}

// maxBatch returns the largest batch that the device's limits allow.
func maxBatch(p *Plan, caps Caps) (int, error) {
	n := int64(1 << 20)
	limit := func(what string, max, perImage int64) error {
		if perImage > max {
			return fmt.Errorf("netplan: %s: %s needs %d for one image, device %q allows %d; use a smaller input", p.Model, what, perImage, caps.Name, max)
		}
		n = min(n, max/perImage)
		return nil
	}
	if err := limit("arena bytes", caps.MaxAllocation, p.ArenaBytes); err != nil {
		return 0, err
	}
	for _, t := range p.Tensors {
		if err := limit("tensor "+t.Name, caps.MaxStorageBufferRange, t.Stride); err != nil {
			return 0, err
		}
	}
	for d := range p.All() {
		for _, b := range d.Bind {
			if b.Texel {
				bytes := b.Size
				if b.Tensor >= 0 {
					bytes = p.Tensors[b.Tensor].Stride
					n = min(n, caps.MaxTexelElements*p.TexelOf(b).Bytes()/bytes)
				}
				if most := caps.MaxTexelElements * p.TexelOf(b).Bytes(); bytes > most {
					return 0, fmt.Errorf("netplan: %s: %s reads a texel buffer of %d bytes, device %q allows %d; use other kernels than %s",
						p.Model, d.Node, bytes, caps.Name, most, p.Kernels)
				}
			}
			if b.Tensor < 0 && b.Size > caps.MaxStorageBufferRange {
				return 0, fmt.Errorf("netplan: %s: weights of %s are %d bytes, device %q binds at most %d", p.Model, d.Node, b.Size, caps.Name, caps.MaxStorageBufferRange)
			}
		}
		for axis, g := range d.Groups {
			most := int64(caps.MaxWorkgroupCount[axis])
			if g.For(1) > int(most) {
				return 0, fmt.Errorf("netplan: %s: %s needs %d workgroups on axis %d for one image, device %q allows %d; use a smaller input", p.Model, d.Node, g.For(1), axis, caps.Name, most)
			}
			if g.PerImage > 0 {
				n = min(n, (most/int64(max(g.Times, 1))*int64(g.Tile)-int64(g.Fixed))/int64(g.PerImage))
			}
		}
	}
	return int(n), nil
}
