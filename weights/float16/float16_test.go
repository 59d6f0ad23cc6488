package float16

import (
	"math"
	"math/rand/v2"
	"testing"
)

// halfValue is the definition of binary16, apart from NaN.
func halfValue(h uint16) float64 {
	sign := 1.0
	if h&0x8000 != 0 {
		sign = -1
	}
	exp, frac := int(h>>10&0x1f), float64(h&0x3ff)
	switch exp {
	case 0x1f:
		return math.Inf(int(sign))
	case 0:
		return sign * math.Ldexp(frac, -24)
	}
	return sign * math.Ldexp(1024+frac, exp-25)
}

func isNaNHalf(h uint16) bool { return h&0x7c00 == 0x7c00 && h&0x3ff != 0 }

func TestRoundTripOfAllValues(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		f := ToFloat32(h)
		if isNaNHalf(h) {
			if f == f {
				t.Fatalf("%#04x is %v, want NaN", h, f)
			}
		} else if float64(f) != halfValue(h) || math.Signbit(float64(f)) != (h&0x8000 != 0) {
			t.Fatalf("%#04x is %v, want %v", h, f, halfValue(h))
		}
		if back := FromFloat32(f); back != h {
			t.Fatalf("%#04x becomes %v becomes %#04x", h, f, back)
		}
	}
}

// Between every two neighbours: the midpoint goes to the even one, its neighbours in float32 to the nearer.
func TestFromFloat32AtEveryTie(t *testing.T) {
	for i := range 0x7c00 {
		lo, hi := uint16(i), uint16(i+1)
		a, b := halfValue(lo), halfValue(hi)
		if hi == 0x7c00 {
			b = 65536 // as if the exponent went on
		}
		mid := float32((a + b) / 2)
		if float64(mid) != (a+b)/2 {
			t.Fatalf("the midpoint of %v and %v is not a float32", a, b)
		}
		even := lo
		if lo&1 == 1 {
			even = hi
		}
		for _, c := range []struct {
			f    float32
			want uint16
		}{{mid, even}, {math.Nextafter32(mid, 0), lo}, {math.Nextafter32(mid, math.MaxFloat32), hi}} {
			if got := FromFloat32(c.f); got != c.want {
				t.Fatalf("%v: %#04x, want %#04x", c.f, got, c.want)
			}
			if got := FromFloat32(-c.f); got != c.want|0x8000 {
				t.Fatalf("%v: %#04x, want %#04x", -c.f, got, c.want|0x8000)
			}
		}
	}
}

func TestFromFloat32Specials(t *testing.T) {
	for _, c := range []struct {
		bits uint32
		want uint16
	}{
		{0x7f800000, 0x7c00}, {0xff800000, 0xfc00}, // infinities
		{0x7fc00000, 0x7e00}, {0xffc00000, 0xfe00}, // quiet NaN
		{0x7f800001, 0x7e00}, {0x7f802000, 0x7c01}, // NaN with a payload in the lost bits alone, and above
		{0x00000001, 0}, {0x80000001, 0x8000}, // the smallest float32 subnormal
		{0x33000000, 0}, {0x33000001, 1}, // 2^-25 and just above
		{math.Float32bits(65519.996), 0x7bff}, {math.Float32bits(65520), 0x7c00},
		{math.Float32bits(math.MaxFloat32), 0x7c00},
	} {
		if got := FromFloat32(math.Float32frombits(c.bits)); got != c.want {
			t.Errorf("%#08x: %#04x, want %#04x", c.bits, got, c.want)
		}
	}
}

func TestFromFloat32IsNearest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		f := math.Float32frombits(rng.Uint32())
		if f != f || math.Abs(float64(f)) >= 65520 {
			continue
		}
		h := FromFloat32(f)
		miss := math.Abs(halfValue(h) - float64(f))
		for _, n := range []uint16{h - 1, h + 1} {
			if n&0x7c00 != 0x7c00 && n&0x8000 == h&0x8000 && math.Abs(halfValue(n)-float64(f)) < miss {
				t.Fatalf("%v: %#04x (%v), but %v is nearer", f, h, halfValue(h), halfValue(n))
			}
		}
	}
}
