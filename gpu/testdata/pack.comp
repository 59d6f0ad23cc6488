#version 450
// For tests: multiplies by FACTOR while turning NCHW into rows of channels padded to 8 with zeros.
layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 0) const uint LANES = 64;
layout(constant_id = 3) const uint FACTOR = 1;

layout(push_constant) uniform Push { uint batch, channels, pixels; } p;

layout(std430, binding = 0) readonly buffer X { float x[]; };
layout(std430, binding = 1) writeonly buffer Y { float y[]; };

void main() {
  uint i = gl_WorkGroupID.x * LANES + gl_LocalInvocationID.x;
  uint padded = (p.channels + 7u) / 8u * 8u;
  if (i >= p.batch * p.pixels * padded) return;
  uint c = i % padded, pixel = i / padded % p.pixels, image = i / padded / p.pixels;
  y[i] = c < p.channels ? float(FACTOR) * x[(image * p.channels + c) * p.pixels + pixel] : 0.0;
}
