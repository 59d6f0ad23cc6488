// Activations, per element. The order of operations is part of the numerical contract: see
// tests/conformance.

// Values of the ACT specialization constants: netplan's actCode.
const uint ACT_IDENTITY = 0u;
const uint ACT_SILU = 1u;
const uint ACT_SIGMOID = 2u;

// For x below -88 exp(-x) overflows to infinity and the quotient is zero, which is the right limit.
vec4 sigmoid(vec4 x) { return 1.0 / (1.0 + exp(-x)); }
vec4 silu(vec4 x) { return x / (1.0 + exp(-x)); }

vec4 activate(vec4 x, uint act) {
  if (act == ACT_SILU) return silu(x);
  if (act == ACT_SIGMOID) return sigmoid(x);
  return x;
}
