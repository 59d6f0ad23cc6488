#version 450
// A depthwise K×K convolution, NHWC8, with bias and activation; where POOL is on it also writes the
// sums of its results, one row of sums per workgroup ("tile"), for squeeze-and-excitation.
// Lanes: x over groups of four channels, y over patches of HEIGHT by STRIP output pixels, of which each computes
// PATCHES, one for all but huge maps: a patch's part of an input row is read once for all of its output rows. Loads are
// unconditional, from the nearest place there is, and what lies outside is set to zero afterwards: under a
// condition, or in a loop that is not unrolled, some drivers load lane by lane.
// Groups: (ceil(channels4 / lanes x), tiles, batch).
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "types.glsl"
#include "activation.glsl"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 0) const uint LANES_X = 8;
layout(constant_id = 1) const uint LANES_Y = 8;
layout(constant_id = 3) const uint KERNEL = 3;
layout(constant_id = 4) const uint STRIDE = 1;
layout(constant_id = 5) const uint ACT = 1;
layout(constant_id = 6) const bool POOL = true;
layout(constant_id = 7) const uint HEIGHT = 2;
layout(constant_id = 8) const uint PATCHES = 1;

layout(push_constant) uniform Push {
  uint batch;
  uint height, width;        // input
  uint outHeight, outWidth;
  uint padTop, padLeft;
  uint channels4;            // padded, in vec4
  uint tiles;
} p;

READS4(0, X, x);                                                      // [batch][height][width][channels4]
READS_FLOAT4(1, W, w);                                                // [KERNEL][KERNEL][channels4]
READS_FLOAT4(2, B, bias);                                             // [channels4]
layout(std430, binding = 3) writeonly buffer Y { WRITE4 y[]; };       // [batch][outHeight][outWidth][channels4]
layout(std430, binding = 4) writeonly buffer S { vec4 tileSums[]; };  // [batch][tiles][channels4]; not written where POOL is off

const uint STRIP = 4u;
const uint WINDOW = (STRIP - 1u) * STRIDE + KERNEL;
const uint WINDOW_ROWS = (HEIGHT - 1u) * STRIDE + KERNEL;
shared vec4 sums[LANES_Y][LANES_X];

// computePatch computes a patch, stores it if it is any, and returns the sum of its results. A lane beyond the last
// channel or patch does the last one's work and keeps nothing of it.
vec4 computePatch(uint index, uint c4, uint image) {
  uint perRow = (p.outWidth + STRIP - 1u) / STRIP;
  uint patches = (p.outHeight + HEIGHT - 1u) / HEIGHT * perRow;
  bool any = index < patches && c4 < p.channels4;
  index = min(index, patches - 1u);
  c4 = min(c4, p.channels4 - 1u);
  int oy0 = int(index / perRow * HEIGHT), ox0 = int(index % perRow * STRIP);
  int iy0 = oy0 * int(STRIDE) - int(p.padTop), ix0 = ox0 * int(STRIDE) - int(p.padLeft);
  uint colAt[WINDOW];
  for (uint i = 0u; i < WINDOW; i++) colAt[i] = uint(clamp(ix0 + int(i), 0, int(p.width) - 1)) * p.channels4 + c4;
  vec4 acc[HEIGHT][STRIP];
  for (uint r = 0u; r < HEIGHT; r++)
    for (uint i = 0u; i < STRIP; i++) acc[r][i] = vec4(0.0);
  [[unroll]] for (uint wy = 0u; wy < WINDOW_ROWS; wy++) {
    int iy = iy0 + int(wy);
    bool rowIn = iy >= 0 && iy < int(p.height);
    uint rowAt = (image * p.height + uint(clamp(iy, 0, int(p.height) - 1))) * p.width * p.channels4;
    vec4 window[WINDOW];
    [[unroll]] for (uint i = 0u; i < WINDOW; i++) {
      int ix = ix0 + int(i);
      vec4 v = LOAD4(x, rowAt + colAt[i]);
      window[i] = rowIn && ix >= 0 && ix < int(p.width) ? v : vec4(0.0);
    }
    [[unroll]] for (uint r = 0u; r < HEIGHT; r++) {
      if (wy >= r * STRIDE && wy < r * STRIDE + KERNEL) {  // known when compiled
        [[unroll]] for (uint kx = 0u; kx < KERNEL; kx++) {
          vec4 wk = FLOAT4(w, ((wy - r * STRIDE) * KERNEL + kx) * p.channels4 + c4);
          [[unroll]] for (uint i = 0u; i < STRIP; i++) acc[r][i] += window[i * STRIDE + kx] * wk;
        }
      }
    }
  }
  vec4 b = FLOAT4(bias, c4), sum = vec4(0.0);
  [[unroll]] for (uint r = 0u; r < HEIGHT; r++) {
    uint outAt = ((image * p.outHeight + uint(oy0) + r) * p.outWidth + uint(ox0)) * p.channels4 + c4;
    [[unroll]] for (uint i = 0u; i < STRIP; i++) {
      vec4 v = activate(acc[r][i] + b, ACT);
      bool inside = any && uint(oy0) + r < p.outHeight && uint(ox0) + i < p.outWidth;
      if (inside) y[outAt + i * p.channels4] = STORE4(v);
      sum += inside ? v : vec4(0.0);
    }
  }
  return sum;
}

void main() {
  uint c4 = gl_GlobalInvocationID.x;
  uint tile = gl_WorkGroupID.y;
  uint image = gl_WorkGroupID.z;
  uint first = tile * PATCHES * LANES_Y + gl_LocalInvocationID.y;
  vec4 sum = computePatch(first, c4, image);
  // Not a loop of one turn, which some compilers leave a loop.
  if (PATCHES > 1u)
    for (uint i = 1u; i < PATCHES; i++) sum += computePatch(first + i * LANES_Y, c4, image);
  if (POOL) {
    sums[gl_LocalInvocationID.y][gl_LocalInvocationID.x] = sum;
    barrier();
    if (gl_LocalInvocationID.y == 0u && c4 < p.channels4) {
      sum = vec4(0.0);
      for (uint i = 0u; i < LANES_Y; i++) sum += sums[i][gl_LocalInvocationID.x];
      tileSums[(image * p.tiles + tile) * p.channels4 + c4] = sum;
    }
  }
}
