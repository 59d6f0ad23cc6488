package gpu

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/weights/float16"
)

// TraceValue is one tensor of a plan after a run.
type TraceValue struct {
	Name   string         // the tensor's
	Yields string         // node of the unfused graph with the same value, "" for partial sums
	Kernel string         // the kernel that wrote it last, "" for the input
	Shape  graph.Shape    // of one image; of tile sums: C channels, H tiles
	Layout netplan.Layout // as it was stored; Data is NCHW whatever it says
	DType  netplan.DType  // as it was stored
	Data   []float32      // n·C·H·W, NCHW, without padding; of maps that are stored less their means, with them
	// NotZero counts the stored padding lanes that are not zero. The kernels keep them at zero, but for
	// gates, whose sigmoid leaves 0.5 there; of gates it is always 0.
	NotZero int
}

// Trace runs n images and returns every tensor of the plan, in the plan's order. The plan must keep all
// tensors (netplan.Options.KeepAll); one whose tensors share memory is ErrPlan. With
// ExecutorOptions.Poison it also looks at the arena's bytes between the tensors (netplan.Options.Guard
// makes room): ErrCorrupt if anything was written there. Other errors are Run's.
func (e *Executor) Trace(ctx context.Context, input []float32, n int) ([]TraceValue, error) {
	if err := e.checkInput(input, n); err != nil {
		return nil, err
	}
	return e.trace(ctx, feed{values: input}, n)
}

// TracePictures is Trace for pictures, as RunPictures takes them.
func (e *Executor) TracePictures(ctx context.Context, pictures []uint8, n int) ([]TraceValue, error) {
	if err := e.checkPictures(pictures, n); err != nil {
		return nil, err
	}
	return e.trace(ctx, feed{pictures: pictures}, n)
}

// TraceParts is Trace for parts of pictures, as RunParts takes them.
func (e *Executor) TraceParts(ctx context.Context, parts [][]byte) ([]TraceValue, error) {
	if err := e.checkParts(parts); err != nil {
		return nil, err
	}
	return e.trace(ctx, feed{parts: parts}, len(parts))
}

func (e *Executor) trace(ctx context.Context, in feed, n int) ([]TraceValue, error) {
	if err := e.checkApart(); err != nil {
		return nil, err
	}
	s, err := e.take(ctx)
	if err != nil {
		return nil, err
	}
	defer e.release(s)
	values := e.traceValues(in.entry())
	results := make([]float32, e.batch*e.output().Shape.NumElements())
	for first := 0; first < n; first += e.batch {
		k := min(e.batch, n-first)
		if err := s.runBatch(ctx, in.part(e, first, k), k, results); err != nil {
			return nil, err
		}
		if err := s.traceBatch(ctx, k, values); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// checkApart makes sure that no two tensors share bytes of the arena.
func (e *Executor) checkApart() error {
	ts := e.byOffset()
	for i := 1; i < len(ts); i++ {
		if a, b := ts[i-1], ts[i]; a.Offset+a.Stride > b.Offset {
			return planError(e.plan, "tensors %s and %s share memory; wanted a plan that keeps all (netplan.Options.KeepAll)", a.Name, b.Name)
		}
	}
	return nil
}

// byOffset returns the plan's tensors as they lie in the arena.
func (e *Executor) byOffset() []*netplan.Tensor {
	ts := make([]*netplan.Tensor, len(e.plan.Tensors))
	for i := range ts {
		ts[i] = &e.plan.Tensors[i]
	}
	slices.SortFunc(ts, func(a, b *netplan.Tensor) int { return cmp.Compare(a.Offset, b.Offset) })
	return ts
}

// checkGaps looks for words that are no longer poison in the parts of the arena that belong to no tensor.
func (s *slot) checkGaps(ctx context.Context, staging *buffer, n int64) error {
	from, before := int64(0), "at the arena's beginning"
	for _, t := range append(s.byOffset(), &netplan.Tensor{Offset: s.plan.ArenaBytes}) {
		gap, err := s.readArena(ctx, staging, from, n*t.Offset-from)
		if err != nil {
			return err
		}
		for i, w := range viewOf[uint32](gap) {
			if w != poisonWord {
				return fmt.Errorf("gpu: %s: %w: the word %d bytes into the gap %s is %#08x (%v); wanted %#08x; a kernel writes out of bounds",
					s.plan.Model, ErrCorrupt, 4*i, before, w, math.Float32frombits(w), uint32(poisonWord))
			}
		}
		from, before = n*(t.Offset+t.Stride), "after tensor "+t.Name
	}
	return nil
}

func (e *Executor) traceValues(entry netplan.Entry) []TraceValue {
	values := make([]TraceValue, len(e.plan.Tensors))
	for i, t := range e.plan.Tensors {
		values[i] = TraceValue{Name: t.Name, Yields: t.Yields, Shape: t.Shape, Layout: t.Layout, DType: t.DType}
	}
	for _, d := range e.plan.Run(entry) {
		for _, b := range d.Bind {
			if b.Tensor >= 0 && b.Write {
				values[b.Tensor].Kernel = d.Kernel
			}
		}
	}
	return values
}

// traceBatch appends the tensors of the batch of n that just ran.
func (s *slot) traceBatch(ctx context.Context, n int, values []TraceValue) error {
	var staging *buffer
	if s.direct {
		if err := s.arena.invalidate(0, s.arena.size); err != nil {
			return err
		}
	} else {
		const slice = 64 << 20
		var err error
		if staging, err = s.d.newBuffer(min(int64(n)*s.plan.ArenaBytes, slice), useReadback); err != nil {
			return err
		}
		defer func() { staging.free() }()
	}
	if s.opts.Poison {
		if err := s.checkGaps(ctx, staging, int64(n)); err != nil {
			return err
		}
	}
	for i := range values {
		t := &s.plan.Tensors[i]
		stored, err := s.readArena(ctx, staging, int64(n)*t.Offset, int64(n)*t.Stride)
		if err != nil {
			return err
		}
		v := &values[i]
		data, notZero := unpack(t, stored, n)
		v.Data = append(v.Data, data...)
		if !strings.HasPrefix(v.Kernel, "se_") { // shaders/se.comp writes gates
			v.NotZero += notZero
		}
	}
	return nil
}

// readArena returns bytes of the arena: a view in direct mode, otherwise a copy by way of staging. Both are
// aligned to words.
func (s *slot) readArena(ctx context.Context, staging *buffer, offset, size int64) ([]byte, error) {
	if staging == nil {
		return s.arena.mapped[s.guard+offset:][:size], nil
	}
	out := make([]byte, size)
	for at := int64(0); at < size; at += staging.size {
		n := min(staging.size, size-at)
		err := s.transfer(ctx, []shimOp{
			opCopy(handleOf(s.arena.h), handleOf(staging.h), s.guard+offset+at, 0, n),
			opBarrier(transferWrite, hostRead),
		})
		if err != nil {
			return nil, err
		}
		if err := staging.invalidate(0, n); err != nil {
			return nil, err
		}
		copy(out[at:], staging.mapped[:n])
	}
	return out, nil
}

// unpack converts n images of a stored tensor to NCHW without padding, and counts the padding lanes that
// are not zero.
func unpack(t *netplan.Tensor, stored []byte, n int) (data []float32, notZero int) {
	switch t.DType {
	case netplan.Float16:
		return unpackRows(t, viewOf[uint16](stored), n, float16.ToFloat32)
	case netplan.Uint8:
		return unpackRows(t, stored, n, func(v uint8) float32 { return float32(v) })
	}
	return unpackRows(t, viewOf[float32](stored), n, func(v float32) float32 { return v })
}

func unpackRows[T uint8 | uint16 | float32](t *netplan.Tensor, stored []T, n int, value func(T) float32) (data []float32, notZero int) {
	s := t.Shape
	data = make([]float32, n*s.NumElements())
	stride, pixels, padded := int(t.Stride/t.DType.Size()), s.H*s.W, t.PaddedC()
	for i := range n {
		src, dst := stored[i*stride:(i+1)*stride], data[i*s.NumElements():]
		if t.Layout == netplan.NCHW {
			for j, v := range src {
				dst[j] = value(v)
			}
			continue
		}
		// NHWC8, and vectors and tile sums, whose rows stand for pixels.
		for p := range pixels {
			for c, v := range src[p*padded : (p+1)*padded] {
				if c < s.C {
					dst[c*pixels+p] = value(v)
					if t.Mean != nil {
						dst[c*pixels+p] = float32(float64(value(v)) + t.Mean[c])
					}
				} else if value(v) != 0 { // a negative zero is one
					notZero++
				}
			}
		}
	}
	return data, notZero
}
