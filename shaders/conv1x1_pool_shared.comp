#version 450
// The head, like conv1x1_pool.comp, for devices with many lanes: a workgroup computes tiles by way of shared memory
// (conv1x1_shared.glsl), one below the other, and adds their results up in a fixed order.
// Groups: (ceil(N/(4·TILE_COLS4)), batch, 1).
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "types.glsl"
#include "activation.glsl"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 0) const uint LANES = 128;
layout(constant_id = 3) const uint ACT = 1;
layout(constant_id = 4) const uint COL_LANES = 8;  // a power of two, as LANES and SLAB4
layout(constant_id = 5) const uint ROWS = 4;
layout(constant_id = 6) const uint COLS4 = 2;      // at most ROWS, so that a row of lanes' sums fits into slabX
layout(constant_id = 7) const uint SLAB4 = 4;      // ROWS·SLAB4 is a multiple of COL_LANES

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
#include "conv1x1_shared.glsl"

void main() {
  uint lane = gl_LocalInvocationID.x;
  uint col0 = gl_WorkGroupID.x * TILE_COLS4;
  uint image = gl_WorkGroupID.y;
  vec4 b[COLS4], sum[COLS4];
  [[unroll]] for (uint c = 0u; c < COLS4; c++) {
    b[c] = FLOAT4(bias, min(col0 + c * COL_LANES + colLane(), p.n4 - 1u));
    sum[c] = vec4(0.0);
  }
  for (uint pixel0 = 0u; pixel0 < p.pixels; pixel0 += TILE_ROWS) {
    vec4 acc[ROWS][COLS4];
    multiplyShared(image * p.pixels + pixel0, (image + 1u) * p.pixels, p.pixels, p.k4, p.n4, col0, false, acc);
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
      if (pixel0 + r * ROW_LANES + rowLane() < p.pixels)
        [[unroll]] for (uint c = 0u; c < COLS4; c++) sum[c] += activate(acc[r][c] + b[c], ACT);
  }
  [[unroll]] for (uint c = 0u; c < COLS4; c++) slabX[rowLane() * TILE_COLS4 + c * COL_LANES + colLane()] = sum[c];
  barrier();
  if (lane < TILE_COLS4 && col0 + lane < p.n4) {
    vec4 total = vec4(0.0);
    for (uint i = 0u; i < ROW_LANES; i++) total += slabX[i * TILE_COLS4 + lane];
    y[image * p.n4 + col0 + lane] = total / float(p.pixels);
  }
}
