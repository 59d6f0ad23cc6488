package weights

import (
	"encoding/binary"
	"math/bits"
)

// storageReader gives the raw bytes of whole storages, little-endian, checked against what the
// object graph claims about them. The bytes are shared between calls and must not be modified.
type storageReader interface {
	read(st *pyStorage) ([]byte, error)
}

// materialize reads one tensor. A tensor that lies contiguous in its storage shares the
// storage's memory; any other is gathered into memory of its own, counted against the budget.
func (t *pyTensor) materialize(r storageReader, b *budget) (*Tensor, error) {
	if t.unsupported != "" {
		return nil, unsupportedf("%s; wanted one of the types float32, float64, float16, bfloat16, int64, int32, int16, int8, uint8, bool, dense; convert it before saving", t.unsupported)
	}
	n, last, err := t.extent()
	if err != nil {
		return nil, err
	}
	st, elem := t.storage, int64(t.dtype.Size())
	data, err := r.read(st)
	if err != nil {
		return nil, err
	}
	if st.isView {
		es := int64(st.dtype.Size())
		data = data[st.viewAt*es : (st.viewAt+st.viewLen)*es]
	}
	have := int64(len(data)) / elem
	if n > 0 && last >= have {
		return nil, badf("needs element %d of storage %s, which has %d; the file is damaged", last, quote(st.key), have)
	}
	shape := make([]int, len(t.size))
	for i, d := range t.size {
		shape[i] = int(d)
	}
	out := &Tensor{DType: t.dtype, Shape: shape}
	switch {
	case n == 0:
		out.Data = []byte{}
	case t.contiguous():
		out.Data = data[t.offset*elem : (t.offset+n)*elem : (t.offset+n)*elem]
	default:
		if err := b.take(n*elem, "a strided tensor"); err != nil {
			return nil, err
		}
		out.Data = make([]byte, 0, n*elem)
		out.Data = gather(out.Data, data[t.offset*elem:], t.size, t.stride, elem)
	}
	return out, nil
}

// extent returns the number of elements and the index in the storage of the last one in use.
func (t *pyTensor) extent() (n, last int64, err error) {
	if len(t.size) != len(t.stride) {
		return 0, 0, badf("has %d sizes and %d strides; the file is damaged", len(t.size), len(t.stride))
	}
	if t.offset < 0 {
		return 0, 0, badf("starts at element %d of its storage; the file is damaged", t.offset)
	}
	n, last = 1, t.offset
	empty := false
	for i, d := range t.size {
		if d < 0 || t.stride[i] < 0 {
			return 0, 0, badf("has size %d and stride %d in dimension %d; the file is damaged", d, t.stride[i], i)
		}
		empty = empty || d == 0
	}
	if empty {
		return 0, last, nil
	}
	for i, d := range t.size {
		var ok1, ok2, ok3 bool
		var step int64
		n, ok1 = mul(n, d)
		step, ok2 = mul(d-1, t.stride[i])
		last, ok3 = add(last, step)
		if !ok1 || !ok2 || !ok3 || n > 1<<56 || last > 1<<56 {
			return 0, 0, badf("has a shape %v with strides %v beyond any memory; the file is damaged", t.size, t.stride)
		}
	}
	return n, last, nil
}

// contiguous reports whether the elements lie in C order without gaps.
func (t *pyTensor) contiguous() bool {
	want := int64(1)
	for i := len(t.size) - 1; i >= 0; i-- {
		if t.size[i] == 1 {
			continue
		}
		if t.stride[i] != want {
			return false
		}
		want *= t.size[i]
	}
	return true
}

// gather appends the elements of a strided view to dst in C order. src starts at the view's first element.
func gather(dst, src []byte, size, stride []int64, elem int64) []byte {
	if len(size) == 0 {
		return append(dst, src[:elem]...)
	}
	if len(size) > 1 {
		for i := range size[0] {
			dst = gather(dst, src[i*stride[0]*elem:], size[1:], stride[1:], elem)
		}
		return dst
	}
	n, step := size[0], stride[0]*elem
	switch {
	case stride[0] == 1:
		dst = append(dst, src[:n*elem]...)
	case elem == 4:
		for i := range n {
			dst = append(dst, src[i*step:i*step+4]...)
		}
	default:
		for i := range n {
			dst = append(dst, src[i*step:i*step+elem]...)
		}
	}
	return dst
}

// mul and add report false where the result of two non-negative numbers does not fit.
func mul(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return int64(lo), hi == 0 && lo <= 1<<63-1
}

func add(a, b int64) (int64, bool) {
	s := uint64(a) + uint64(b)
	return int64(s), s <= 1<<63-1
}

// swapBytes turns big-endian elements into little-endian ones, in place.
func swapBytes(b []byte, elem int) {
	switch elem {
	case 2:
		for i := 0; i+2 <= len(b); i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
	case 4:
		for i := 0; i+4 <= len(b); i += 4 {
			binary.LittleEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
		}
	case 8:
		for i := 0; i+8 <= len(b); i += 8 {
			binary.LittleEndian.PutUint64(b[i:], binary.BigEndian.Uint64(b[i:]))
		}
	}
}
