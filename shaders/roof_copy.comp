#version 450
// Measures how fast kernels can move memory: y = x + i. Adding the index keeps the memory from holding one
// repeated value, which some hardware stores and moves in fewer bytes.
// Each lane copies PER vectors, its neighbours' beside its own. Groups: (n4 / (lanes·PER), 1, 1).
layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 0) const uint LANES = 128;
layout(constant_id = 3) const uint PER = 4;

layout(push_constant) uniform Push {
  uint batch;
  uint n4;   // vectors of an image, a multiple of LANES·PER
} p;

layout(std430, binding = 0) readonly buffer X { uvec4 x[]; };   // [batch][n4]
layout(std430, binding = 1) writeonly buffer Y { uvec4 y[]; };  // [batch][n4]

void main() {
  uint first = gl_WorkGroupID.x * LANES * PER + gl_LocalInvocationID.x;
  if (gl_WorkGroupID.x * LANES * PER >= p.batch * p.n4) return;
  uvec4 v[PER];
  for (uint i = 0u; i < PER; i++) v[i] = x[first + i * LANES];
  for (uint i = 0u; i < PER; i++) y[first + i * LANES] = v[i] + first;
}
