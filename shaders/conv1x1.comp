#version 450
// A 1×1 convolution as a matrix product: x [batch·pixels][K] times w [K][N], NHWC8 in and out.
// Prologue: the squeeze-and-excitation gate multiplies x. Epilogue: bias, activation, residual.
// One lane computes ROWS rows of one image times 4·COLS4 columns.
// Groups: (ceil(batch·ceil(pixels/ROWS) / lanes), ceil(N/(4·COLS4)), 1).
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#if defined(TEXEL)
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "types.glsl"
#include "activation.glsl"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 3) const uint ACT = 0;
layout(constant_id = 4) const bool GATE = false;
layout(constant_id = 5) const bool RESIDUAL = false;
layout(constant_id = 6) const uint COLS4 = 4;
layout(constant_id = 7) const uint ROWS = 8;
#if defined(TEXEL)
layout(constant_id = 8) const uint SUBGROUP = 8;
#endif

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
#include "conv1x1_tile.glsl"

void main() {
  uint tiles = (p.pixels + ROWS - 1u) / ROWS;  // of one image: the rows of a lane belong to one
  uint lane = gl_GlobalInvocationID.x;
  if (FIRST_LANE(lane) / tiles >= p.batch) return;
  uint image = min(lane / tiles, p.batch - 1u);
  uint pixel0 = lane % tiles * ROWS;
  uint col4 = gl_WorkGroupID.y * COLS4;
  uint row0 = image * p.pixels;
  uint rowAt[ROWS];
  // The last tile of an image reads its last row again and does not store it.
  for (uint r = 0u; r < ROWS; r++) rowAt[r] = (row0 + min(pixel0 + r, p.pixels - 1u)) * p.k4;
  vec4 acc[ROWS][COLS4];
  multiplyTile(rowAt, image * p.k4, p.k4, p.n4, col4, GATE, acc);
  if (lane / tiles >= p.batch) return;
  for (uint c = 0u; c < COLS4; c++) {
    if (col4 + c >= p.n4) break;
    vec4 b = FLOAT4(bias, col4 + c);
    for (uint r = 0u; r < ROWS; r++) {
      if (pixel0 + r >= p.pixels) break;
      uint at = (row0 + pixel0 + r) * p.n4 + col4 + c;
      vec4 v = activate(acc[r][c] + b, ACT);
      if (RESIDUAL) v += LOAD4(residual, at);
      y[at] = STORE4(v);
    }
  }
}
