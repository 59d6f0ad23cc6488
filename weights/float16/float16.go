// Package float16 converts between float32 and IEEE 754 binary16, the "half" of checkpoints and of 16-bit
// storage on devices.
package float16

import "math"

// ToFloat32 converts an IEEE 754 binary16 value, exactly: subnormals, signed zeros,
// infinities and NaN payloads included.
func ToFloat32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp := uint32(h>>10) & 0x1f
	frac := uint32(h & 0x3ff)
	switch {
	case exp == 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	case exp != 0:
		return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
	default: // zero or subnormal: frac * 2^-24, exact in float32
		f := float32(frac) * 0x1p-24
		return math.Float32frombits(sign | math.Float32bits(f))
	}
}

// FromFloat32 converts to IEEE 754 binary16, rounding to nearest, ties to even: what lies
// beyond the largest half by half a step or more becomes an infinity, what is below the smallest
// subnormal a signed zero. A NaN keeps its sign and the upper bits of its payload, and stays a NaN.
func FromFloat32(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>16) & 0x8000
	abs := b & 0x7fffffff
	switch {
	case abs > 0x7f800000: // NaN
		h := uint16(abs>>13) & 0x3ff
		if h == 0 {
			h = 0x200 // the payload lay in the lost bits alone
		}
		return sign | 0x7c00 | h
	case abs >= 0x477ff000: // at least 65520, halfway from the largest half to 2^16
		return sign | 0x7c00
	case abs >= 0x38800000: // at least 2^-14: normal
		// Adding half a step less one, plus the bit that will be last, rounds ties to even; a
		// carry runs into the exponent as it should.
		abs += 0xfff + abs>>13&1
		return sign | uint16(abs>>13-112<<10)
	default: // subnormal or zero: adding 0.5 makes the hardware round at 2^-24
		v := math.Float32frombits(abs) + 0.5
		return sign | uint16(math.Float32bits(v)-math.Float32bits(0.5))
	}
}
