package vkinfer

import (
	"context"
	"fmt"

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

// gpu returns the engine if it is a device.
func (c *Classifier) gpu(what string) (*gpuEngine, error) {
	g, ok := c.engine.(*gpuEngine)
	if !ok {
		return nil, fmt.Errorf("vkinfer: %s: %w on the CPU; want a Vulkan device", what, gpu.ErrFeature)
	}
	return g, nil
}
