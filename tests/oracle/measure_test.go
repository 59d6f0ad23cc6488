package oracle

import (
	"math"
	"slices"
	"testing"
)

func TestMeasures(t *testing.T) {
	want := []float64{11, 9, 12, 8} // mean 10, distance from it sqrt(10)
	got := []float32{11, 9, 12, 9}
	if e := RelL2(got, want); math.Abs(e-1/math.Sqrt(410)) > 1e-15 {
		t.Errorf("RelL2 %v, want 1/sqrt(410)", e)
	}
	if e := Centred(got, want); math.Abs(e-1/math.Sqrt(10)) > 1e-15 {
		t.Errorf("Centred %v, want 1/sqrt(10)", e)
	}
	if e, at := MaxAbs(got, want); e != 1 || at != 3 {
		t.Errorf("MaxAbs %v at %d, want 1 at 3", e, at)
	}
	if plain, centred := LogitErrors(got, want, 2); math.Abs(plain-1/math.Sqrt(208)) > 1e-15 || math.Abs(centred-1/math.Sqrt(8)) > 1e-15 {
		t.Errorf("LogitErrors %v, %v, want the second row's", plain, centred)
	}
	if ArgMax([]float32{1, 5, 5, 2}) != 1 {
		t.Error("ArgMax is not the first of equals")
	}
	nan := []float64{11, math.NaN(), 12, 8}
	for name, e := range map[string]float64{
		"NaN": RelL2(nan, want), "infinite": RelL2([]float64{11, math.Inf(1), 12, 8}, want), "short": RelL2(got[:3], want),
		"zero reference": RelL2([]float64{1}, []float64{0}), "NaN in the reference": RelL2(want, nan),
	} {
		if !math.IsInf(e, 1) {
			t.Errorf("%s: error %v, want +Inf", name, e)
		}
	}
	if e, at := MaxAbs(nan, want); !math.IsInf(e, 1) || at != 1 {
		t.Errorf("MaxAbs of a NaN: %v at %d", e, at)
	}
	if plain, centred := LogitErrors(nan, want, 2); !math.IsInf(plain, 1) || !math.IsInf(centred, 1) {
		t.Errorf("LogitErrors of a NaN: %v, %v", plain, centred)
	}
	if RelL2([]float64{0}, []float64{0}) != 0 {
		t.Error("equal zeros differ")
	}
}

func TestTraceNodes(t *testing.T) {
	for name, want := range map[string][]string{
		"stem": {"bn1.act"}, "head": {"bn2.act"}, "pooled": {"global_pool"}, "logits": {"classifier"},
		"blocks.0.1": {"blocks.0.1", "blocks.0.1.bn2"}, "blocks.3.0": {"blocks.3.0", "blocks.3.0.bn3"},
		"blocks.0.0.dw_act": {"blocks.0.0.bn1.act"}, "blocks.2.1.dw_act": {"blocks.2.1.bn2.act"},
		"blocks.2.1.expand_act": {"blocks.2.1.bn1.act"}, "blocks.2.1.se.gate": {"blocks.2.1.se.gate"},
		"blocks.2.1.se_out": {"blocks.2.1.se"}, "blocks.0.0.project_bn": {"blocks.0.0.bn2"}, "blocks.5.0.project_bn": {"blocks.5.0.bn3"},
		"blocks.5.0.other": nil,
	} {
		if got := TraceNodes(name); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
