package vkinfer

import (
	"context"
	"fmt"
	"sync"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/preprocess"
)

// Who resizes pictures and crops them: Options.Resize. The results are the same bits.
const (
	ResizeCPU = "cpu" // the goroutines that decode
	ResizeGPU = "gpu" // the device; pictures too large for its buffers are left to the CPU all the same
)

// resizingFor returns what a plan for a device should take of parts of pictures, nil for nothing. By default devices that
// are CPUs leave resizing to the goroutines that decode, which do it faster, and others take it off them.
func resizingFor(resize string, caps netplan.Caps, tr preprocess.Transform, square bool) (*netplan.Resizing, error) {
	switch resize {
	case "":
		if caps.Type == "cpu" || !square {
			return nil, nil
		}
	case ResizeCPU:
		return nil, nil
	case ResizeGPU:
		if !square {
			return nil, fmt.Errorf("vkinfer: resize %s of an input that is not square, which takes no pictures", resize)
		}
	default:
		return nil, fmt.Errorf("vkinfer: resize %q, want %s or %s", resize, ResizeCPU, ResizeGPU)
	}
	r := netplan.DefaultResizing
	r.Bytes, r.Rows = max(r.Bytes, preprocess.PackedPictureBytes(tr.Size)), max(r.Rows, tr.Size)
	return &r, nil
}

// commonResizing returns in which form pictures can be given to all of some classifiers: as parts of that kind, or, if it
// is zero, resized and cropped.
func commonResizing(c *Classifier, others ...*Classifier) netplan.Resizing {
	r := c.engine.resizing()
	for _, o := range others {
		if o.engine.resizing() != r {
			return netplan.Resizing{}
		}
	}
	return r
}

// prepared turns a decoded picture into what devices are given.
func (c *Classifier) prepared(part *preprocess.Part, r netplan.Resizing) []byte {
	if r.Bytes > 0 {
		if packed := c.transform.PackPart(part, r.Bytes, r.Rows); packed != nil {
			return packed
		}
	}
	return c.preparedPicture(c.transform.ApplyPart(part), r)
}

// preparedPicture is prepared for what is resized and cropped already.
func (c *Classifier) preparedPicture(picture []uint8, r netplan.Resizing) []byte {
	if r.Bytes == 0 {
		return picture
	}
	return c.transform.PackPicture(picture, r.Bytes, r.Rows)
}

// runPrepared runs a batch of what prepared returned. Pictures are gathered in *buffer, which is kept for the next.
func (c *Classifier) runPrepared(ctx context.Context, list [][]byte, r netplan.Resizing, buffer *[]uint8) ([]float32, error) {
	if r.Bytes > 0 {
		return c.engine.runParts(ctx, list)
	}
	return c.engine.runPictures(ctx, gather(list, buffer), len(list))
}

// gather puts pictures one after the other.
func gather(list [][]byte, buffer *[]uint8) []uint8 {
	all := (*buffer)[:0]
	for _, p := range list {
		all = append(all, p...)
	}
	*buffer = all
	return all
}

// prepareAll decodes many pictures; slot names the picture of each that is prepared. Pictures that fail have their
// result's Err set and are left out.
func (c *Classifier) prepareAll(ctx context.Context, pictures [][]byte, results []Result, r netplan.Resizing) (prepared [][]byte, slot []int, err error) {
	if err := c.takesPictures(); err != nil {
		return nil, nil, err
	}
	all := make([][]byte, len(pictures))
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(c.workers, len(pictures)) {
		wg.Go(func() {
			for i := range next {
				var part *preprocess.Part
				if part, results[i].Err = c.transform.DecodePart(pictures[i], c.limits); results[i].Err == nil {
					all[i] = c.prepared(part, r)
				}
			}
		})
	}
feed:
	for i := range pictures {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	for i, p := range all {
		if results[i].Err == nil {
			slot, prepared = append(slot, i), append(prepared, p)
		}
	}
	return prepared, slot, nil
}

// takesPictures complains about a network that pictures cannot be prepared for.
func (c *Classifier) takesPictures() error {
	if c.input.H != c.input.W || c.input.H != c.transform.Size {
		return fmt.Errorf("vkinfer: pictures need a square input, this network takes %v", c.input)
	}
	return nil
}
