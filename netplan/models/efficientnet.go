package models

import (
	"fmt"

	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/weights"
)

// MaxInputPixels bounds h·w of a network's input, so that sizes and offsets stay far from overflow.
const MaxInputPixels = 1 << 26

// Build describes the variant with sd's weights for inputs of 3×h×w. The graph is unfused: every module
// of the published model is a node named as in the state dict (source: timm's EfficientNet, blocks
// DepthwiseSeparableConv and InvertedResidual with TensorFlow padding). Errors: *MismatchError for a
// state dict of another network, and errors that name the tensor for values nothing can be computed with.
func (s *Spec) Build(sd *weights.StateDict, h, w int) (*graph.Graph, error) {
	if err := s.Check(sd); err != nil {
		return nil, err
	}
	file := sd.Path
	if file == "" {
		file = "state dict"
	}
	return s.build(h, w, func(name string) (*graph.Param, error) {
		t := sd.Get(name)
		v := t.Float64s()
		return &graph.Param{Name: name, Shape: t.Shape, Data: v}, checkValues(file, name, t, v)
	})
}

// build describes the variant for inputs of 3×h×w; load returns the parameter of that name.
func (s *Spec) build(h, w int, load func(name string) (*graph.Param, error)) (*graph.Graph, error) {
	if h < 1 || w < 1 || h > MaxInputPixels/w {
		return nil, fmt.Errorf("models: %s: input size %dx%d, want at least 1x1 and at most %d pixels", s.Name, h, w, MaxInputPixels)
	}
	b := &build{Builder: graph.NewBuilder(s.Name), load: load}
	x := b.Add("input", &graph.Input{Shape: graph.Shape{C: 3, H: h, W: w}})
	x = b.convNorm(x, "conv_stem", "bn1", 2, 1, graph.SiLU)
	for i, st := range s.Stages {
		for j := range st.Repeats {
			stride := st.Stride
			if j > 0 {
				stride = 1
			}
			x = b.block(x, fmt.Sprintf("blocks.%d.%d", i, j), stride, i > 0, j > 0)
		}
	}
	x = b.convNorm(x, "conv_head", "bn2", 1, 1, graph.SiLU)
	x = b.Add("global_pool", &graph.Pool{}, x)
	x = b.Add("classifier", &graph.Linear{Weight: b.param("classifier.weight"), Bias: b.param("classifier.bias")}, x)
	if b.err != nil {
		return nil, b.err
	}
	return b.Graph(x)
}

// BuildShape is Build without weights: every parameter is zero. It serves what only depends on
// shapes: plans, multiply-adds, memory.
func (s *Spec) BuildShape(h, w int) (*graph.Graph, error) {
	largest := 0
	for _, e := range s.Entries {
		largest = max(largest, (&weights.Tensor{Shape: e.Shape}).NumElements())
	}
	zeros := make([]float64, largest) // shared by all parameters
	return s.build(h, w, func(name string) (*graph.Param, error) {
		shape, ok := s.shape(name)
		if !ok {
			return nil, fmt.Errorf("models: %s: no shape for tensor %s", s.Name, name)
		}
		return &graph.Param{Name: name, Shape: shape, Data: zeros[:(&weights.Tensor{Shape: shape}).NumElements()]}, nil
	})
}

// build adds modules to a graph; its first error sticks.
type build struct {
	*graph.Builder
	load func(name string) (*graph.Param, error)
	err  error
}

func (b *build) param(name string) *graph.Param {
	p, err := b.load(name)
	if err != nil {
		if b.err == nil {
			b.err = err
		}
		return &graph.Param{Name: name, Shape: []int{1, 1, 1, 1}, Data: []float64{0}} // Build returns b.err
	}
	return p
}

// convNorm adds a convolution, its BatchNorm and, unless Identity, its activation.
func (b *build) convNorm(x graph.ID, conv, norm string, stride, groups int, act graph.Act) graph.ID {
	x = b.Add(conv, &graph.Conv{Weight: b.param(conv + ".weight"), Stride: stride, Groups: groups}, x)
	x = b.Add(norm, &graph.BatchNorm{Weight: b.param(norm + ".weight"), Bias: b.param(norm + ".bias"),
		Mean: b.param(norm + ".running_mean"), Var: b.param(norm + ".running_var"), Eps: BatchNormEps}, x)
	if act != graph.Identity {
		x = b.Add(norm+".act", &graph.Activation{Func: act}, x)
	}
	return x
}

// block adds one depthwise-separable block or, with expand, one inverted residual.
func (b *build) block(in graph.ID, p string, stride int, expand, skip bool) graph.ID {
	x, dwNorm, project, projectNorm := in, p+".bn1", p+".conv_pw", p+".bn2"
	if expand {
		x = b.convNorm(x, p+".conv_pw", p+".bn1", 1, 1, graph.SiLU)
		dwNorm, project, projectNorm = p+".bn2", p+".conv_pwl", p+".bn3"
	}
	x = b.convNorm(x, p+".conv_dw", dwNorm, stride, b.Shape(x).C, graph.SiLU)
	x = b.squeezeExcite(x, p+".se")
	x = b.convNorm(x, project, projectNorm, 1, 1, graph.Identity)
	if skip {
		x = b.Add(p, &graph.Add{}, x, in)
	}
	return x
}

func (b *build) squeezeExcite(x graph.ID, p string) graph.ID {
	g := b.Add(p+".mean", &graph.Pool{}, x)
	g = b.Add(p+".conv_reduce", &graph.Conv{Weight: b.param(p + ".conv_reduce.weight"), Bias: b.param(p + ".conv_reduce.bias"), Stride: 1, Groups: 1}, g)
	g = b.Add(p+".act", &graph.Activation{Func: graph.SiLU}, g)
	g = b.Add(p+".conv_expand", &graph.Conv{Weight: b.param(p + ".conv_expand.weight"), Bias: b.param(p + ".conv_expand.bias"), Stride: 1, Groups: 1}, g)
	g = b.Add(p+".gate", &graph.Activation{Func: graph.Sigmoid}, g)
	return b.Add(p, &graph.Scale{}, x, g)
}
