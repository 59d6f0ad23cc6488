package models

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/vkinfer/vkinfer/weights"
)

// Misshape is a tensor whose shape is not the model's.
type Misshape struct {
	Name      string
	Got, Want []int
}

// MismatchError says how a checkpoint differs from what the model needs.
type MismatchError struct {
	Model      string
	File       string
	Missing    []string
	Unexpected []string
	Misshaped  []Misshape
	LooksLike  string // the variant whose layers the checkpoint does have, "" when none
}

// maxListed is how many names of each kind the error's text lists.
const maxListed = 8

func (e *MismatchError) Error() string {
	var sb strings.Builder
	file := e.File
	if file == "" {
		file = "state dict"
	}
	fmt.Fprintf(&sb, "models: %s: does not fit %s", file, e.Model)
	if e.LooksLike != "" {
		fmt.Fprintf(&sb, "; it looks like %s: name that model instead", e.LooksLike)
	}
	list := func(kind string, names []string) {
		if len(names) == 0 {
			return
		}
		shown := names[:min(len(names), maxListed)]
		fmt.Fprintf(&sb, "\n  %s (%d): %s", kind, len(names), strings.Join(shown, ", "))
		if len(names) > maxListed {
			fmt.Fprintf(&sb, " and %d more", len(names)-maxListed)
		}
	}
	list("missing", e.Missing)
	list("unexpected", e.Unexpected)
	mis := make([]string, len(e.Misshaped))
	for i, m := range e.Misshaped {
		mis[i] = fmt.Sprintf("%s is %v, want %v", m.Name, m.Got, m.Want)
	}
	list("wrong shape", mis)
	if e.LooksLike == "" && len(e.Misshaped) == 0 && len(e.Missing) > len(e.Unexpected)+10 && len(e.Unexpected) > 0 {
		sb.WriteString("\n  hardly any name fits: is this the checkpoint of another kind of network?")
	}
	return sb.String()
}

// Check compares a state dict with the variant. The number of classes is free; BatchNorm's
// num_batches_tracked counters may be missing. The error is a *MismatchError.
func (s *Spec) Check(sd *weights.StateDict) error {
	e := s.compare(sd)
	if e == nil {
		return nil
	}
	for _, other := range specs {
		if other != s && other.compare(sd) == nil {
			e.LooksLike = other.Name
		}
	}
	return e
}

func (s *Spec) compare(sd *weights.StateDict) *MismatchError {
	e := &MismatchError{Model: s.Name, File: sd.Path}
	known := make(map[string]bool, len(s.Entries))
	classes := -1
	for _, en := range s.Entries {
		known[en.Name] = true
		t := sd.Get(en.Name)
		if t == nil {
			if !isCounter(en.Name) {
				e.Missing = append(e.Missing, en.Name)
			}
			continue
		}
		want := en.Shape
		if strings.HasPrefix(en.Name, "classifier.") && len(t.Shape) == len(want) && t.Shape[0] > 0 {
			if classes < 0 {
				classes = t.Shape[0]
			}
			want = append([]int{classes}, want[1:]...)
		}
		if isCounter(en.Name) && t.NumElements() == 1 {
			continue
		}
		if !slices.Equal(t.Shape, want) {
			e.Misshaped = append(e.Misshaped, Misshape{en.Name, t.Shape, want})
		}
	}
	for _, name := range sd.Names() {
		if !known[name] {
			e.Unexpected = append(e.Unexpected, name)
		}
	}
	if len(e.Missing)+len(e.Unexpected)+len(e.Misshaped) == 0 {
		return nil
	}
	return e
}

// Identify returns the variant whose layers the state dict has, nil when there is none.
func Identify(sd *weights.StateDict) *Spec {
	for _, s := range specs {
		if s.compare(sd) == nil {
			return s
		}
	}
	return nil
}

// checkValues refuses what would silently poison every result: integer weights, NaN, infinities and
// variances that BatchNorm cannot divide by.
func checkValues(file, name string, t *weights.Tensor, v []float64) error {
	if !t.DType.IsFloat() {
		return fmt.Errorf("models: %s: tensor %s is %v, want a floating-point type", file, name, t.DType)
	}
	for i, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("models: %s: tensor %s holds %v at element %d, want finite numbers; the checkpoint is damaged or its training diverged", file, name, x, i)
		}
		if x < 0 && strings.HasSuffix(name, ".running_var") {
			return fmt.Errorf("models: %s: tensor %s holds the variance %v at element %d, want none below zero", file, name, x, i)
		}
	}
	return nil
}
