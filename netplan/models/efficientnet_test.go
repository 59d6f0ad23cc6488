package models

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/tests/oracle"
	"github.com/vkinfer/vkinfer/weights"
)

func lookup(t testing.TB, name string) *Spec {
	t.Helper()
	s, err := Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// published holds each variant's figures: counts of the published state dicts, multiply-adds at the stock
// size added up from the layers, padding [top left bottom right] of the stride-2 convolutions in order,
// and the rows of the map after each of them.
var published = []struct {
	name            string
	entries         int
	counters        int
	params          int
	size            int
	macs            int64
	padding         string
	maps            []int
	crop            float64
	topOne, topFive float64
}{
	{"efficientnet_b1_pruned", 508, 69, 6_331_916, 240, 391_208_019, "0011 0011 1122 0011 2222", []int{120, 60, 30, 15, 8}, 0.882, 78.252, 93.820},
	{"efficientnet_b2_pruned", 508, 69, 8_309_737, 260, 715_749_145, "0011 0011 2222 1111 2222", []int{130, 65, 33, 17, 9}, 0.890, 79.904, 94.838},
	{"efficientnet_b3_pruned", 574, 78, 9_855_020, 300, 1_020_257_090, "0011 0011 2222 0011 2222", []int{150, 75, 38, 19, 10}, 0.904, 80.864, 95.266},
}

func TestPublishedFigures(t *testing.T) {
	if len(All()) != len(published) {
		t.Errorf("%d variants, want %d", len(All()), len(published))
	}
	for _, want := range published {
		t.Run(want.name, func(t *testing.T) {
			s := lookup(t, want.name)
			counters := 0
			for _, e := range s.Entries {
				if isCounter(e.Name) {
					counters++
				}
			}
			if len(s.Entries) != want.entries || counters != want.counters {
				t.Errorf("%d entries, %d of them counters, want %d and %d", len(s.Entries), counters, want.entries, want.counters)
			}
			if s.NumParams() != want.params || s.Classes() != 1000 {
				t.Errorf("%d parameters, %d classes, want %d and 1000", s.NumParams(), s.Classes(), want.params)
			}
			tr := s.Transform
			if tr.Size != want.size || tr.CropPct != want.crop || tr.Mean != [3]float32{0.5, 0.5, 0.5} || tr.Std != tr.Mean {
				t.Errorf("transform %+v, want size %d, crop %v, mean and std 0.5", tr, want.size, want.crop)
			}
			if s.TopOne != want.topOne || s.TopFive != want.topFive {
				t.Errorf("accuracies %v and %v, want %v and %v", s.TopOne, s.TopFive, want.topOne, want.topFive)
			}
			g, err := s.BuildShape(want.size, want.size)
			if err != nil {
				t.Fatal(err)
			}
			if g.TotalMACs() != want.macs {
				t.Errorf("%d multiply-adds, want %d", g.TotalMACs(), want.macs)
			}
			if got := g.OutputShape(); got != (graph.Shape{C: 1000, H: 1, W: 1}) {
				t.Errorf("output %v, want 1000x1x1", got)
			}
			var padding []string
			var maps []int
			for _, n := range g.Nodes {
				conv, ok := n.Op.(*graph.Conv)
				if !ok || conv.Stride == 1 {
					continue
				}
				in := g.InputShapes(n)[0]
				v, h := graph.SamePad(in.H, conv.Kernel(), conv.Stride), graph.SamePad(in.W, conv.Kernel(), conv.Stride)
				padding = append(padding, fmt.Sprint(v.Before)+fmt.Sprint(h.Before)+fmt.Sprint(v.After)+fmt.Sprint(h.After))
				maps = append(maps, n.Shape.H)
			}
			if got := strings.Join(padding, " "); got != want.padding {
				t.Errorf("padding %s, want %s", got, want.padding)
			}
			if !slices.Equal(maps, want.maps) {
				t.Errorf("maps of %v rows, want %v", maps, want.maps)
			}
		})
	}
}

// TestPublishedShapes compares the embedded tables with the published ones.
func TestPublishedShapes(t *testing.T) {
	for _, s := range All() {
		layers := oracle.Layers(t, "shapes/"+s.Name+".txt")
		if len(layers) != len(s.Entries) {
			t.Fatalf("%s: %d entries, want %d", s.Name, len(s.Entries), len(layers))
		}
		for i, l := range layers {
			if e := s.Entries[i]; e.Name != l.Name || !slices.Equal(e.Shape, l.Shape) {
				t.Errorf("%s: entry %d is %s %v, want %s %v", s.Name, i, e.Name, e.Shape, l.Name, l.Shape)
			}
		}
	}
}

// TestStructure checks what the layers' shapes cannot say: where activations, gates and residual
// connections are.
func TestStructure(t *testing.T) {
	s := lookup(t, "efficientnet_b3_pruned")
	g, err := s.BuildShape(64, 64)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*graph.Node{}
	kinds := map[string]int{}
	for _, n := range g.Nodes {
		byName[n.Name] = n
		kinds[n.Op.Kind()]++
	}
	blocks, firsts := 0, len(s.Stages)
	for _, st := range s.Stages {
		blocks += st.Repeats
	}
	expanded := blocks - s.Stages[0].Repeats
	want := map[string]int{
		"input": 1, "linear": 1, "add": blocks - firsts, "scale": blocks, "pool": blocks + 1,
		"conv":       2 + 4*blocks + expanded,          // stem, head; depthwise, two of the gate, project; expand
		"batchnorm":  2 + 2*blocks + expanded,          // no BatchNorm in the gate
		"activation": 2 + blocks + expanded + 2*blocks, // after depthwise and expand; two in the gate
	}
	for k, n := range want {
		if kinds[k] != n {
			t.Errorf("%d nodes of %s, want %d", kinds[k], k, n)
		}
	}
	for name, act := range map[string]graph.Act{"bn1.act": graph.SiLU, "bn2.act": graph.SiLU, "blocks.0.0.bn1.act": graph.SiLU,
		"blocks.1.0.bn1.act": graph.SiLU, "blocks.1.0.bn2.act": graph.SiLU, "blocks.1.0.se.act": graph.SiLU, "blocks.1.0.se.gate": graph.Sigmoid} {
		if n := byName[name]; n == nil || n.Op.(*graph.Activation).Func != act {
			t.Errorf("%s: want a node with %v", name, act)
		}
	}
	for _, name := range []string{"blocks.0.0.bn2.act", "blocks.1.0.bn3.act", "blocks.0.0", "blocks.1.0", "blocks.4.0"} {
		if byName[name] != nil {
			t.Errorf("%s: want no such node", name)
		}
	}
	// The residual connection joins the block's input, whatever the widths.
	add := byName["blocks.1.1"]
	if add == nil || g.Node(add.Inputs[0]).Name != "blocks.1.1.bn3" || g.Node(add.Inputs[1]).Name != "blocks.1.0.bn3" {
		t.Errorf("blocks.1.1 does not add its projection and its input")
	}
	bn := byName["bn1"].Op.(*graph.BatchNorm)
	if bn.Eps != 1e-3 {
		t.Errorf("epsilon %v, want 1e-3", bn.Eps)
	}
}

func TestBuildOtherSizes(t *testing.T) {
	s := lookup(t, "efficientnet_b1_pruned")
	for _, size := range [][2]int{{1, 1}, {32, 32}, {33, 47}, {1, 200}, {241, 239}} {
		g, err := s.BuildShape(size[0], size[1])
		if err != nil {
			t.Errorf("%v: %v", size, err)
			continue
		}
		h, w := size[0], size[1]
		for range 5 {
			h, w = (h+1)/2, (w+1)/2
		}
		head := g.Nodes[len(g.Nodes)-3]
		if head.Shape.H != h || head.Shape.W != w {
			t.Errorf("%v: last map %v, want %dx%d", size, head.Shape, h, w)
		}
	}
	for _, size := range [][2]int{{0, 240}, {240, -1}, {1 << 40, 1 << 40}, {1 << 14, 1 << 13}, {math.MaxInt, math.MaxInt}} {
		if _, err := s.BuildShape(size[0], size[1]); err == nil || !strings.Contains(err.Error(), "input size") {
			t.Errorf("%v: error %v, want one about the input size", size, err)
		}
	}
}

// TestBuildValues checks that weights arrive at their places and that poison is refused by name.
func TestBuildValues(t *testing.T) {
	s := lookup(t, "efficientnet_b1_pruned")
	sd := zeros(s)
	sd.Path = "some.pth"
	set := func(name string, v float32) {
		shape, _ := s.shape(name)
		values := make([]float32, sd.Get(name).NumElements())
		values[len(values)-1] = v
		sd.Set(name, weights.FromFloat32s(shape, values))
	}
	set("blocks.3.1.bn2.running_mean", 0.1)
	g, err := s.Build(sd, 32, 32)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range g.Nodes {
		if n.Name == "blocks.3.1.bn2" {
			mean := n.Op.(*graph.BatchNorm).Mean
			if got := mean.Data[len(mean.Data)-1]; got != float64(float32(0.1)) {
				t.Errorf("mean %v, want float32's 0.1 exactly", got)
			}
		}
	}
	for _, test := range []struct {
		name string
		v    float32
		want string
	}{
		{"conv_stem.weight", float32(math.NaN()), "some.pth: tensor conv_stem.weight holds NaN at element 863"},
		{"classifier.bias", float32(math.Inf(1)), "tensor classifier.bias holds +Inf at element 999"},
		{"blocks.2.0.bn3.running_var", -1, "tensor blocks.2.0.bn3.running_var holds the variance -1"},
		{"blocks.2.0.bn3.running_var", -1e-6, "want none below zero"},
	} {
		set(test.name, test.v)
		if _, err := s.Build(sd, 32, 32); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s = %v: error %v, want %q", test.name, test.v, err, test.want)
		}
		set(test.name, 0)
	}
	shape, _ := s.shape("bn1.bias")
	sd.Set("bn1.bias", &weights.Tensor{DType: weights.Uint8, Shape: shape, Data: make([]byte, shape[0])})
	if _, err := s.Build(sd, 32, 32); err == nil || !strings.Contains(err.Error(), "tensor bn1.bias is uint8, want a floating-point type") {
		t.Errorf("uint8 bias: error %v", err)
	}
}
