#version 450
// A 1×1 convolution as a matrix product, like conv1x1.comp, for devices with many lanes: a workgroup computes a tile by
// way of shared memory (conv1x1_shared.glsl). The rows of all images are one after the other, so that only the batch's
// last tile is ragged. Groups: (ceil(batch·pixels / TILE_ROWS) · ceil(N/(4·TILE_COLS4)), 1, 1), columns first: tiles of
// the same rows run at about the same time and share them in the cache.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "types.glsl"
#include "activation.glsl"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 0) const uint LANES = 128;
layout(constant_id = 3) const uint ACT = 0;
layout(constant_id = 4) const bool GATE = false;
layout(constant_id = 5) const bool RESIDUAL = false;
layout(constant_id = 6) const uint COL_LANES = 8;  // a power of two, as LANES and SLAB4
layout(constant_id = 7) const uint ROWS = 8;
layout(constant_id = 8) const uint COLS4 = 2;
layout(constant_id = 9) const uint SLAB4 = 4;      // ROWS·SLAB4 is a multiple of COL_LANES

layout(push_constant) uniform Push {
  uint batch;
  uint pixels;     // of one image
  uint k4;         // input channels, padded, in vec4
  uint n4;         // output channels, padded, in vec4
} p;

READS4(0, X, x);                                                 // [batch][pixels][k4]
READS_FLOAT4(1, W, w);                                           // [4·k4][n4]
READS_FLOAT4(2, B, bias);                                        // [n4]
layout(std430, binding = 3) writeonly buffer Y { WRITE4 y[]; };  // [batch][pixels][n4]
READS_FLOAT4(4, G, gate);                                        // [batch][k4]; not read where GATE is off
READS4(5, R, residual);                                          // [batch][pixels][n4]; not read where RESIDUAL is off

#define GATE_AT(i) FLOAT4(gate, i)
#include "conv1x1_shared.glsl"

void main() {
  uint tilesAcross = (p.n4 + TILE_COLS4 - 1u) / TILE_COLS4;
  uint row0 = gl_WorkGroupID.x / tilesAcross * TILE_ROWS;
  uint col0 = gl_WorkGroupID.x % tilesAcross * TILE_COLS4;
  uint rows = p.batch * p.pixels;
  vec4 acc[ROWS][COLS4];
  multiplyShared(row0, rows, p.pixels, p.k4, p.n4, col0, GATE, acc);
  [[unroll]] for (uint c = 0u; c < COLS4; c++) {
    uint col4 = col0 + c * COL_LANES + colLane();
    vec4 b = FLOAT4(bias, min(col4, p.n4 - 1u));
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
      uint row = row0 + r * ROW_LANES + rowLane();
      if (row < rows && col4 < p.n4) {
        uint at = row * p.n4 + col4;
        vec4 v = activate(acc[r][c] + b, ACT);
        if (RESIDUAL) v += LOAD4(residual, at);
        y[at] = STORE4(v);
      }
    }
  }
}
