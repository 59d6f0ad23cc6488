package vkinfer

import (
	"context"

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
	r := commonResizing(c)
	prepared, slot, err := c.prepareAll(ctx, pictures, results, r)
	if err != nil || len(slot) == 0 {
		return results, err
	}
	logits, err := c.runPrepared(ctx, prepared, r, new([]uint8))
	if err != nil {
		return results, err
	}
	for row, i := range slot {
		results[i] = c.rank(logits[row*c.classes : (row+1)*c.classes])
	}
	return results, nil
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
