package models

import (
	"bufio"
	"embed"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/vkinfer/vkinfer/netplan/preprocess"
)

// Spec describes one variant: how its input is prepared, its stages, and every layer's shape.
type Spec struct {
	Name      string
	Transform preprocess.Transform // the published evaluation transform
	Stages    []Stage
	Entries   []Entry // the state dict's names and shapes, in order
	TopOne    float64 // published ImageNet-1k validation accuracy of the published weights, %
	TopFive   float64
}

// Stage is a run of blocks; the first has the stride, the others stride 1 and a residual connection.
// Stage 0's blocks are depthwise-separable, the others inverted residuals.
type Stage struct{ Kernel, Stride, Repeats int }

// Entry is one tensor of the state dict; Shape is empty for a scalar.
type Entry struct {
	Name  string
	Shape []int
}

// BatchNormEps is the family's BatchNorm epsilon (TensorFlow's, not PyTorch's 1e-5).
const BatchNormEps = 1e-3

//go:embed *.shapes
var shapeFiles embed.FS

// specs is the table of variants. Stages: Tan & Le, arXiv 1905.11946. Widths (*.shapes): the published
// models of Aflalo et al., arXiv 2002.08258. Accuracies: timm's published results.
var specs = []*Spec{
	{Name: "efficientnet_b1_pruned", Transform: inception(240, 0.882), Stages: stages(2, 3, 3, 4, 4, 5, 2), TopOne: 78.252, TopFive: 93.820},
	{Name: "efficientnet_b2_pruned", Transform: inception(260, 0.890), Stages: stages(2, 3, 3, 4, 4, 5, 2), TopOne: 79.904, TopFive: 94.838},
	{Name: "efficientnet_b3_pruned", Transform: inception(300, 0.904), Stages: stages(2, 3, 3, 5, 5, 6, 2), TopOne: 80.864, TopFive: 95.266},
}

func init() {
	for _, s := range specs {
		f, err := shapeFiles.Open(s.Name + ".shapes")
		if err == nil {
			s.Entries, err = ReadShapes(f)
		}
		if err != nil {
			panic("models: embedded shapes of " + s.Name + ": " + err.Error()) // a broken build, not input
		}
	}
}

// inception is the transform with Inception's normalisation, which these networks were trained with.
func inception(size int, cropPct float64) preprocess.Transform {
	return preprocess.Transform{Size: size, CropPct: cropPct, Mean: [3]float32{0.5, 0.5, 0.5}, Std: [3]float32{0.5, 0.5, 0.5}}
}

// stages returns EfficientNet's seven stages with the given depths.
func stages(depths ...int) []Stage {
	s := []Stage{{3, 1, 0}, {3, 2, 0}, {5, 2, 0}, {3, 2, 0}, {5, 1, 0}, {5, 2, 0}, {3, 1, 0}}
	for i := range s {
		s[i].Repeats = depths[i]
	}
	return s
}

// ReadShapes reads a .shapes file: one tensor a line, the name and the sizes joined by "x", nothing
// for a scalar.
func ReadShapes(r io.Reader) ([]Entry, error) {
	var out []Entry
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) == 0 || len(f) > 2 {
			return nil, fmt.Errorf("models: shapes line %d: %q, want NAME SIZExSIZE", len(out)+1, sc.Text())
		}
		e := Entry{Name: f[0]}
		if len(f) == 2 {
			for _, d := range strings.Split(f[1], "x") {
				n, err := strconv.Atoi(d)
				if err != nil || n < 1 {
					return nil, fmt.Errorf("models: shapes line %d: %q is not a size", len(out)+1, d)
				}
				e.Shape = append(e.Shape, n)
			}
		}
		out = append(out, e)
	}
	return out, sc.Err()
}

// All returns the variants in the order of their size.
func All() []*Spec { return slices.Clone(specs) }

// UnknownError says that no variant has that name.
type UnknownError struct {
	Name    string
	Nearest string // a name like it, "" when none is
}

func (e *UnknownError) Error() string {
	msg := fmt.Sprintf("models: unknown model %q", e.Name)
	if e.Nearest != "" {
		msg += fmt.Sprintf(" (did you mean %s?)", e.Nearest)
	}
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.Name
	}
	return msg + "; known are " + strings.Join(names, ", ")
}

// Lookup returns the variant of that name. "timm/NAME" and "NAME.in1k", as model hubs write it, are
// understood. The error is an *UnknownError.
func Lookup(name string) (*Spec, error) {
	want := strings.TrimSuffix(strings.TrimPrefix(name, "timm/"), ".in1k")
	best, bestDist := "", len(want)/3+2
	for _, s := range specs {
		if s.Name == want {
			return s, nil
		}
		if d := editDistance(want, s.Name); d < bestDist {
			best, bestDist = s.Name, d
		}
	}
	if best == "" {
		for _, s := range specs { // "b2", "effnetb2", "efficientnet-b2"
			if tag := strings.Split(s.Name, "_")[1]; strings.Contains(strings.ToLower(want), tag) {
				best = s.Name
			}
		}
	}
	return nil, &UnknownError{Name: name, Nearest: best}
}

// editDistance is Levenshtein's distance; inputs longer than 64 bytes are far from everything.
func editDistance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost++
			}
			diag = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// shape returns the shape of a state-dict entry of the variant, nil when it has none of that name.
func (s *Spec) shape(name string) ([]int, bool) {
	for _, e := range s.Entries {
		if e.Name == name {
			return e.Shape, true
		}
	}
	return nil, false
}

// Classes returns the number of classes of the published weights.
func (s *Spec) Classes() int {
	sh, _ := s.shape("classifier.bias")
	return sh[0]
}

// NumParams returns the number of trained parameters, as model cards count them: BatchNorm's running
// statistics are left out.
func (s *Spec) NumParams() int {
	sum := 0
	for _, e := range s.Entries {
		if strings.HasSuffix(e.Name, ".running_mean") || strings.HasSuffix(e.Name, ".running_var") || isCounter(e.Name) {
			continue
		}
		n := 1
		for _, d := range e.Shape {
			n *= d
		}
		sum += n
	}
	return sum
}

func isCounter(name string) bool { return strings.HasSuffix(name, ".num_batches_tracked") }
