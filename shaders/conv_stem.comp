#version 450
// The stem: a dense K×K convolution of three planes into NHWC8, with bias and activation. Its input is float32
// planes (NCHW) that are normalised already or, with PICTURES, pictures as they are decoded (8 bits, RGB, HWC),
// normalised here: a quarter of the bytes.
// One lane computes eight channels of STRIP output pixels in a row; weights are uniform over the workgroup.
// Loads are unconditional, from the nearest place there is, and what lies outside is set to zero afterwards:
// loads under a condition make some drivers go lane by lane.
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
#if defined(PICTURES)
  uint words;                        // of one picture
  float scaleR, scaleG, scaleB;      // a value is byte·scale + offset
  float offsetR, offsetG, offsetB;
#endif
} p;

#if defined(PICTURES)
READS_WORD(0, X, x);                                             // [batch][words]: height·width·3 bytes each
#else
READS_FLOAT(0, X, x);                                            // [batch][3][height][width]
#endif
READS_FLOAT4(1, W, w);                                           // [KERNEL][KERNEL][3][channels4]
READS_FLOAT4(2, B, bias);                                        // [channels4]
layout(std430, binding = 3) writeonly buffer Y { WRITE4 y[]; };  // [batch][outHeight][outWidth][channels4]

const uint STRIP = 4u;
const uint WINDOW = (STRIP - 1u) * STRIDE + KERNEL;

#if defined(PICTURES)
const uint WORDS = (WINDOW * 3u + 3u) / 4u;

// readWindow returns WINDOW pixels of row iy from column ix0 on. The words that cover them are read once and
// shifted, so that every byte has a fixed place.
void readWindow(uint image, int iy, int ix0, out float window[3][WINDOW]) {
  int at = (iy * int(p.width) + ix0) * 3;  // byte within the picture
  uint shift = uint(at & 3) * 8u;
  int word = at >> 2, last = int(p.words) - 1;
  uint raw[WORDS + 1u];
  for (uint i = 0u; i <= WORDS; i++) raw[i] = WORD1(x, image * p.words + uint(clamp(word + int(i), 0, last)));
  uint bytes[WORDS];
  for (uint i = 0u; i < WORDS; i++) bytes[i] = shift == 0u ? raw[i] : raw[i] >> shift | raw[i + 1u] << (32u - shift);
  for (uint i = 0u; i < WINDOW; i++) {
    for (uint c = 0u; c < 3u; c++) {
      float v = float(bytes[(i * 3u + c) / 4u] >> ((i * 3u + c) % 4u * 8u) & 255u);
      window[c][i] = v * (c == 0u ? p.scaleR : c == 1u ? p.scaleG : p.scaleB) + (c == 0u ? p.offsetR : c == 1u ? p.offsetG : p.offsetB);
    }
  }
}
#else
void readWindow(uint image, int iy, int ix0, out float window[3][WINDOW]) {
  for (uint c = 0u; c < 3u; c++) {
    uint rowAt = ((image * 3u + c) * p.height + uint(iy)) * p.width;
    for (uint i = 0u; i < WINDOW; i++) window[c][i] = FLOAT1(x, rowAt + uint(clamp(ix0 + int(i), 0, int(p.width) - 1)));
  }
}
#endif

void main() {
  uint perRow = (p.outWidth + STRIP - 1u) / STRIP;
  uint strip = gl_GlobalInvocationID.x;
  uint c4 = gl_WorkGroupID.y * 2u;
  uint image = gl_WorkGroupID.z;
  bool idle = strip >= p.outHeight * perRow;
  strip = idle ? 0u : strip;
  uint oy = strip / perRow, ox0 = strip % perRow * STRIP;
  int iy0 = int(oy * STRIDE) - int(p.padTop), ix0 = int(ox0 * STRIDE) - int(p.padLeft);
  vec4 acc[STRIP][2];
  for (uint i = 0u; i < STRIP; i++) {
    acc[i][0] = vec4(0.0);
    acc[i][1] = vec4(0.0);
  }
  for (uint ky = 0u; ky < KERNEL; ky++) {
    int iy = iy0 + int(ky);
    bool rowIn = iy >= 0 && iy < int(p.height);
    float window[3][WINDOW];  // the strip's part of the row, read once for all taps
    readWindow(image, clamp(iy, 0, int(p.height) - 1), ix0, window);
    for (uint i = 0u; i < WINDOW; i++) {
      int ix = ix0 + int(i);
      bool inside = rowIn && ix >= 0 && ix < int(p.width);
      for (uint c = 0u; c < 3u; c++) window[c][i] = inside ? window[c][i] : 0.0;
    }
    for (uint c = 0u; c < 3u; c++) {
      for (uint kx = 0u; kx < KERNEL; kx++) {
        uint wAt = ((ky * KERNEL + kx) * 3u + c) * p.channels4 + c4;
        vec4 w0 = FLOAT4(w, wAt), w1 = FLOAT4(w, wAt + 1u);
        for (uint i = 0u; i < STRIP; i++) {
          acc[i][0] += window[c][i * STRIDE + kx] * w0;
          acc[i][1] += window[c][i * STRIDE + kx] * w1;
        }
      }
    }
  }
  if (idle) return;
  vec4 b0 = FLOAT4(bias, c4), b1 = FLOAT4(bias, c4 + 1u);
  uint outAt = ((image * p.outHeight + oy) * p.outWidth + ox0) * p.channels4 + c4;
  for (uint i = 0u; i < STRIP; i++) {
    if (ox0 + i >= p.outWidth) break;
    y[outAt + i * p.channels4] = STORE4(activate(acc[i][0] + b0, ACT));
    y[outAt + i * p.channels4 + 1u] = STORE4(activate(acc[i][1] + b1, ACT));
  }
}
