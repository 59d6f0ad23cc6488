package tests

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/tests/conformance"
)

// A mutation is a fault put into a plan on purpose.
type mutation struct {
	name string
	op   string // the case it is tried on
	edit func(*netplan.Plan)
	by   string // the checks that must notice, of "plan", "executor", "exact" and "real"
}

// The cases that mutations are tried on: ragged channels, even and odd maps, both strides.
const (
	opStem      = "stem-c3-n32-k3-s2-260x260-silu"
	opDepthwise = "depthwise-c61-k5-s1-30x30-silu-se10"
	opStrided   = "depthwise-c70-k5-s2-60x60-silu-se6"
	opExpand    = "conv1x1-c67-n213-15x15-silu"
	opProject   = "conv1x1-c61-n35-30x30-gate-residual"
	opHead      = "head-c320-n1280-8x8-silu"
	opLinear    = "linear-c1280-n1000"
)

// first returns the first dispatch of a kernel.
func first(p *netplan.Plan, kernel string) *netplan.Dispatch {
	for i := range p.Dispatches {
		if strings.HasPrefix(p.Dispatches[i].Kernel, kernel) {
			return &p.Dispatches[i]
		}
	}
	return &netplan.Dispatch{} // the edit then fails loudly
}

// push changes a push constant, spec a specialization constant.
func push(kernel string, word int, f func(uint32) uint32) func(*netplan.Plan) {
	return func(p *netplan.Plan) { d := first(p, kernel); d.Push[word] = f(d.Push[word]) }
}

func spec(kernel string, word int, to uint32) func(*netplan.Plan) {
	return func(p *netplan.Plan) { first(p, kernel).Spec[word] = to }
}

// groups changes a workgroup count.
func groups(kernel string, axis int, f func(netplan.Groups) netplan.Groups) func(*netplan.Plan) {
	return func(p *netplan.Plan) { d := first(p, kernel); d.Groups[axis] = f(d.Groups[axis]) }
}

// constant changes a packed constant, an element of a binding.
func constant(kernel string, binding, element int, f func(float32) float32) func(*netplan.Plan) {
	return func(p *netplan.Plan) {
		w := p.Weights[first(p, kernel).Bind[binding].Offset+int64(4*element):]
		binary.LittleEndian.PutUint32(w, math.Float32bits(f(math.Float32frombits(binary.LittleEndian.Uint32(w)))))
	}
}

func bind(kernel string, to, from int) func(*netplan.Plan) {
	return func(p *netplan.Plan) { d := first(p, kernel); d.Bind[to].Tensor = d.Bind[from].Tensor }
}

func plus(d uint32) func(uint32) uint32  { return func(v uint32) uint32 { return v + d } }
func minus(d uint32) func(uint32) uint32 { return func(v uint32) uint32 { return v - d } }

func swapPush(kernel string, a, b int) func(*netplan.Plan) {
	return func(p *netplan.Plan) { d := first(p, kernel); d.Push[a], d.Push[b] = d.Push[b], d.Push[a] }
}

func oneLess(g netplan.Groups) netplan.Groups { g.Fixed -= g.Tile; return g }

func notPerImage(g netplan.Groups) netplan.Groups { return netplan.Groups{Fixed: 1, Tile: 1} }

// mutations are faults as they happen: off by one, dropped, swapped, half done, in the wrong order. Those of
// the padding's lanes and of order cannot show in numbers on every driver; the other checks are for them.
var mutations = []mutation{
	{"stem: padding above off by one", opStem, push("conv_stem", 5, plus(1)), "exact real"},
	{"stem: symmetric SAME padding on the left", opStem, push("conv_stem", 6, plus(1)), "exact real"},
	{"stem: height and width swapped", opStem, swapPush("conv_stem", 1, 2), "exact real"},
	{"stem: output height and width swapped", opStem, swapPush("conv_stem", 3, 4), "exact real"},
	{"stem: stride 1 for 2", opStem, spec("conv_stem", 4, 1), "exact real"},
	{"stem: the last workgroup of pixels missing", opStem, groups("conv_stem", 0, oneLess), "exact real"},
	{"stem: only the first image", opStem, groups("conv_stem", 2, notPerImage), "exact real"},
	{"stem: no activation", opStem, spec("conv_stem", 5, 0), "real"},
	{"depthwise: symmetric SAME padding", opStrided, push("conv_dw", 5, plus(1)), "exact real"},
	{"depthwise: padding of the columns off by one", opDepthwise, push("conv_dw", 6, minus(1)), "exact real"},
	{"depthwise: kernel 3 for 5", opDepthwise, spec("conv_dw", 3, 3), "exact real"},
	{"depthwise: stride 2 for 1", opDepthwise, spec("conv_dw", 4, 2), "exact real"},
	{"depthwise: a tile of the sums missing", opDepthwise, groups("conv_dw", 1, oneLess), "exact real"},
	{"depthwise: a strip per lane missing", "depthwise-c32-k3-s1-120x120-silu-se8", push("conv_dw", 8, minus(1)), "exact real"},
	{"depthwise: one weight wrong in the last place but three", opDepthwise, constant("conv_dw", 1, 64*12+60, func(v float32) float32 {
		return math.Float32frombits(math.Float32bits(v) ^ 8)
	}), "exact"},
	{"depthwise: sums of padded lanes", opDepthwise, constant("conv_dw", 2, 61, plusOne), "exact real"},
	{"SE: pixels off by one", opDepthwise, push("se_", 4, plus(1)), "real"},
	{"SE: the last tile left out", opDepthwise, push("se_", 3, minus(1)), "exact real"},
	{"SE: the last hidden unit left out", opDepthwise, push("se_", 2, minus(1)), "exact real"},
	{"SE: gates of the first image only", opDepthwise, groups("se_", 0, notPerImage), "exact real"},
	{"SE: no barrier before it", opDepthwise, func(p *netplan.Plan) { first(p, "se_").Barrier = false }, "plan"},
	{"SE: before its sums", opDepthwise, func(p *netplan.Plan) { slices.Reverse(p.Dispatches) }, "plan"},
	{"1x1: one weight off by one", opExpand, constant("conv1x1", 1, 66*216+212, plusOne), "exact real"},
	{"1x1: bias of one channel dropped", opExpand, constant("conv1x1", 2, 212, func(float32) float32 { return 0 }), "exact real"},
	{"1x1: bias in a padding lane", opExpand, constant("conv1x1", 2, 213, plusOne), "exact real"},
	{"1x1: the last input channels left out", opExpand, push("conv1x1", 2, minus(1)), "exact real"},
	{"1x1: too narrow rows of the output", opExpand, push("conv1x1", 3, minus(1)), "exact real"},
	{"1x1: a pixel too few per image", opExpand, push("conv1x1", 1, minus(1)), "exact real"},
	{"1x1: rows of the last workgroup missing", opExpand, groups("conv1x1", 0, oneLess), "exact real"},
	{"1x1: fewer lanes, not more workgroups", opExpand, spec("conv1x1", 0, 16), "exact real"},
	{"1x1: the last eight channels missing", opExpand, groups("conv1x1", 1, oneLess), "exact real"},
	{"1x1: weights read one block further", opExpand, func(p *netplan.Plan) { first(p, "conv1x1").Bind[1].Offset += 256 }, "exact real"},
	{"1x1: sigmoid for SiLU", opExpand, spec("conv1x1", 3, 2), "exact real"},
	{"1x1: no gate", opProject, spec("conv1x1", 4, 0), "exact real"},
	{"1x1: gate of every image that of the first pixels", opProject, bind("conv1x1", 4, 0), "exact real"},
	{"1x1: no residual", opProject, spec("conv1x1", 5, 0), "exact real"},
	{"1x1: the result over its own residual", opProject, func(p *netplan.Plan) {
		d := first(p, "conv1x1")
		p.Tensors[d.Bind[3].Tensor].Offset = p.Tensors[d.Bind[5].Tensor].Offset
	}, "plan"},
	{"head: a pixel too few in the mean", opHead, push("conv1x1_pool", 1, minus(1)), "exact real"},
	{"head: only the first image", opHead, groups("conv1x1_pool", 1, notPerImage), "exact real"},
	{"head: no activation", opHead, spec("conv1x1_pool", 3, 0), "real"},
	{"linear: the last inputs left out", opLinear, push("linear", 1, minus(1)), "exact real"},
	{"linear: bias of another class", opLinear, constant("linear", 2, 7, plusOne), "exact real"},
	{"workgroup of no lanes", opLinear, spec("linear", 0, 0), "executor"},
	{"binding of a tensor that is not there", opLinear, func(p *netplan.Plan) { first(p, "linear").Bind[0].Offset = 4 }, "executor"},
}

func plusOne(v float32) float32 { return v + 1 }

// TestMutations: every fault is noticed, by the checks that should, and the same case without it passes.
func TestMutations(t *testing.T) {
	dev := device(t)
	clean := map[string]bool{}
	for _, m := range mutations {
		c, err := conformance.FindCase(m.op)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		opts := conformance.OpOptions{Cases: []conformance.Case{c}, Batches: []int{1, 3}}
		if !clean[m.op] {
			clean[m.op] = true
			rows, err := conformance.Ops(t.Context(), dev, opts)
			if err != nil {
				t.Fatal(err)
			}
			if by := caughtBy(rows); by != "" {
				t.Errorf("%s fails without a mutation: %s", m.op, by)
			}
		}
		opts.Alter = m.edit
		rows, err := conformance.Ops(t.Context(), dev, opts)
		if err != nil {
			t.Fatal(err)
		}
		if by := caughtBy(rows); by != m.by {
			t.Errorf("%s: noticed by %q, want %q", m.name, by, m.by)
		}
		for _, r := range rows {
			if !r.OK() {
				t.Logf("%s: %s %s: %s", m.name, r.Mode, r.Value, r.Verdict)
			}
		}
	}
	if len(mutations) < 25 {
		t.Errorf("only %d mutations", len(mutations))
	}
}

// caughtBy names the checks that rows failed, sorted.
func caughtBy(rows []conformance.OpRow) string {
	seen := map[string]bool{}
	for _, r := range rows {
		switch {
		case r.OK():
		case strings.HasPrefix(r.Verdict, "conformance: plan"):
			seen["plan"] = true
		case strings.Contains(r.Verdict, "plan does not fit"):
			seen["executor"] = true
		default:
			seen[string(r.Mode)] = true
		}
	}
	var list []string
	for _, by := range []string{"exact", "real", "plan", "executor"} {
		if seen[by] {
			list = append(list, by)
		}
	}
	return strings.Join(list, " ")
}

// TestEveryBarrierCounts: no barrier of a network's plan is there for nothing, and none may be missing.
func TestEveryBarrierCounts(t *testing.T) {
	spec := specOf(t, "efficientnet_b1_pruned")
	g, err := spec.BuildShape(97, 161)
	if err != nil {
		t.Fatal(err)
	}
	for _, keepAll := range []bool{false, true} {
		p, err := netplan.Lower(fused(t, g), netplan.MinimalCaps(), netplan.Options{KeepAll: keepAll})
		if err != nil {
			t.Fatal(err)
		}
		if err := conformance.CheckPlan(p); err != nil {
			t.Fatal(err)
		}
		barriers := 0
		for i := range p.Dispatches {
			if !p.Dispatches[i].Barrier {
				continue
			}
			barriers++
			p.Dispatches[i].Barrier = false
			if err := conformance.CheckPlan(p); err == nil || !strings.Contains(err.Error(), "no barrier between") {
				t.Errorf("without the barrier before %s: got %v, want it missed", p.Dispatches[i].Node, err)
			}
			p.Dispatches[i].Barrier = true
		}
		if barriers < 50 {
			t.Errorf("only %d barriers", barriers)
		}
	}
}

// TestOverlapsAreSeen puts every tensor of a network's plan, one at a time, where another one lives.
func TestOverlapsAreSeen(t *testing.T) {
	g, err := specOf(t, "efficientnet_b1_pruned").BuildShape(64, 64)
	if err != nil {
		t.Fatal(err)
	}
	p, err := netplan.Lower(fused(t, g), netplan.MinimalCaps(), netplan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range p.Tensors {
		x := &p.Tensors[i]
		for j, y := range p.Tensors {
			if j == i || x.First > y.Last || y.First > x.Last || y.Last == len(p.Dispatches) && x.First < 0 {
				continue
			}
			was := x.Offset
			x.Offset = y.Offset
			if err := conformance.CheckPlan(p); err == nil {
				t.Errorf("%s in the place of %s, which lives then too: nothing is seen", x.Name, y.Name)
			}
			x.Offset = was
		}
	}
}
