package conformance

import (
	"math"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/netplan"
)

// TestAgreementFlips: near ties may change places, others may not, however small the error of all logits
// together is.
func TestAgreementFlips(t *testing.T) {
	base := make([]float64, 1000)
	for i := range base {
		base[i] = math.Sin(float64(i) * 12.9898) // spread 0.7
	}
	gate := GatesFor(netplan.PrecisionFloat32).LogitsCentred
	allowed := 2 * 4 * gate * spread(base)
	for _, test := range []struct {
		name                string
		margin, move        float64
		top1, flips, failed int
	}{
		{"right", 0.1, 0, 1, 0, 0},
		{"a tie changes places", allowed / 2, allowed, 0, 2, 0},
		{"one logit is off", 3 * allowed, 4 * allowed, 0, 2, 2},
	} {
		want := append([]float64{}, base...)
		want[7], want[9] = 5, 5-test.margin
		got := make([]float32, len(want))
		for i, v := range want {
			got[i] = float32(v)
		}
		got[9] = float32(want[9] + test.move)
		a := &Agreement{Gate: Figure(gate), LeastGap: Figure(math.Inf(1))}
		a.add("picture", got, want)
		if a.Pictures != 1 || a.Top1 != test.top1 || len(a.Flips) != test.flips || a.Inexcused != test.failed || math.Abs(float64(a.LeastGap)-test.margin) > 1e-9 {
			t.Errorf("%s: %+v", test.name, *a)
		}
		if test.flips > 0 && (a.Flips[0].Rank != 1 || a.Flips[0].Want != 7 || a.Flips[0].Got != 9 || a.Centred > a.Gate) {
			t.Errorf("%s: %+v", test.name, *a)
		}
	}
	nan := float32(math.NaN())
	a := &Agreement{Gate: Figure(gate), LeastGap: Figure(math.Inf(1))}
	a.add("broken", []float32{nan, 1}, []float64{2, 1})
	if !math.IsNaN(float64(a.Centred)) || a.Top1 != 0 {
		t.Errorf("NaN: %+v", *a)
	}
}

// TestDiffer compares bits: zeros of other signs and NaNs included.
func TestDiffer(t *testing.T) {
	nan := float32(math.NaN())
	if got := differ("run", []float32{1, nan}, []float32{1, nan}); got != "" {
		t.Errorf("the same bits: %q", got)
	}
	if got := differ("run", []float32{1, float32(math.Copysign(0, -1)), 3}, []float32{1, 0, 2}); !strings.HasPrefix(got, "run: 2 of 3 values have other bits; the first, 1,") {
		t.Errorf("got %q", got)
	}
}
