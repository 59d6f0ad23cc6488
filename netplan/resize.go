package netplan

import "fmt"

// Resizing lets a plan take parts of pictures (preprocess.PackPart), which it resizes and crops itself: a third way in, before
// that of pictures.
type Resizing struct {
	Bytes int // most of a part
	Rows  int // most rows of pixels in one
}

// DefaultResizing takes what the crop looks at of a picture of half a megapixel or less, such as are in ImageNet.
var DefaultResizing = Resizing{Bytes: 1 << 20, Rows: 1024}

// Resize is the way in for parts of pictures: two dispatches before those of pictures.
type Resize struct {
	Resizing
	Tensor     int // of the parts, one after the other
	Dispatches [2]Dispatch
}

// Entry is a way into a plan: what a run is given.
type Entry uint8

// The entries of a plan.
const (
	EntryValues   Entry = iota // the network's inputs as floats
	EntryPictures              // 8-bit pictures
	EntryParts                 // parts of pictures, to be resized and cropped
)

// Has reports whether the plan has an entry.
func (p *Plan) Has(e Entry) bool {
	return e == EntryValues || p.Pictures != nil && (e == EntryPictures || p.Resize != nil && e == EntryParts)
}

// Run returns the dispatches of a run in their order. The entry must be the plan's.
func (p *Plan) Run(e Entry) []*Dispatch {
	var list []*Dispatch
	if e == EntryParts {
		list = append(list, &p.Resize.Dispatches[0], &p.Resize.Dispatches[1])
	}
	for i := range p.Dispatches {
		d := &p.Dispatches[i]
		if i == 0 && e != EntryValues {
			first := p.Pictures.Dispatch
			first.Barrier = e == EntryParts // after what wrote the picture
			d = &first
		}
		list = append(list, d)
	}
	return list
}

// EntryTensors returns the indexes of the tensors that a run is given, in their order.
func (p *Plan) EntryTensors(e Entry) []int {
	switch e {
	case EntryPictures:
		return []int{p.Pictures.Tensor}
	case EntryParts:
		return []int{p.Resize.Tensor}
	}
	return p.InputTensors()
}

// resize: shaders/resize.comp.
func (l *lowering) resize(r Resizing) error {
	const lanes = 64
	in := l.plan.Input
	switch {
	case l.plan.Pictures == nil:
		return fmt.Errorf("netplan: %s: resizing without pictures, want Options.Pictures too", l.g.Model)
	case in.H != in.W:
		return fmt.Errorf("netplan: %s: resizing to %v, want a square", l.g.Model, in)
	case r.Bytes < 1 || r.Rows < 1:
		return fmt.Errorf("netplan: %s: resizing of parts of %d bytes with %d rows, want at least one", l.g.Model, r.Bytes, r.Rows)
	}
	bytes := func(name string, h, w int) int {
		shape := in
		shape.C, shape.H, shape.W = 1, h, w
		return l.addTensor(Tensor{Name: name, Shape: shape, Layout: HWC, DType: Uint8})
	}
	pitch := ceilDiv(3*in.W, 4)
	parts := bytes("parts", 1, (r.Bytes+3)/4*4)
	rows := bytes("rows", r.Rows, 4*pitch)
	words := func(t int) int { return int(l.plan.Tensors[t].Stride / 4) }
	out := &Resize{Resizing: r, Tensor: parts}
	for i, to := range []int{rows, l.plan.Pictures.Tensor} {
		d := Dispatch{
			Kernel: "resize",
			Spec:   []uint32{lanes, 1, 1, uint32(i)},
			Push:   []uint32{0, uint32(in.W), uint32(words(parts)), uint32(words(rows)), uint32(words(to))},
			Bind:   []Binding{{Tensor: parts}, {Tensor: []int{parts, rows}[i]}, {Tensor: to}},
			Groups: [3]Groups{fixed(ceilDiv(words(to), lanes)), perImage, one},
		}
		var err error
		if d, err = l.completeAs("resize", d); err != nil {
			return err
		}
		d.Barrier = i == 1
		out.Dispatches[i] = d
	}
	l.plan.Resize = out
	return nil
}
