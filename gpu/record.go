package gpu

import (
	"slices"

	vk "github.com/vulkan-go/vulkan"
)

// recording is the commands of one batch size, submitted again and again.
type recording struct {
	n    int
	pool handle // VkDescriptorPool
	cmd  vk.CommandBuffer

	inputs   *buffer       // where the inputs are if not in the arena; nil if they are
	inputsAt map[int]int64 // offsets in it, by tensor
}

// recordingFor returns the commands for a batch of n, recording them if need be. The least recently used
// one makes room; nothing is in flight then.
func (e *Executor) recordingFor(n int) (*recording, error) {
	if i := slices.IndexFunc(e.recorded, func(r *recording) bool { return r.n == n }); i >= 0 {
		r := e.recorded[i]
		e.recorded = append(slices.Delete(e.recorded, i, i+1), r)
		return r, nil
	}
	for len(e.recorded) >= e.opts.Recorded {
		e.freeRecording(e.recorded[0])
		e.recorded = slices.Delete(e.recorded, 0, 1)
	}
	r, err := e.newRecording(n, nil)
	if err != nil {
		return nil, err
	}
	e.recorded = append(e.recorded, r)
	return r, nil
}

// newRecording records a batch of n: the input's way in, the dispatches, the result's way out. With
// queries, timestamps 0 to len(Dispatches) are written around the dispatches.
func (e *Executor) newRecording(n int, queries *vk.QueryPool) (*recording, error) {
	r := &recording{n: n}
	sets, err := e.newSets(r)
	if err != nil {
		e.freeRecording(r)
		return nil, err
	}
	ops := e.opsIn(n)
	if queries != nil {
		ops = append(ops, opResetQueries(handleOf(*queries), 0, len(e.plan.Dispatches)+1), opTimestamp(handleOf(*queries), 0))
	}
	ops, push := e.opsDispatches(n, sets, ops, queries)
	ops = append(ops, e.opsOut(n)...)
	if r.cmd, err = e.newCommandBuffer(ops, push, false); err != nil {
		e.freeRecording(r)
		return nil, err
	}
	return r, nil
}

// opsDispatches appends all dispatches of a batch of n to ops, with a timestamp after each if there are
// queries. It returns also the words of their push constants.
func (e *Executor) opsDispatches(n int, sets []handle, ops []shimOp, queries *vk.QueryPool) ([]shimOp, []uint32) {
	var push []uint32
	for i := range e.plan.Dispatches {
		d := &e.plan.Dispatches[i]
		if d.Barrier {
			ops = append(ops, opBarrier(computeWrite, computeAccess))
		}
		pipeline, layout, _ := e.ps.of(d)
		first := len(push)
		push = append(push, d.Push...)
		if len(d.Push) > 0 {
			push[first] = uint32(n)
		}
		groups := [3]int{d.Groups[0].For(n), d.Groups[1].For(n), d.Groups[2].For(n)}
		ops = append(ops, opDispatch(pipeline, layout, sets[i], first, 4*len(d.Push), groups))
		if queries != nil {
			ops = append(ops, opTimestamp(handleOf(*queries), i+1))
		}
	}
	return ops, push
}

// newSets allocates a descriptor set for every dispatch and points its bindings at a batch of r.n.
func (e *Executor) newSets(r *recording) ([]handle, error) {
	d := e.d
	dispatches := e.plan.Dispatches
	layouts, sets := make([]handle, len(dispatches)), make([]handle, len(dispatches))
	total := 0
	for i := range dispatches {
		_, _, layouts[i] = e.ps.of(&dispatches[i])
		total += len(dispatches[i].Bind)
	}
	err := d.call("vkCreateDescriptorPool", func() (res vk.Result) {
		r.pool, res = shimCreateDescriptorPool(d.dev, len(sets), max(total, 1))
		return res
	})
	if err != nil {
		return nil, err
	}
	if err := d.call("vkAllocateDescriptorSets", func() vk.Result { return shimAllocateSets(d.dev, r.pool, layouts, sets) }); err != nil {
		return nil, err
	}
	writes := make([]shimWrite, 0, total)
	for i := range dispatches {
		for b, bind := range dispatches[i].Bind {
			buf, offset, size := e.weights, e.guard+bind.Offset, bind.Size
			if bind.Tensor >= 0 {
				t := &e.plan.Tensors[bind.Tensor]
				buf, offset, size = e.arena, e.guard+int64(r.n)*t.Offset, int64(r.n)*t.Stride+e.opts.overhang
				if at, ok := r.inputsAt[bind.Tensor]; ok {
					buf, offset, size = r.inputs, at, int64(r.n)*t.Stride
				}
			}
			writes = append(writes, newWrite(sets[i], b, handleOf(buf.h), offset, size))
		}
	}
	shimUpdateSets(d.dev, writes)
	return sets, nil
}

// newCommandBuffer allocates a command buffer and records ops into it.
func (e *Executor) newCommandBuffer(ops []shimOp, push []uint32, oneTime bool) (vk.CommandBuffer, error) {
	d := e.d
	info := vk.CommandBufferAllocateInfo{SType: vk.StructureTypeCommandBufferAllocateInfo, CommandPool: e.pool,
		Level: vk.CommandBufferLevelPrimary, CommandBufferCount: 1}
	defer info.Free()
	cmds := make([]vk.CommandBuffer, 1)
	if err := d.call("vkAllocateCommandBuffers", func() vk.Result { return vk.AllocateCommandBuffers(d.h, &info, cmds) }); err != nil {
		return nil, err
	}
	cmd := handleOf(cmds[0])
	err := d.call("vkBeginCommandBuffer", func() vk.Result { return shimBegin(d.dev, cmd, oneTime) })
	if err == nil {
		shimRecord(d.dev, cmd, ops, push)
		err = d.call("vkEndCommandBuffer", func() vk.Result { return shimEnd(d.dev, cmd) })
	}
	if err != nil {
		vk.FreeCommandBuffers(d.h, e.pool, 1, cmds)
		return nil, err
	}
	return cmds[0], nil
}

func (e *Executor) freeRecording(r *recording) {
	if r.cmd != nil {
		vk.FreeCommandBuffers(e.d.h, e.pool, 1, []vk.CommandBuffer{r.cmd})
	}
	if r.pool != 0 {
		vk.DestroyDescriptorPool(e.d.h, fromBits[vk.DescriptorPool](r.pool), nil)
	}
	r.cmd, r.pool = nil, 0
}

// opsIn prepares the arena: poison and guards where asked for, then the input's copy. In direct mode the
// host does all of it before the submit, which makes its writes visible by itself.
func (e *Executor) opsIn(n int) []shimOp {
	if e.direct {
		return nil
	}
	arena := handleOf(e.arena.h)
	bytes := int64(n) * e.plan.ArenaBytes
	var ops []shimOp
	if e.opts.Poison {
		ops = append(ops, opFill(arena, e.guard, bytes, poisonWord), opBarrier(transferWrite, transferWrite))
	}
	if e.guard > 0 {
		ops = append(ops, opFill(arena, 0, e.guard, guardWord), opFill(arena, e.guard+bytes, e.guard, guardWord))
	}
	from := e.guard
	for _, in := range e.inputs {
		size := int64(n) * in.Stride
		ops = append(ops, opCopy(handleOf(e.upload.h), arena, from, e.guard+int64(n)*in.Offset, size))
		from += size
	}
	return append(ops, opBarrier(transferWrite, computeAccess.or(transferRead)))
}

// opsOut makes the result visible to the host; with staging it is copied first, and so are the guards.
// The back buffer holds: guard, result, guard, then the guards of the arena and of the weights.
func (e *Executor) opsOut(n int) []shimOp {
	if e.direct {
		return []shimOp{opBarrier(computeWrite, hostRead)}
	}
	arena, weights, back := handleOf(e.arena.h), handleOf(e.weights.h), handleOf(e.back.h)
	out := e.output()
	size := int64(n) * out.Stride
	ops := []shimOp{
		opBarrier(computeWrite, transferRead),
		opCopy(arena, back, e.guard+int64(n)*out.Offset, e.guard, size),
	}
	if g := e.guard; g > 0 {
		to := 2*g + size
		for _, c := range []struct {
			from   handle
			offset int64
		}{{arena, 0}, {arena, g + int64(n)*e.plan.ArenaBytes}, {weights, 0}, {weights, e.weights.size - g}} {
			ops = append(ops, opCopy(c.from, back, c.offset, to, g))
			to += g
		}
	}
	return append(ops, opBarrier(transferWrite, hostRead))
}
