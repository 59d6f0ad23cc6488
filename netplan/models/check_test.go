package models

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/weights"
)

// without copies a state dict, leaving names out.
func without(sd *weights.StateDict, drop func(name string) bool) *weights.StateDict {
	out := weights.NewStateDict()
	for _, name := range sd.Names() {
		if !drop(name) {
			out.Set(name, sd.Get(name))
		}
	}
	return out
}

func mismatch(t *testing.T, err error) *MismatchError {
	t.Helper()
	var e *MismatchError
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want a *MismatchError", err)
	}
	return e
}

func tensorOf(shape ...int) *weights.Tensor {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return weights.FromFloat32s(shape, make([]float32, n))
}

func TestCheckAcceptsOwnAndOthersClassCount(t *testing.T) {
	for _, s := range All() {
		sd := zeros(s)
		if err := s.Check(sd); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		if got := Identify(sd); got != s {
			t.Errorf("%s identified as %v", s.Name, got)
		}
		_, features := 0, 0
		sh, _ := s.shape("classifier.weight")
		features = sh[1]
		for _, classes := range []int{1, 15, 21843} {
			sd.Set("classifier.weight", tensorOf(classes, features))
			sd.Set("classifier.bias", tensorOf(classes))
			if err := s.Check(sd); err != nil {
				t.Errorf("%s with %d classes: %v", s.Name, classes, err)
			}
			g, err := s.Build(sd, 32, 32)
			if err != nil {
				t.Fatal(err)
			}
			if g.OutputShape().C != classes {
				t.Errorf("%s: output %v, want %d classes", s.Name, g.OutputShape(), classes)
			}
		}
		sd.Set("classifier.bias", tensorOf(7))
		if e := mismatch(t, s.Check(sd)); len(e.Misshaped) != 1 || e.Misshaped[0].Name != "classifier.bias" {
			t.Errorf("%s: bias of 7 for 21843 classes: %v", s.Name, e)
		}
	}
}

func TestCheckAcceptsCounters(t *testing.T) {
	s := lookup(t, "efficientnet_b2_pruned")
	if err := s.Check(without(zeros(s), isCounter)); err != nil {
		t.Errorf("without num_batches_tracked: %v", err)
	}
	sd := zeros(s)
	sd.Set("bn1.num_batches_tracked", tensorOf(1)) // old files have a vector of one
	if err := s.Check(sd); err != nil {
		t.Errorf("num_batches_tracked of shape [1]: %v", err)
	}
	sd.Set("bn1.num_batches_tracked", tensorOf(2))
	if err := s.Check(sd); err == nil {
		t.Error("num_batches_tracked of shape [2]: no error")
	}
}

func TestMismatchTexts(t *testing.T) {
	b1, b2 := lookup(t, "efficientnet_b1_pruned"), lookup(t, "efficientnet_b2_pruned")
	other := weights.NewStateDict()
	other.Set("layer1.0.conv1.weight", tensorOf(64, 64, 3, 3))
	other.Path = "resnet.pth"
	reshaped := zeros(b1)
	reshaped.Set("conv_stem.weight", tensorOf(31, 3, 3, 3))
	reshaped.Set("extra.thing", tensorOf(1))
	reshaped = without(reshaped, func(n string) bool { return n == "bn1.bias" })
	other2 := zeros(b2)
	other2.Path = "b2.pth"
	for name, test := range map[string]struct {
		sd         *weights.StateDict
		want, dont []string
	}{
		"other variant": {other2, []string{"models: b2.pth: does not fit efficientnet_b1_pruned; it looks like efficientnet_b2_pruned: name that model instead", "wrong shape ("},
			[]string{"another kind of network"}},
		"other network": {other, []string{"models: resnet.pth: does not fit", "missing (439): conv_stem.weight, bn1.weight", "and 431 more", "unexpected (1): layer1.0.conv1.weight", "is this the checkpoint of another kind of network?"},
			[]string{"looks like", "wrong shape"}},
		"one of each": {reshaped, []string{"models: state dict: does not fit", "missing (1): bn1.bias", "unexpected (1): extra.thing", "wrong shape (1): conv_stem.weight is [31 3 3 3], want [32 3 3 3]"},
			[]string{"looks like", "more", "another kind"}},
		"empty": {weights.NewStateDict(), []string{"missing (439)"}, []string{"unexpected"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := mismatch(t, b1.Check(test.sd)).Error()
			for _, w := range test.want {
				if !strings.Contains(text, w) {
					t.Errorf("text lacks %q:\n%s", w, text)
				}
			}
			for _, d := range test.dont {
				if strings.Contains(text, d) {
					t.Errorf("text has %q:\n%s", d, text)
				}
			}
			if _, err := b1.Build(test.sd, 32, 32); mismatch(t, err).Error() != text {
				t.Errorf("Build says %v", err)
			}
		})
	}
	if s := Identify(other); s != nil {
		t.Errorf("identified as %s, want nothing", s.Name)
	}
}

// TestEveryEntryIsChecked leaves out and reshapes every tensor in turn.
func TestEveryEntryIsChecked(t *testing.T) {
	s := lookup(t, "efficientnet_b1_pruned")
	sd := zeros(s)
	for _, e := range s.Entries {
		if isCounter(e.Name) || strings.HasPrefix(e.Name, "classifier.") {
			continue
		}
		was := sd.Get(e.Name)
		sd.Set(e.Name, tensorOf(append([]int{2}, e.Shape...)...))
		if err := s.compare(sd); err == nil || len(err.Misshaped) != 1 || err.Misshaped[0].Name != e.Name {
			t.Errorf("%s reshaped: %v", e.Name, err)
		}
		sd.Set(e.Name, was)
	}
	for i := 0; i < len(s.Entries); i += 29 {
		name := s.Entries[i].Name
		err := s.compare(without(sd, func(n string) bool { return n == name }))
		if isCounter(name) != (err == nil) {
			t.Errorf("%s missing: %v", name, err)
		}
	}
}

func TestLookup(t *testing.T) {
	for _, name := range []string{"efficientnet_b2_pruned", "timm/efficientnet_b2_pruned.in1k", "efficientnet_b2_pruned.in1k"} {
		if s, err := Lookup(name); err != nil || s.Name != "efficientnet_b2_pruned" {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	for name, nearest := range map[string]string{
		"efficientnet_b1_prunned": "efficientnet_b1_pruned",
		"efficientnet_b3-pruned":  "efficientnet_b3_pruned",
		"Efficientnet_B2_pruned":  "efficientnet_b2_pruned",
		"efficientnet_b3":         "efficientnet_b3_pruned",
		"effnetb2":                "efficientnet_b2_pruned",
		"b3":                      "efficientnet_b3_pruned",
		"B1":                      "efficientnet_b1_pruned",
		"resnet50":                "",
		"":                        "",
		strings.Repeat("x", 1000): "",
	} {
		s, err := Lookup(name)
		var unknown *UnknownError
		if s != nil || !errors.As(err, &unknown) {
			t.Errorf("%q: %v, %v, want an *UnknownError", name, s, err)
			continue
		}
		if unknown.Nearest != nearest || unknown.Name != name {
			t.Errorf("%q: nearest %q, want %q", name, unknown.Nearest, nearest)
		}
		text := err.Error()
		if nearest != "" && !strings.Contains(text, fmt.Sprintf("did you mean %s?", nearest)) || !strings.Contains(text, "efficientnet_b1_pruned, efficientnet_b2_pruned, efficientnet_b3_pruned") {
			t.Errorf("%q: text %s", name, text)
		}
	}
}

func TestReadShapes(t *testing.T) {
	got, err := ReadShapes(strings.NewReader("a.weight 2x3x1x1\nn.num_batches_tracked\nb 7\n"))
	if err != nil || fmt.Sprint(got) != "[{a.weight [2 3 1 1]} {n.num_batches_tracked []} {b [7]}]" {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"a 1 2\n", "\n", "a 2x\n", "a 0\n", "a -1\n", "a two\n"} {
		if _, err := ReadShapes(strings.NewReader("ok 1\n" + bad)); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: error %v, want one about line 2", bad, err)
		}
	}
}

// zeros is a state dict of the variant with nothing but zeros.
func zeros(s *Spec) *weights.StateDict {
	sd := weights.NewStateDict()
	for _, e := range s.Entries {
		sd.Set(e.Name, tensorOf(e.Shape...))
	}
	return sd
}
