package weights

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// DType is the element type of a stored tensor.
type DType uint8

// The element types a checkpoint may hold.
const (
	Float32 DType = iota + 1
	Float64
	Float16
	BFloat16
	Int64
	Int32
	Int16
	Int8
	Uint8
	Bool
)

var dtypeInfo = [...]struct {
	name string
	size int
}{
	Float32: {"float32", 4}, Float64: {"float64", 8}, Float16: {"float16", 2}, BFloat16: {"bfloat16", 2},
	Int64: {"int64", 8}, Int32: {"int32", 4}, Int16: {"int16", 2}, Int8: {"int8", 1}, Uint8: {"uint8", 1}, Bool: {"bool", 1},
}

// String returns PyTorch's name of the type, without the "torch." prefix.
func (d DType) String() string {
	if int(d) < len(dtypeInfo) && dtypeInfo[d].size > 0 {
		return dtypeInfo[d].name
	}
	return fmt.Sprintf("DType(%d)", uint8(d))
}

// Size returns the number of bytes of one element, 0 for an unknown type.
func (d DType) Size() int {
	if int(d) < len(dtypeInfo) {
		return dtypeInfo[d].size
	}
	return 0
}

// IsFloat reports whether the type is one of the four floating-point types.
func (d DType) IsFloat() bool { return d >= Float32 && d <= BFloat16 }

// Tensor is one entry of a StateDict: contiguous elements in C order, little-endian.
// Tensors of one file may share memory (tied weights): treat Data as read-only.
type Tensor struct {
	DType DType
	Shape []int // empty for a scalar
	Data  []byte
}

// FromFloat32s makes a float32 tensor with a copy of v, whose length must be the product of shape.
func FromFloat32s(shape []int, v []float32) *Tensor {
	data := make([]byte, 4*len(v))
	for i, f := range v {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(f))
	}
	return fromData(Float32, shape, data)
}

// FromFloat64s makes a float64 tensor with a copy of v, whose length must be the product of shape.
func FromFloat64s(shape []int, v []float64) *Tensor {
	data := make([]byte, 8*len(v))
	for i, f := range v {
		binary.LittleEndian.PutUint64(data[8*i:], math.Float64bits(f))
	}
	return fromData(Float64, shape, data)
}

// FromUint8s makes a uint8 tensor with a copy of v, whose length must be the product of shape.
func FromUint8s(shape []int, v []uint8) *Tensor {
	return fromData(Uint8, shape, slices.Clone(v))
}

// fromData panics when shape and data disagree: that is a mistake in the calling program, never in a file.
func fromData(dt DType, shape []int, data []byte) *Tensor {
	t := &Tensor{DType: dt, Shape: slices.Clone(shape), Data: data}
	if err := t.check(); err != nil {
		panic(err)
	}
	return t
}

// NumElements returns the product of the shape; 1 for a scalar.
func (t *Tensor) NumElements() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// check holds the data against type and shape.
func (t *Tensor) check() error {
	if t.DType.Size() == 0 {
		return badf("has the unknown element type %v", t.DType)
	}
	want, ok := int64(t.DType.Size()), true
	for _, d := range t.Shape {
		if d < 0 {
			return badf("has the negative size %d in shape %v", d, t.Shape)
		}
		if want, ok = mul(want, int64(d)); !ok {
			return badf("has a shape %v beyond any memory", t.Shape)
		}
	}
	if int64(len(t.Data)) != want {
		return badf("has %d bytes of data for shape %v of %v, which take %d", len(t.Data), t.Shape, t.DType, want)
	}
	return nil
}

// StateDict is an ordered map from parameter name to Tensor, as PyTorch's state_dict.
// It is not safe for concurrent modification.
type StateDict struct {
	Path   string // the file it came from; "" for one made in memory
	Format string // what the file was, for people: "PyTorch zip", "PyTorch legacy", "safetensors"
	Picked string // the wrapper key the tensors were found under ("state_dict_ema"), "" for a plain dict

	Skipped  []string          // entries of the dict that are no tensors, in file order
	Metadata map[string]string // of a safetensors file; nil where there is none

	names   []string
	tensors map[string]*Tensor
}

// NewStateDict returns an empty state dict to fill with Set.
func NewStateDict() *StateDict { return &StateDict{tensors: map[string]*Tensor{}} }

// Len returns the number of tensors.
func (sd *StateDict) Len() int { return len(sd.names) }

// Names returns the names in file order. The caller must not modify the slice.
func (sd *StateDict) Names() []string { return sd.names }

// Get returns the tensor of that name, nil when there is none.
func (sd *StateDict) Get(name string) *Tensor { return sd.tensors[name] }

// Set adds or replaces a tensor; a replaced one keeps its place in the order.
func (sd *StateDict) Set(name string, t *Tensor) {
	if _, ok := sd.tensors[name]; !ok {
		sd.names = append(sd.names, name)
	}
	sd.tensors[name] = t
}
