#version 450
// For tests: the sum over all pixels, times a weight per channel. SPILL more words are written after the
// result, and with SPIN each lane counts that long first.
layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 0) const uint LANES = 64;
layout(constant_id = 3) const uint SPILL = 0;
layout(constant_id = 4) const uint SPIN = 0;

layout(push_constant) uniform Push { uint batch, channels, pixels; } p;

layout(std430, binding = 0) readonly buffer X { float x[]; };
layout(binding = 1) uniform samplerBuffer w;  // four channels to a texel
layout(std430, binding = 2) buffer Y { float y[]; };

void main() {
  uint i = gl_WorkGroupID.x * LANES + gl_LocalInvocationID.x;
  uint padded = (p.channels + 7u) / 8u * 8u;
  uint total = p.batch * padded;
  if (i >= total + SPILL) return;
  if (i >= total) {
    y[i] = 7.0;
    return;
  }
  uint spun = i;
  for (uint k = 0u; k < SPIN; k++) {  // xorshift: no compiler finds its closed form
    spun ^= spun << 13;
    spun ^= spun >> 17;
    spun ^= (spun << 5) + k;
  }
  uint c = i % padded, image = i / padded;
  float sum = spun == 12345u && SPIN > 0u ? 1.0 : 0.0; // so that the loop is not dropped
  for (uint q = 0u; q < p.pixels; q++) sum += x[(image * p.pixels + q) * padded + c];
  y[i] = sum * texelFetch(w, int(c / 4u))[c % 4u];
}
