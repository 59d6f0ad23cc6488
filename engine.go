package vkinfer

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/vkinfer/vkinfer/cpuref"
	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/preprocess"
)

// defaultMaxBatch is the largest batch run at once when the caller does not say.
const defaultMaxBatch = 8

// newEngine prepares the unfused graph g for the device that opts names.
func newEngine(g *graph.Graph, tr preprocess.Transform, opts Options) (engine, error) {
	if opts.MaxBatch == 0 {
		opts.MaxBatch = defaultMaxBatch
	}
	if strings.EqualFold(opts.Device, "cpu") {
		if opts.Precision == netplan.PrecisionAMP {
			return nil, fmt.Errorf("vkinfer: device cpu: %w: precision %s; use %s, or a Vulkan device", gpu.ErrFeature, opts.Precision, netplan.PrecisionFloat32)
		}
		if opts.Resize == ResizeGPU {
			return nil, fmt.Errorf("vkinfer: device cpu: %w: resize %s; use %s, or a Vulkan device", gpu.ErrFeature, opts.Resize, ResizeCPU)
		}
		return &cpuEngine{g: g, transform: tr, maxBatch: opts.MaxBatch}, nil
	}
	return newGPUEngine(g, tr, opts)
}

// cpuEngine runs the unfused graph with the reference implementation.
type cpuEngine struct {
	g         *graph.Graph
	transform preprocess.Transform
	maxBatch  int
	mu        sync.RWMutex // held for reading by runs, for writing by close
	closed    bool
}

func (e *cpuEngine) run(ctx context.Context, input []float32, n int) ([]float32, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return nil, errClosed
	}
	size := e.g.InputShape().NumElements()
	var out []float32
	for at := 0; at < n; at += e.maxBatch {
		m := min(e.maxBatch, n-at)
		part, err := cpuref.Run(ctx, e.g, input[at*size:(at+m)*size], m, cpuref.Options{})
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
	}
	return out, nil
}

func (e *cpuEngine) runPictures(ctx context.Context, pictures []uint8, n int) ([]float32, error) {
	input, size := make([]float32, len(pictures)), len(pictures)/n
	for i := range n {
		e.transform.Tensor(pictures[i*size:][:size], input[i*size:][:size])
	}
	return e.run(ctx, input, n)
}

func (*cpuEngine) runParts(context.Context, [][]byte) ([]float32, error) {
	return nil, fmt.Errorf("vkinfer: device cpu: %w: resizing; use pictures", gpu.ErrFeature)
}

func (*cpuEngine) resizing() netplan.Resizing { return netplan.Resizing{} }

func (e *cpuEngine) info() DeviceInfo {
	return DeviceInfo{Name: "cpu", Driver: "cpuref", Precision: "float32", MaxBatch: e.maxBatch,
		WeightsBytes: 8 * e.g.NumParams(), MACsPerImage: e.g.TotalMACs()}
}

func (*cpuEngine) messages() []string { return nil }

func (e *cpuEngine) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return nil
}

var errClosed = fmt.Errorf("vkinfer: the classifier is closed")

// gpuEngine runs the fused graph's plan on a Vulkan device.
type gpuEngine struct {
	dev  *gpu.Device
	exec *gpu.Executor
	plan *netplan.Plan
}

func newGPUEngine(g *graph.Graph, tr preprocess.Transform, opts Options) (engine, error) {
	dev, err := gpu.Open(gpu.Options{Device: opts.Device, ForceStaging: opts.ForceStaging, Validation: opts.Validation, NoQuirks: opts.NoQuirks,
		PipelineCache: opts.PipelineCache})
	if err != nil {
		return nil, err
	}
	scale, offset := tr.Affine()
	in := g.InputShape()
	resizing, err := resizingFor(opts.Resize, dev.Caps(), tr, in.H == in.W && in.H == tr.Size)
	if err != nil {
		dev.Close()
		return nil, err
	}
	plan, err := plan(g, dev.Caps(), netplan.Options{Precision: opts.Precision, Kernels: opts.Kernels, KeepAll: opts.KeepAll,
		Pictures: &netplan.Normalization{Scale: scale, Offset: offset}, Resize: resizing})
	if err != nil {
		dev.Close()
		return nil, err
	}
	exec, err := gpu.NewExecutor(dev, plan, gpu.ExecutorOptions{MaxBatch: opts.MaxBatch})
	if err != nil {
		dev.Close()
		return nil, err
	}
	return &gpuEngine{dev: dev, exec: exec, plan: plan}, nil
}

// plan folds, fuses and lowers an unfused graph.
func plan(g *graph.Graph, caps netplan.Caps, opts netplan.Options) (*netplan.Plan, error) {
	g, err := netplan.RunPasses(g, "fold", "fuse")
	if err != nil {
		return nil, err
	}
	return netplan.Lower(g, caps, opts)
}

func (e *gpuEngine) run(ctx context.Context, input []float32, n int) ([]float32, error) {
	return e.exec.Run(ctx, input, n)
}

func (e *gpuEngine) runPictures(ctx context.Context, pictures []uint8, n int) ([]float32, error) {
	return e.exec.RunPictures(ctx, pictures, n)
}

func (e *gpuEngine) runParts(ctx context.Context, parts [][]byte) ([]float32, error) {
	return e.exec.RunParts(ctx, parts)
}

func (e *gpuEngine) resizing() netplan.Resizing {
	if e.plan.Resize == nil {
		return netplan.Resizing{}
	}
	return e.plan.Resize.Resizing
}

func (e *gpuEngine) phases() gpu.Phases { return e.exec.Phases() }

func (e *gpuEngine) close() error {
	err := e.exec.Close()
	e.dev.Close()
	return err
}

func (e *gpuEngine) info() DeviceInfo {
	caps, s := e.dev.Caps(), e.exec.Stats()
	return DeviceInfo{Name: caps.Name, Driver: strings.TrimSpace(caps.DriverName + " " + caps.DriverInfo), Precision: e.plan.Precision, Kernels: e.plan.Kernels,
		MaxBatch: s.MaxBatch, Dispatches: s.Dispatches, Pipelines: s.Pipelines, ArenaBytes: s.ArenaBytes,
		WeightsBytes: s.WeightsBytes, MACsPerImage: e.plan.MACs, BytesPerImage: e.plan.Bytes}
}

func (e *gpuEngine) messages() []string {
	var out []string
	for _, m := range e.dev.Messages() {
		out = append(out, m.String())
	}
	return out
}
