package gpu

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/shaders"
	vk "github.com/vulkan-go/vulkan"
)

// ExecutorOptions says how to prepare a plan.
type ExecutorOptions struct {
	// MaxBatch is the most images in one submit; larger batches are run in several. 0 means 8. It is
	// lowered to what the plan and the device's memory allow (Executor.MaxBatch tells).
	MaxBatch int
	// Recorded is how many batch sizes keep their recorded commands; 0 means 8.
	Recorded int
	// Poison fills the arena with NaNs before every run, so that a kernel that reads what nothing wrote
	// shows in the results.
	Poison bool
	// Guards puts words before and after the arena, the weights and the staging buffers, and checks them
	// after every run; one that was overwritten is ErrCorrupt.
	Guards bool

	lookup   lookupKernel // nil means shaders.Lookup; for tests
	overhang int64        // bytes by which bindings of tensors reach too far; for tests of the guards
}

const (
	defaultBatch    = 8
	defaultRecorded = 8
	guardBytes      = 4096
	guardWord       = 0xa5c3f00d
	poisonWord      = 0xffffffff // a NaN in every float format
)

// Executor is a plan made ready on a device: pipelines, weights, an arena and recorded commands. Its
// methods may be called by any number of goroutines; one batch runs at a time, in the order of the calls.
type Executor struct {
	d    *Device
	plan *netplan.Plan
	opts ExecutorOptions

	inputs  []*netplan.Tensor // what a run is given: the picture, or all inputs of a fragment
	values  int               // of all inputs of an image, without padding
	batch   int               // the most images in one submit
	guard   int64
	direct  bool // the host maps the arena itself
	arena   *buffer
	weights *buffer
	upload  *buffer // nil in direct mode, as is readback
	back    *buffer
	ps      *pipelines
	pool    vk.CommandPool
	fence   vk.Fence

	turn chan struct{} // holds one token; who has it owns all below, and the buffers' contents

	closed   bool
	inFlight bool // the fence was submitted and its end not seen
	recorded []*recording
}

// Stats are figures of an Executor.
type Stats struct {
	MaxBatch     int     // the most images in one submit
	Dispatches   int     // per submit
	Pipelines    int     // distinct kernel and specialization constants
	CompileMs    float64 // wall time of creating the pipelines that the device did not have yet
	ArenaBytes   int64   // for MaxBatch
	WeightsBytes int64
	DeviceBytes  int64 // all device memory allocated, staging included
	Direct       bool  // inputs and results go straight to device memory, without staging copies
}

// NewExecutor checks the plan against the device and the kernels, uploads the weights, compiles the
// pipelines and allocates the arena. If the arena for MaxBatch does not fit, it is halved until it does.
// Errors wrap ErrPlan, ErrFeature, ErrOutOfMemory, ErrDeviceLost or ErrClosed. The plan must not be
// changed while the executor lives.
func NewExecutor(dev *Device, plan *netplan.Plan, opts ExecutorOptions) (*Executor, error) {
	if err := dev.enter(); err != nil {
		return nil, err
	}
	defer dev.building.Done()
	if opts.lookup == nil {
		opts.lookup = shaders.Lookup
	}
	if opts.MaxBatch <= 0 {
		opts.MaxBatch = defaultBatch
	}
	if opts.Recorded <= 0 {
		opts.Recorded = defaultRecorded
	}
	batch := min(opts.MaxBatch, max(plan.MaxBatch, 1))
	if err := checkPlan(plan, dev, opts.lookup, batch); err != nil {
		return nil, err
	}
	e := &Executor{d: dev, plan: plan, opts: opts, values: plan.InputElements(), turn: make(chan struct{}, 1)}
	for _, i := range plan.InputTensors() {
		e.inputs = append(e.inputs, &plan.Tensors[i])
	}
	if opts.Guards {
		e.guard = alignUp(guardBytes, int64(dev.info.Caps.StorageBufferAlignment))
	}
	e.direct = dev.info.Caps.HostVisible && !dev.opts.ForceStaging && dev.probed.directType() >= 0
	if err := e.prepare(batch); err != nil {
		e.destroy()
		return nil, err
	}
	dev.mu.Lock()
	dev.executors[e] = struct{}{}
	dev.mu.Unlock()
	e.turn <- struct{}{}
	return e, nil
}

func alignUp(n, to int64) int64 {
	if to <= 1 {
		return n
	}
	return (n + to - 1) / to * to
}

// prepare fills e. What it made before an error is freed by destroy.
func (e *Executor) prepare(batch int) (err error) {
	if err = e.newCommands(); err != nil {
		return err
	}
	if e.ps, err = newPipelines(e.d, e.plan, e.opts.lookup); err != nil {
		return err
	}
	if err = e.loadWeights(); err != nil {
		return err
	}
	for ; ; batch /= 2 {
		err = e.allocate(batch)
		if err == nil {
			e.batch = batch
			return nil
		}
		e.freeArena()
		if !errors.Is(err, ErrOutOfMemory) || batch <= 1 {
			return err
		}
	}
}

// newCommands makes the command pool and the fence.
func (e *Executor) newCommands() error {
	pool := vk.CommandPoolCreateInfo{SType: vk.StructureTypeCommandPoolCreateInfo, QueueFamilyIndex: uint32(e.d.probed.queueFamily)}
	defer pool.Free()
	var p vk.CommandPool
	if err := e.d.call("vkCreateCommandPool", func() vk.Result { return vk.CreateCommandPool(e.d.h, &pool, nil, &p) }); err != nil {
		return err
	}
	e.pool = p
	fence := vk.FenceCreateInfo{SType: vk.StructureTypeFenceCreateInfo}
	defer fence.Free()
	var f vk.Fence
	if err := e.d.call("vkCreateFence", func() vk.Result { return vk.CreateFence(e.d.h, &fence, nil, &f) }); err != nil {
		return err
	}
	e.fence = f
	return nil
}

// arenaUse is the kind of memory for what kernels read and write.
func (e *Executor) arenaUse() memoryUse {
	if e.direct {
		return useDirect
	}
	return useDevice
}

// allocate makes the arena and the staging buffers for a batch.
func (e *Executor) allocate(batch int) (err error) {
	n := int64(batch)
	if e.arena, err = e.d.newBuffer(n*e.plan.ArenaBytes+2*e.guard, e.arenaUse()); err != nil || e.direct {
		return err
	}
	if e.upload, err = e.d.newBuffer(n*e.inputStride()+2*e.guard, useUpload); err != nil {
		return err
	}
	e.back, err = e.d.newBuffer(n*e.output().Stride+6*e.guard, useReadback)
	return err
}

func (e *Executor) freeArena() {
	e.arena.free()
	e.upload.free()
	e.back.free()
	e.arena, e.upload, e.back = nil, nil, nil
}

// inputStride is the bytes of one image's inputs as they are stored.
func (e *Executor) inputStride() (bytes int64) {
	for _, t := range e.inputs {
		bytes += t.Stride
	}
	return bytes
}

func (e *Executor) output() *netplan.Tensor { return &e.plan.Tensors[e.plan.OutputTensor] }

// loadWeights puts the plan's weights, with their guards, into device memory.
func (e *Executor) loadWeights() (err error) {
	const slice = 16 << 20
	all := max(alignUp(int64(len(e.plan.Weights)), 4), 4) + 2*e.guard
	if e.weights, err = e.d.newBuffer(all, e.arenaUse()); err != nil {
		return err
	}
	if e.direct {
		e.fillWeights(e.weights.mapped, 0)
		return e.weights.flush(0, all)
	}
	staging, err := e.d.newBuffer(min(all, slice), useUpload)
	if err != nil {
		return err
	}
	defer func() { staging.free() }()
	for at := int64(0); at < all; at += staging.size {
		n := min(staging.size, all-at)
		e.fillWeights(staging.mapped[:n], at)
		if err := staging.flush(0, n); err != nil {
			return err
		}
		err := e.transfer(context.Background(), []shimOp{
			opCopy(handleOf(staging.h), handleOf(e.weights.h), 0, at, n),
			opBarrier(transferWrite, computeAccess.or(transferRead)), // later submits are in its scope too
		})
		if err != nil {
			_ = e.d.waitIdle() // the copy may still read staging
			return err
		}
	}
	return nil
}

// fillWeights writes the bytes of the weights buffer that begin at offset at: guard, weights, guard.
func (e *Executor) fillWeights(dst []byte, at int64) {
	end := e.guard + int64(len(e.plan.Weights))
	for i := int64(0); i < int64(len(dst)); {
		switch pos := at + i; {
		case pos >= e.guard && pos < end:
			i += int64(copy(dst[i:], e.plan.Weights[pos-e.guard:]))
		default:
			word := [4]byte{}
			binary.LittleEndian.PutUint32(word[:], guardWord)
			dst[i] = word[pos%4]
			i++
		}
	}
}

// MaxBatch is the most images that go into one submit.
func (e *Executor) MaxBatch() int { return e.batch }

// Plan returns the plan, which must not be changed.
func (e *Executor) Plan() *netplan.Plan { return e.plan }

// Stats returns figures of the executor.
func (e *Executor) Stats() Stats {
	s := Stats{MaxBatch: e.batch, Dispatches: len(e.plan.Dispatches), Pipelines: len(e.ps.byKey), CompileMs: float64(e.ps.took.Microseconds()) / 1000,
		ArenaBytes: int64(e.batch) * e.plan.ArenaBytes, WeightsBytes: int64(len(e.plan.Weights)), Direct: e.direct}
	for _, b := range []*buffer{e.arena, e.weights, e.upload, e.back} {
		if b != nil {
			s.DeviceBytes += b.held
		}
	}
	return s
}

// Close waits for the run in progress and frees everything. Further calls do nothing; runs that still
// wait for their turn, and later ones, return ErrClosed.
func (e *Executor) Close() error {
	<-e.turn
	defer func() { e.turn <- struct{}{} }()
	if e.closed {
		return nil
	}
	e.closed = true
	e.d.mu.Lock()
	delete(e.d.executors, e)
	e.d.mu.Unlock()
	e.destroy()
	return nil
}

// destroy frees what there is, once the device no longer uses it.
func (e *Executor) destroy() {
	_ = e.d.waitIdle()
	for _, r := range e.recorded {
		e.freeRecording(r)
	}
	e.recorded = nil
	e.freeArena()
	e.weights.free()
	if e.fence != nil {
		vk.DestroyFence(e.d.h, e.fence, nil)
	}
	if e.pool != nil {
		vk.DestroyCommandPool(e.d.h, e.pool, nil)
	}
	e.weights, e.fence, e.pool = nil, nil, nil
}

// take waits for the executor's turn; release must follow unless it fails.
func (e *Executor) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-e.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := e.d.usable()
	if e.closed {
		err = fmt.Errorf("gpu: %s: executor is %w; make a new one", e.plan.Model, ErrClosed)
	}
	if err != nil {
		e.release()
	}
	return err
}

func (e *Executor) release() { e.turn <- struct{}{} }
