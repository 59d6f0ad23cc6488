package weights

import (
	"fmt"
	"math"
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
type Tensor struct {
	DType DType
	Shape []int // empty for a scalar
	Data  []byte
}

// NumElements returns the product of the shape; 1 for a scalar.
func (t *Tensor) NumElements() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Float64s returns the elements converted to float64, exact for every stored type but int64 beyond 2^53.
func (t *Tensor) Float64s() []float64 {
	out := make([]float64, t.NumElements())
	for i := range out {
		out[i] = t.at(i)
	}
	return out
}

// Float32s returns the elements converted to float32, rounding float64 and wide integers to nearest even.
func (t *Tensor) Float32s() []float32 {
	out := make([]float32, t.NumElements())
	for i := range out {
		out[i] = float32(t.at(i))
	}
	return out
}

func (t *Tensor) at(i int) float64 {
	d := t.Data
	switch t.DType {
	case Float32:
		return float64(math.Float32frombits(le32(d[4*i:])))
	case Float64:
		return math.Float64frombits(le64(d[8*i:]))
	case Float16:
		return float64(Float16ToFloat32(uint16(d[2*i]) | uint16(d[2*i+1])<<8))
	case BFloat16:
		return float64(math.Float32frombits((uint32(d[2*i]) | uint32(d[2*i+1])<<8) << 16))
	case Int64:
		return float64(int64(le64(d[8*i:])))
	case Int32:
		return float64(int32(le32(d[4*i:])))
	case Int16:
		return float64(int16(uint16(d[2*i]) | uint16(d[2*i+1])<<8))
	case Int8:
		return float64(int8(d[i]))
	default: // Uint8, Bool
		return float64(d[i])
	}
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func le64(b []byte) uint64 { return uint64(le32(b)) | uint64(le32(b[4:]))<<32 }

// StateDict is an ordered map from parameter name to Tensor, as PyTorch's state_dict.
// It is not safe for concurrent modification.
type StateDict struct {
	Path   string // the file it came from; "" for one made in memory
	Format string // what the file was, for people: "PyTorch zip", "PyTorch legacy", "safetensors"
	Picked string // the wrapper key the tensors were found under ("state_dict_ema"), "" for a plain dict

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
