#version 450
// Squeeze-and-excitation's gate: the mean from the depthwise convolution's tile sums, a linear layer
// with SiLU down to `reduced` values, a linear layer with a sigmoid up again. One workgroup per image;
// every sum has a fixed order. Groups: (batch, 1, 1).
#extension GL_GOOGLE_include_directive : require
#include "types.glsl"
#include "activation.glsl"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 0) const uint LANES = 128;
layout(constant_id = 3) const uint CHANNEL_LANES = 128;  // lanes side by side that add up tiles; below LANES only where
                                                         // there are at least as many as channels4, and they are at most 256

layout(push_constant) uniform Push {
  uint batch;
  uint channels4;     // padded, in vec4; at most MAX_CHANNELS4
  uint reduced;       // at most MAX_REDUCED
  uint tiles;
  uint pixels;        // of the map the tiles sum
} p;

READS_FLOAT4(0, S, tileSums);                                  // [batch][tiles][channels4]
READS_FLOAT4(1, W1, w1);                                       // [reduced][channels4]
READS_FLOAT4(2, B1, b1);                                       // [reduced]
READS_FLOAT4(3, W2, w2);                                       // [reduced][channels4]
READS_FLOAT4(4, B2, b2);                                       // [channels4]
layout(std430, binding = 5) writeonly buffer Y { vec4 y[]; };  // [batch][channels4]

const uint MAX_CHANNELS4 = 832u;  // 3328 channels
const uint MAX_REDUCED = 128u;
const uint SPLIT = 16u;           // lanes that share one dot product
const uint PARTS = LANES / CHANNEL_LANES;  // of the tiles, each added up by other lanes

shared vec4 mean[MAX_CHANNELS4];  // and, before it is there, the parts' sums from CHANNEL_LANES on
shared float reducedValues[MAX_REDUCED];
shared float parts[LANES];

// sumTiles adds up every PARTS-th tile, in eight sums, so that none is long: rounding errors grow with length.
vec4 sumTiles(uint image, uint part, uint c) {
  vec4 total = vec4(0.0);
  for (uint i = part; i < 8u * PARTS; i += PARTS) {
    vec4 sum = vec4(0.0);
    for (uint t = i; t < p.tiles; t += 8u * PARTS) sum += FLOAT4(tileSums, (image * p.tiles + t) * p.channels4 + c);
    total += sum;
  }
  return total;
}

void main() {
  uint lane = gl_LocalInvocationID.x;
  uint image = gl_WorkGroupID.x;
  if (PARTS == 1u) {
    for (uint c = lane; c < p.channels4; c += LANES) mean[c] = sumTiles(image, 0u, c) / float(p.pixels);
  } else {
    uint part = lane / CHANNEL_LANES, c = lane % CHANNEL_LANES;
    vec4 sum = c < p.channels4 ? sumTiles(image, part, c) : vec4(0.0);
    mean[CHANNEL_LANES + lane] = sum;
    barrier();
    sum = vec4(0.0);
    for (uint i = 0u; i < PARTS; i++) sum += mean[CHANNEL_LANES + i * CHANNEL_LANES + c];
    barrier();
    if (part == 0u) mean[c] = sum / float(p.pixels);
  }
  barrier();
  for (uint r0 = 0u; r0 < p.reduced; r0 += LANES / SPLIT) {
    uint r = r0 + lane / SPLIT;
    float dotPart = 0.0;
    if (r < p.reduced)
      for (uint c = lane % SPLIT; c < p.channels4; c += SPLIT) dotPart += dot(mean[c], FLOAT4(w1, r * p.channels4 + c));
    parts[lane] = dotPart;
    barrier();
    if (lane < LANES / SPLIT && r0 + lane < p.reduced) {
      float sum = FLOAT4(b1, (r0 + lane) / 4u)[(r0 + lane) % 4u];
      for (uint i = 0u; i < SPLIT; i++) sum += parts[lane * SPLIT + i];
      reducedValues[r0 + lane] = sum / (1.0 + exp(-sum));
    }
    barrier();
  }
  for (uint c = lane; c < p.channels4; c += LANES) {
    vec4 sum = FLOAT4(b2, c);
    for (uint r = 0u; r < p.reduced; r++) sum += reducedValues[r] * FLOAT4(w2, r * p.channels4 + c);
    y[image * p.channels4 + c] = sigmoid(sum);
  }
}
