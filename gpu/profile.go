package gpu

import (
	"context"
	"fmt"
	"slices"
	"unsafe"

	"github.com/vkinfer/vkinfer/netplan"
	vk "github.com/vulkan-go/vulkan"
)

// ProfileOptions says how often to measure.
type ProfileOptions struct {
	Warmup int // runs before those that count; some drivers compile in the first
	Runs   int // runs that count; 0 means 1
}

// DispatchTime is how long one dispatch took.
type DispatchTime struct {
	Node, Kernel string
	// Ns is the median over the runs of the time from the end of the dispatch before it to its own end, in
	// nanoseconds of the device's clock; P10 and P90 are the tenth and ninetieth percentile.
	Ns, P10, P90 float64
	MACs         int64 // of the whole batch, from the plan
	Bytes        int64 // of tensors read and written by the whole batch, from the plan
	WeightBytes  int64 // of weights read, whatever the batch
}

// Profile is the time of every dispatch of a batch.
type Profile struct {
	Dispatches []DispatchTime
	// Ns is the median of the time from before the first dispatch to the end of the last; P10 and P90 are
	// its percentiles.
	Ns, P10, P90 float64
	Runs         int
}

// Profile runs a batch of n ≤ MaxBatch images several times and returns the time of each dispatch by the
// device's own clock. Dispatches without a barrier between them may overlap; their sum is right, their
// shares are not exact. The times include no copies. On a device without timestamps it returns ErrFeature.
func (e *Executor) Profile(ctx context.Context, input []float32, n int, opts ProfileOptions) (*Profile, error) {
	if err := e.checkInput(input, n); err != nil {
		return nil, err
	}
	if n > e.batch {
		return nil, fmt.Errorf("gpu: %s: profile of a batch of %d; wanted at most %d, the executor's MaxBatch", e.plan.Model, n, e.batch)
	}
	if err := e.d.needTimestamps(); err != nil {
		return nil, err
	}
	s, err := e.take(ctx)
	if err != nil {
		return nil, err
	}
	defer e.release(s)
	opts.Runs = max(opts.Runs, 1)
	runs, err := s.profile(ctx, input, n, opts)
	if err != nil {
		return nil, err
	}
	return e.newProfile(runs, n), nil
}

// needTimestamps returns ErrFeature on a device without them.
func (d *Device) needTimestamps() error {
	if d.info.Caps.TimestampBits == 0 {
		return fmt.Errorf("gpu: %s: %w: its queue has no timestamps; measure whole runs instead", d.info.Caps.Name, ErrFeature)
	}
	return nil
}

// newProfile turns the timestamps of runs into times.
func (e *Executor) newProfile(runs [][]uint64, n int) *Profile {
	p := &Profile{Dispatches: make([]DispatchTime, len(e.plan.Dispatches)), Runs: len(runs)}
	samples := make([]float64, len(runs))
	between := func(from, to int) (median, p10, p90 float64) {
		for r, ticks := range runs {
			samples[r] = e.d.ns(ticks[from], ticks[to])
		}
		slices.Sort(samples)
		return quantile(samples, 0.5), quantile(samples, 0.1), quantile(samples, 0.9)
	}
	for i, d := range e.plan.Dispatches {
		t := DispatchTime{Node: d.Node, Kernel: d.Kernel, MACs: int64(n) * d.MACs, Bytes: int64(n) * d.Bytes}
		for _, b := range d.Bind {
			if b.Tensor < 0 {
				t.WeightBytes += b.Size
			}
		}
		t.Ns, t.P10, t.P90 = between(i, i+1)
		p.Dispatches[i] = t
	}
	p.Ns, p.P10, p.P90 = between(0, len(e.plan.Dispatches))
	return p
}

// ns is the time between two timestamps in nanoseconds. The clock may wrap at its number of bits.
func (d *Device) ns(from, to uint64) float64 {
	delta := to - from
	if b := d.info.Caps.TimestampBits; b < 64 {
		delta &= 1<<b - 1
	}
	return float64(delta) * d.info.Caps.TimestampNs
}

// quantile interpolates between the two sorted values nearest to the quantile q.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// profile returns, for every run that counts, the timestamps before the first and after each dispatch.
func (s *slot) profile(ctx context.Context, input []float32, n int, opts ProfileOptions) ([][]uint64, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	count := len(s.plan.Dispatches) + 1
	queries, err := s.d.newQueries(count)
	if err != nil {
		return nil, err
	}
	defer func() { vk.DestroyQueryPool(s.d.h, queries, nil) }()
	r := &recording{n: n}
	defer s.freeRecording(r)
	if err := s.record(r, 1, &queries); err != nil {
		return nil, err
	}
	results := make([]float32, n*s.output().Shape.NumElements())
	var runs [][]uint64
	for i := range opts.Warmup + opts.Runs {
		if err := s.putInput(feed{values: input}, n); err != nil {
			return nil, err
		}
		ticks, err := s.timed(ctx, r.cmds[0], queries, count)
		if err != nil {
			return nil, err
		}
		if err := s.getOutput(n, netplan.EntryValues, results); err != nil { // for its checks
			return nil, err
		}
		if i >= opts.Warmup {
			runs = append(runs, ticks)
		}
	}
	return runs, nil
}

// newQueries makes a pool of timestamps.
func (d *Device) newQueries(count int) (vk.QueryPool, error) {
	info := vk.QueryPoolCreateInfo{SType: vk.StructureTypeQueryPoolCreateInfo, QueryType: vk.QueryTypeTimestamp, QueryCount: uint32(count)}
	defer info.Free()
	var queries vk.QueryPool
	err := d.call("vkCreateQueryPool", func() vk.Result { return vk.CreateQueryPool(d.h, &info, nil, &queries) })
	return queries, err
}

// timed runs commands that write the first count timestamps of queries, and returns those.
func (s *slot) timed(ctx context.Context, cmd vk.CommandBuffer, queries vk.QueryPool, count int) ([]uint64, error) {
	if err := s.submit(ctx, nil, cmd); err != nil {
		return nil, err
	}
	if err := s.wait(context.WithoutCancel(ctx)); err != nil { // the caller frees the commands
		_ = s.d.waitIdle()
		return nil, err
	}
	ticks := make([]uint64, count)
	flags := vk.QueryResultFlags(vk.QueryResult64Bit | vk.QueryResultWaitBit)
	err := s.d.call("vkGetQueryPoolResults", func() vk.Result {
		return vk.GetQueryPoolResults(s.d.h, queries, 0, uint32(count), uint(8*count), unsafe.Pointer(&ticks[0]), 8, flags)
	})
	return ticks, err
}
