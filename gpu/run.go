package gpu

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"
	"unsafe"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/weights/float16"
	vk "github.com/vulkan-go/vulkan"
)

// waitSlice bounds how late a cancelled context is noticed.
const waitSlice = 5 * time.Millisecond

// Run computes the logits of n images: input is n·C·H·W floats (NCHW, normalised), the result n·classes.
// Of a fragment, which has several inputs or a map for its result, an image is the values of all inputs,
// one after the other (netplan.Plan.InputElements), and the result is n·C·H·W of its output, NCHW.
// Batches larger than MaxBatch run in several submits, of which one computes while the host prepares another.
// If ctx ends while the device works, Run returns its error at once and later calls wait for the device.
// Errors wrap ErrDeviceLost, ErrOutOfMemory, ErrClosed or ErrCorrupt where one of them is the cause.
func (e *Executor) Run(ctx context.Context, input []float32, n int) ([]float32, error) {
	if err := e.checkInput(input, n); err != nil {
		return nil, err
	}
	return e.run(ctx, feed{values: input}, n)
}

// RunPictures is Run for n pictures of H·W·3 bytes, RGB, which the plan's first kernel normalises. The plan must
// have been made for them (netplan.Options.Pictures).
func (e *Executor) RunPictures(ctx context.Context, pictures []uint8, n int) ([]float32, error) {
	if err := e.checkPictures(pictures, n); err != nil {
		return nil, err
	}
	return e.run(ctx, feed{pictures: pictures}, n)
}

func (e *Executor) checkInput(input []float32, n int) error {
	if per := e.values; n < 1 || len(input) != n*per {
		return fmt.Errorf("gpu: %s: input of %d floats for a batch of %d; wanted at least one image of %d floats (%v)",
			e.plan.Model, len(input), n, per, e.plan.Input)
	}
	return nil
}

func (e *Executor) checkPictures(pictures []uint8, n int) error {
	if !e.plan.Has(netplan.EntryPictures) {
		return planError(e.plan, "it takes no pictures; wanted one made with netplan.Options.Pictures")
	}
	if per := e.plan.Input.NumElements(); n < 1 || len(pictures) != n*per {
		return fmt.Errorf("gpu: %s: pictures of %d bytes for a batch of %d; wanted at least one of %d bytes (%v)",
			e.plan.Model, len(pictures), n, per, e.plan.Input)
	}
	return nil
}

// RunParts is Run for the parts of n pictures (preprocess.PackPart), which the plan's first kernels resize and crop. The
// plan must have been made for them (netplan.Options.Resize).
func (e *Executor) RunParts(ctx context.Context, parts [][]byte) ([]float32, error) {
	if err := e.checkParts(parts); err != nil {
		return nil, err
	}
	return e.run(ctx, feed{parts: parts}, len(parts))
}

func (e *Executor) checkParts(parts [][]byte) error {
	if !e.plan.Has(netplan.EntryParts) {
		return planError(e.plan, "it resizes no pictures; wanted one made with netplan.Options.Resize")
	}
	if len(parts) == 0 {
		return fmt.Errorf("gpu: %s: no parts of pictures; wanted at least one", e.plan.Model)
	}
	for i, p := range parts {
		if len(p) == 0 || len(p) > e.plan.Resize.Bytes {
			return fmt.Errorf("gpu: %s: part %d of %d has %d bytes; wanted 1 to %d", e.plan.Model, i, len(parts), len(p), e.plan.Resize.Bytes)
		}
	}
	return nil
}

// job is a part of a call's batch at work in a slot.
type job struct {
	s   *slot
	r   *recording
	out []float32 // where its results go
}

// run divides a batch into parts of at most MaxBatch and keeps as many of them at work as there are slots. Where
// others wait it gives way after every part.
func (e *Executor) run(ctx context.Context, in feed, n int) ([]float32, error) {
	results := e.output().Shape.NumElements()
	out := make([]float32, n*results)
	var jobs []job // at work, the oldest first
	finish := func() error {
		j := jobs[0]
		jobs = jobs[1:]
		err := j.s.finish(ctx, j.r, j.out)
		e.release(j.s)
		return err
	}
	defer func() {
		for _, j := range jobs { // after an error; whoever has the slot next waits for the device
			e.release(j.s)
		}
	}()
	for first := 0; first < n; first += e.batch {
		k := min(e.batch, n-first)
		s, err := e.takeFor(ctx, len(jobs) > 0)
		for ; err == nil && s == nil; s, err = e.takeFor(ctx, len(jobs) > 0) {
			if err := finish(); err != nil {
				return nil, err
			}
		}
		if err != nil {
			return nil, err
		}
		r, err := s.start(ctx, in.part(e, first, k), k)
		if err != nil {
			e.release(s)
			return nil, err
		}
		jobs = append(jobs, job{s, r, out[first*results:][:k*results]})
	}
	for len(jobs) > 0 {
		if err := finish(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// takeFor is take for who has slots already: it then does not wait but returns nil, as two who wait for each
// other's would wait for ever.
func (e *Executor) takeFor(ctx context.Context, has bool) (*slot, error) {
	if !has {
		return e.take(ctx)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return e.takeAtOnce()
}

// start submits n images.
func (s *slot) start(ctx context.Context, in feed, n int) (*recording, error) {
	if err := s.wait(ctx); err != nil { // a run whose caller gave up may still be at work
		return nil, err
	}
	r, err := s.recordingFor(n, in.entry())
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := s.putInput(in, n); err != nil {
		return nil, err
	}
	count(&s.phases.upload, begin)
	s.macs = int64(n) * s.plan.MACs
	return r, s.submit(ctx, r.load, r.cmds...)
}

// finish waits for what start submitted and reads its results.
func (s *slot) finish(ctx context.Context, r *recording, out []float32) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	defer count(&s.phases.readback, time.Now())
	return s.getOutput(r.n, r.entry, out)
}

// runBatch runs one submit.
func (s *slot) runBatch(ctx context.Context, in feed, n int, out []float32) error {
	r, err := s.start(ctx, in, n)
	if err != nil {
		return err
	}
	return s.finish(ctx, r, out)
}

// submit hands commands to the queue, those of load, unless nil, to the one for copies, before the others; nothing
// is in flight. The fence is signalled when the last are done.
func (s *slot) submit(ctx context.Context, load vk.CommandBuffer, cmds ...vk.CommandBuffer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d := s.d
	if err := d.call("vkResetFences", func() vk.Result { return shimResetFence(d.dev, handleOf(s.fence)) }); err != nil {
		return err
	}
	s.began = time.Now()
	d.queue.Lock()
	submitted, err := s.submitAll(load, cmds)
	d.queue.Unlock()
	if s.inFlight = err == nil; s.inFlight {
		s.phases.compute.enter(s.began)
		s.counted = true
	}
	if submitted && err != nil { // no fence tells of it
		_ = d.waitIdle()
		if load != nil {
			if e := s.newSemaphore(); e != nil {
				return e
			}
		}
	}
	return err
}

// submitAll submits and reports whether anything was. d.queue is held.
func (s *slot) submitAll(load vk.CommandBuffer, cmds []vk.CommandBuffer) (submitted bool, err error) {
	d, wait := s.d, handle(0)
	if load != nil {
		err := d.call("vkQueueSubmit", func() vk.Result { return shimSubmit(d.dev, true, handleOf(load), 0, 0, s.loaded) })
		if err != nil {
			return false, err
		}
		submitted, wait = true, s.loaded
	}
	for i, cmd := range cmds {
		fence := handle(0)
		if i == len(cmds)-1 {
			fence = handleOf(s.fence)
		}
		err := d.call("vkQueueSubmit", func() vk.Result { return shimSubmit(d.dev, false, handleOf(cmd), fence, wait, 0) })
		if err != nil {
			return submitted, err
		}
		submitted, wait = true, 0
	}
	return submitted, nil
}

// wait waits for what is in flight, or until ctx ends.
func (s *slot) wait(ctx context.Context) error {
	for s.inFlight {
		var r vk.Result
		err := s.d.call("vkWaitForFences", func() vk.Result {
			r = shimWaitFence(s.d.dev, handleOf(s.fence), uint64(waitSlice))
			return r
		})
		if err != nil {
			s.uncount()
			return err
		}
		if r == vk.Timeout {
			if err := ctx.Err(); err != nil {
				return err
			}
			continue
		}
		s.inFlight = false
		s.pace.note(s.macs, s.uncount().Sub(s.began))
		s.macs = 0
	}
	return nil
}

// uncount ends the counting of the submit's time, once, and returns the time it is now.
func (s *slot) uncount() time.Time {
	now := time.Now()
	if s.counted {
		s.phases.compute.leave(now)
		s.counted = false
	}
	return now
}

// transfer runs a few copies at once and waits for them.
func (s *slot) transfer(ctx context.Context, ops []shimOp) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	cmd, err := s.newCommandBuffer(s.pool, ops, nil, true)
	if err != nil {
		return err
	}
	if err = s.submit(ctx, nil, cmd); err == nil {
		// Waiting is not cut short: the command buffer is freed next. Copies take milliseconds.
		err = s.wait(context.WithoutCancel(ctx))
	}
	if err != nil {
		_ = s.d.waitIdle()
	}
	vk.FreeCommandBuffers(s.d.h, s.pool, 1, []vk.CommandBuffer{cmd})
	return err
}

// putInput writes the input where the device finds it: into the arena itself or the upload buffer.
func (s *slot) putInput(in feed, n int) error {
	b, size := s.upload, int64(n)*s.inputStride(in.entry())
	if s.direct {
		b = s.arena
		bytes := int64(n) * s.plan.ArenaBytes
		if s.opts.Poison {
			fillWords(b.mapped[s.guard:s.guard+bytes], poisonWord)
		}
		s.putGuards(b, bytes)
	} else {
		s.putGuards(b, size)
		s.putGuards(s.back, int64(n)*s.output().Stride)
		if s.guard > 0 {
			if err := s.back.flush(0, s.back.size); err != nil {
				return err
			}
		}
	}
	first, at := 0, s.guard
	for _, t := range s.inputTensors(in.entry()) {
		if s.direct {
			at = s.guard + int64(n)*t.Offset
		}
		for i := range n {
			in.put(s.Executor, t, i, first, b.mapped[at+int64(i)*t.Stride:][:t.Stride])
		}
		if s.direct {
			if err := b.flush(at, int64(n)*t.Stride); err != nil {
				return err
			}
		}
		first, at = first+t.Shape.NumElements(), at+int64(n)*t.Stride
	}
	if s.opts.Poison || s.guard > 0 {
		return b.flush(0, b.size)
	}
	if s.direct {
		return nil
	}
	return b.flush(s.guard, size)
}

// pack stores one image's tensor, NCHW, in the tensor's layout and type; it is unpack's reverse. Padding
// becomes zero.
func pack(t *netplan.Tensor, dst []byte, src []float32) {
	switch {
	case t.Layout == netplan.NCHW:
		copy(viewOf[float32](dst), src)
	case t.DType == netplan.Float16:
		packRows(t, viewOf[uint16](dst), src, float16.FromFloat32)
	default:
		packRows(t, viewOf[float32](dst), src, func(v float32) float32 { return v })
	}
}

func packRows[T uint16 | float32](t *netplan.Tensor, dst []T, src []float32, stored func(float32) T) {
	pixels, padded := t.Shape.H*t.Shape.W, t.PaddedC()
	for p := range pixels {
		row := dst[p*padded : (p+1)*padded]
		for c := range row {
			row[c] = 0
			if c < t.Shape.C {
				row[c] = stored(src[c*pixels+p])
			}
		}
	}
}

// putGuards writes the guard words before and after the bytes in the middle of a mapped buffer.
func (s *slot) putGuards(b *buffer, bytes int64) {
	if s.guard == 0 {
		return
	}
	fillWords(b.mapped[:s.guard], guardWord)
	fillWords(b.mapped[s.guard+bytes:][:s.guard], guardWord)
}

func fillWords(b []byte, word uint32) {
	w := unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
	for i := range w {
		w[i] = word
	}
}

// getOutput reads n rows of logits, stripped of their padding, after looking at the guards.
func (s *slot) getOutput(n int, entry netplan.Entry, out []float32) error {
	t := s.output()
	b, at := s.back, s.guard
	if s.direct {
		b, at = s.arena, s.guard+int64(n)*t.Offset
	}
	if s.guard > 0 {
		if err := b.invalidate(0, b.size); err != nil {
			return err
		}
		if err := s.checkGuards(n, entry); err != nil {
			return err
		}
	} else if err := b.invalidate(at, int64(n)*t.Stride); err != nil {
		return err
	}
	if t.Layout != netplan.Vector { // a fragment's map
		data, _ := unpack(t, b.mapped[at:][:int64(n)*t.Stride], n)
		copy(out, data)
		return nil
	}
	for i := range n {
		copy(out[i*t.Shape.C:(i+1)*t.Shape.C], b.float32s(at+int64(i)*t.Stride, t.Shape.C))
	}
	return nil
}

// checkGuards looks at the guard words around arena, weights and staging after a run of n.
func (s *slot) checkGuards(n int, entry netplan.Entry) error {
	g, arena := s.guard, int64(n)*s.plan.ArenaBytes
	type place struct {
		name   string
		b      *buffer
		offset int64
	}
	places := []place{{"before the arena", s.arena, 0}, {"after the arena", s.arena, g + arena},
		{"before the weights", s.weights, 0}, {"after the weights", s.weights, s.weights.size - g}}
	if !s.direct {
		out, in := int64(n)*s.output().Stride, int64(n)*s.inputStride(entry)
		for i := range places {
			places[i].b, places[i].offset = s.back, 2*g+out+int64(i)*g
		}
		places = append(places, place{"before the input", s.upload, 0}, place{"after the input", s.upload, g + in},
			place{"before the result", s.back, 0}, place{"after the result", s.back, g + out})
	}
	for _, p := range places {
		for i := int64(0); i < g; i += 4 {
			if w := binary.LittleEndian.Uint32(p.b.mapped[p.offset+i:]); w != guardWord {
				return fmt.Errorf("gpu: %s: %w: the word %d bytes into the guard %s is %#08x; wanted %#08x; a kernel writes out of bounds",
					s.plan.Model, ErrCorrupt, i, p.name, w, uint32(guardWord))
			}
		}
	}
	return nil
}
