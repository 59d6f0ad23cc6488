package conformance

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/vkinfer/vkinfer/cpuref"
)

// Agreement is how the device's classes compare with those of float64 arithmetic, over pictures.
type Agreement struct {
	Pictures  int    `json:"pictures"`
	Top1      int    `json:"top1"`      // pictures with the same best class
	Top5      int    `json:"top5"`      // with the same five best classes, in order
	MaxError  Figure `json:"max_error"` // the largest error of a logit
	LeastGap  Figure `json:"least_gap"` // the smallest distance of a best class from the second
	Flips     []Flip `json:"flips"`     // every change of rank among the first five
	Inexcused int    `json:"inexcused"` // of these: those that rounding cannot explain
	Verdict   string `json:"verdict"`   // "ok" or what is wrong
	Centred   Figure `json:"centred"`   // largest |error| / |logits - mean| of a picture
	Gate      Figure `json:"gate"`      // what that may be

	Unread  []string `json:"unread,omitempty"`  // pictures that could not be read, and why
	Command string   `json:"command,omitempty"` // that compares them again
}

// OK reports whether the device's classes can be trusted.
func (a *Agreement) OK() bool { return a == nil || a.Verdict == "ok" }

// Flip is two classes of a picture that the device ranks otherwise.
type Flip struct {
	Picture string `json:"picture"`
	Rank    int    `json:"rank"` // from 1
	Want    int    `json:"want"` // the class that float64 has there
	Got     int    `json:"got"`
	Margin  Figure `json:"margin"`  // by how much the former is above the latter in float64
	Allowed Figure `json:"allowed"` // what Margin may be
	Excused bool   `json:"excused"`
}

// Agree classifies pictures (name, 3·H·W floats) on the device and in float64; the subject's Input is not used.
// A change of rank between classes that are nearer to each other than two errors of four times the size that
// the gate allows the typical logit is excused: the precision cannot tell them apart. Any other one is a failure, even if
// the gate, which is about all logits together, is kept.
func Agree(ctx context.Context, s Subject, pictures iter.Seq2[string, []float32]) (*Agreement, error) {
	fused, err := s.fused()
	if err != nil {
		return nil, err
	}
	exec, err := s.executor(s.Device, fused, layout{}, 1)
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	a := &Agreement{Flips: []Flip{}, Gate: Figure(GatesFor(s.Candidate.Precision).LogitsCentred), LeastGap: Figure(math.Inf(1)), Verdict: "ok"}
	for name, image := range pictures {
		want, err := cpuref.Run(ctx, s.Graph, float64s(image), 1, cpuref.Options{})
		if err != nil {
			return a, err
		}
		got, err := exec.Run(ctx, image, 1)
		if err != nil {
			return a, err
		}
		a.add(name, got, want)
	}
	switch {
	case a.Pictures == 0:
		return a, fmt.Errorf("conformance: no pictures to compare")
	case !(a.Centred <= a.Gate):
		a.Verdict = fmt.Sprintf("centred error %.2e, want at most %.0e", float64(a.Centred), float64(a.Gate))
	case a.Inexcused > 0:
		a.Verdict = fmt.Sprintf("%d changes of rank that rounding cannot explain", a.Inexcused)
	}
	return a, nil
}

// add compares one picture's logits.
func (a *Agreement) add(name string, got []float32, want []float64) {
	const ranks = 5
	largest := 0.0
	for i, w := range want {
		largest = worse(largest, math.Abs(float64(got[i])-w))
	}
	_, centred := errors(got, want)
	allowed := 2 * 4 * float64(a.Gate) * spread(want)
	a.Pictures++
	a.MaxError = Figure(worse(float64(a.MaxError), largest))
	a.Centred = Figure(worse(float64(a.Centred), centred))
	wantRank, gotRank := ranking(want), ranking(float64s(got))
	k := min(ranks, len(want))
	if len(want) > 1 {
		a.LeastGap = min(a.LeastGap, Figure(want[wantRank[0]]-want[wantRank[1]]))
	}
	if wantRank[0] == gotRank[0] {
		a.Top1++
	}
	if slices.Equal(wantRank[:k], gotRank[:k]) {
		a.Top5++
	}
	for r := range k {
		if w, g := wantRank[r], gotRank[r]; w != g {
			f := Flip{Picture: name, Rank: r + 1, Want: w, Got: g, Margin: Figure(math.Abs(want[w] - want[g])), Allowed: Figure(allowed)}
			f.Excused = f.Margin <= f.Allowed
			if !f.Excused {
				a.Inexcused++
			}
			a.Flips = append(a.Flips, f)
		}
	}
}

// spread is the standard deviation of logits.
func spread(logits []float64) float64 {
	var mean, sum float64
	for _, v := range logits {
		mean += v / float64(len(logits))
	}
	for _, v := range logits {
		sum += (v - mean) * (v - mean)
	}
	return math.Sqrt(sum / float64(len(logits)))
}

// ranking returns the classes from the best to the worst; of equals the first comes first, NaN last.
func ranking(logits []float64) []int {
	order := make([]int, len(logits))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := logits[a], logits[b]
		switch {
		case x > y || math.IsNaN(y) && !math.IsNaN(x):
			return -1
		case y > x || math.IsNaN(x) && !math.IsNaN(y):
			return 1
		}
		return 0
	})
	return order
}
