package oracle

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Case is one input with its reference logits.
type Case struct {
	Model      string // a variant's name, or "tiny"
	Name       string
	Checkpoint string // absolute path of the weights
	N, H, W    int    // the batch: N×3×H×W
	Classes    int

	base  string // the files' common path below Dir, without ".input.bin"
	trace []TraceValue
}

// Input returns the batch, NCHW.
func (c Case) Input(t testing.TB) []float32 { return Float32s(t, c.base+".input.bin") }

// Logits returns PyTorch's float64 logits for it, N rows of Classes.
func (c Case) Logits(t testing.TB) []float64 { return Float64s(t, c.base+".logits.f64.bin") }

// Trace lists the intermediate values known for the case, in the order of the network; often none.
func (c Case) Trace() []TraceValue { return c.trace }

// TraceValue is an intermediate value as PyTorch computed it in float32.
type TraceValue struct {
	Name  string  // PyTorch's side: "blocks.1.0.dw_act"
	Shape []int   // NCHW, or NC
	Torch float64 // RelL2 of these float32 values against PyTorch in float64
	path  string
}

// Values reads the tensor, NCHW.
func (v TraceValue) Values(t testing.TB) []float32 { return Float32s(t, v.path) }

// Nodes returns the names that the value's node may have in an unfused graph (what a fused node
// Yields), the best first: a block without a residual connection ends with its last BatchNorm.
func (v TraceValue) Nodes() []string { return TraceNodes(v.Name) }

// TraceNodes is TraceValue.Nodes for a name.
func TraceNodes(name string) []string {
	switch name {
	case "stem":
		return []string{"bn1.act"}
	case "head":
		return []string{"bn2.act"}
	case "pooled":
		return []string{"global_pool"}
	case "logits":
		return []string{"classifier"}
	}
	depthwise, project := "bn2", "bn3"
	if strings.HasPrefix(name, "blocks.0.") {
		depthwise, project = "bn1", "bn2"
	}
	block, value := name, ""
	if parts := strings.SplitN(name, ".", 4); len(parts) == 4 {
		block, value = strings.Join(parts[:3], "."), parts[3]
	}
	switch value {
	case "":
		return []string{block, block + "." + project}
	case "expand_act":
		return []string{block + ".bn1.act"}
	case "dw_act":
		return []string{block + "." + depthwise + ".act"}
	case "se.gate":
		return []string{block + ".se.gate"}
	case "se_out":
		return []string{block + ".se"}
	case "project_bn":
		return []string{block + "." + project}
	}
	return nil
}

type caseIndex struct {
	InputShape  []int `json:"input_shape"`
	LogitsShape []int `json:"logits_shape"`
}

type traceIndex struct {
	File  string
	Shape []int
	Error struct {
		RelL2 float64 `json:"rel_l2"`
	} `json:"f32_vs_f64"`
}

// Cases returns the cases of the full-size networks, ordered by name: stock and other sizes, a
// non-square picture, batches. One of them has a trace.
func Cases(t testing.TB) []Case {
	t.Helper()
	var index struct {
		Models map[string]struct {
			Weights   string
			Cases     map[string]caseIndex
			TraceCase string `json:"trace_case"`
			Trace     map[string]traceIndex
		}
	}
	JSON(t, "golden/index.json", &index)
	var out []Case
	for _, model := range slices.Sorted(maps.Keys(index.Models)) {
		m := index.Models[model]
		dir := path.Join("golden", model)
		for _, name := range slices.Sorted(maps.Keys(m.Cases)) {
			c := newCase(t, model, name, m.Weights, dir, m.Cases[name])
			if name == m.TraceCase {
				c.trace = traceValues(dir, m.Trace)
			}
			out = append(out, c)
		}
	}
	return out
}

// TinyCases returns the cases of the tiny network, ordered by name. Two of them have a trace.
func TinyCases(t testing.TB) []Case {
	t.Helper()
	var index struct {
		Cases map[string]caseIndex
		Trace map[string]map[string]traceIndex
	}
	JSON(t, "tiny/index.json", &index)
	var out []Case
	for _, name := range slices.Sorted(maps.Keys(index.Cases)) {
		c := newCase(t, "tiny", name, "tiny/good/zip.pth", "tiny/golden", index.Cases[name])
		c.trace = traceValues("tiny", index.Trace[name])
		out = append(out, c)
	}
	return out
}

func newCase(t testing.TB, model, name, weights, dir string, in caseIndex) Case {
	t.Helper()
	if len(in.InputShape) != 4 || len(in.LogitsShape) != 2 {
		t.Fatalf("oracle: %s %s: shapes %v and %v, want NCHW and NC", model, name, in.InputShape, in.LogitsShape)
	}
	return Case{Model: model, Name: name, Checkpoint: filepath.Join(Dir(t), weights),
		N: in.InputShape[0], H: in.InputShape[2], W: in.InputShape[3], Classes: in.LogitsShape[1], base: path.Join(dir, name)}
}

func traceValues(dir string, index map[string]traceIndex) []TraceValue {
	var out []TraceValue
	for name, v := range index {
		out = append(out, TraceValue{Name: name, Shape: v.Shape, Torch: v.Error.RelL2, path: path.Join(dir, v.File)})
	}
	slices.SortFunc(out, func(a, b TraceValue) int { return strings.Compare(traceOrder(a.Name), traceOrder(b.Name)) })
	return out
}

// traceOrder sorts names in the order of the network.
func traceOrder(name string) string {
	if strings.HasPrefix(name, "blocks.") {
		for i, suffix := range []string{".expand_act", ".dw_act", ".se.gate", ".se_out", ".project_bn"} {
			if block, ok := strings.CutSuffix(name, suffix); ok {
				return fmt.Sprintf("1%s.%d", block, i)
			}
		}
		return "1" + name + ".9"
	}
	return map[string]string{"stem": "0", "head": "2", "pooled": "3", "logits": "4"}[name]
}

// Picture is a picture file with the tensors that PIL and timm make of it.
type Picture struct {
	Name string
	Path string // absolute
}

// Pictures returns the pictures that decode, ordered by name.
func Pictures(t testing.TB) []Picture {
	t.Helper()
	var index struct {
		Pictures map[string]struct {
			Error string `json:"pil_error"`
		}
	}
	JSON(t, "pictures/index.json", &index)
	var out []Picture
	for _, name := range slices.Sorted(maps.Keys(index.Pictures)) {
		if index.Pictures[name].Error == "" {
			out = append(out, Picture{Name: name, Path: filepath.Join(Dir(t), "pictures", name)})
		}
	}
	return out
}

// Pixels returns the picture as resized and cropped for net "b1", "b2" or "b3": RGB bytes, HWC, square.
func (p Picture) Pixels(t testing.TB, net string) []byte {
	return Bytes(t, "pictures/u8/"+p.Name+"."+net+".u8.bin")
}

// Input returns the network's input made of Pixels: 3×S×S, ((byte/255) - 0.5)/0.5 in float32.
func (p Picture) Input(t testing.TB, net string) []float32 { return Normalise(p.Pixels(t, net)) }

// Logits returns PyTorch's float64 logits of net "b1" with the golden checkpoint.
func (p Picture) Logits(t testing.TB, net string) []float64 {
	return Float64s(t, "pictures/logits/"+p.Name+"."+net+".logits.f64.bin")
}

// Normalise turns one picture's RGB bytes, HWC, into planes of ((byte/255) - 0.5)/0.5 in float32.
func Normalise(pixels []byte) []float32 {
	hw := len(pixels) / 3
	out := make([]float32, 3*hw)
	for i, b := range pixels {
		out[i%3*hw+i/3] = (float32(b)/255 - 0.5) / 0.5
	}
	return out
}

// Layer is one line of a published table of layer shapes.
type Layer struct {
	Name  string
	Shape []int // empty for a scalar
}

// Layers reads a table "name:[a, b]***name:[…]" at path below Dir, such as shapes/efficientnet_b1_pruned.txt.
func Layers(t testing.TB, path string) []Layer {
	t.Helper()
	var out []Layer
	for _, field := range strings.Split(strings.TrimSpace(string(Bytes(t, path))), "***") {
		name, shape, ok := strings.Cut(field, ":")
		l := Layer{Name: name}
		shape = strings.Trim(shape, "[]")
		for _, d := range strings.FieldsFunc(shape, func(r rune) bool { return r == ',' || r == ' ' }) {
			var n int
			if _, err := fmt.Sscan(d, &n); err != nil {
				ok = false
			}
			l.Shape = append(l.Shape, n)
		}
		if !ok {
			t.Fatalf("oracle: %s: %q, want name:[sizes]", path, field)
		}
		out = append(out, l)
	}
	return out
}
