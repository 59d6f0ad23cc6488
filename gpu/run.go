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
// Batches larger than MaxBatch run in several submits. If ctx ends while the device works, Run returns
// its error at once and the next call waits for the device. Errors wrap ErrDeviceLost, ErrOutOfMemory,
// ErrClosed or ErrCorrupt where one of them is the cause.
func (e *Executor) Run(ctx context.Context, input []float32, n int) ([]float32, error) {
	if err := e.checkInput(input, n); err != nil {
		return nil, err
	}
	if err := e.take(ctx); err != nil {
		return nil, err
	}
	defer e.release()
	per, results := e.values, e.output().Shape.NumElements()
	out := make([]float32, n*results)
	for first := 0; first < n; first += e.batch {
		k := min(e.batch, n-first)
		if err := e.runBatch(ctx, input[first*per:(first+k)*per], k, out[first*results:]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (e *Executor) checkInput(input []float32, n int) error {
	if per := e.values; n < 1 || len(input) != n*per {
		return fmt.Errorf("gpu: %s: input of %d floats for a batch of %d; wanted at least one image of %d floats (%v)",
			e.plan.Model, len(input), n, per, e.plan.Input)
	}
	return nil
}

// runBatch runs one submit; the caller has the turn.
func (e *Executor) runBatch(ctx context.Context, input []float32, n int, out []float32) error {
	if err := e.wait(ctx); err != nil { // a run whose caller gave up may still be at work
		return err
	}
	r, err := e.recordingFor(n)
	if err != nil {
		return err
	}
	if err := e.putInput(input, n); err != nil {
		return err
	}
	if err := e.submit(ctx, r.cmd); err != nil {
		return err
	}
	if err := e.wait(ctx); err != nil {
		return err
	}
	return e.getOutput(n, out)
}

// submit hands the commands to the queue; nothing is in flight.
func (e *Executor) submit(ctx context.Context, cmd vk.CommandBuffer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d := e.d
	if err := d.call("vkResetFences", func() vk.Result { return shimResetFence(d.dev, handleOf(e.fence)) }); err != nil {
		return err
	}
	d.queue.Lock()
	err := d.call("vkQueueSubmit", func() vk.Result { return shimSubmit(d.dev, handleOf(cmd), handleOf(e.fence)) })
	d.queue.Unlock()
	e.inFlight = err == nil
	return err
}

// wait waits for what is in flight, or until ctx ends.
func (e *Executor) wait(ctx context.Context) error {
	for e.inFlight {
		var r vk.Result
		err := e.d.call("vkWaitForFences", func() vk.Result {
			r = shimWaitFence(e.d.dev, handleOf(e.fence), uint64(waitSlice))
			return r
		})
		if err != nil {
			return err
		}
		if r == vk.Timeout {
			if err := ctx.Err(); err != nil {
				return err
			}
			continue
		}
		e.inFlight = false
	}
	return nil
}

// transfer runs a few copies at once and waits for them.
func (e *Executor) transfer(ctx context.Context, ops []shimOp) error {
	if err := e.wait(ctx); err != nil {
		return err
	}
	cmd, err := e.newCommandBuffer(ops, nil, true)
	if err != nil {
		return err
	}
	if err = e.submit(ctx, cmd); err == nil {
		// Waiting is not cut short: the command buffer is freed next. Copies take milliseconds.
		err = e.wait(context.WithoutCancel(ctx))
	}
	if err != nil {
		_ = e.d.waitIdle()
	}
	vk.FreeCommandBuffers(e.d.h, e.pool, 1, []vk.CommandBuffer{cmd})
	return err
}

// putInput writes the input where the device finds it: into the arena itself or the upload buffer.
func (e *Executor) putInput(input []float32, n int) error {
	b, size := e.upload, int64(n)*e.inputStride()
	if e.direct {
		b = e.arena
		bytes := int64(n) * e.plan.ArenaBytes
		if e.opts.Poison {
			fillWords(b.mapped[e.guard:e.guard+bytes], poisonWord)
		}
		e.putGuards(b, bytes)
	} else {
		e.putGuards(b, size)
		e.putGuards(e.back, int64(n)*e.output().Stride)
		if e.guard > 0 {
			if err := e.back.flush(0, e.back.size); err != nil {
				return err
			}
		}
	}
	per, first, at := e.values, 0, e.guard
	for _, t := range e.inputs {
		if e.direct {
			at = e.guard + int64(n)*t.Offset
		}
		elements := t.Shape.NumElements()
		for i := range n {
			pack(t, b.mapped[at+int64(i)*t.Stride:][:t.Stride], input[i*per+first:][:elements])
		}
		if e.direct {
			if err := b.flush(at, int64(n)*t.Stride); err != nil {
				return err
			}
		}
		first, at = first+elements, at+int64(n)*t.Stride
	}
	if e.opts.Poison || e.guard > 0 {
		return b.flush(0, b.size)
	}
	if e.direct {
		return nil
	}
	return b.flush(e.guard, size)
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
func (e *Executor) putGuards(b *buffer, bytes int64) {
	if e.guard == 0 {
		return
	}
	fillWords(b.mapped[:e.guard], guardWord)
	fillWords(b.mapped[e.guard+bytes:][:e.guard], guardWord)
}

func fillWords(b []byte, word uint32) {
	w := unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
	for i := range w {
		w[i] = word
	}
}

// getOutput reads n rows of logits, stripped of their padding, after looking at the guards.
func (e *Executor) getOutput(n int, out []float32) error {
	t := e.output()
	b, at := e.back, e.guard
	if e.direct {
		b, at = e.arena, e.guard+int64(n)*t.Offset
	}
	if e.guard > 0 {
		if err := b.invalidate(0, b.size); err != nil {
			return err
		}
		if err := e.checkGuards(n); err != nil {
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
func (e *Executor) checkGuards(n int) error {
	g, arena := e.guard, int64(n)*e.plan.ArenaBytes
	type place struct {
		name   string
		b      *buffer
		offset int64
	}
	places := []place{{"before the arena", e.arena, 0}, {"after the arena", e.arena, g + arena},
		{"before the weights", e.weights, 0}, {"after the weights", e.weights, e.weights.size - g}}
	if !e.direct {
		out, in := int64(n)*e.output().Stride, int64(n)*e.inputStride()
		for i := range places {
			places[i].b, places[i].offset = e.back, 2*g+out+int64(i)*g
		}
		places = append(places, place{"before the input", e.upload, 0}, place{"after the input", e.upload, g + in},
			place{"before the result", e.back, 0}, place{"after the result", e.back, g + out})
	}
	for _, p := range places {
		for i := int64(0); i < g; i += 4 {
			if w := binary.LittleEndian.Uint32(p.b.mapped[p.offset+i:]); w != guardWord {
				return fmt.Errorf("gpu: %s: %w: the word %d bytes into the guard %s is %#08x; wanted %#08x; a kernel writes out of bounds",
					e.plan.Model, ErrCorrupt, i, p.name, w, uint32(guardWord))
			}
		}
	}
	return nil
}
