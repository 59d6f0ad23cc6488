package weights

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/nlpodyssey/gopickle/pickle"
)

// sequence is a tuple or list as the pickle library makes it.
type sequence interface {
	Len() int
	Get(i int) any
}

// pyDict is a dict or OrderedDict: string keys in order, the last value of a repeated key
// in the place of the first, as in Python. Other keys (an optimizer's numbers) are only counted.
type pyDict struct {
	index  map[string]int
	names  []string
	values []any
	others int
}

func (d *pyDict) get(key string) any {
	if i, ok := d.index[key]; ok {
		return d.values[i]
	}
	return nil
}

// Set is called for SETITEM and SETITEMS.
func (d *pyDict) Set(key, value any) {
	name, ok := key.(string)
	if !ok {
		d.others++
		return
	}
	if i, ok := d.index[name]; ok {
		d.values[i] = value
		return
	}
	if d.index == nil {
		d.index = map[string]int{}
	}
	d.index[name] = len(d.names)
	d.names = append(d.names, name)
	d.values = append(d.values, value)
}

// PySetState is called for BUILD: OrderedDict's attributes (_metadata) are of no use here.
func (d *pyDict) PySetState(any) error { return nil }

// Append and Add make a dict subclass that is filled like a list or set harmless.
func (d *pyDict) Append(any) {}

// Add see Append.
func (d *pyDict) Add(any) {}

// pyOpaque is an instance of an inert class. It keeps nothing.
type pyOpaque struct{ class *pyClass }

// Set, Append, Add and PySetState swallow whatever a pickle puts into the instance.
func (o *pyOpaque) Set(any, any)         {}
func (o *pyOpaque) Append(any)           {}
func (o *pyOpaque) Add(any)              {}
func (o *pyOpaque) PySetState(any) error { return nil }

// pyStorage is a persistent id: the promise of some elements elsewhere in the file.
type pyStorage struct {
	class *pyClass
	dtype DType // 0 for one this package does not read
	key   string
	numel int64 // elements of the whole storage
	// A legacy file may name a part of a storage: viewLen elements from viewAt on.
	isView          bool
	viewAt, viewLen int64
}

// pyTensor is a view of a storage, not read yet.
type pyTensor struct {
	storage      *pyStorage
	dtype        DType
	offset       int64
	size, stride []int64
	unsupported  string // why it cannot be read; "" if it can
}

// PySetState is called for BUILD on a Parameter with attributes.
func (t *pyTensor) PySetState(any) error { return nil }

// pyClass is an allowed class.
type pyClass struct {
	allowedClass
	copies *int // how many more dict items may be copied; shared by the classes of one pickle
}

// PyNew is called for NEWOBJ.
func (c *pyClass) PyNew(args ...any) (any, error) { return c.Call(args...) }

// Call is called for REDUCE.
func (c *pyClass) Call(args ...any) (any, error) {
	switch c.role {
	case roleDict:
		return c.newDict(args)
	case roleArgument:
		if len(args) == 1 {
			return args[0], nil
		}
	case roleParameter:
		if len(args) > 0 {
			if t, ok := args[0].(*pyTensor); ok {
				return t, nil
			}
		}
	case roleFromType:
		if len(args) >= 3 {
			f, ok := args[0].(*pyClass)
			a, ok2 := args[2].(sequence)
			if ok && ok2 && f.role != roleFromType && a.Len() <= 16 {
				return f.Call(items(a)...)
			}
		}
	case roleTensorV1, roleTensorV2, roleTensorV3:
		return c.rebuild(args)
	case roleUnknownTensor:
		return &pyTensor{unsupported: "is made by " + c.name + " (sparse, quantized or without data)"}, nil
	case roleOpaque:
		return &pyOpaque{c}, nil
	}
	return nil, badf("object graph damaged: %s.%s called with the wrong arguments", c.module, c.name)
}

// newDict makes a dict; an OrderedDict pickled by Python 2 has its items as an argument.
func (c *pyClass) newDict(args []any) (any, error) {
	d := &pyDict{}
	for _, a := range args {
		list, ok := a.(sequence)
		if !ok {
			continue // a defaultdict's factory
		}
		// One long list may be the argument of many calls, each a few bytes of pickle.
		if *c.copies -= list.Len(); *c.copies < 0 {
			return nil, badf("object graph copies one list of items over and over; it is damaged or made to exhaust memory")
		}
		for _, item := range items(list) {
			if kv, ok := item.(sequence); ok && kv.Len() == 2 {
				d.Set(kv.Get(0), kv.Get(1))
			}
		}
	}
	return d, nil
}

func items(s sequence) []any {
	out := make([]any, s.Len())
	for i := range out {
		out[i] = s.Get(i)
	}
	return out
}

// rebuild is torch._utils._rebuild_tensor(storage, offset, size, stride, …); version 3 has the
// element type as its seventh argument and an untyped storage.
func (c *pyClass) rebuild(args []any) (any, error) {
	want := map[classRole]int{roleTensorV1: 4, roleTensorV2: 6, roleTensorV3: 7}[c.role]
	if len(args) < want {
		return nil, badf("object graph damaged: %s with %d arguments, wanted %d", c.name, len(args), want)
	}
	st, ok := args[0].(*pyStorage)
	if !ok {
		return nil, badf("object graph damaged: %s on something that is not a storage", c.name)
	}
	t := &pyTensor{storage: st, dtype: st.dtype}
	offset, ok1 := args[1].(int)
	size, ok2 := intsOf(args[2])
	stride, ok3 := intsOf(args[3])
	if !ok1 || !ok2 || !ok3 {
		return nil, badf("object graph damaged: a tensor whose offset, size or stride is not made of at most %d integers below 2^63", maxDims)
	}
	t.offset, t.size, t.stride = int64(offset), size, stride
	kind := st.class
	if c.role == roleTensorV3 {
		dt, ok := args[6].(*pyClass)
		if !ok || dt.role != roleDType {
			return nil, badf("object graph damaged: %s without an element type", c.name)
		}
		t.dtype, kind = dt.dtype, dt
	}
	if t.dtype == 0 {
		t.unsupported = fmt.Sprintf("has element type %s.%s", kind.module, kind.name)
	}
	return t, nil
}

// maxDims bounds a tensor's rank, as PyTorch does.
const maxDims = 64

func intsOf(x any) ([]int64, bool) {
	s, ok := x.(sequence)
	if !ok || s.Len() > maxDims {
		return nil, false
	}
	out := make([]int64, s.Len())
	for i := range out {
		n, ok := s.Get(i).(int)
		if !ok {
			return nil, false
		}
		out[i] = int64(n)
	}
	return out, true
}

// persistentLoad understands ("storage", class, key, location, numel) and, in legacy files, a
// sixth entry that is None or (view key, offset, length).
func persistentLoad(id any) (*pyStorage, error) {
	s, ok := id.(sequence)
	if !ok || s.Len() < 5 || s.Len() > 6 || s.Get(0) != any("storage") {
		return nil, badf("object graph damaged: a persistent id that is not a storage")
	}
	class, ok1 := s.Get(1).(*pyClass)
	key, ok2 := s.Get(2).(string)
	numel, ok3 := s.Get(4).(int)
	if !ok1 || !ok2 || !ok3 || class.role != roleStorage {
		return nil, badf("object graph damaged: a storage without class, key or size")
	}
	st := &pyStorage{class: class, dtype: class.dtype, key: key, numel: int64(numel)}
	if numel < 0 || st.numel > math.MaxInt64/16 {
		return nil, badf("storage %s claims %d elements", quote(key), numel)
	}
	if s.Len() == 6 && s.Get(5) != nil {
		view, ok := intsOfView(s.Get(5))
		if !ok || view[0] < 0 || view[1] < 0 || view[0] > st.numel || view[1] > st.numel-view[0] {
			return nil, badf("storage %s: a view outside its %d elements", quote(key), numel)
		}
		st.isView, st.viewAt, st.viewLen = true, view[0], view[1]
	}
	return st, nil
}

// intsOfView reads (view key, offset, length).
func intsOfView(x any) ([2]int64, bool) {
	s, ok := x.(sequence)
	if !ok || s.Len() != 3 {
		return [2]int64{}, false
	}
	at, ok1 := s.Get(1).(int)
	n, ok2 := s.Get(2).(int)
	return [2]int64{int64(at), int64(n)}, ok1 && ok2
}

// loadPickle runs a verified pickle and returns the object graph, and for every storage named
// in it the size of an element, 0 for a type this package does not read, -1 where
// tensors differ about it.
func loadPickle(p verifiedPickle) (value any, elems map[string]int64, err error) {
	// The verifier leaves the library nothing to stumble over; should it have missed
	// something, a damaged file must still not take the program down.
	defer func() {
		if r := recover(); r != nil {
			value, elems, err = nil, nil, badf("object graph damaged: %s", clip(fmt.Sprint(r), 200))
		}
	}()
	classes := make(map[int]*pyClass, 8)
	copies := len(p.plain)
	u := pickle.NewUnpickler(bytes.NewReader(p.plain))
	elems = map[string]int64{}
	u.PersistentLoad = func(id any) (any, error) {
		st, err := persistentLoad(id)
		if err != nil {
			return nil, err
		}
		size := int64(st.dtype.Size())
		if old, ok := elems[st.key]; ok && old != size {
			size = -1 // fine in a zip, whose records say how long they are
		}
		elems[st.key] = size
		return st, nil
	}
	u.FindClass = func(module, name string) (any, error) {
		i, err := strconv.Atoi(name)
		if err != nil || module != plainModule || i < 0 || i >= len(allowedClasses) {
			return nil, forbiddenClass(module, name)
		}
		if classes[i] == nil {
			classes[i] = &pyClass{allowedClasses[i], &copies}
		}
		return classes[i], nil
	}
	value, err = u.Load()
	return value, elems, err
}
