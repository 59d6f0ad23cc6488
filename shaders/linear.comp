#version 450
// A linear layer: y = x·w + bias for every image. One workgroup computes eight outputs of IMAGES images, for which it
// reads the weights once; its lanes share the sum over K and their parts are added in a fixed order.
// Groups: (N/8, ceil(batch/IMAGES), 1).
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "types.glsl"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 0) const uint LANES = 32;  // at least 2·IMAGES
layout(constant_id = 3) const uint IMAGES = 1;

layout(push_constant) uniform Push {
  uint batch;
  uint k4;   // inputs, padded, in vec4
  uint n4;   // outputs, padded, in vec4
} p;

READS_FLOAT4(0, X, x);                                         // [batch][k4]
READS_FLOAT4(1, W, w);                                         // [4·k4][n4]
READS_FLOAT4(2, B, bias);                                      // [n4]
layout(std430, binding = 3) writeonly buffer Y { vec4 y[]; };  // [batch][n4]

shared vec4 parts[LANES][2u * IMAGES];

void main() {
  uint lane = gl_LocalInvocationID.x;
  uint col4 = gl_WorkGroupID.x * 2u;
  uint image0 = gl_WorkGroupID.y * IMAGES;
  // Images beyond the last do the last one's work, and keep nothing of it.
  uint xAt[IMAGES];
  vec4 acc[2u * IMAGES];
  [[unroll]] for (uint i = 0u; i < IMAGES; i++) {
    xAt[i] = min(image0 + i, p.batch - 1u) * p.k4;
    acc[2u * i] = vec4(0.0);
    acc[2u * i + 1u] = vec4(0.0);
  }
  for (uint k = lane; k < p.k4; k += LANES) {
    vec4 a[IMAGES];
    [[unroll]] for (uint i = 0u; i < IMAGES; i++) a[i] = FLOAT4(x, xAt[i] + k);
    for (uint j = 0u; j < 4u; j++) {
      uint wAt = (k * 4u + j) * p.n4 + col4;
      vec4 w0 = FLOAT4(w, wAt), w1 = FLOAT4(w, wAt + 1u);
      [[unroll]] for (uint i = 0u; i < IMAGES; i++) {
        acc[2u * i] += a[i][j] * w0;
        acc[2u * i + 1u] += a[i][j] * w1;
      }
    }
  }
  [[unroll]] for (uint i = 0u; i < 2u * IMAGES; i++) parts[lane][i] = acc[i];
  barrier();
  if (lane < 2u * IMAGES && image0 + lane / 2u < p.batch) {
    vec4 sum = FLOAT4(bias, col4 + lane % 2u);
    for (uint i = 0u; i < LANES; i++) sum += parts[i][lane];
    y[(image0 + lane / 2u) * p.n4 + col4 + lane % 2u] = sum;
  }
}
