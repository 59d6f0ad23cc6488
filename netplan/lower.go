package netplan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/shaders"
)

// The precisions of a plan.
const (
	// PrecisionFloat32 stores and computes everything in float32.
	PrecisionFloat32 = "float32"
	// PrecisionAMP stores maps in 16 bits and computes in float32: every sum, mean, gate and activation, and
	// the logits. Weights stay float32: a batch reads them once, and rounding them to 16 bits costs more
	// accuracy than all maps together.
	PrecisionAMP = "amp"
)

// The sets of kernels.
const (
	// KernelsLane are for CPUs: of a 1×1 convolution every lane computes a tile on its own, from memory that a cache keeps near.
	KernelsLane = "lane"
	// KernelsTexel are the same, but read from texel buffers, and the lanes of a subgroup fetch weights for each other. They
	// are for devices with Caps.TexelReads, and run on those whose subgroups have 4 to 16 lanes and shuffle.
	KernelsTexel = "texel"
	// KernelsShared are for GPUs: workgroups compute larger tiles together, by way of shared memory.
	KernelsShared = "shared"
)

// Kernels are all of them.
var Kernels = []string{KernelsLane, KernelsTexel, KernelsShared}

// KernelsFor returns which kernels plans for a device have, if no Options say otherwise.
func KernelsFor(c Caps) string {
	switch {
	case c.Type != "cpu":
		return KernelsShared
	case c.TexelReads && CheckKernels(c, KernelsTexel) == nil:
		return KernelsTexel
	}
	return KernelsLane
}

// CheckKernels returns why a device cannot have a set of kernels, nil if it can. What a network asks for beyond that, such as
// large buffers, Lower and gpu.NewExecutor find out.
func CheckKernels(c Caps, kernels string) error {
	if !slices.Contains(Kernels, kernels) {
		return fmt.Errorf("kernels %q, want one of %s", kernels, strings.Join(Kernels, ", "))
	}
	if s := c.SubgroupSize; kernels == KernelsTexel && !(c.SubgroupShuffle && s >= 4 && s <= 16 && s&(s-1) == 0) {
		return fmt.Errorf("kernels %q want subgroups of 4, 8 or 16 lanes that shuffle; those of device %q have %d (shuffle: %v); take others of %s",
			kernels, c.Name, s, c.SubgroupShuffle, strings.Join(Kernels, ", "))
	}
	return nil
}

// Options are a caller's wishes for a Plan.
type Options struct {
	// Precision is PrecisionFloat32, or "" for it, or PrecisionAMP.
	Precision string
	// Packed lets the kernels of amp pack 16-bit floats into words themselves, as on devices without
	// storage of 16 bits (Caps.Storage16), even where there is such.
	Packed bool
	// Kernels is which kernels the plan has: one of the list of that name, or "" for those of KernelsFor.
	Kernels string
	// Pictures gives the plan a second input, for 8-bit pictures, which its first kernel turns into values
	// (Plan.Pictures). nil is none.
	Pictures *Normalization
	// Resize gives the plan a third input, for parts of pictures, which it resizes and crops (Plan.Resize). nil is none.
	Resize *Resizing
	// KeepAll gives every tensor its own place in the arena, so that all can be read after a run.
	KeepAll bool
	// Guard keeps at least so many bytes per image free before and after every tensor. With KeepAll nothing
	// may ever write there, which gpu's Trace checks.
	Guard int64
}

// Normalization turns the bytes of a picture into the network's input: byte·Scale + Offset for red, green, blue.
type Normalization struct{ Scale, Offset [3]float32 }

// Lower turns a fused graph into a plan for a device. Errors name the node that has no kernel, or the
// limit of the device that the network exceeds even for one image.
//
// A graph with inner inputs (graph.Input.Inner) is lowered like the part of a network that it is: those
// inputs have the layout that the network's values have. So tests run one layer alone, with the very
// dispatches it gets in a network.
func Lower(g *graph.Graph, caps Caps, opts Options) (*Plan, error) {
	l := &lowering{g: g, caps: caps, tensorOf: map[graph.ID]int{}, kernelType: "f32", plan: &Plan{
		Model: g.Model, Precision: PrecisionFloat32, Input: g.InputShape(), Classes: g.OutputShape().C,
	}}
	if err := l.setPrecision(opts); err != nil {
		return nil, err
	}
	if err := l.setKernels(opts); err != nil {
		return nil, err
	}
	l.normalization = opts.Pictures
	if err := l.checkLimits(); err != nil {
		return nil, err
	}
	l.centre()
	for _, n := range g.Nodes {
		if err := l.node(n); err != nil {
			return nil, fmt.Errorf("netplan: %s: node %s: %w", g.Model, n.Name, err)
		}
	}
	p := l.plan
	p.InputTensor, p.OutputTensor = l.tensorOf[g.Input], l.tensorOf[g.Output]
	if opts.Pictures != nil && p.Pictures == nil {
		return nil, fmt.Errorf("netplan: %s: its first node reads no picture, want a convolution of three planes", g.Model)
	}
	if opts.Resize != nil {
		if err := l.resize(*opts.Resize); err != nil {
			return nil, err
		}
	}
	for _, id := range g.Inputs()[1:] {
		p.Feeds = append(p.Feeds, l.tensorOf[id])
	}
	setLifetimes(p)
	placeTensors(p, opts)
	setBarriers(p)
	for _, d := range p.Dispatches {
		p.MACs += d.MACs
		p.Bytes += d.Bytes
		p.Least += d.Least
	}
	var err error
	p.MaxBatch, err = maxBatch(p, caps)
	return p, err
}

// lowering is the state of one Lower.
type lowering struct {
	g        *graph.Graph
	caps     Caps
	plan     *Plan
	tensorOf map[graph.ID]int
	// kernelType ends the names of kernels (shaders/types.glsl), stored is the type of maps.
	kernelType    string
	stored        DType
	normalization *Normalization
	// centred holds the means of the maps that are stored without them.
	centred map[graph.ID][]float64
	// sums holds, for a depthwise node whose squeeze-and-excitation wants them, its tile sums.
	sums map[graph.ID]int
}

func (l *lowering) setPrecision(opts Options) error {
	switch opts.Precision {
	case "", PrecisionFloat32:
		return nil
	case PrecisionAMP:
		l.plan.Precision, l.kernelType, l.stored = PrecisionAMP, "f16", Float16
		if opts.Packed || !l.caps.Storage16 {
			l.kernelType = "f16p"
		}
		return nil
	}
	return fmt.Errorf("netplan: %s: precision %q, want %s or %s", l.g.Model, opts.Precision, PrecisionFloat32, PrecisionAMP)
}

func (l *lowering) setKernels(opts Options) error {
	l.plan.Kernels = cmp.Or(opts.Kernels, KernelsFor(l.caps))
	if err := CheckKernels(l.caps, l.plan.Kernels); err != nil {
		return fmt.Errorf("netplan: %s: %w", l.g.Model, err)
	}
	return nil
}

// kernel returns the name of a convolution's kernel for the plan's precision.
func (l *lowering) kernel(op string) string {
	if l.plan.Kernels == KernelsTexel {
		op += "_texel"
	}
	return op + "_" + l.kernelType
}

// kernelFloat32 is kernel for those that work on no maps. They read from texel buffers only where that is faster: another
// driver crashed on it (lavapipe 26.1).
func (l *lowering) kernelFloat32(op string) string {
	if l.plan.Kernels == KernelsTexel && l.caps.TexelReads {
		op += "_texel"
	}
	return op + "_f32"
}

// Workgroup sizes and shared memory the kernels use at most; every Vulkan device has them.
const (
	maxLanes       = 128
	maxSharedBytes = 16384
)

func (l *lowering) checkLimits() error {
	c := l.caps
	if c.MaxWorkgroupInvocations < maxLanes || c.MaxWorkgroupSize[0] < maxLanes || c.MaxWorkgroupSize[1] < 16 {
		return fmt.Errorf("netplan: device %q allows workgroups of %d (%v), want at least %d", c.Name, c.MaxWorkgroupInvocations, c.MaxWorkgroupSize, maxLanes)
	}
	if c.MaxSharedMemory < maxSharedBytes {
		return fmt.Errorf("netplan: device %q has %d bytes of shared memory, want at least %d", c.Name, c.MaxSharedMemory, maxSharedBytes)
	}
	return nil
}

func (l *lowering) node(n *graph.Node) error {
	switch op := n.Op.(type) {
	case *graph.Input:
		layout := NCHW
		switch {
		case op.Inner && l.isVector(n):
			layout = Vector
		case op.Inner:
			layout = NHWC8
		}
		l.tensorOf[n.ID] = l.tensor(n, layout)
		return nil
	case *graph.Conv:
		return l.conv(n, op)
	case *graph.SE:
		return l.se(n, op)
	case *graph.Linear:
		return l.linear(n, op)
	}
	return fmt.Errorf("no kernel for op %s %s; was the graph folded and fused?", n.Op.Kind(), graph.Attrs(n.Op))
}

// isVector reports whether an inner input is a gate or a linear layer's input: in a network such are made by
// kernels that write vectors.
func (l *lowering) isVector(n *graph.Node) bool {
	for _, u := range l.g.Nodes {
		switch op := u.Op.(type) {
		case *graph.Linear:
			if u.Inputs[0] == n.ID {
				return true
			}
		case *graph.Conv:
			if op.Gate && u.Inputs[1] == n.ID {
				return true
			}
		}
	}
	return false
}

// tensor adds the tensor that holds n's value. Maps are stored in the precision's type, the rest in float32.
func (l *lowering) tensor(n *graph.Node, layout Layout) int {
	t := Tensor{Name: n.Name, Yields: n.Yields, Shape: n.Shape, Layout: layout, Mean: l.centred[n.ID]}
	if layout == NHWC8 {
		t.DType = l.stored
	}
	return l.addTensor(t)
}

func (l *lowering) addTensor(t Tensor) int {
	t.Stride = t.ImageBytes()
	l.plan.Tensors = append(l.plan.Tensors, t)
	return len(l.plan.Tensors) - 1
}

// input returns the tensor of n's i-th input.
func (l *lowering) input(n *graph.Node, i int) Binding {
	return Binding{Tensor: l.tensorOf[n.Inputs[i]]}
}

// dispatch appends d to the plan.
func (l *lowering) dispatch(n *graph.Node, d Dispatch) error {
	d, err := l.complete(n, d)
	if err != nil {
		return err
	}
	l.plan.Dispatches = append(l.plan.Dispatches, d)
	return nil
}

// complete returns d with its figures after comparing it with what its kernel declares.
func (l *lowering) complete(n *graph.Node, d Dispatch) (Dispatch, error) {
	d, err := l.completeAs(n.Name, d)
	d.MACs = l.g.MACs(n)
	d.Least = leastBytes(l.g, n, l.stored.Size())
	return d, err
}

// completeAs is complete for what no node computes.
func (l *lowering) completeAs(name string, d Dispatch) (Dispatch, error) {
	k, ok := shaders.Lookup(d.Kernel)
	if !ok {
		return d, fmt.Errorf("kernel %s is not compiled in", d.Kernel)
	}
	if len(d.Bind) != len(k.Bindings) || 4*len(d.Push) != k.PushBytes || len(d.Spec) != len(k.Spec) {
		return d, fmt.Errorf("kernel %s takes %d bindings, %d bytes of push constants and %d specialization constants; the planner gives %d, %d and %d",
			d.Kernel, len(k.Bindings), k.PushBytes, len(k.Spec), len(d.Bind), 4*len(d.Push), len(d.Spec))
	}
	seen := map[int]bool{}
	for i := range d.Bind {
		d.Bind[i].Write, d.Bind[i].Texel = k.Bindings[i].Write, k.Bindings[i].Texel
		if t := d.Bind[i].Tensor; t >= 0 && !seen[t] {
			seen[t] = true
			d.Bytes += l.plan.Tensors[t].Stride
		}
	}
	d.Node = name
	return d, nil
}

// loops refuses a kernel whose invocations would loop more often than the device can. iterations are those
// of all loops together, without the short ones of constant length that compilers unroll.
func (l *lowering) loops(iterations int) error {
	if most := l.caps.MaxLoopIterations; most > 0 && iterations > most {
		return fmt.Errorf("its kernel loops %d times, and device %q ends loops after %d; want a smaller input, or a newer driver", iterations, l.caps.Name, most)
	}
	return nil
}

// one is a group count of 1, perImage one of n images.
var (
	one      = Groups{Fixed: 1, Tile: 1}
	perImage = Groups{PerImage: 1, Tile: 1}
)

func fixed(n int) Groups { return Groups{Fixed: n, Tile: 1} }

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// lanesFor returns the power of two in [lo, hi] nearest above n.
func lanesFor(n, lo, hi int) int {
	lanes := lo
	for lanes < n && lanes < hi {
		lanes *= 2
	}
	return lanes
}
