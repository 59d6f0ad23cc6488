package vkinfer

import (
	"context"
	"fmt"
	"time"

	"github.com/vkinfer/vkinfer/gpu"
)

// The measurements of package gpu.
type (
	ProfileOptions = gpu.ProfileOptions
	Profile        = gpu.Profile
	Roofs          = gpu.Roofs
)

// Profile runs a batch of n several times and returns the time of each kernel launch by the device's own
// clock. input is that of Run; n is at most Device().MaxBatch. Where there is no such clock, on the CPU too,
// it returns an error that wraps gpu.ErrFeature.
func (c *Classifier) Profile(ctx context.Context, input []float32, n int, opts ProfileOptions) (*Profile, error) {
	g, err := c.gpu("profile")
	if err != nil {
		return nil, err
	}
	return g.exec.Profile(ctx, input, n, opts)
}

// Roofs measures what the device can do at most: how fast it copies, how fast it multiplies and adds. It
// takes memory beside the network's. Errors are those of Profile.
func (c *Classifier) Roofs(ctx context.Context) (Roofs, error) {
	g, err := c.gpu("roofs")
	if err != nil {
		return Roofs{}, err
	}
	return g.dev.Roofs(ctx)
}

// RunResident measures batches of n that are in device memory already and whose results stay there: passes of
// them in each of submits submits. It returns the wall time of each submit, and the logits. input is that of
// Run; n is at most Device().MaxBatch. On the CPU, which has no other memory, it is Run. Keep submits short:
// drivers end those that take seconds.
func (c *Classifier) RunResident(ctx context.Context, input []float32, n, passes, submits int) ([]time.Duration, []float32, error) {
	if n < 1 || passes < 1 || submits < 1 {
		return nil, nil, fmt.Errorf("vkinfer: %s: a resident batch of %d, %d passes, %d submits, want at least one of each", c.spec.Name, n, passes, submits)
	}
	if g, ok := c.engine.(*gpuEngine); ok {
		return g.exec.RunResident(ctx, input, n, passes, submits)
	}
	times := make([]time.Duration, submits)
	var logits []float32
	var err error
	for i := range times {
		start := time.Now()
		for range passes {
			if logits, err = c.Run(ctx, input, n); err != nil {
				return nil, nil, err
			}
		}
		times[i] = time.Since(start)
	}
	return times, logits, nil
}

// gpu returns the engine if it is a device.
func (c *Classifier) gpu(what string) (*gpuEngine, error) {
	g, ok := c.engine.(*gpuEngine)
	if !ok {
		return nil, fmt.Errorf("vkinfer: %s: %w on the CPU; want a Vulkan device", what, gpu.ErrFeature)
	}
	return g, nil
}
