#version 450
// The stem: a dense K×K convolution of three planes (NCHW) into NHWC8, with bias and activation.
// One lane computes eight channels of one output pixel; weights are uniform over the workgroup.
// Groups: (ceil(OH·OW / lanes), N/8, batch).
#extension GL_GOOGLE_include_directive : require
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
layout(std430, binding = 3) writeonly buffer Y { vec4 y[]; };       // [batch][outHeight][outWidth][channels4]

void main() {
  uint pixel = gl_GlobalInvocationID.x;
  uint c4 = gl_WorkGroupID.y * 2u;
  uint image = gl_WorkGroupID.z;
  if (pixel >= p.outHeight * p.outWidth) return;
  int oy = int(pixel / p.outWidth), ox = int(pixel % p.outWidth);
  int iy0 = oy * int(STRIDE) - int(p.padTop), ix0 = ox * int(STRIDE) - int(p.padLeft);
  uint plane = p.height * p.width;
  vec4 acc0 = vec4(0.0), acc1 = vec4(0.0);
  for (uint ky = 0u; ky < KERNEL; ky++) {
    int iy = iy0 + int(ky);
    bool rowInside = iy >= 0 && iy < int(p.height);
    for (uint kx = 0u; kx < KERNEL; kx++) {
      int ix = ix0 + int(kx);
      bool inside = rowInside && ix >= 0 && ix < int(p.width);
      uint at = image * 3u * plane + (inside ? uint(iy) * p.width + uint(ix) : 0u);
      uint wAt = (ky * KERNEL + kx) * 3u * p.channels4 + c4;
      for (uint c = 0u; c < 3u; c++) {
        float v = inside ? x[at + c * plane] : 0.0;
        acc0 += v * w[wAt + c * p.channels4];
        acc1 += v * w[wAt + c * p.channels4 + 1u];
      }
    }
  }
  uint out4 = (image * p.outHeight * p.outWidth + pixel) * p.channels4 + c4;
  y[out4] = activate(acc0 + bias[c4], ACT);
  y[out4 + 1u] = activate(acc1 + bias[c4 + 1u], ACT);
}
