package weights

import (
	"encoding/binary"
	"math"

	"github.com/vkinfer/vkinfer/weights/float16"
)

// Float64s returns the elements converted to float64, exact for every stored type but int64 beyond 2^53.
func (t *Tensor) Float64s() []float64 { return convert[float64](t) }

// Float32s returns the elements converted to float32, rounding float64 and wide integers to nearest even.
func (t *Tensor) Float32s() []float32 { return convert[float32](t) }

// convert has one loop per stored type: a checkpoint has millions of elements, and a
// choice per element costs more than the conversion.
func convert[F float32 | float64](t *Tensor) []F {
	out := make([]F, t.NumElements())
	d := t.Data[:len(out)*t.DType.Size()]
	switch t.DType {
	case Float32:
		for i := range out {
			out[i] = F(math.Float32frombits(binary.LittleEndian.Uint32(d[4*i:])))
		}
	case Float64:
		for i := range out {
			out[i] = F(math.Float64frombits(binary.LittleEndian.Uint64(d[8*i:])))
		}
	case Float16:
		for i := range out {
			out[i] = F(float16.ToFloat32(binary.LittleEndian.Uint16(d[2*i:])))
		}
	case BFloat16:
		for i := range out {
			out[i] = F(math.Float32frombits(uint32(binary.LittleEndian.Uint16(d[2*i:])) << 16))
		}
	case Int64:
		for i := range out {
			out[i] = F(int64(binary.LittleEndian.Uint64(d[8*i:])))
		}
	case Int32:
		for i := range out {
			out[i] = F(int32(binary.LittleEndian.Uint32(d[4*i:])))
		}
	case Int16:
		for i := range out {
			out[i] = F(int16(binary.LittleEndian.Uint16(d[2*i:])))
		}
	case Int8:
		for i := range out {
			out[i] = F(int8(d[i]))
		}
	default: // Uint8, Bool
		for i := range out {
			out[i] = F(d[i])
		}
	}
	return out
}
