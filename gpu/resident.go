package gpu

import (
	"context"
	"fmt"
	"time"
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
	if err := e.take(ctx); err != nil {
		return nil, nil, err
	}
	defer e.release()
	r := &recording{n: n, inputsAt: map[int]int64{}}
	defer func() {
		e.freeRecording(r)
		r.inputs.free()
	}()
	if err := e.prepareResident(ctx, r, input, passes); err != nil {
		return nil, nil, err
	}
	times := make([]time.Duration, submits)
	for i := range times {
		start := time.Now()
		if err := e.submit(ctx, r.cmd); err != nil {
			return nil, nil, err
		}
		if err := e.wait(context.WithoutCancel(ctx)); err != nil { // the commands are freed next
			_ = e.d.waitIdle()
			return nil, nil, err
		}
		times[i] = time.Since(start)
	}
	out := make([]float32, n*e.output().Shape.NumElements())
	if err := e.transfer(ctx, e.opsOut(n)); err != nil {
		return nil, nil, err
	}
	return times, out, e.getOutput(n, out)
}

// prepareResident puts the input into a buffer of r's own and records the passes.
func (e *Executor) prepareResident(ctx context.Context, r *recording, input []float32, passes int) (err error) {
	if err := e.wait(ctx); err != nil {
		return err
	}
	n := r.n
	size := int64(0)
	for _, i := range e.plan.InputTensors() {
		r.inputsAt[i] = size
		size = alignUp(size+int64(n)*e.plan.Tensors[i].Stride, max(int64(e.d.info.Caps.StorageBufferAlignment), 256))
	}
	if r.inputs, err = e.d.newBuffer(size, useDevice); err != nil {
		return err
	}
	// By way of the arena, where inputs go anyway.
	if err := e.putInput(input, n); err != nil {
		return err
	}
	ops := e.opsIn(n)
	for i, at := range r.inputsAt {
		t := &e.plan.Tensors[i]
		ops = append(ops, opCopy(handleOf(e.arena.h), handleOf(r.inputs.h), e.guard+int64(n)*t.Offset, at, int64(n)*t.Stride))
	}
	ops = append(ops, opBarrier(transferRead.or(transferWrite), computeAccess)) // later submits are in its scope too
	if err := e.transfer(ctx, ops); err != nil {
		return err
	}
	sets, err := e.newSets(r)
	if err != nil {
		return err
	}
	pass, push := e.opsDispatches(n, sets, nil, nil)
	ops = nil
	for range passes {
		ops = append(ops, opBarrier(computeWrite, computeAccess)) // the arena is that of the pass before
		ops = append(ops, pass...)
	}
	r.cmd, err = e.newCommandBuffer(ops, push, false)
	return err
}
