package netplan

import (
	"iter"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// Plan is a network lowered for one kind of device: a list of dispatches over one arena and one block
// of packed weights. It is plain data without Vulkan handles, the same for every batch size: offsets
// and sizes are per image, and a tensor of a batch of n images lies at n·Offset and holds n·Stride bytes.
type Plan struct {
	Model     string
	Precision string // "float32" or "amp"
	Kernels   string // KernelsLane, KernelsTexel or KernelsShared
	Input     graph.Shape
	Classes   int

	Tensors    []Tensor
	Dispatches []Dispatch
	Weights    []byte // packed constants, little-endian; bindings refer to it by offset
	ArenaBytes int64  // per image

	InputTensor  int   // index into Tensors
	Feeds        []int // tensors of the further inputs of a fragment; none for a network
	OutputTensor int
	Pictures     *Pictures // nil unless Options.Pictures asked for it
	Resize       *Resize   // nil unless Options.Resize asked for it
	MaxBatch     int       // the largest batch the device's limits allow in one submit

	MACs  int64 // multiply-adds per image
	Bytes int64 // bytes moved per image by all dispatches, weights not counted
	Least int64 // bytes that these dispatches must move per image: the sum of theirs
}

// Pictures is another way into a plan: 8-bit pictures instead of the float32 input.
type Pictures struct {
	Tensor   int      // of layout HWC, in the place of InputTensor
	Dispatch Dispatch // in the place of the first one
}

// All returns every dispatch of the plan, those of Pictures and Resize last.
func (p *Plan) All() iter.Seq[*Dispatch] {
	return func(yield func(*Dispatch) bool) {
		for i := range p.Dispatches {
			if !yield(&p.Dispatches[i]) {
				return
			}
		}
		if p.Pictures != nil && !yield(&p.Pictures.Dispatch) {
			return
		}
		if p.Resize != nil && yield(&p.Resize.Dispatches[0]) {
			yield(&p.Resize.Dispatches[1])
		}
	}
}

// PictureBytes returns Bytes and Least of a run of pictures.
func (p *Plan) PictureBytes() (bytes, least int64) {
	d, alt := &p.Dispatches[0], &p.Pictures.Dispatch
	return p.Bytes - d.Bytes + alt.Bytes, p.Least - d.Least + alt.Least
}

// OverLeast is by what part Bytes exceeds Least: 0.03 is three per cent. It is 0 where nothing must be moved.
func (p *Plan) OverLeast() float64 {
	if p.Least == 0 {
		return 0
	}
	return float64(p.Bytes)/float64(p.Least) - 1
}

// InputTensors returns the indexes of all tensors that are given from outside, in the order in which a run
// takes them.
func (p *Plan) InputTensors() []int { return append([]int{p.InputTensor}, p.Feeds...) }

// InputElements is the number of values a run takes per image: all inputs', one input after the other,
// each in NCHW order without padding.
func (p *Plan) InputElements() int {
	n := 0
	for _, i := range p.InputTensors() {
		n += p.Tensors[i].Shape.NumElements()
	}
	return n
}

// Layout is how a tensor's elements are ordered in memory.
type Layout uint8

// The layouts of a tensor of one image; the batch is always outermost.
const (
	NHWC8  Layout = iota // rows, columns, channels padded to a multiple of 8; padded lanes are zero
	NCHW                 // planes, unpadded: what callers hand in
	Vector               // channels padded to 8: gates, pooled vectors, logits
	Tiles                // partial sums: tile, channels padded to 8
	HWC                  // rows, columns, channels, unpadded: pictures
)

// String returns the layout's name in plan texts.
func (l Layout) String() string { return [...]string{"nhwc8", "nchw", "vector", "tiles", "hwc"}[l] }

// DType is what a tensor's elements are in memory. Kernels compute in float32 whatever it is.
type DType uint8

// The element types of tensors.
const (
	Float32 DType = iota
	Float16       // maps of precision amp
	Uint8         // pictures
)

// Size returns the bytes of an element.
func (d DType) Size() int64 { return [...]int64{4, 2, 1}[d] }

// String returns the type's name in plan texts.
func (d DType) String() string { return [...]string{"float32", "float16", "uint8"}[d] }

// Tensor is a value that is materialised in the arena.
type Tensor struct {
	Name   string      // name of the graph node it holds, or that plus a suffix (".partial")
	Yields string      // node of the unfused graph with the same value, "" for partial sums
	Shape  graph.Shape // unpadded, of one image; for Tiles: C channels, H tiles, W = 1
	Layout Layout
	DType  DType
	// Mean is what was subtracted from each of the C channels before they were stored, nil for nothing.
	Mean   []float64
	Stride int64 // bytes from one image to the next within the tensor
	Offset int64 // bytes per image of batch: the tensor of a batch of n begins at n·Offset
	// First and Last are the indexes of the dispatches that write it first and read it last
	// (-1 and len(Dispatches) for values that live outside the plan).
	First, Last int
}

// PaddedC returns the number of channels stored, padding included.
func (t *Tensor) PaddedC() int {
	if t.Layout == NCHW || t.Layout == HWC {
		return t.Shape.C
	}
	return pad8(t.Shape.C)
}

// ImageBytes returns what one image takes, padding included: whole words.
func (t *Tensor) ImageBytes() int64 {
	return alignUp(int64(t.PaddedC())*int64(t.Shape.H)*int64(t.Shape.W)*t.DType.Size(), 4)
}

// Binding is what a kernel sees at one binding: a tensor, or a range of the weights.
type Binding struct {
	Tensor int  // index into Plan.Tensors, -1 for weights
	Write  bool // the kernel writes it
	Texel  bool // a uniform texel buffer (TexelOf), else a storage buffer
	Offset int64
	Size   int64 // bytes of weights, for Tensor = -1
}

// Groups is the number of workgroups along one axis for a batch of n: Times·ceil((Fixed + PerImage·n) / Tile).
type Groups struct {
	Fixed, PerImage, Tile int
	Times                 int // 0 for 1
}

// For returns the number for a batch of n.
func (g Groups) For(n int) int {
	return max(g.Times, 1) * ((g.Fixed + g.PerImage*n + g.Tile - 1) / g.Tile)
}

// Texel is a format of texel buffers: what one texel holds.
type Texel uint8

// The formats of texel buffers.
const (
	TexelFloat4 Texel = iota // four float32: maps, and all else that has channels
	TexelHalf4               // four float16
	TexelFloat               // one float32: planes
	TexelWord                // 32 bits: pictures
)

// Bytes returns the bytes of a texel.
func (t Texel) Bytes() int64 { return [...]int64{16, 8, 4, 4}[t] }

// TexelOf returns the format of what a kernel reads at a binding, if that is a texel buffer.
func (p *Plan) TexelOf(b Binding) Texel {
	if b.Tensor < 0 {
		return TexelFloat4
	}
	switch t := &p.Tensors[b.Tensor]; {
	case t.DType == Uint8:
		return TexelWord
	case t.Layout == NCHW:
		return TexelFloat
	case t.DType == Float16:
		return TexelHalf4
	}
	return TexelFloat4
}

// Dispatch is one kernel launch.
type Dispatch struct {
	Node   string    // graph node it computes
	Kernel string    // name in shaders.Kernels
	Spec   []uint32  // specialization constants, constant_id 0, 1, …; the first three are the workgroup's size
	Push   []uint32  // push constants; word 0 is the batch, which the executor fills in
	Bind   []Binding // set 0, binding 0, 1, …
	Groups [3]Groups
	// Barrier asks for a full compute memory barrier before this dispatch.
	Barrier bool

	MACs  int64 // multiply-adds per image
	Bytes int64 // bytes of tensors read and written per image
	Least int64 // bytes of them that any kernel for this node must move: see leastBytes
}

func pad8(c int) int { return (c + 7) &^ 7 }
