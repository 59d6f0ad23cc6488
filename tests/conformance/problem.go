package conformance

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/weights/float16"
)

// Mode is how a case is computed and judged.
type Mode string

// The modes.
const (
	// Exact: inputs and weights are small integers and nothing activates, so that float32 holds every
	// intermediate value exactly, whatever the order of summation. Results must be those of integer
	// arithmetic to the last bit; there is no tolerance for an error of indexing or layout to hide in.
	Exact Mode = "exact"
	// Real: seeded real numbers and the network's own activations. Every element's error must be within
	// a bound derived for that element (see bounds.go).
	Real Mode = "real"
)

// Modes lists all modes.
func Modes() []Mode { return []Mode{Exact, Real} }

// images is how many different images a problem has; batches are made of them.
const images = 8

// problem is a case with numbers and the results they must give.
type problem struct {
	c     Case
	layer layer
	mode  Mode
	half  bool // numbers are those that 16 bits hold, and in exact mode so are results that are stored in them
	graph *graph.Graph
	p     params

	pictures          [images][]uint8   // what x is made from by normalization, or nil
	x, gate, residual [images][]float64 // gate and residual are nil where the case has none
	y                 [images]bounded   // what node y must be, once solved
	gates             [images]bounded   // exact mode: what node se must be
}

// newProblem makes up a case's numbers, the same for the same seed on every machine. Those of a precision that
// stores in 16 bits are such as these hold, so that every kernel computes with the very numbers of the
// reference.
func newProblem(c Case, mode Mode, precision string, pictures, full bool, seed uint64) (*problem, error) {
	in := c.In
	if !full {
		var err error
		if in, err = c.cut(); err != nil {
			return nil, err
		}
	}
	h := fnv.New64a()
	h.Write([]byte(c.Name + "/" + string(mode))) // never fails
	pr := &problem{c: c, layer: c.layer(in), mode: mode, half: precision == netplan.PrecisionAMP, p: c.zeros()}
	if pictures {
		for i := range images {
			pr.pictures[i] = make([]uint8, in.NumElements())
		}
	}
	rng := rand.New(rand.NewPCG(seed, h.Sum64()))
	act := c.Act
	if mode == Exact {
		act = graph.Identity
		if err := pr.drawExact(rng); err != nil {
			return nil, err
		}
	} else {
		pr.drawReal(rng)
	}
	var err error
	pr.graph, err = c.fragment(in, act, pr.p)
	return pr, err
}

// shapes returns the sizes of the inputs: x, gate, residual; 0 for those the case lacks.
func (pr *problem) sizes() (x, gate, residual int) {
	if pr.c.Gate {
		gate = pr.layer.in.C
	}
	if pr.c.Residual {
		residual = pr.layer.out.NumElements()
	}
	return pr.layer.in.NumElements(), gate, residual
}

// input returns image i as an executor takes it: the values of all inputs, one after the other.
func (pr *problem) input(i int) []float32 {
	var out []float32
	for _, part := range [][]float64{pr.x[i], pr.gate[i], pr.residual[i]} {
		for _, v := range part {
			out = append(out, float32(v))
		}
	}
	return out
}

// normalization is how a mode's pictures become values: exactly, as its numbers are small, and otherwise for
// every colour.
func normalization(mode Mode) *netplan.Normalization {
	if mode == Exact {
		return &netplan.Normalization{Scale: [3]float32{1, 1, 1}}
	}
	return &netplan.Normalization{Scale: [3]float32{1. / 128, 1. / 64, 1. / 256}, Offset: [3]float32{-1, -2, -0.5}}
}

// drawPicture draws image i's picture and sets x to its values.
func (pr *problem) drawPicture(i int, draw func() uint8) {
	n, pixels := normalization(pr.mode), pr.layer.in.H*pr.layer.in.W
	for j := range pr.pictures[i] {
		v, c := draw(), j%3
		pr.pictures[i][j] = v
		pr.x[i][c*pixels+j/3] = float64(v)*float64(n.Scale[c]) + float64(n.Offset[c])
	}
}

// fill returns n values of f; nil for none.
func fill(n int, f func(i int) float64) []float64 {
	if n == 0 {
		return nil
	}
	v := make([]float64, n)
	for i := range v {
		v[i] = f(i)
	}
	return v
}

// largestExact is up to where float32 holds every integer; sums whose mean is taken stay far below, so that
// the quotient's error of 2.5 ulp, which Vulkan allows, cannot turn one integer sum into another.
const (
	largestExact = 1 << 24
	largestSum   = 1 << 20
	largestHalf  = 1 << 11 // the same for 16 bits
)

// largestGate is the largest gate of exact mode.
func (pr *problem) largestGate() float64 {
	if pr.half {
		return 1
	}
	return 3
}

// storesHalf reports whether the precision stores the case's result in 16 bits: maps, not vectors.
func (pr *problem) storesHalf() bool { return pr.half && pr.c.Kind != "head" && pr.c.Kind != "linear" }

// checkHalf makes sure that no result can leave the integers that 16 bits hold, for weights of -1, 0 and 1 that
// are more than 2046 to a sum.
func (pr *problem) checkHalf() error {
	terms := pr.layer.terms()
	for o := 0; pr.storesHalf() && terms > largestHalf-2 && o < pr.layer.out.C; o++ {
		size := 0.0
		for _, w := range pr.p.w[o*terms:][:terms] {
			size += math.Abs(w)
		}
		if size > largestHalf-2 { // bias and residual
			return fmt.Errorf("conformance: %s: sums of %.0f terms are not exact in 16 bits", pr.c.Name, size)
		}
	}
	return nil
}

// magnitude returns the largest integers that inputs and weights may have, at most 31, so that no sum of a
// case can leave the range in which float32 is exact.
func (pr *problem) magnitude() (float64, error) {
	terms, limit, pixels := float64(pr.layer.terms()), float64(largestExact), 1.0
	if pr.c.Gate {
		terms *= pr.largestGate()
	}
	if pr.c.Kind == "head" || pr.c.Reduced > 0 { // sums over the map
		pixels = float64(pr.layer.out.H * pr.layer.out.W)
	}
	if pr.c.Kind == "head" {
		limit = largestSum
	}
	for m := 31.0; m >= 1; m-- {
		if pixels*(terms*m*m+m)+m <= limit && (!pr.storesHalf() || terms*m*m+2*m <= largestHalf) { // products, bias, residual
			return m, nil
		}
		if m == 1 && pr.storesHalf() && pixels*(terms+1)+1 <= limit {
			return 1, nil // a third of the weights is zero: checkHalf
		}
	}
	return 0, fmt.Errorf("conformance: %s: sums of %.0f terms over %.0f pixels are not exact in float32", pr.c.Name, terms, pixels)
}

// drawExact draws integers.
func (pr *problem) drawExact(rng *rand.Rand) error {
	m, err := pr.magnitude()
	if err != nil {
		return err
	}
	whole := func(int) float64 { return float64(rng.IntN(2*int(m)+1)) - m }
	nx, ngate, nresidual := pr.sizes()
	for i := range images {
		pr.x[i] = fill(nx, whole)
		if pr.pictures[i] != nil {
			pr.drawPicture(i, func() uint8 { return uint8(rng.IntN(int(m) + 1)) })
		}
		pr.gate[i] = fill(ngate, func(int) float64 { return float64(rng.IntN(int(pr.largestGate()) + 1)) })
		pr.residual[i] = fill(nresidual, whole)
	}
	pr.p.w, pr.p.bias = fill(len(pr.p.w), whole), fill(len(pr.p.bias), whole)
	if err := pr.checkHalf(); err != nil {
		return err
	}
	w, bias := integers(pr.p.w), integers(pr.p.bias)
	var sums [images][]int64 // over the map
	if pr.c.Reduced == 0 {
		return nil
	}
	eachImage(images, func(i int) { pr.y[i], sums[i] = pr.solveExact(i, w, bias) })
	return pr.drawGates(rng, sums)
}

// solve computes what the images of those batches must give.
func (pr *problem) solve(batches []int) {
	var used [images]bool
	for _, n := range batches {
		for slot := range n {
			used[imageIn(n, slot)] = true
		}
	}
	w, bias := integers(pr.p.w), integers(pr.p.bias)
	eachImage(images, func(i int) {
		switch {
		case !used[i] || pr.y[i].value != nil:
		case pr.mode == Exact:
			pr.y[i], _ = pr.solveExact(i, w, bias)
		default:
			pr.y[i] = boundedConv(pr.c, pr.layer, pr.x[i], pr.gate[i], pr.residual[i], pr.p)
		}
	})
}

// solveExact computes image i in integer arithmetic, and every channel's sum over the map.
func (pr *problem) solveExact(i int, w, bias []int64) (y bounded, sums []int64) {
	x, l := integers(pr.x[i]), pr.layer
	if pr.gate[i] != nil {
		for j, g := range integers(pr.gate[i]) {
			for k := range l.in.H * l.in.W {
				x[j*l.in.H*l.in.W+k] *= g
			}
		}
	}
	sum, pixels := convolve(l, x, w), l.out.H*l.out.W
	y, sums = newBounded(len(sum)), make([]int64, l.out.C)
	for j, v := range sum {
		v += bias[j/pixels]
		if pr.residual[i] != nil {
			v += int64(pr.residual[i][j])
		}
		y.value[j] = float64(v)
		sums[j/pixels] += v
	}
	if pr.c.Kind != "head" {
		return y, sums
	}
	mean := newBounded(l.out.C)
	for o, s := range sums {
		mean.value[o] = float64(s) / float64(pixels)
		mean.bound[o] = 2.5 * u * math.Abs(mean.value[o])
	}
	return mean, sums
}

func integers(v []float64) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
}

// drawGates draws squeeze-and-excitation weights whose results are exact although the kernel divides and
// activates: SiLU is the identity far above zero and zero far below, the sigmoid one and zero. Every bias is
// put into the widest gap between the images' sums, and weights are scaled until the gap is wide enough, so
// that each unit tells the images apart and no image is near its threshold. Gates are then ones and zeros,
// about half of each, that follow from the sums by comparisons alone.
func (pr *problem) drawGates(rng *rand.Rand, sums [images][]int64) error {
	pixels := float64(pr.layer.out.H * pr.layer.out.W)
	var means [images][]float64
	for i := range images {
		means[i] = fill(pr.c.Out, func(o int) float64 { return float64(sums[i][o]) / pixels })
	}
	var hidden [images][]float64
	for i := range images {
		hidden[i], pr.gates[i] = make([]float64, pr.c.Reduced), newBounded(pr.c.Out)
	}
	for r := range pr.c.Reduced {
		z, err := threshold(rng, means, pr.p.reduceW[r*pr.c.Out:][:pr.c.Out], &pr.p.reduceB[r])
		if err != nil {
			return fmt.Errorf("conformance: %s: %w", pr.c.Name, err)
		}
		for i := range images {
			hidden[i][r] = max(z[i], 0)
		}
	}
	for o := range pr.c.Out {
		z, err := threshold(rng, hidden, pr.p.expandW[o*pr.c.Reduced:][:pr.c.Reduced], &pr.p.expandB[o])
		if err != nil {
			return fmt.Errorf("conformance: %s: %w", pr.c.Name, err)
		}
		for i := range images {
			if z[i] > 0 {
				pr.gates[i].value[o] = 1
			}
		}
	}
	return nil
}

// threshold draws a unit's integer weights w, and its bias, such that w·x + bias is beyond ±256 for all
// images and beyond a thousandth of Σ|w·x|, of which rounding may change a far smaller part. It returns
// w·x + bias.
func threshold(rng *rand.Rand, x [images][]float64, w []float64, bias *float64) (z [images]float64, err error) {
	for range 50 {
		for i := range w {
			w[i] = float64(rng.IntN(7) - 3)
		}
		size := 0.0
		for i := range images {
			z[i] = 0
			abs := 0.0
			for j, v := range x[i] {
				z[i] += w[j] * v
				abs += math.Abs(w[j] * v)
			}
			size = max(size, abs)
		}
		sorted := slices.Sorted(slices.Values(z[:]))
		at, gap := 0.0, 0.0
		for i := 1; i < images; i++ {
			if d := sorted[i] - sorted[i-1]; d > gap {
				at, gap = sorted[i-1]+d/2, d
			}
		}
		at = float64(float32(at))
		if gap/2 <= size/1000 {
			continue
		}
		scale := 1.0
		for gap*scale < 2*257 {
			scale *= 2
		}
		for j := range w {
			w[j] *= scale
		}
		*bias = -at * scale
		for i := range z {
			z[i] = (z[i] - at) * scale
		}
		return z, nil
	}
	return z, fmt.Errorf("no weights tell the images apart")
}

// drawReal draws real numbers like those of a network.
func (pr *problem) drawReal(rng *rand.Rand) {
	c := pr.c
	nx, ngate, nresidual := pr.sizes()
	unit := func(int) float64 { return normal(rng) }
	stored := func(int) float64 { return pr.stored(normal(rng)) }
	// Two channels of eight lie where exp(x) and exp(-x) overflow. Not where a mean of them follows, which
	// would leave nothing of the others.
	biased := func(i int) float64 {
		if c.Act != graph.SiLU || c.Reduced > 0 || i%8 < 5 || i%8 == 7 {
			return normal(rng)
		}
		return float64(11-2*(i%8))*120 + normal(rng)
	}
	for i := range images {
		pr.x[i] = fill(nx, stored)
		if pr.pictures[i] != nil {
			pr.drawPicture(i, func() uint8 { return uint8(rng.IntN(256)) })
		}
		pr.gate[i] = fill(ngate, func(int) float64 { return float64(rng.Float32()) })
		pr.residual[i] = fill(nresidual, stored)
	}
	layer := func(n, outs int, spread float64) []float64 {
		ins := n / max(outs, 1)
		return fill(n, func(i int) float64 {
			s := spread / math.Sqrt(float64(ins))
			switch i / ins % 4 { // some channels reach far into the activation's tails
			case 1:
				s *= 4
			case 2:
				s /= 4
			}
			return float64(float32(s * normal(rng)))
		})
	}
	pr.p = params{w: layer(len(pr.p.w), c.Out, 1), bias: fill(c.Out, biased),
		reduceW: layer(len(pr.p.reduceW), c.Reduced, 6), reduceB: fill(c.Reduced, unit),
		expandW: layer(len(pr.p.expandW), c.Out, 2), expandB: fill(len(pr.p.expandB), unit)}
}

// stored rounds to what maps are stored in. Numbers below the normal ones of 16 bits, which
// devices may take for zero, become zero.
func (pr *problem) stored(v float64) float64 {
	switch {
	case !pr.half:
		return v
	case math.Abs(v) < leastHalf:
		return 0
	}
	return float64(float16.ToFloat32(float16.FromFloat32(float32(v))))
}

// normal returns a number that is about normally distributed (the sum of four even ones, Irwin and Hall):
// additions and one multiplication, the same on every machine, rounded to float32.
func normal(rng *rand.Rand) float64 {
	sum := -2.0
	for range 4 {
		sum += rng.Float64()
	}
	return float64(float32(sum * 1.7320508))
}
