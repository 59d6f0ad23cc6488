#version 450
// A linear layer: y = x·w + bias for every image. One workgroup computes eight outputs of one image;
// its lanes share the sum over K and their parts are added in a fixed order. Groups: (N/8, batch, 1).
layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 0) const uint LANES = 32;

layout(push_constant) uniform Push {
  uint batch;
  uint k4;   // inputs, padded, in vec4
  uint n4;   // outputs, padded, in vec4
} p;

layout(std430, binding = 0) readonly buffer X { vec4 x[]; };          // [batch][k4]
layout(std430, binding = 1) readonly buffer W { vec4 w[]; };          // [4·k4][n4]
layout(std430, binding = 2) readonly buffer B { vec4 bias[]; };       // [n4]
layout(std430, binding = 3) writeonly buffer Y { vec4 y[]; };         // [batch][n4]

shared vec4 parts[LANES][2];

void main() {
  uint lane = gl_LocalInvocationID.x;
  uint col4 = gl_WorkGroupID.x * 2u;
  uint image = gl_WorkGroupID.y;
  vec4 acc0 = vec4(0.0), acc1 = vec4(0.0);
  for (uint k = lane; k < p.k4; k += LANES) {
    vec4 a = x[image * p.k4 + k];
    for (uint j = 0u; j < 4u; j++) {
      uint wAt = (k * 4u + j) * p.n4 + col4;
      acc0 += a[j] * w[wAt];
      acc1 += a[j] * w[wAt + 1u];
    }
  }
  parts[lane][0] = acc0;
  parts[lane][1] = acc1;
  barrier();
  if (lane < 2u) {
    vec4 sum = bias[col4 + lane];
    for (uint i = 0u; i < LANES; i++) sum += parts[i][lane];
    y[image * p.n4 + col4 + lane] = sum;
  }
}
