#version 450
// A depthwise K×K convolution, NHWC8, with bias and activation; where POOL is on it also writes the
// sums of its results, one row of sums per workgroup ("tile"), for squeeze-and-excitation.
// Lanes: x over groups of four channels, y over strips of STRIP output pixels in a row; every lane
// works on stripsPerLane strips, one after the other.
// Groups: (ceil(channels4 / lanes x), tiles, batch).
#extension GL_GOOGLE_include_directive : require
#include "types.glsl"
#include "activation.glsl"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 0) const uint LANES_X = 8;
layout(constant_id = 1) const uint LANES_Y = 8;
layout(constant_id = 3) const uint KERNEL = 3;
layout(constant_id = 4) const uint STRIDE = 1;
layout(constant_id = 5) const uint ACT = 1;
layout(constant_id = 6) const bool POOL = true;

layout(push_constant) uniform Push {
  uint batch;
  uint height, width;        // input
  uint outHeight, outWidth;
  uint padTop, padLeft;
  uint channels4;            // padded, in vec4
  uint stripsPerLane;
  uint tiles;
} p;

layout(std430, binding = 0) readonly buffer X { READ4 x[]; };         // [batch][height][width][channels4]
layout(std430, binding = 1) readonly buffer W { vec4 w[]; };          // [KERNEL][KERNEL][channels4]
layout(std430, binding = 2) readonly buffer B { vec4 bias[]; };       // [channels4]
layout(std430, binding = 3) writeonly buffer Y { WRITE4 y[]; };       // [batch][outHeight][outWidth][channels4]
layout(std430, binding = 4) writeonly buffer S { vec4 tileSums[]; };  // [batch][tiles][channels4]; not written where POOL is off

const uint STRIP = 4u;
const uint WINDOW = (STRIP - 1u) * STRIDE + KERNEL;
shared vec4 sums[LANES_Y][LANES_X];

// strip computes one strip and returns the sum of what it stored.
vec4 strip(uint index, uint c4, uint image) {
  uint perRow = (p.outWidth + STRIP - 1u) / STRIP;
  int oy = int(index / perRow), ox0 = int(index % perRow * STRIP);
  int iy0 = oy * int(STRIDE) - int(p.padTop), ix0 = ox0 * int(STRIDE) - int(p.padLeft);
  vec4 acc[STRIP];
  for (uint i = 0u; i < STRIP; i++) acc[i] = vec4(0.0);
  for (uint ky = 0u; ky < KERNEL; ky++) {
    int iy = iy0 + int(ky);
    if (iy < 0 || iy >= int(p.height)) continue;
    uint rowAt = ((image * p.height + uint(iy)) * p.width) * p.channels4 + c4;
    vec4 window[WINDOW];  // the strip's part of the row, read once for all taps
    for (uint i = 0u; i < WINDOW; i++) {
      int ix = ix0 + int(i);
      window[i] = ix >= 0 && ix < int(p.width) ? LOAD4(x[rowAt + uint(ix) * p.channels4]) : vec4(0.0);
    }
    for (uint kx = 0u; kx < KERNEL; kx++) {
      vec4 wk = w[(ky * KERNEL + kx) * p.channels4 + c4];
      for (uint i = 0u; i < STRIP; i++) acc[i] += window[i * STRIDE + kx] * wk;
    }
  }
  vec4 b = bias[c4], sum = vec4(0.0);
  uint outAt = ((image * p.outHeight + uint(oy)) * p.outWidth + uint(ox0)) * p.channels4 + c4;
  for (uint i = 0u; i < STRIP; i++) {
    if (uint(ox0) + i >= p.outWidth) break;
    vec4 v = activate(acc[i] + b, ACT);
    y[outAt + i * p.channels4] = STORE4(v);
    sum += v;
  }
  return sum;
}

void main() {
  uint c4 = gl_GlobalInvocationID.x;
  uint tile = gl_WorkGroupID.y;
  uint image = gl_WorkGroupID.z;
  uint strips = p.outHeight * ((p.outWidth + STRIP - 1u) / STRIP);
  vec4 sum = vec4(0.0);
  if (c4 < p.channels4) {
    for (uint i = 0u; i < p.stripsPerLane; i++) {
      uint index = (tile * p.stripsPerLane + i) * LANES_Y + gl_LocalInvocationID.y;
      if (index < strips) sum += strip(index, c4, image);
    }
  }
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
