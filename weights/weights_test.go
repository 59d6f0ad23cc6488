package weights

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
)

func TestConvert(t *testing.T) {
	le := binary.LittleEndian
	for _, c := range []struct {
		dt   DType
		data []byte
		want []float64
	}{
		{Float32, le.AppendUint32(le.AppendUint32(nil, math.Float32bits(-1.5)), 1), []float64{-1.5, 0x1p-149}},
		{Float64, le.AppendUint64(nil, math.Float64bits(math.Pi)), []float64{math.Pi}},
		{Float16, []byte{0x00, 0x3c, 0x01, 0x80}, []float64{1, -0x1p-24}},
		{BFloat16, []byte{0x80, 0x3f, 0x49, 0xc0}, []float64{1, -3.140625}},
		{Int64, le.AppendUint64(nil, 1<<63+5), []float64{-(1 << 63) + 5}},
		{Int32, []byte{0xfe, 0xff, 0xff, 0xff}, []float64{-2}},
		{Int16, []byte{0xfd, 0xff, 0x02, 0x01}, []float64{-3, 258}},
		{Int8, []byte{0x80, 0x7f}, []float64{-128, 127}},
		{Uint8, []byte{0x80, 0xff}, []float64{128, 255}},
		{Bool, []byte{0, 1}, []float64{0, 1}},
	} {
		x := &Tensor{DType: c.dt, Shape: []int{len(c.want)}, Data: c.data}
		if got := x.Float64s(); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.dt, got, c.want)
		}
		for i, f := range x.Float32s() {
			if f != float32(c.want[i]) {
				t.Errorf("%v: %v, want %v", c.dt, f, float32(c.want[i]))
			}
		}
	}
}

func TestFromSlices(t *testing.T) {
	f := []float32{1, -2, float32(math.Inf(1)), 0x1p-149}
	if x := FromFloat32s([]int{2, 2}, f); !slices.Equal(x.Float32s(), f) || x.DType != Float32 {
		t.Errorf("float32: %v", x)
	}
	d := []float64{math.Pi, math.Copysign(0, -1), 5e-324}
	if x := FromFloat64s([]int{3}, d); !slices.Equal(x.Float64s(), d) || x.DType != Float64 {
		t.Errorf("float64: %v", x)
	}
	u := []uint8{7}
	x := FromUint8s(nil, u)
	u[0] = 8
	if x.Data[0] != 7 || x.NumElements() != 1 {
		t.Errorf("uint8: %v, want a scalar 7 of its own", x)
	}
	defer func() {
		if recover() == nil {
			t.Error("a shape that does not fit is accepted")
		}
	}()
	FromFloat32s([]int{3}, f)
}

func TestTensorCheck(t *testing.T) {
	for _, x := range []*Tensor{
		{DType: Float32, Shape: []int{2}, Data: make([]byte, 7)},
		{DType: Float32, Shape: []int{-1}, Data: nil},
		{DType: Float32, Shape: []int{1 << 40, 1 << 40}, Data: nil},
		{DType: 0, Shape: []int{0}, Data: nil},
	} {
		if x.check() == nil {
			t.Errorf("%+v passes", x)
		}
	}
}

func TestStateDictOrder(t *testing.T) {
	sd := NewStateDict()
	for _, n := range []string{"b", "a", "b"} {
		sd.Set(n, FromUint8s(nil, []byte{byte(sd.Len())}))
	}
	if !slices.Equal(sd.Names(), []string{"b", "a"}) || sd.Get("b").Data[0] != 2 || sd.Get("c") != nil {
		t.Errorf("%v %v", sd.Names(), sd.Get("b"))
	}
}

func BenchmarkFloat32s(b *testing.B) {
	for _, dt := range []DType{Float32, Float16, Int64} {
		x := &Tensor{DType: dt, Shape: []int{1 << 20}, Data: make([]byte, dt.Size()<<20)}
		b.Run(dt.String(), func(b *testing.B) {
			b.SetBytes(int64(len(x.Data)))
			for b.Loop() {
				x.Float32s()
			}
		})
	}
}
