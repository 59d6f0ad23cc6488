package gpu

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	vk "github.com/vulkan-go/vulkan"
)

// Roofs are what a device was measured to do at most: the two limits of a roofline plot (Williams, Waterman
// and Patterson, "Roofline", CACM 52(4), 2009). No network kernel does only one of the two things.
type Roofs struct {
	// Bytes per second, read and written together, between buffers too large for most caches: by a kernel,
	// and by vkCmdCopyBuffer. A network whose tensors stay in a cache may move more.
	KernelCopy float64
	BufferCopy float64
	CopiedFrom int64 // bytes of each of the two buffers

	// Operations per second, two for a multiply-add, of ordinary kernels without matrix units. Float16 is 0
	// on devices without 16-bit arithmetic.
	Float32 float64
	Float16 float64
}

// Copy is the larger of the two rates of copying, in bytes per second.
func (r Roofs) Copy() float64 { return max(r.KernelCopy, r.BufferCopy) }

// Roofs measures the device: the best of several tries each, by its own clock. It takes some tenths of a
// second, and memory for two buffers of at most 256 MiB. On a device without timestamps it returns ErrFeature.
func (d *Device) Roofs(ctx context.Context) (Roofs, error) {
	var r Roofs
	if err := d.needTimestamps(); err != nil {
		return r, err
	}
	if err := d.copyRoofs(ctx, &r); err != nil {
		return r, err
	}
	var err error
	if r.Float32, err = d.fmaRoof(ctx, "roof_fma_f32"); err != nil {
		return r, err
	}
	if d.info.Caps.Float16 {
		r.Float16, err = d.fmaRoof(ctx, "roof_fma_f16")
	}
	return r, err
}

const (
	roofLanes = 128
	roofTries = 5

	copyPerLane = 4       // vectors of 16 bytes: PER of shaders/roof_copy.comp
	copySlice   = 8 << 20 // bytes of an "image"
	copySlices  = 32

	fmaTurns  = 256 // TURNS of shaders/roof_fma.comp
	fmaGroups = 16  // of an "image"
	fmaFlops  = 2 * 4 * 8 * fmaTurns * roofLanes * fmaGroups
	fmaMost   = 1 << 16 // images: 2·10¹² operations
	fmaLong   = 3e6     // nanoseconds that make a measurement good
)

// roofPlan is a plan without a network: an input and an output of eight values that its dispatches need not
// use, and further tensors that begin after them.
func roofPlan(name string, maxBatch int, tensors ...netplan.Tensor) *netplan.Plan {
	eight := graph.Shape{C: 8, H: 1, W: 1}
	p := &netplan.Plan{Model: name, Precision: "float32", Input: eight, Classes: 8, MaxBatch: maxBatch, InputTensor: 0, OutputTensor: 1}
	p.Tensors = append([]netplan.Tensor{
		{Name: "input", Shape: eight, Layout: netplan.Vector, Stride: 32},
		{Name: "output", Shape: eight, Layout: netplan.Vector, Stride: 32},
	}, tensors...)
	for i := range p.Tensors {
		p.Tensors[i].Offset = p.ArenaBytes
		p.ArenaBytes += alignUp(p.Tensors[i].Stride, 256)
	}
	return p
}

// copyRoofs measures copying. The buffers are two tensors of a plan whose images are slices of them.
func (d *Device) copyRoofs(ctx context.Context, r *Roofs) error {
	slice := graph.Shape{C: 1, H: copySlice / 4096, W: 1024}
	p := roofPlan("roof_copy", 0, netplan.Tensor{Name: "a", Shape: slice, Layout: netplan.NCHW, Stride: copySlice},
		netplan.Tensor{Name: "b", Shape: slice, Layout: netplan.NCHW, Stride: copySlice})
	c := d.info.Caps
	perGroup := 16 * roofLanes * copyPerLane
	p.MaxBatch = int(min(copySlices, c.MaxStorageBufferRange/copySlice, c.MaxAllocation/p.ArenaBytes, int64(c.MaxWorkgroupCount[0])*int64(perGroup)/copySlice))
	one := netplan.Groups{Fixed: 1, Tile: 1}
	for i := range roofTries + 1 { // the first one writes memory that nothing has touched, from such memory
		from, to := 3-i%2, 2+i%2
		p.Dispatches = append(p.Dispatches, netplan.Dispatch{Node: p.Tensors[to].Name, Kernel: "roof_copy",
			Spec: []uint32{roofLanes, 1, 1, copyPerLane}, Push: []uint32{0, copySlice / 16}, Barrier: i > 0,
			Bind:   []netplan.Binding{{Tensor: from}, {Tensor: to, Write: true}},
			Groups: [3]netplan.Groups{{PerImage: copySlice / perGroup, Tile: 1}, one, one}, Bytes: 2 * copySlice})
	}
	e, err := NewExecutor(d, p, ExecutorOptions{MaxBatch: max(p.MaxBatch, 1)})
	if err != nil {
		return err
	}
	defer e.Close()
	n := e.MaxBatch()
	times, err := e.Profile(ctx, make([]float32, 8*n), n, ProfileOptions{Warmup: 1, Runs: 2})
	if err != nil {
		return err
	}
	for _, t := range times.Dispatches[1:] {
		r.KernelCopy = max(r.KernelCopy, 1e9*float64(t.Bytes)/t.Ns)
	}
	r.CopiedFrom = int64(n) * copySlice
	r.BufferCopy, err = e.bufferCopy(ctx, &p.Tensors[2], &p.Tensors[3], n)
	return err
}

// bufferCopy measures vkCmdCopyBuffer between two tensors of a batch of n, in bytes per second.
func (e *Executor) bufferCopy(ctx context.Context, from, to *netplan.Tensor, n int) (float64, error) {
	s, err := e.take(ctx)
	if err != nil {
		return 0, err
	}
	defer e.release(s)
	if err := s.wait(ctx); err != nil {
		return 0, err
	}
	const count = roofTries + 1
	queries, err := e.d.newQueries(count)
	if err != nil {
		return 0, err
	}
	defer func() { vk.DestroyQueryPool(e.d.h, queries, nil) }()
	arena, size := handleOf(s.arena.h), int64(n)*from.Stride
	both := transferRead.or(transferWrite)
	ops := []shimOp{opResetQueries(handleOf(queries), 0, count), opBarrier(computeWrite, both), opTimestamp(handleOf(queries), 0)}
	for i := range roofTries {
		ops = append(ops, opCopy(arena, arena, int64(n)*from.Offset, int64(n)*to.Offset, size),
			opBarrier(transferWrite, both), opTimestamp(handleOf(queries), i+1))
		from, to = to, from
	}
	cmd, err := s.newCommandBuffer(s.pool, ops, nil, false)
	if err != nil {
		return 0, err
	}
	defer vk.FreeCommandBuffers(e.d.h, s.pool, 1, []vk.CommandBuffer{cmd})
	best := 0.0
	for range 2 {
		ticks, err := s.timed(ctx, cmd, queries, count)
		if err != nil {
			return 0, err
		}
		for i := range roofTries {
			if ns := e.d.ns(ticks[i], ticks[i+1]); ns > 0 {
				best = max(best, 1e9*2*float64(size)/ns)
			}
		}
	}
	return best, nil
}

// fmaRoof measures a kernel that does nothing but multiply and add, in operations per second. The batch
// grows until a dispatch takes long enough to be measured well.
func (d *Device) fmaRoof(ctx context.Context, kernel string) (float64, error) {
	p := roofPlan(kernel, min(d.info.Caps.MaxWorkgroupCount[0]/fmaGroups, fmaMost))
	for _, v := range []float32{0.984375, 0.03125} { // v = v·a + b goes to 2
		p.Weights = binary.LittleEndian.AppendUint32(p.Weights, math.Float32bits(v))
	}
	one := netplan.Groups{Fixed: 1, Tile: 1}
	for range roofTries {
		p.Dispatches = append(p.Dispatches, netplan.Dispatch{Node: kernel, Kernel: kernel, Spec: []uint32{roofLanes, 1, 1, fmaTurns}, Push: []uint32{0},
			Barrier: true, Bind: []netplan.Binding{{Tensor: -1, Size: int64(len(p.Weights))}, {Tensor: 1, Write: true}},
			Groups: [3]netplan.Groups{{PerImage: fmaGroups, Tile: 1}, one, one}, MACs: fmaFlops / 2})
	}
	e, err := NewExecutor(d, p, ExecutorOptions{MaxBatch: p.MaxBatch})
	if err != nil {
		return 0, err
	}
	defer e.Close()
	for n := 1; ; n = min(4*n, e.MaxBatch()) {
		times, err := e.Profile(ctx, make([]float32, 8*n), n, ProfileOptions{Warmup: 1})
		if err != nil {
			return 0, err
		}
		best, longest := 0.0, 0.0
		for _, t := range times.Dispatches {
			best, longest = max(best, 2e9*float64(t.MACs)/t.Ns), max(longest, t.Ns)
		}
		if longest >= fmaLong || n == e.MaxBatch() {
			return best, nil
		}
	}
}
