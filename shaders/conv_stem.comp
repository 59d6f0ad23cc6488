#version 450
// The stem: a dense K×K convolution of three planes (NCHW) into NHWC8, with bias and activation.
// One lane computes eight channels of STRIP output pixels in a row; weights are uniform over the workgroup.
// Groups: (ceil(OH·ceil(OW/STRIP) / lanes), N/8, batch).
#extension GL_GOOGLE_include_directive : require
#include "types.glsl"
#include "activation.glsl"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 3) const uint KERNEL = 3;
layout(constant_id = 4) const uint STRIDE = 2;
layout(constant_id = 5) const uint ACT = 1;

layout(push_constant) uniform Push {
  uint batch;
  uint height, width;       // input
  uint outHeight, outWidth;
  uint padTop, padLeft;
  uint channels4;           // output channels, padded, in vec4
} p;

layout(std430, binding = 0) readonly buffer X { float x[]; };       // [batch][3][height][width]
layout(std430, binding = 1) readonly buffer W { vec4 w[]; };        // [KERNEL][KERNEL][3][channels4]
layout(std430, binding = 2) readonly buffer B { vec4 bias[]; };     // [channels4]
layout(std430, binding = 3) writeonly buffer Y { WRITE4 y[]; };     // [batch][outHeight][outWidth][channels4]

const uint STRIP = 4u;
const uint WINDOW = (STRIP - 1u) * STRIDE + KERNEL;

void main() {
  uint perRow = (p.outWidth + STRIP - 1u) / STRIP;
  uint strip = gl_GlobalInvocationID.x;
  uint c4 = gl_WorkGroupID.y * 2u;
  uint image = gl_WorkGroupID.z;
  if (strip >= p.outHeight * perRow) return;
  uint oy = strip / perRow, ox0 = strip % perRow * STRIP;
  int iy0 = int(oy * STRIDE) - int(p.padTop), ix0 = int(ox0 * STRIDE) - int(p.padLeft);
  vec4 acc[STRIP][2];
  for (uint i = 0u; i < STRIP; i++) {
    acc[i][0] = vec4(0.0);
    acc[i][1] = vec4(0.0);
  }
  for (uint ky = 0u; ky < KERNEL; ky++) {
    int iy = iy0 + int(ky);
    if (iy < 0 || iy >= int(p.height)) continue;
    for (uint c = 0u; c < 3u; c++) {
      uint rowAt = ((image * 3u + c) * p.height + uint(iy)) * p.width;
      float window[WINDOW];  // the strip's part of the row, read once for all taps
      for (uint i = 0u; i < WINDOW; i++) {
        int ix = ix0 + int(i);
        window[i] = ix >= 0 && ix < int(p.width) ? x[rowAt + uint(ix)] : 0.0;
      }
      for (uint kx = 0u; kx < KERNEL; kx++) {
        uint wAt = ((ky * KERNEL + kx) * 3u + c) * p.channels4 + c4;
        vec4 w0 = w[wAt], w1 = w[wAt + 1u];
        for (uint i = 0u; i < STRIP; i++) {
          acc[i][0] += window[i * STRIDE + kx] * w0;
          acc[i][1] += window[i * STRIDE + kx] * w1;
        }
      }
    }
  }
  vec4 b0 = bias[c4], b1 = bias[c4 + 1u];
  uint outAt = ((image * p.outHeight + oy) * p.outWidth + ox0) * p.channels4 + c4;
  for (uint i = 0u; i < STRIP; i++) {
    if (ox0 + i >= p.outWidth) break;
    y[outAt + i * p.channels4] = STORE4(activate(acc[i][0] + b0, ACT));
    y[outAt + i * p.channels4 + 1u] = STORE4(activate(acc[i][1] + b1, ACT));
  }
}
