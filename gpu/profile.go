package gpu

import (
	"context"
	"fmt"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// DispatchTime is how long one dispatch took.
type DispatchTime struct {
	Node, Kernel string
	Ns           float64 // from the end of the dispatch before it to its own end
	MACs, Bytes  int64   // of the whole batch, from the plan
}

// Profile runs a batch of n ≤ MaxBatch images and returns the time of each dispatch by the device's own
// clock. Dispatches without a barrier between them may overlap; their sum is right, their shares are not
// exact. The times include no copies. On a device without timestamps it returns ErrFeature.
func (e *Executor) Profile(ctx context.Context, input []float32, n int) ([]DispatchTime, error) {
	if err := e.checkInput(input, n); err != nil {
		return nil, err
	}
	if n > e.batch {
		return nil, fmt.Errorf("gpu: %s: profile of a batch of %d; wanted at most %d, the executor's MaxBatch", e.plan.Model, n, e.batch)
	}
	if e.d.info.Caps.TimestampBits == 0 {
		return nil, fmt.Errorf("gpu: %s: %w: its queue has no timestamps; measure whole runs instead", e.d.info.Caps.Name, ErrFeature)
	}
	if err := e.take(ctx); err != nil {
		return nil, err
	}
	defer e.release()
	ticks, err := e.profile(ctx, input, n)
	if err != nil {
		return nil, err
	}
	times := make([]DispatchTime, len(e.plan.Dispatches))
	for i, d := range e.plan.Dispatches {
		delta := ticks[i+1] - ticks[i] // the clock may wrap at its number of bits
		if b := e.d.info.Caps.TimestampBits; b < 64 {
			delta &= 1<<b - 1
		}
		times[i] = DispatchTime{Node: d.Node, Kernel: d.Kernel, Ns: float64(delta) * e.d.info.Caps.TimestampNs,
			MACs: int64(n) * d.MACs, Bytes: int64(n) * d.Bytes}
	}
	return times, nil
}

// profile returns the timestamps before the first and after each dispatch.
func (e *Executor) profile(ctx context.Context, input []float32, n int) ([]uint64, error) {
	if err := e.wait(ctx); err != nil {
		return nil, err
	}
	d, count := e.d, uint32(len(e.plan.Dispatches)+1)
	info := vk.QueryPoolCreateInfo{SType: vk.StructureTypeQueryPoolCreateInfo, QueryType: vk.QueryTypeTimestamp, QueryCount: count}
	defer info.Free()
	var queries vk.QueryPool
	if err := d.call("vkCreateQueryPool", func() vk.Result { return vk.CreateQueryPool(d.h, &info, nil, &queries) }); err != nil {
		return nil, err
	}
	defer func() { vk.DestroyQueryPool(d.h, queries, nil) }()
	r, err := e.newRecording(n, &queries)
	if err != nil {
		return nil, err
	}
	defer e.freeRecording(r)
	if err := e.putInput(input, n); err != nil {
		return nil, err
	}
	if err := e.submit(ctx, r.cmd); err != nil {
		return nil, err
	}
	if err := e.wait(context.WithoutCancel(ctx)); err != nil { // the recording is freed next
		_ = d.waitIdle()
		return nil, err
	}
	ticks := make([]uint64, count)
	flags := vk.QueryResultFlags(vk.QueryResult64Bit | vk.QueryResultWaitBit)
	err = d.call("vkGetQueryPoolResults", func() vk.Result {
		return vk.GetQueryPoolResults(d.h, queries, 0, count, uint(8*count), unsafe.Pointer(&ticks[0]), 8, flags)
	})
	if err != nil {
		return nil, err
	}
	results := make([]float32, n*e.output().Shape.NumElements())
	return ticks, e.getOutput(n, results) // for its checks
}
