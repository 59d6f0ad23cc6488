package models

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Prediction is one class of a ranking.
type Prediction struct {
	Class       int     // index into the classes
	Logit       float32 // the network's output
	Probability float64 // softmax over all classes
}

// TopK ranks one image's logits: stage "rank". It returns the k largest in descending order, the lower
// class first among equals; all of them when there are fewer than k. The softmax is computed in float64.
// NaN among the logits is an error: nothing can be ranked.
func TopK(logits []float32, k int) ([]Prediction, error) {
	if k < 1 || len(logits) == 0 {
		return nil, fmt.Errorf("models: top %d of %d logits, want at least 1 of 1", k, len(logits))
	}
	best := math.Inf(-1)
	for i, v := range logits {
		if v != v {
			return nil, fmt.Errorf("models: logit %d is NaN, so nothing can be ranked; run verify on this device and checkpoint", i)
		}
		best = math.Max(best, float64(v))
	}
	sum := 0.0
	order := make([]int, len(logits))
	for i, v := range logits {
		order[i] = i
		sum += math.Exp(float64(v) - best)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(logits[b], logits[a]) })
	out := make([]Prediction, min(k, len(order)))
	for i := range out {
		c := order[i]
		out[i] = Prediction{Class: c, Logit: logits[c], Probability: math.Exp(float64(logits[c])-best) / sum}
	}
	return out, nil
}
