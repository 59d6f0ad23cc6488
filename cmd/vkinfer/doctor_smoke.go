package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/doctor"
	"github.com/vkinfer/vkinfer/netplan/graph"
)

// smokeGraph is a stem, one block with squeeze-and-excitation and a residual, a head and a classifier, of ragged
// sizes: every kernel that the models use. Weights are seeded and keep values near 1.
func smokeGraph() (*graph.Graph, error) {
	const channels, reduced, hidden, classes = 12, 5, 27, 10
	rng := rand.New(rand.NewPCG(4, 2))
	param := func(name string, scale float64, shape ...int) *graph.Param {
		n := 1
		for _, d := range shape {
			n *= d
		}
		p := &graph.Param{Name: name, Shape: shape, Data: make([]float64, n)}
		for i := range p.Data {
			p.Data[i] = float64(float32(scale * rng.NormFloat64()))
		}
		return p
	}
	b := graph.NewBuilder("smoke test")
	conv := func(name string, x graph.ID, out, stride, kernel, groups int, act graph.Act) graph.ID {
		in := b.Shape(x).C / groups
		x = b.Add(name, &graph.Conv{Weight: param(name+".weight", 1.5/math.Sqrt(float64(in*kernel*kernel)), out, in, kernel, kernel),
			Bias: param(name+".bias", 0.2, out), Stride: stride, Groups: groups}, x)
		if act != graph.Identity {
			x = b.Add(name+".act", &graph.Activation{Func: act}, x)
		}
		return x
	}
	x := b.Add("input", &graph.Input{Shape: graph.Shape{C: 3, H: 37, W: 29}})
	x = conv("stem", x, channels, 2, 3, 1, graph.SiLU)
	y := conv("dw", x, channels, 1, 3, channels, graph.SiLU)
	g := b.Add("se.mean", &graph.Pool{}, y)
	g = conv("se.reduce", g, reduced, 1, 1, 1, graph.SiLU)
	g = conv("se.expand", g, channels, 1, 1, 1, graph.Sigmoid)
	y = b.Add("se", &graph.Scale{}, y, g)
	y = conv("project", y, channels, 1, 1, 1, graph.Identity)
	y = b.Add("residual", &graph.Add{}, y, x)
	y = conv("head", y, hidden, 1, 1, 1, graph.SiLU)
	y = b.Add("pool", &graph.Pool{}, y)
	y = b.Add("classifier", &graph.Linear{Weight: param("w", 1/math.Sqrt(hidden), classes, hidden), Bias: param("b", 0.2, classes)}, y)
	return b.Graph(y)
}

// judgeSmoke compares two runs with each other and with the reference.
func judgeSmoke(got, again []float32, want []float64) doctor.Smoke {
	var e2, w2 float64
	for i, w := range want {
		d := float64(got[i]) - w
		e2, w2 = e2+d*d, w2+w*w
	}
	rel := math.Sqrt(e2 / w2)
	bits := func(a, b float32) int { return int(math.Float32bits(a)) - int(math.Float32bits(b)) }
	switch {
	case !(rel <= smokeGate):
		return doctor.Smoke{Detail: fmt.Sprintf("wrong results: relative L2 error %.1e against the CPU reference, want at most %.0e", rel, smokeGate)}
	case slices.CompareFunc(got, again, bits) != 0:
		return doctor.Smoke{Detail: "two runs of the same input gave different bits"}
	}
	return doctor.Smoke{OK: true, Detail: fmt.Sprintf("a small network agrees with the CPU reference, relative L2 error %.1e, twice the same bits", rel)}
}
