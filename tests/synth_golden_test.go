package tests

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vkinfer/vkinfer/cpuref"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/tests/oracle"
	"github.com/vkinfer/vkinfer/weights"
)

// synthGoldens are testdata/golden/index.json, made by testdata/make_goldens.py: what PyTorch and timm make
// of `vkinfer synth MODEL --seed N` and of pictures that both sides compute.
type synthGoldens struct {
	Torch, Timm string
	Seed        uint64
	Models      map[string]map[string]synthCase
}

type synthCase struct {
	InputShape  []int                 `json:"input_shape"`
	LogitsShape []int                 `json:"logits_shape"`
	Top1        []int                 `json:"top1"`
	TorchError  float64               `json:"torch_float32_error"`
	Summaries   map[string][3]float64 `json:"summaries"` // by block: mean, root mean square, weighted mean
}

func readSynthGoldens(t testing.TB) synthGoldens {
	t.Helper()
	data, err := os.ReadFile("testdata/golden/index.json")
	if err != nil {
		t.Fatal(err)
	}
	var g synthGoldens
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func synthLogits(t testing.TB, model, name string) []float64 {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/golden", model+"."+name+".logits.f64.bin"))
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float64, len(data)/8)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
	}
	return out
}

// scramble is a number from 0 to 255: the top byte of v·2654435761 mod 2^32.
func scramble(v uint32) uint32 { return v * 2654435761 >> 24 }

// synthPicture is the batch of make_goldens.py's picture(): blocks of 16 pixels with noise.
func synthPicture(n, h, w int) []float32 {
	out := make([]float32, 0, n*3*h*w)
	for k := range uint32(n) {
		for c := range uint32(3) {
			for y := range uint32(h) {
				for x := range uint32(w) {
					block := scramble((k*7+c)*1000003 + (y>>4)*4099 + (x>>4)*17)
					noise := scramble(((k*3+c)*uint32(h)+y)*uint32(w)+x) >> 3
					out = append(out, (float32(block*7>>3+noise)/255-0.5)/0.5)
				}
			}
		}
	}
	return out
}

var (
	synthMu    sync.Mutex
	synthCache = map[string]*weights.StateDict{}
)

// synthWeights makes a model's weights once.
func synthWeights(t testing.TB, model string, seed uint64) *weights.StateDict {
	t.Helper()
	synthMu.Lock()
	defer synthMu.Unlock()
	if synthCache[model] == nil {
		synthCache[model] = specOf(t, model).Synth(seed)
	}
	return synthCache[model]
}

// TestSynthGoldens compares all three variants with PyTorch, which needs no file from outside.
func TestSynthGoldens(t *testing.T) {
	goldens := readSynthGoldens(t)
	if len(goldens.Models) != 3 {
		t.Errorf("%d models, want 3", len(goldens.Models))
	}
	for _, model := range slices.Sorted(maps.Keys(goldens.Models)) {
		for _, name := range slices.Sorted(maps.Keys(goldens.Models[model])) {
			c := goldens.Models[model][name]
			t.Run(model+"/"+name, func(t *testing.T) {
				n, h, w := c.InputShape[0], c.InputShape[2], c.InputShape[3]
				if testing.Short() && h > 100 {
					t.Skip("a large case, with -short")
				}
				g, err := specOf(t, model).Build(synthWeights(t, model, goldens.Seed), h, w)
				if err != nil {
					t.Fatal(err)
				}
				in, want, classes := synthPicture(n, h, w), synthLogits(t, model, name), c.LogitsShape[1]
				got, err := cpuref.Trace(t.Context(), g, convert[float64](in), n, cpuref.Options{}, checkSummaries(t, c))
				if err != nil {
					t.Fatal(err)
				}
				checkFloat64(t, got, want, classes)
				checkFloat32(t, run[float32](t, fused(t, g), in, n), want, classes)
				for i, top := range c.Top1 {
					if got := oracle.ArgMax(got[i*classes:][:classes]); got != top {
						t.Errorf("image %d: best class %d, want %d", i, got, top)
					}
				}
			})
		}
	}
}

// checkSummaries compares each block's value with PyTorch's by three numbers, and reports blocks that
// never came.
func checkSummaries(t *testing.T, c synthCase) func(*graph.Node, []float64) {
	byNode := map[string]string{}
	left := maps.Clone(c.Summaries)
	return func(n *graph.Node, v []float64) {
		if n.Op.Kind() == "input" {
			return
		}
		if len(byNode) == 0 {
			for name := range c.Summaries {
				for _, node := range oracle.TraceNodes(name) {
					byNode[node] = name
				}
			}
		}
		if n.Op.Kind() == "linear" && len(left) > 0 {
			t.Errorf("no node for %v", slices.Sorted(maps.Keys(left)))
		}
		// Of a block with a residual connection, the last BatchNorm is not yet the value.
		name, ok := byNode[n.Name]
		if !ok || n.Name != name && strings.HasPrefix(name, "blocks.") && !firstOfStage(name) {
			return
		}
		delete(left, name)
		var mean, square, weighted float64
		for i, x := range v {
			mean += x
			square += x * x
			weighted += x * float64(scramble(uint32(i))) / 255
		}
		count := float64(len(v))
		want := c.Summaries[name]
		for i, got := range []float64{mean / count, math.Sqrt(square / count), weighted / count} {
			if d := math.Abs(got-want[i]) / want[1]; !(d <= 1e-12) {
				t.Errorf("%s: summary %d is %v, want %v: off by %.3g of the root mean square", name, i, got, want[i], d)
			}
		}
	}
}

func firstOfStage(block string) bool { return strings.HasSuffix(block, ".0") }

// TestSynthGoldensCanTell spoils a network in ways that are easily overlooked: each must fail the gates by
// far, or the goldens would prove nothing.
func TestSynthGoldensCanTell(t *testing.T) {
	goldens := readSynthGoldens(t)
	const model, name = "efficientnet_b2_pruned", "odd_97x131"
	c := goldens.Models[model][name]
	h, w := c.InputShape[2], c.InputShape[3]
	in, want := synthPicture(1, h, w), synthLogits(t, model, name)
	zero := func(p *graph.Param, from int) {
		p.Data = slices.Clone(p.Data)
		clear(p.Data[from:])
	}
	for what, spoil := range map[string]func(*graph.Node){
		"PyTorch's epsilon": func(n *graph.Node) {
			if bn, ok := n.Op.(*graph.BatchNorm); ok {
				bn.Eps = 1e-5
			}
		},
		"no bias in the gates": func(n *graph.Node) {
			if conv, ok := n.Op.(*graph.Conv); ok && conv.Bias != nil {
				zero(conv.Bias, 0)
			}
		},
		"the last input channel of one projection lost": func(n *graph.Node) {
			if n.Name == "blocks.5.2.conv_pwl" {
				conv := n.Op.(*graph.Conv)
				p := *conv.Weight
				p.Data = slices.Clone(p.Data)
				for i := p.Shape[1] - 1; i < len(p.Data); i += p.Shape[1] {
					p.Data[i] = 0
				}
				conv.Weight = &p
			}
		},
		"one kernel mirrored": func(n *graph.Node) {
			if n.Name == "blocks.3.0.conv_dw" {
				conv := n.Op.(*graph.Conv)
				p := *conv.Weight
				p.Data = slices.Clone(p.Data)
				for i := 0; i < len(p.Data); i += 3 {
					slices.Reverse(p.Data[i : i+3])
				}
				conv.Weight = &p
			}
		},
		"sigmoid for silu in the gates": func(n *graph.Node) {
			if act, ok := n.Op.(*graph.Activation); ok && strings.HasSuffix(n.Name, ".se.act") {
				act.Func = graph.Sigmoid
			}
		},
	} {
		g, err := specOf(t, model).Build(synthWeights(t, model, goldens.Seed), h, w)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range g.Nodes {
			spoil(n)
		}
		plain, centred := oracle.LogitErrors(run[float32](t, g, in, 1), want, c.LogitsShape[1])
		t.Logf("%s: plain %.1e, centred %.1e", what, plain, centred)
		if plain < 100*oracle.Float32Logits || centred < 100*oracle.Float32LogitsCentred {
			t.Errorf("%s: errors of %.3g and %.3g are too near the gates", what, plain, centred)
		}
	}
}
