#version 450
// Measures how fast kernels can multiply and add: every lane keeps CHAINS independent vectors of four sums
// and does v = v·a + b on each of them TURNS times, in float32, or in float16 where F16 is defined.
// That is 2·4·CHAINS·TURNS operations a lane. Groups: (batch·groups, 1, 1).
#ifdef F16
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define VEC f16vec4
#define SCALAR float16_t
#else
#define VEC vec4
#define SCALAR float
#endif

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 3) const uint TURNS = 256;

const uint CHAINS = 8;

layout(push_constant) uniform Push { uint batch; } p;

layout(std430, binding = 0) readonly buffer X { float x[]; };   // a, b: unknown to the compiler
layout(std430, binding = 1) writeonly buffer Y { vec4 y[]; };   // never written: no sum is that large

void main() {
  VEC a = VEC(SCALAR(x[0])), b = VEC(SCALAR(x[1]));
  VEC v[CHAINS];
  // All different, or one would do for several.
  for (uint i = 0u; i < CHAINS; i++) v[i] = VEC(0.0, 0.25, 0.5, 0.75) + VEC(SCALAR(gl_LocalInvocationID.x) * SCALAR(0.001) + SCALAR(i));
  for (uint t = 0u; t < TURNS; t++) {
    v[0] = v[0] * a + b;
    v[1] = v[1] * a + b;
    v[2] = v[2] * a + b;
    v[3] = v[3] * a + b;
    v[4] = v[4] * a + b;
    v[5] = v[5] * a + b;
    v[6] = v[6] * a + b;
    v[7] = v[7] * a + b;
  }
  vec4 sum = vec4(0.0);
  for (uint i = 0u; i < CHAINS; i++) sum += vec4(v[i]);
  if (sum.x > 1e30) y[0] = sum; // keeps the loop alive
}
