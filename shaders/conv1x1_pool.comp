#version 450
// The head: a 1×1 convolution with bias and activation whose map is never stored, only its mean.
// One workgroup computes 4·COLS4 columns of one image; lanes share its rows, ROWS at a time, and their
// sums are added in a fixed order. Groups: (ceil(N/(4·COLS4)), batch, 1).
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#if defined(TEXEL)
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "types.glsl"
#include "activation.glsl"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 0) const uint LANES = 64;
layout(constant_id = 3) const uint ACT = 1;
layout(constant_id = 4) const uint COLS4 = 4;  // at most LANES
layout(constant_id = 5) const uint ROWS = 8;
#if defined(TEXEL)
layout(constant_id = 6) const uint SUBGROUP = 8;
#endif

layout(push_constant) uniform Push {
  uint batch;
  uint pixels;     // of one image
  uint k4;         // input channels, padded, in vec4
  uint n4;         // output channels, padded, in vec4
} p;

READS4(0, X, x);                                               // [batch][pixels][k4]
READS_FLOAT4(1, W, w);                                         // [4·k4][n4]
READS_FLOAT4(2, B, bias);                                      // [n4]
layout(std430, binding = 3) writeonly buffer Y { vec4 y[]; };  // [batch][n4]

#define GATE_AT(i) vec4(1.0)  // off
#include "conv1x1_tile.glsl"

shared vec4 sums[LANES][COLS4];

void main() {
  uint lane = gl_LocalInvocationID.x;
  uint col4 = gl_WorkGroupID.x * COLS4;
  uint image = gl_WorkGroupID.y;
  vec4 b[COLS4], sum[COLS4];
  for (uint c = 0u; c < COLS4; c++) {
    b[c] = FLOAT4(bias, min(col4 + c, p.n4 - 1u));
    sum[c] = vec4(0.0);
  }
  for (uint turn = 0u; turn + FIRST_LANE(lane) * ROWS < p.pixels; turn += LANES * ROWS) {
    uint row0 = turn + lane * ROWS;
    uint rowAt[ROWS];
    for (uint r = 0u; r < ROWS; r++) rowAt[r] = (image * p.pixels + min(row0 + r, p.pixels - 1u)) * p.k4;
    vec4 acc[ROWS][COLS4];
    multiplyTile(rowAt, 0u, p.k4, p.n4, col4, false, acc);
    for (uint r = 0u; r < ROWS; r++) {
      if (row0 + r >= p.pixels) break;
      for (uint c = 0u; c < COLS4; c++) sum[c] += activate(acc[r][c] + b[c], ACT);
    }
  }
  for (uint c = 0u; c < COLS4; c++) sums[lane][c] = sum[c];
  barrier();
  if (lane < COLS4 && col4 + lane < p.n4) {
    vec4 total = vec4(0.0);
    for (uint i = 0u; i < LANES; i++) total += sums[i][lane];
    y[image * p.n4 + col4 + lane] = total / float(p.pixels);
  }
}
