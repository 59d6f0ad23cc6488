package gpu

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/shaders"
)

// ExecutorOptions says how to prepare a plan.
type ExecutorOptions struct {
	// MaxBatch is the most images in one submit; larger batches are run in several. 0 means 8. It is
	// lowered to what the plan and the device's memory allow (Executor.MaxBatch tells).
	MaxBatch int
	// InFlight is how many batches may be at work at once, each in an arena of its own: while one computes,
	// the host prepares the next and reads the one before. 0 means 2. Arenas beyond the first are made when
	// they are first needed; where memory is short there are fewer.
	InFlight int
	// Recorded is how many batch sizes keep their recorded commands; 0 means 8.
	Recorded int
	// SubmitBudget bounds the time of one submit, by the rate of the runs before: some systems end what takes
	// seconds. 0 means 200 ms, on devices that are CPUs no bound.
	SubmitBudget time.Duration
	// Poison fills the arena with NaNs before every run, so that a kernel that reads what nothing wrote
	// shows in the results.
	Poison bool
	// Guards puts words before and after the arena, the weights and the staging buffers, and checks them
	// after every run; one that was overwritten is ErrCorrupt.
	Guards bool

	// Overhang is by how many bytes kernels may reach beyond the ends of tensors, as far as the device can bind so
	// much. Drivers drop what a kernel writes out of bounds; with an overhang into guards (netplan.Options.Guard) it
	// arrives there, and Trace notices.
	Overhang int64

	lookup lookupKernel // nil means shaders.Lookup; for tests
}

const (
	defaultBatch    = 8
	defaultInFlight = 2
	defaultBudget   = 200 * time.Millisecond
	defaultRecorded = 8
	guardBytes      = 4096
	guardWord       = 0xa5c3f00d
	poisonWord      = 0xffffffff // a NaN in every float format
)

// Executor is a plan made ready on a device: pipelines, weights, arenas and recorded commands. Its methods
// may be called by any number of goroutines, which are served in the order of their calls.
type Executor struct {
	d    *Device
	plan *netplan.Plan
	opts ExecutorOptions

	inputs  []*netplan.Tensor // what a run is given: the picture, or all inputs of a fragment
	values  int               // of all inputs of an image, without padding
	batch   int               // the most images in one submit
	guard   int64
	direct  bool // the host maps the arena itself
	weights *buffer
	ps      *pipelines
	pace    pace
	phases  phases

	free    chan *slot   // slots at rest; who takes one out owns it, and the buffers' contents
	waiting atomic.Int32 // goroutines that wait for one

	mu     sync.Mutex
	slots  []*slot // all there are
	most   int     // how many there may be
	closed bool    // set by who owns all slots

	closing sync.Mutex // one Close at a time collects the slots
}

// Stats are figures of an Executor.
type Stats struct {
	MaxBatch     int     // the most images in one submit
	Dispatches   int     // per submit
	Pipelines    int     // distinct kernel and specialization constants
	CompileMs    float64 // wall time of creating the pipelines that the device did not have yet
	ArenaBytes   int64   // of one arena, for MaxBatch
	InFlight     int     // arenas there are so far
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
	if opts.InFlight <= 0 {
		opts.InFlight = defaultInFlight
	}
	if opts.SubmitBudget <= 0 && dev.info.Caps.Type != "cpu" {
		opts.SubmitBudget = defaultBudget
	}
	batch := min(opts.MaxBatch, max(plan.MaxBatch, 1))
	if err := checkPlan(plan, dev, opts.lookup, batch); err != nil {
		return nil, err
	}
	e := &Executor{d: dev, plan: plan, opts: opts, values: plan.InputElements(), free: make(chan *slot, opts.InFlight), most: opts.InFlight}
	for _, i := range plan.InputTensors() {
		e.inputs = append(e.inputs, &plan.Tensors[i])
	}
	if opts.Guards {
		e.guard = alignUp(guardBytes, int64(max(dev.info.Caps.StorageBufferAlignment, int(dev.probed.texelAlignment))))
	}
	e.direct = dev.info.Caps.HostVisible && !dev.opts.ForceStaging && dev.probed.directType() >= 0
	if err := e.prepare(batch); err != nil {
		e.destroy()
		return nil, err
	}
	dev.mu.Lock()
	dev.executors[e] = struct{}{}
	dev.mu.Unlock()
	e.free <- e.slots[0]
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
	s := &slot{Executor: e}
	e.slots = append(e.slots, s)
	if err = s.newCommands(); err != nil {
		return err
	}
	if e.ps, err = newPipelines(e.d, e.plan, e.opts.lookup); err != nil {
		return err
	}
	if err = e.loadWeights(s); err != nil {
		return err
	}
	for ; ; batch /= 2 {
		err = s.allocate(batch)
		if err == nil {
			e.batch = batch
			return nil
		}
		s.freeArena()
		if !errors.Is(err, ErrOutOfMemory) || batch <= 1 {
			return err
		}
	}
}

// arenaUse is the kind of memory for what kernels read and write.
func (e *Executor) arenaUse() memoryUse {
	if e.direct {
		return useDirect
	}
	return useDevice
}

// inputTensors returns what is given to a run, as it lies in the arena.
func (e *Executor) inputTensors(entry netplan.Entry) (list []*netplan.Tensor) {
	if entry == netplan.EntryValues {
		return e.inputs
	}
	for _, i := range e.plan.EntryTensors(entry) {
		list = append(list, &e.plan.Tensors[i])
	}
	return list
}

// inputStride is the bytes of one image's inputs as they are stored.
func (e *Executor) inputStride(entry netplan.Entry) (bytes int64) {
	for _, t := range e.inputTensors(entry) {
		bytes += t.Stride
	}
	return bytes
}

func (e *Executor) output() *netplan.Tensor { return &e.plan.Tensors[e.plan.OutputTensor] }

// loadWeights puts the plan's weights, with their guards, into device memory.
func (e *Executor) loadWeights(s *slot) (err error) {
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
		err := s.transfer(context.Background(), []shimOp{
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
	e.mu.Lock()
	defer e.mu.Unlock()
	buffers := []*buffer{e.weights}
	for _, slot := range e.slots {
		buffers = append(buffers, slot.arena, slot.upload, slot.back)
	}
	s.InFlight = len(e.slots)
	for _, b := range buffers {
		if b != nil {
			s.DeviceBytes += b.held
		}
	}
	return s
}

// Close waits for the runs in progress and frees everything. Further calls do nothing; runs that still
// wait for their turn, and later ones, return ErrClosed.
func (e *Executor) Close() error {
	e.closing.Lock()
	defer e.closing.Unlock()
	e.mu.Lock()
	e.most = len(e.slots) // no more of them
	n := len(e.slots)
	e.mu.Unlock()
	var all []*slot
	for range n {
		all = append(all, <-e.free)
	}
	e.mu.Lock()
	first := !e.closed
	e.closed = true
	e.mu.Unlock()
	if first {
		e.d.mu.Lock()
		delete(e.d.executors, e)
		e.d.mu.Unlock()
		e.destroy()
	}
	for _, s := range all {
		e.free <- s
	}
	return nil
}

// destroy frees what there is, once the device no longer uses it.
func (e *Executor) destroy() {
	_ = e.d.waitIdle()
	for _, s := range e.slots {
		s.destroy()
	}
	e.weights.free()
	e.weights = nil
}

// take waits for a slot, in the order of the calls; release must follow unless it fails.
func (e *Executor) take(ctx context.Context) (*slot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := e.takeAtOnce()
	if err != nil {
		return nil, err
	}
	if s == nil {
		e.waiting.Add(1)
		defer e.waiting.Add(-1)
		select {
		case s = <-e.free:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	err = e.d.usable()
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	if closed {
		err = fmt.Errorf("gpu: %s: executor is %w; make a new one", e.plan.Model, ErrClosed)
	}
	if err != nil {
		e.release(s)
		return nil, err
	}
	return s, nil
}

// takeAtOnce returns a slot that is at rest, or a new one if there may be more, else nil. Nobody is overtaken: who
// waits would have had it. Where there is no memory for another slot there will be no more.
func (e *Executor) takeAtOnce() (*slot, error) {
	if e.waiting.Load() > 0 {
		return nil, nil
	}
	select {
	case s := <-e.free:
		return s, nil
	default:
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || len(e.slots) >= e.most {
		return nil, nil
	}
	s := &slot{Executor: e}
	err := s.newCommands()
	if err == nil {
		err = s.allocate(e.batch)
	}
	if err != nil {
		s.destroy()
		if errors.Is(err, ErrOutOfMemory) {
			e.most, err = len(e.slots), nil
		}
		return nil, err
	}
	e.slots = append(e.slots, s)
	return s, nil
}

func (e *Executor) release(s *slot) { e.free <- s }
