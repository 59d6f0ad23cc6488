package vkinfer

import (
	"context"
	"fmt"
	"sync"

	"github.com/vkinfer/vkinfer/netplan/models"
)

// Prediction is one class of a picture's ranking.
type Prediction struct {
	Class       int     // index into the classes
	Label       string  // its name, or its number where no names are known
	Probability float64 // softmax over all classes
	Logit       float32 // the network's output
}

// Result is what became of one picture: the TopK classes in descending order, or Err.
type Result struct {
	Predictions []Prediction
	Err         error
}

// Classify returns the most likely classes of one picture: the bytes of a JPEG, PNG, GIF, BMP, TIFF or
// WebP file.
func (c *Classifier) Classify(ctx context.Context, picture []byte) ([]Prediction, error) {
	r, err := c.ClassifyBatch(ctx, [][]byte{picture})
	if err != nil {
		return nil, err
	}
	return r[0].Predictions, r[0].Err
}

// ClassifyBatch classifies many pictures, decoding them in parallel and running the network on batches.
// A picture that cannot be read has its Result's Err set and does not disturb the others; the error
// returned beside the results is one that stopped everything: the device's or the context's.
func (c *Classifier) ClassifyBatch(ctx context.Context, pictures [][]byte) ([]Result, error) {
	results := make([]Result, len(pictures))
	prepared, slot, err := c.prepare(ctx, pictures, results)
	if err != nil || len(slot) == 0 {
		return results, err
	}
	logits, err := c.RunPictures(ctx, prepared, len(slot))
	if err != nil {
		return results, err
	}
	for row, i := range slot {
		results[i] = c.rank(logits[row*c.classes : (row+1)*c.classes])
	}
	return results, nil
}

// prepare decodes, resizes and crops pictures, one after the other in prepared; slot names the picture of each.
// Pictures that fail have their result's Err set and are left out.
func (c *Classifier) prepare(ctx context.Context, pictures [][]byte, results []Result) (prepared []uint8, slot []int, err error) {
	if err := c.takesPictures(); err != nil {
		return nil, nil, err
	}
	u8 := make([][]uint8, len(pictures))
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(c.workers, len(pictures)) {
		wg.Go(func() {
			for i := range next {
				u8[i], results[i].Err = c.transform.Picture(pictures[i], c.limits)
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
	prepared = make([]uint8, 0, len(pictures)*c.input.NumElements())
	for i := range pictures {
		if results[i].Err == nil {
			slot, prepared = append(slot, i), append(prepared, u8[i]...)
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

func (c *Classifier) rank(logits []float32) Result {
	top, err := models.TopK(logits, c.topK)
	if err != nil {
		return Result{Err: err}
	}
	r := Result{Predictions: make([]Prediction, len(top))}
	for i, p := range top {
		r.Predictions[i] = Prediction{Class: p.Class, Label: c.Label(p.Class), Probability: p.Probability, Logit: p.Logit}
	}
	return r
}
