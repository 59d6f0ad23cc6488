package conformance

import (
	"fmt"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// Subject is what the checks of whole networks judge: a device that runs a network in one of the ways there
// are.
type Subject struct {
	Graph     *graph.Graph // unfused
	Device    *gpu.Device
	Candidate Candidate
	Input     []float32 // N images, NCHW
	N         int

	// Alter changes every plan before it runs: to show that the checks see faults.
	Alter func(*netplan.Plan)
}

// fused returns the graph as it is lowered.
func (s Subject) fused() (*graph.Graph, error) { return netplan.RunPasses(s.Graph, "fold", "fuse") }

// layout is what of a plan's memory can be chosen.
type layout struct {
	keepAll bool
	guard   int64
}

// lower plans g, which is fused, for dev.
func (s Subject) lower(dev *gpu.Device, g *graph.Graph, l layout) (*netplan.Plan, error) {
	opts := s.Candidate.Options
	opts.KeepAll, opts.Guard = l.keepAll, l.guard
	plan, err := netplan.Lower(g, dev.Caps(), opts)
	if err == nil && s.Alter != nil {
		s.Alter(plan)
	}
	return plan, err
}

// executor prepares g, which is fused, on dev for batches of n, in an arena full of NaNs.
func (s Subject) executor(dev *gpu.Device, g *graph.Graph, l layout, n int) (*gpu.Executor, error) {
	plan, err := s.lower(dev, g, l)
	if err != nil {
		return nil, err
	}
	return gpu.NewExecutor(dev, plan, gpu.ExecutorOptions{MaxBatch: n, Poison: true})
}

// Available returns why a device cannot run a candidate's kernels, nil if it can.
func Available(dev *gpu.Device, cand Candidate) error {
	spec := models.All()[0]
	g, err := spec.BuildShape(32, 32)
	if err != nil {
		return err
	}
	s := Subject{Graph: g, Candidate: cand}
	if g, err = s.fused(); err != nil {
		return err
	}
	if _, err := s.lower(dev, g, layout{}); err != nil {
		return fmt.Errorf("conformance: kernels %s, %s: %w", cand.Name, cand.Precision, err)
	}
	return nil
}
