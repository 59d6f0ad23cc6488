package gpu

import (
	"slices"

	"github.com/vkinfer/vkinfer/netplan"
	vk "github.com/vulkan-go/vulkan"
)

// recording is the commands of one batch size, submitted again and again.
type recording struct {
	n     int
	entry netplan.Entry
	pool  handle             // VkDescriptorPool
	views []handle           // VkBufferView, of what kernels read as texels
	load  vk.CommandBuffer   // the input's copies, where another queue makes them
	cmds  []vk.CommandBuffer // all else, submitted one after the other

	inputs   *buffer       // where the inputs are if not in the arena; nil if they are
	inputsAt map[int]int64 // offsets in it, by tensor
}

// recordingFor returns the commands for a batch of n, recording them if need be. The least recently used
// one makes room; nothing is in flight then.
func (s *slot) recordingFor(n int, entry netplan.Entry) (*recording, error) {
	parts := min(s.pace.parts(int64(n)*s.plan.MACs, s.opts.SubmitBudget), len(s.plan.Dispatches))
	if i := slices.IndexFunc(s.recorded, func(r *recording) bool { return r.n == n && r.entry == entry }); i >= 0 {
		r := s.recorded[i]
		s.recorded = slices.Delete(s.recorded, i, i+1)
		if have := len(r.cmds); have >= parts && have <= 2*parts {
			s.recorded = append(s.recorded, r)
			return r, nil
		}
		s.freeRecording(r) // the device's pace is another than it was thought to be
	}
	for len(s.recorded) >= s.opts.Recorded {
		s.freeRecording(s.recorded[0])
		s.recorded = slices.Delete(s.recorded, 0, 1)
	}
	r := &recording{n: n, entry: entry}
	if err := s.record(r, parts, nil); err != nil {
		s.freeRecording(r)
		return nil, err
	}
	s.recorded = append(s.recorded, r)
	return r, nil
}

// record records a batch: the input's way in, the dispatches in so many parts, the result's way out. With queries
// it is one part, and timestamps 0 to len(Dispatches) are written around the dispatches.
func (s *slot) record(r *recording, parts int, queries *vk.QueryPool) error {
	sets, err := s.newSets(r)
	if err != nil {
		return err
	}
	load, ops := s.opsIn(r.n, r.entry), []shimOp(nil)
	switch {
	case s.loadPool != nil && queries == nil:
		if r.load, err = s.newCommandBuffer(s.loadPool, load, nil, false); err != nil {
			return err
		}
	case len(load) > 0:
		ops = append(load, opBarrier(transferWrite, computeAccess.or(transferRead)))
	}
	if queries != nil {
		ops = append(ops, opResetQueries(handleOf(*queries), 0, len(s.plan.Dispatches)+1), opTimestamp(handleOf(*queries), 0))
	}
	divided, push := s.opsDispatches(r, sets, parts, queries)
	divided[0] = append(ops, divided[0]...)
	last := len(divided) - 1
	divided[last] = append(divided[last], s.opsOut(r.n)...)
	for _, ops := range divided {
		cmd, err := s.newCommandBuffer(s.pool, ops, push, false)
		if err != nil {
			return err
		}
		r.cmds = append(r.cmds, cmd)
	}
	return nil
}

// opsDispatches returns all dispatches of a batch in at most so many parts of about the same multiply-adds, with a
// timestamp after each if there are queries, and the words of their push constants.
func (e *Executor) opsDispatches(r *recording, sets []handle, parts int, queries *vk.QueryPool) ([][]shimOp, []uint32) {
	var push []uint32
	divided := make([][]shimOp, 1, parts)
	macs := int64(0)
	for i, d := range e.plan.Run(r.entry) {
		if len(divided) < parts && macs >= e.plan.MACs*int64(len(divided))/int64(parts) && i > 0 {
			divided = append(divided, nil)
		}
		macs += d.MACs
		ops := &divided[len(divided)-1]
		if d.Barrier {
			*ops = append(*ops, opBarrier(computeWrite, computeAccess))
		}
		pipeline, layout, _ := e.ps.of(d)
		first := len(push)
		push = append(push, d.Push...)
		if len(d.Push) > 0 {
			push[first] = uint32(r.n)
		}
		groups := [3]int{d.Groups[0].For(r.n), d.Groups[1].For(r.n), d.Groups[2].For(r.n)}
		*ops = append(*ops, opDispatch(pipeline, layout, sets[i], first, 4*len(d.Push), groups))
		if queries != nil {
			*ops = append(*ops, opTimestamp(handleOf(*queries), i+1))
		}
	}
	return divided, push
}

// newSets allocates a descriptor set for every dispatch and points its bindings at a batch of r.n.
func (s *slot) newSets(r *recording) ([]handle, error) {
	d := s.d
	dispatches := s.plan.Run(r.entry)
	layouts, sets := make([]handle, len(dispatches)), make([]handle, len(dispatches))
	storage, texel := 0, 0
	for i := range dispatches {
		_, _, layouts[i] = s.ps.of(dispatches[i])
		n := ifaceOf(dispatches[i]).countTexels()
		texel += n
		storage += len(dispatches[i].Bind) - n
	}
	err := d.call("vkCreateDescriptorPool", func() (res vk.Result) {
		r.pool, res = shimCreateDescriptorPool(d.dev, len(sets), storage, texel)
		return res
	})
	if err != nil {
		return nil, err
	}
	if err := d.call("vkAllocateDescriptorSets", func() vk.Result { return shimAllocateSets(d.dev, r.pool, layouts, sets) }); err != nil {
		return nil, err
	}
	writes := make([]shimWrite, 0, storage+texel)
	for i := range dispatches {
		for b, bind := range dispatches[i].Bind {
			buf, offset, size := s.weights, s.guard+bind.Offset, bind.Size
			if bind.Tensor >= 0 {
				t := &s.plan.Tensors[bind.Tensor]
				buf, offset, size = s.arena, s.guard+int64(r.n)*t.Offset, min(int64(r.n)*t.Stride+s.opts.Overhang, d.info.Caps.MaxStorageBufferRange)
				if at, ok := r.inputsAt[bind.Tensor]; ok {
					buf, offset, size = r.inputs, at, int64(r.n)*t.Stride
				}
			}
			if !bind.Texel {
				writes = append(writes, newWrite(sets[i], b, handleOf(buf.h), offset, size))
				continue
			}
			view, err := s.newView(r, bind, buf, offset, size)
			if err != nil {
				return nil, err
			}
			writes = append(writes, newTexelWrite(sets[i], b, view))
		}
	}
	shimUpdateSets(d.dev, writes)
	return sets, nil
}

// texelFormats are those of texel buffers, which every Vulkan device can read.
var texelFormats = map[netplan.Texel]vk.Format{
	netplan.TexelFloat4: vk.FormatR32g32b32a32Sfloat,
	netplan.TexelHalf4:  vk.FormatR16g16b16a16Sfloat,
	netplan.TexelFloat:  vk.FormatR32Sfloat,
	netplan.TexelWord:   vk.FormatR32Uint,
}

// newView makes a view of what a kernel reads as texels; r keeps it.
func (s *slot) newView(r *recording, bind netplan.Binding, buf *buffer, offset, size int64) (view handle, err error) {
	texel := s.plan.TexelOf(bind)
	size = min(size/texel.Bytes(), s.d.info.Caps.MaxTexelElements) * texel.Bytes() // an overhang may be too large
	size = oneVariant(size, min(buf.size-offset, s.d.info.Caps.MaxTexelElements*texel.Bytes()))
	err = s.d.call("vkCreateBufferView", func() (res vk.Result) {
		view, res = shimCreateBufferView(s.d.dev, handleOf(buf.h), texelFormats[texel], offset, size)
		return res
	})
	if err == nil {
		r.views = append(r.views, view)
	}
	return view, err
}

// oneVariant returns the size of a view that needs size bytes and may have up to most. lavapipe (Mesa 22.3) takes the second
// byte of a view's size for a number of mipmaps and compiles a kernel once more for views where it is zero; the second code
// gets into its cache on disk under a name that only the next process looks for. No kernel reads what is added.
func oneVariant(size, most int64) int64 {
	const step = 256 // whole texels of every format
	if size&0xff00 == 0 && size+step <= most {
		return size + step
	}
	return size
}

// newCommandBuffer allocates a command buffer and records ops into it.
func (s *slot) newCommandBuffer(pool vk.CommandPool, ops []shimOp, push []uint32, oneTime bool) (vk.CommandBuffer, error) {
	d := s.d
	info := vk.CommandBufferAllocateInfo{SType: vk.StructureTypeCommandBufferAllocateInfo, CommandPool: pool,
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
		vk.FreeCommandBuffers(d.h, pool, 1, cmds)
		return nil, err
	}
	return cmds[0], nil
}

func (s *slot) freeRecording(r *recording) {
	if len(r.cmds) > 0 {
		vk.FreeCommandBuffers(s.d.h, s.pool, uint32(len(r.cmds)), r.cmds)
	}
	if r.load != nil {
		vk.FreeCommandBuffers(s.d.h, s.loadPool, 1, []vk.CommandBuffer{r.load})
	}
	if r.pool != 0 {
		vk.DestroyDescriptorPool(s.d.h, fromBits[vk.DescriptorPool](r.pool), nil)
	}
	for _, v := range r.views {
		vk.DestroyBufferView(s.d.h, fromBits[vk.BufferView](v), nil)
	}
	r.cmds, r.load, r.pool, r.views = nil, nil, 0, nil
}

// opsIn prepares the arena: poison and guards where asked for, then the input's copy, which kernels do not see
// before a barrier. In direct mode the host does all of it before the submit, which makes its writes visible by
// itself.
func (s *slot) opsIn(n int, entry netplan.Entry) []shimOp {
	if s.direct {
		return nil
	}
	arena := handleOf(s.arena.h)
	bytes := int64(n) * s.plan.ArenaBytes
	var ops []shimOp
	if s.opts.Poison {
		ops = append(ops, opFill(arena, s.guard, bytes, poisonWord), opBarrier(transferWrite, transferWrite))
	}
	if s.guard > 0 {
		ops = append(ops, opFill(arena, 0, s.guard, guardWord), opFill(arena, s.guard+bytes, s.guard, guardWord))
	}
	from := s.guard
	for _, in := range s.inputTensors(entry) {
		size := int64(n) * in.Stride
		ops = append(ops, opCopy(handleOf(s.upload.h), arena, from, s.guard+int64(n)*in.Offset, size))
		from += size
	}
	return ops
}

// opsOut makes the result visible to the host; with staging it is copied first, and so are the guards.
// The back buffer holds: guard, result, guard, then the guards of the arena and of the weights.
func (s *slot) opsOut(n int) []shimOp {
	if s.direct {
		return []shimOp{opBarrier(computeWrite, hostRead)}
	}
	arena, weights, back := handleOf(s.arena.h), handleOf(s.weights.h), handleOf(s.back.h)
	out := s.output()
	size := int64(n) * out.Stride
	ops := []shimOp{
		opBarrier(computeWrite, transferRead),
		opCopy(arena, back, s.guard+int64(n)*out.Offset, s.guard, size),
	}
	if g := s.guard; g > 0 {
		to := 2*g + size
		for _, c := range []struct {
			from   handle
			offset int64
		}{{arena, 0}, {arena, g + int64(n)*s.plan.ArenaBytes}, {weights, 0}, {weights, s.weights.size - g}} {
			ops = append(ops, opCopy(c.from, back, c.offset, to, g))
			to += g
		}
	}
	return append(ops, opBarrier(transferWrite, hostRead))
}
