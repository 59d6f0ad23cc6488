package gpu

import (
	"context"
	"fmt"
	"time"

	"github.com/vkinfer/vkinfer/netplan"
	vk "github.com/vulkan-go/vulkan"
)

// RunResident measures batches that are in device memory already and whose results stay there: no copies, no
// work of the host but a submit. A batch of n ≤ MaxBatch images runs passes times in each of submits submits;
// the input, that of Run, lies in memory of its own, which the network does not overwrite. The first result is
// the wall time of each submit until the host knows its end, the second what Run would have returned for
// this input, read after the last pass. The caller keeps submits short: drivers end those that take seconds.
// Errors are those of Run.
func (e *Executor) RunResident(ctx context.Context, input []float32, n, passes, submits int) ([]time.Duration, []float32, error) {
	if err := e.checkInput(input, n); err != nil {
		return nil, nil, err
	}
	if n > e.batch || passes < 1 || submits < 1 {
		return nil, nil, fmt.Errorf("gpu: %s: a resident batch of %d, %d passes, %d submits; wanted at most %d images, the executor's MaxBatch, and at least one of the others",
			e.plan.Model, n, passes, submits, e.batch)
	}
	s, err := e.take(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer e.release(s)
	r := &recording{n: n, inputsAt: map[int]int64{}}
	defer func() {
		s.freeRecording(r)
		r.inputs.free()
	}()
	if err := s.prepareResident(ctx, r, input, passes); err != nil {
		return nil, nil, err
	}
	times := make([]time.Duration, submits)
	for i := range times {
		start := time.Now()
		if err := s.submit(ctx, nil, r.cmds...); err != nil {
			return nil, nil, err
		}
		if err := s.wait(context.WithoutCancel(ctx)); err != nil { // the commands are freed next
			_ = e.d.waitIdle()
			return nil, nil, err
		}
		times[i] = time.Since(start)
	}
	out := make([]float32, n*e.output().Shape.NumElements())
	if err := s.transfer(ctx, s.opsOut(n)); err != nil {
		return nil, nil, err
	}
	return times, out, s.getOutput(n, netplan.EntryValues, out)
}

// prepareResident puts the input into a buffer of r's own and records the passes.
func (s *slot) prepareResident(ctx context.Context, r *recording, input []float32, passes int) (err error) {
	if err := s.wait(ctx); err != nil {
		return err
	}
	n := r.n
	size := int64(0)
	for _, i := range s.plan.InputTensors() {
		r.inputsAt[i] = size
		size = alignUp(size+int64(n)*s.plan.Tensors[i].Stride, max(int64(s.d.info.Caps.StorageBufferAlignment), 256))
	}
	if r.inputs, err = s.d.newBuffer(size, useDevice); err != nil {
		return err
	}
	// By way of the arena, where inputs go anyway.
	if err := s.putInput(feed{values: input}, n); err != nil {
		return err
	}
	ops := append(s.opsIn(n, netplan.EntryValues), opBarrier(transferWrite, transferRead))
	for i, at := range r.inputsAt {
		t := &s.plan.Tensors[i]
		ops = append(ops, opCopy(handleOf(s.arena.h), handleOf(r.inputs.h), s.guard+int64(n)*t.Offset, at, int64(n)*t.Stride))
	}
	ops = append(ops, opBarrier(transferRead.or(transferWrite), computeAccess)) // later submits are in its scope too
	if err := s.transfer(ctx, ops); err != nil {
		return err
	}
	sets, err := s.newSets(r)
	if err != nil {
		return err
	}
	pass, push := s.opsDispatches(r, sets, 1, nil)
	ops = nil
	for range passes {
		ops = append(ops, opBarrier(computeWrite, computeAccess)) // the arena is that of the pass before
		ops = append(ops, pass[0]...)
	}
	cmd, err := s.newCommandBuffer(s.pool, ops, push, false)
	if err == nil {
		r.cmds = []vk.CommandBuffer{cmd}
	}
	return err
}
