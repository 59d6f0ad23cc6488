package oracle

import "math"

// The gates that a result must keep to be called right, measured against PyTorch in float64. The float32
// ones stand about three times above what float32 arithmetic costs PyTorch itself, those of amp (storage in 16
// bits, arithmetic in float32) above what such storage costs in PyTorch.
const (
	Float64Logits        = 1e-12 // RelL2 of float64 logits
	Float32Logits        = 2e-6  // RelL2 of float32 logits
	Float32LogitsCentred = 1e-5  // Centred, of float32 logits
	Float32Block         = 1e-5  // RelL2 of any block's float32 value

	AMPLogits        = 2e-3   // RelL2 of amp's logits, where these share an offset (see HasOffset)
	AMPLogitsCentred = 1.5e-2 // Centred, of amp's logits
	AMPBlock         = 5e-3   // RelL2 of any block's value, of the network run in one go
	AMPMargin        = 0.1    // a best class that is by more than this above the second must stay the best
)

// Real is an element type of results.
type Real interface{ ~float32 | ~float64 }

// RelL2 returns |got - want| / |want|: 0 for equal values, +Inf when the lengths differ, when got holds
// a NaN, or when only want is zero.
func RelL2[A, B Real](got []A, want []B) float64 { return relative(got, want, 0) }

// Centred returns |got - want| / |want - mean(want)|: RelL2 with the offset that all logits of a picture
// share taken out of the scale. got and want are one image's logits; see LogitErrors for a batch.
func Centred[A, B Real](got []A, want []B) float64 {
	var sum float64
	for _, w := range want {
		sum += float64(w)
	}
	return relative(got, want, sum/float64(len(want)))
}

func relative[A, B Real](got []A, want []B, offset float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var e, ref float64
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		e += d * d
		ref += (float64(w) - offset) * (float64(w) - offset)
	}
	switch {
	case e == 0:
		return 0
	case math.IsNaN(e) || ref == 0:
		return math.Inf(1)
	}
	return math.Sqrt(e / ref)
}

// LogitErrors returns the worst RelL2 and the worst Centred over the rows of a batch of logits.
func LogitErrors[A, B Real](got []A, want []B, classes int) (plain, centred float64) {
	if len(got) != len(want) || classes < 1 || len(want)%classes != 0 {
		return math.Inf(1), math.Inf(1)
	}
	for i := 0; i < len(want); i += classes {
		plain = max(plain, RelL2(got[i:i+classes], want[i:i+classes]))
		centred = max(centred, Centred(got[i:i+classes], want[i:i+classes]))
	}
	return plain, centred
}

// HasOffset reports whether a picture's logits share an offset that makes RelL2 a good deal smaller than Centred,
// as those of networks with a thousand classes do. Without one the two are the same, and only one gate is meant.
func HasOffset(plain, centred float64) bool { return centred >= 2*plain }

// MaxAbs returns the largest |got - want| and where it is; +Inf for a NaN or lengths that differ.
func MaxAbs[A, B Real](got []A, want []B) (worst float64, at int) {
	if len(got) != len(want) {
		return math.Inf(1), 0
	}
	for i, w := range want {
		d := math.Abs(float64(got[i]) - float64(w))
		if math.IsNaN(d) {
			return math.Inf(1), i
		}
		if d > worst {
			worst, at = d, i
		}
	}
	return worst, at
}

// ArgMax returns the index of the largest value, the first of equals.
func ArgMax[A Real](v []A) int {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return best
}
