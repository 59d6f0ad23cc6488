// Package vkinfer classifies pictures with the knapsack-pruned EfficientNets on any GPU through Vulkan,
// or on the CPU with a plain reference implementation.
//
// Open loads a checkpoint and prepares a device; the Classifier it returns takes pictures as they lie on
// disk (Classify, ClassifyBatch) or ready tensors (Run, RunPictures). Errors wrap the typed errors of the packages
// below: *models.UnknownError, *models.MismatchError, *weights.FormatError, *weights.UnsupportedError,
// gpu.ErrNoDevice and its siblings.
package vkinfer

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/netplan/preprocess"
	"github.com/vkinfer/vkinfer/weights"
)

// Options are the settings of Open; only Checkpoint or StateDict is required.
type Options struct {
	Checkpoint string             // a .pth or .safetensors file
	StateDict  *weights.StateDict // weights already in memory; takes precedence over Checkpoint

	// Device is "vulkan" or "" (the best device), "vulkan:N" (the Nth), a part of a device's name, or
	// "cpu" (the reference implementation).
	Device    string
	Precision string // "float32" or "" for it, or "amp": maps in 16 bits, float32 arithmetic (Vulkan devices only)
	Kernels   string // one of netplan.Kernels, "" for the device's

	// ImgSize is the side of the network's square input in pixels, 0 for the model's own. Height and
	// Width set a non-square input for Run; Classify then refuses.
	ImgSize       int
	Height, Width int
	CropPct       float64 // the share of the resized picture that the crop keeps, 0 for the model's own

	Labels   []string          // names of the classes; nil takes ImageNet's for 1000 classes, numbers otherwise
	TopK     int               // classes per picture, 0 for 5
	MaxBatch int               // largest batch run at once, 0 for 8; larger inputs are split
	Workers  int               // goroutines that decode pictures, 0 for one per core
	Limits   preprocess.Limits // bounds on pictures; the zero value is the default

	// FastDecode decodes JPEGs that are at least four times as large as the network's pictures at a half, a quarter or
	// an eighth of their size, two to three times as fast. The best class changes for some 3 to 7 photographs of 100,
	// fewer than where a quarter of the bytes is one level off; preprocess.Transform.FastDecode says more.
	FastDecode bool
	Resize     string // who resizes pictures: ResizeCPU or ResizeGPU, "" for what suits the device

	// PipelineCache is the folder for compiled pipelines, "off" for none, "" for the user's cache (gpu.Options).
	PipelineCache string
	NoQuirks      bool // believe what the driver says of itself, without corrections for known faults
	KeepAll       bool // keep every value of the network in device memory, for Trace
	ForceStaging  bool // copy through staging buffers even where device memory is host visible (tests)
	Validation    bool // switch the Vulkan validation layers on; see Messages
}

// Classifier is a network ready to run on a device. It is safe for concurrent use.
type Classifier struct {
	spec      *models.Spec
	transform preprocess.Transform
	input     graph.Shape
	labels    []string
	topK      int
	workers   int
	limits    preprocess.Limits
	classes   int
	engine    engine
}

// engine runs batches of ready tensors.
type engine interface {
	run(ctx context.Context, input []float32, n int) ([]float32, error)
	runPictures(ctx context.Context, pictures []uint8, n int) ([]float32, error)
	runParts(ctx context.Context, parts [][]byte) ([]float32, error)
	resizing() netplan.Resizing // of the parts that runParts takes, zero for none
	trace(ctx context.Context, input []float32, n int, keep func(TracedValue) error) ([]float32, error)
	info() DeviceInfo
	messages() []string
	close() error
}

// DeviceInfo describes what a Classifier runs on.
type DeviceInfo struct {
	Name      string // the device's own name, or "cpu"
	Driver    string
	Precision string
	Kernels   string // "lane", "texel" or "shared"; "" on the CPU
	MaxBatch  int    // images run at once

	Dispatches    int   // kernel launches per batch; 0 on the CPU
	Pipelines     int   // distinct compiled kernels
	ArenaBytes    int64 // memory for activations, for MaxBatch images
	WeightsBytes  int64
	MACsPerImage  int64
	BytesPerImage int64 // bytes of activations moved by all dispatches
}

// Open loads the weights of the named model and prepares a device. The caller must Close the result.
func Open(model string, opts Options) (*Classifier, error) {
	spec, err := models.Lookup(model)
	if err != nil {
		return nil, err
	}
	c := &Classifier{spec: spec, transform: spec.Transform, labels: opts.Labels, topK: opts.TopK, workers: opts.Workers, limits: opts.Limits}
	if err := c.applySizes(opts); err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"", netplan.PrecisionFloat32, netplan.PrecisionAMP}, opts.Precision) {
		return nil, fmt.Errorf("vkinfer: precision %q, want %s or %s", opts.Precision, netplan.PrecisionFloat32, netplan.PrecisionAMP)
	}
	sd := opts.StateDict
	if sd == nil {
		if opts.Checkpoint == "" {
			return nil, fmt.Errorf("vkinfer: %s: no checkpoint given, want a .pth or .safetensors file; `vkinfer fetch` downloads the published one, `vkinfer synth` makes one", spec.Name)
		}
		if sd, err = weights.Open(opts.Checkpoint); err != nil {
			return nil, err
		}
	}
	g, err := spec.Build(sd, c.input.H, c.input.W)
	if err != nil {
		return nil, err
	}
	c.classes = g.OutputShape().C
	if c.labels == nil {
		c.labels = models.Labels(c.classes)
	}
	if c.labels != nil && len(c.labels) != c.classes {
		return nil, fmt.Errorf("vkinfer: %d class names for a checkpoint of %d classes", len(c.labels), c.classes)
	}
	c.engine, err = newEngine(g, c.transform, opts)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// applySizes sets the transform and the input shape from the options and fills in the defaults.
func (c *Classifier) applySizes(opts Options) error {
	if opts.ImgSize < 0 || opts.Height < 0 || opts.Width < 0 || opts.TopK < 0 || opts.MaxBatch < 0 || opts.Workers < 0 {
		return fmt.Errorf("vkinfer: negative size, batch, top-k or workers in %+v", opts)
	}
	if opts.ImgSize > 0 {
		c.transform.Size = opts.ImgSize
	}
	if opts.CropPct != 0 {
		if !(opts.CropPct > 0 && opts.CropPct <= 1) || math.IsNaN(opts.CropPct) {
			return fmt.Errorf("vkinfer: crop share %v, want more than 0 and at most 1", opts.CropPct)
		}
		c.transform.CropPct = opts.CropPct
	}
	c.transform.FastDecode = opts.FastDecode
	c.input = graph.Shape{C: 3, H: c.transform.Size, W: c.transform.Size}
	if opts.Height > 0 || opts.Width > 0 {
		if opts.Height == 0 || opts.Width == 0 {
			return fmt.Errorf("vkinfer: input height %d and width %d, want both or neither", opts.Height, opts.Width)
		}
		c.input.H, c.input.W = opts.Height, opts.Width
	}
	if c.topK == 0 {
		c.topK = 5
	}
	if c.workers == 0 {
		c.workers = runtime.GOMAXPROCS(0)
	}
	return nil
}

// Close frees the device. It may be called twice; calls that are under way finish first.
func (c *Classifier) Close() error { return c.engine.close() }

// Model returns the variant's name.
func (c *Classifier) Model() string { return c.spec.Name }

// Classes returns the number of classes.
func (c *Classifier) Classes() int { return c.classes }

// InputShape returns the shape of one input image: 3, height, width.
func (c *Classifier) InputShape() graph.Shape { return c.input }

// Transform returns how pictures are prepared.
func (c *Classifier) Transform() preprocess.Transform { return c.transform }

// Label returns the name of a class, or its number where no names are known.
func (c *Classifier) Label(class int) string {
	if class >= 0 && class < len(c.labels) {
		return c.labels[class]
	}
	return fmt.Sprint(class)
}

// Device describes what the classifier runs on.
func (c *Classifier) Device() DeviceInfo { return c.engine.info() }

// Messages returns what the validation layers said since the last call (Options.Validation).
func (c *Classifier) Messages() []string { return c.engine.messages() }

// Run executes the network on n images that are prepared already: input holds n·3·H·W float32, NCHW,
// normalised. It returns n rows of Classes logits. Batches above Device().MaxBatch are split; results
// do not depend on the split.
func (c *Classifier) Run(ctx context.Context, input []float32, n int) ([]float32, error) {
	if n < 1 || len(input) != n*c.input.NumElements() {
		return nil, fmt.Errorf("vkinfer: %s: input of %d elements for %d images, want %d of %v each", c.spec.Name, len(input), n, c.input.NumElements(), c.input)
	}
	return c.engine.run(ctx, input, n)
}

// RunPictures executes the network on n pictures that are resized and cropped already: n·H·W·3 bytes, RGB. They
// are normalised on the device. It returns n rows of Classes logits, which differ from Run's by rounding.
func (c *Classifier) RunPictures(ctx context.Context, pictures []uint8, n int) ([]float32, error) {
	if n < 1 || len(pictures) != n*c.input.NumElements() {
		return nil, fmt.Errorf("vkinfer: %s: %d bytes for %d pictures, want %d of %v each", c.spec.Name, len(pictures), n, c.input.NumElements(), c.input)
	}
	return c.engine.runPictures(ctx, pictures, n)
}
