package vkinfer

import (
	"context"
	"fmt"

	"github.com/vkinfer/vkinfer/cpuref"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
)

// TracedValue is one value of the network for a batch of images.
type TracedValue struct {
	Name  string      // the node of the unfused network whose value it is, or a tensor's own name
	Shape graph.Shape // of one image
	Data  []float32   // n·C·H·W, NCHW; the receiver may keep it but must not change it
}

// Trace is Run that also hands every value the engine stores in memory to keep: on the CPU every node of
// the network, on a device what the fused plan materialises. The classifier must have been opened with
// Options.KeepAll. An error of keep ends it.
func (c *Classifier) Trace(ctx context.Context, input []float32, n int, keep func(TracedValue) error) ([]float32, error) {
	if n < 1 || len(input) != n*c.input.NumElements() {
		return nil, fmt.Errorf("vkinfer: %s: input of %d elements for %d images, want %d of %v each", c.spec.Name, len(input), n, c.input.NumElements(), c.input)
	}
	return c.engine.trace(ctx, input, n, keep)
}

func (e *cpuEngine) trace(ctx context.Context, input []float32, n int, keep func(TracedValue) error) ([]float32, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return nil, errClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var failed error
	logits, err := cpuref.Trace(ctx, e.g, input, n, cpuref.Options{}, func(node *graph.Node, v []float32) {
		if failed == nil {
			if failed = keep(TracedValue{node.Name, node.Shape, v}); failed != nil {
				cancel()
			}
		}
	})
	if failed != nil {
		return nil, failed
	}
	return logits, err
}

func (e *gpuEngine) trace(ctx context.Context, input []float32, n int, keep func(TracedValue) error) ([]float32, error) {
	values, err := e.exec.Trace(ctx, input, n)
	if err != nil {
		return nil, err
	}
	var logits []float32
	for i, v := range values {
		if v.Layout == netplan.HWC {
			continue // what other ways in are given, and make
		}
		name := v.Yields
		if name == "" {
			name = v.Name
		}
		if i == e.plan.OutputTensor {
			logits = v.Data
		}
		if err := keep(TracedValue{name, v.Shape, v.Data}); err != nil {
			return nil, err
		}
	}
	return logits, nil
}
