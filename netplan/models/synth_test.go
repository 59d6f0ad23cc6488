package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/vkinfer/vkinfer/cpuref"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/weights"
)

// digest is the first 16 hex digits of the sha256 of all tensors in order.
func digest(sd *weights.StateDict) string {
	h := sha256.New()
	for _, name := range sd.Names() {
		h.Write([]byte(name))
		h.Write(sd.Get(name).Data)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

var (
	synthMu    sync.Mutex
	synthCache = map[string]*weights.StateDict{}
)

// synthOne returns s.Synth(1), made once.
func synthOne(s *Spec) *weights.StateDict {
	synthMu.Lock()
	defer synthMu.Unlock()
	if synthCache[s.Name] == nil {
		synthCache[s.Name] = s.Synth(1)
	}
	return synthCache[s.Name]
}

// TestSynthReproducible pins the bits: a seed means the same weights on every machine and in every
// release, since goldens are made of them.
func TestSynthReproducible(t *testing.T) {
	for name, want := range map[string]string{
		"efficientnet_b1_pruned": "e71b1cbf0bf40677",
		"efficientnet_b2_pruned": "b5a32c24109f2fee",
		"efficientnet_b3_pruned": "f72fcb525520fcf5",
	} {
		if testing.Short() && name != "efficientnet_b1_pruned" {
			continue
		}
		s, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		sd := synthOne(s)
		if got := digest(sd); got != want {
			t.Errorf("%s seed 1: digest %s, want %s", name, got, want)
		}
		if sd.Len() != len(s.Entries) {
			t.Errorf("%s: %d tensors, want %d", name, sd.Len(), len(s.Entries))
		}
		for i, name := range sd.Names() {
			if name != s.Entries[i].Name {
				t.Fatalf("tensor %d is %s, want %s", i, name, s.Entries[i].Name)
			}
		}
	}
	if s := All()[0]; digest(s.Synth(2)) == digest(synthOne(s)) {
		t.Error("seeds 1 and 2 make the same weights")
	}
}

// TestSynthConditioned runs made-up weights on pictures of all kinds and sizes: nothing vanishes or
// explodes on the way, gates vary, BatchNorm's statistics do something, and the answer depends on the
// picture.
func TestSynthConditioned(t *testing.T) {
	specs := All()
	if testing.Short() {
		specs = specs[:1]
	}
	for _, s := range specs {
		t.Run(s.Name, func(t *testing.T) {
			sd := synthOne(s)
			checkStatistics(t, sd)
			for _, size := range [][2]int{{s.Transform.Size, s.Transform.Size}, {64, 97}, {32, 32}} {
				g, err := s.Build(sd, size[0], size[1])
				if err != nil {
					t.Fatal(err)
				}
				checkConditioned(t, g)
			}
		})
	}
}

func checkStatistics(t *testing.T, sd *weights.StateDict) {
	t.Helper()
	var small, all int
	for _, name := range sd.Names() {
		if !strings.HasSuffix(name, ".running_var") {
			continue
		}
		for _, v := range sd.Get(name).Float64s() {
			all++
			if v < 10*BatchNormEps {
				small++
			}
			if v <= 0 || v > 100 {
				t.Fatalf("%s holds %v", name, v)
			}
		}
	}
	if small*50 < all {
		t.Errorf("%d of %d variances are within 10 epsilons, want 2 %% or more", small, all)
	}
	for _, name := range sd.Names() { // no two channels alike
		if v := sd.Get(name).Float64s(); strings.HasSuffix(name, ".weight") && len(v) > 1 && v[0] == v[1] {
			t.Errorf("%s starts with %v twice", name, v[0])
		}
	}
}

// kinds are pictures of one size: a smooth one, noise, black, white, a dark one with a bright corner.
func kinds(shape graph.Shape) []float32 {
	rng := rand.New(rand.NewPCG(7, 7))
	fill := []func(c, y, x int) float64{
		func(c, y, x int) float64 { return math.Sin(float64(x)/9+float64(c)) * math.Cos(float64(y)/13) },
		func(c, y, x int) float64 { return rng.Float64()*2 - 1 },
		func(c, y, x int) float64 { return -1 },
		func(c, y, x int) float64 { return 1 },
		func(c, y, x int) float64 {
			if y < shape.H/3 && x < shape.W/3 {
				return 0.9 - 0.5*float64(c)
			}
			return -0.8
		},
	}
	var out []float32
	for _, f := range fill {
		for i := range shape.NumElements() {
			out = append(out, float32(f(i/(shape.H*shape.W), i/shape.W%shape.H, i%shape.W)))
		}
	}
	return out
}

func checkConditioned(t *testing.T, g *graph.Graph) {
	t.Helper()
	input := kinds(g.InputShape())
	n := len(input) / g.InputShape().NumElements()
	lo, hi, largest := math.Inf(1), 0.0, 0.0
	var gates [4]int
	logits, err := cpuref.Trace(context.Background(), g, input, n, cpuref.Options{}, func(node *graph.Node, v []float32) {
		switch node.Op.(type) {
		case *graph.BatchNorm, *graph.Add:
			for i := range n {
				rms, most := size(v[i*len(v)/n : (i+1)*len(v)/n])
				lo, hi, largest = min(lo, rms), max(hi, rms), max(largest, most)
			}
		}
		if strings.HasSuffix(node.Name, ".se.gate") {
			for _, x := range v {
				gates[min(int(x*4), 3)]++
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v: root mean square of BatchNorms and sums %.2f to %.2f, largest %.0f; gates by quarter %v", g.InputShape(), lo, hi, largest, gates)
	if lo < 0.1 || hi > 10 || largest > 200 {
		t.Errorf("%v: root mean squares from %.3g to %.3g, largest value %.3g, want 0.1 to 10 and 200", g.InputShape(), lo, hi, largest)
	}
	if g.InputShape().H < 200 {
		return // maps of a pixel or two: every picture looks the same
	}
	for q, count := range gates {
		if total := gates[0] + gates[1] + gates[2] + gates[3]; q > 0 && count*20 < total { // few are nearly shut
			t.Errorf("%v: %d of %d gates in quarter %d, want 5 %% or more", g.InputShape(), count, total, q)
		}
	}
	classes, tops := len(logits)/n, map[int]bool{}
	for i := range n {
		row := logits[i*classes:][:classes]
		top := 0
		for c, v := range row {
			if v > row[top] {
				top = c
			}
		}
		tops[top] = true
		if rms, _ := size(row); rms < 0.5 || rms > 6 {
			t.Errorf("%v: picture %d: logits are about %.3g, want 0.5 to 6", g.InputShape(), i, rms)
		}
	}
	if len(tops) < 2 {
		t.Errorf("%v: %d best class for %d pictures, want 2 or more", g.InputShape(), len(tops), n)
	}
}

// size returns the root mean square and the largest magnitude.
func size(v []float32) (rms, largest float64) {
	for _, x := range v {
		rms += float64(x) * float64(x)
		largest = max(largest, math.Abs(float64(x)))
	}
	return math.Sqrt(rms / float64(len(v))), largest
}
