#version 450
// One pass of Pillow's 8-bit resampling, in integers, so that it is the same bits everywhere: every byte is a weighted sum
// of a run of bytes, with weights scaled by 2²², rounded and cut to 0 … 255 (netplan/preprocess/resample.go). The first pass
// goes along the rows of a picture's part and writes rows, the second (VERTICAL) along their columns and writes the
// picture, with zeros around it where it is smaller. Each lane writes a word, four bytes.
// A part is what preprocess.PackPart made: a header of 16 words (HEADER_…), the taps and the pixels.
// Groups: (ceil(words to write / lanes), batch, 1).
layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 3) const bool VERTICAL = false;

layout(push_constant) uniform Push {
  uint batch;
  uint size;       // side of the picture in pixels
  uint partWords;  // from one image's part to the next
  uint rowsWords;  // from one image's rows to the next
  uint outWords;   // to write for an image
} p;

layout(std430, binding = 0) readonly buffer P { uint part[]; };   // [batch][partWords]
layout(std430, binding = 1) readonly buffer R { uint rows[]; };   // [batch][rowsWords]; read where VERTICAL is on
layout(std430, binding = 2) writeonly buffer Y { uint y[]; };     // [batch][outWords]

const uint HEADER_ROWS = 0u;       // rows of pixels
const uint HEADER_ROW_BYTES = 1u;  // bytes of one
const uint HEADER_PIXELS = 2u;     // where they begin, in words
const uint HEADER_AXES = 4u;       // of x and y five words each: pad, n, taps, weights, width
const uint PAD = 0u, N = 1u, TAPS = 2u, WEIGHTS = 3u, WIDTH = 4u;

uint axis(uint at, uint field) { return part[at + HEADER_AXES + (VERTICAL ? 5u : 0u) + field]; }

// sumTaps is one byte: output i of the axis, of the bytes at first + step·k of part or rows.
uint sumTaps(uint at, uint i, uint base, uint first, uint step) {
  uint taps = at + axis(at, TAPS) + 2u * i;
  uint from = part[taps], count = part[taps + 1u];
  uint weights = at + axis(at, WEIGHTS) + i * axis(at, WIDTH);
  int sum = 1 << 21;
  for (uint k = 0u; k < count; k++) {
    uint byteAt = first + (from + k) * step;
    uint word = VERTICAL ? rows[base + byteAt / 4u] : part[base + byteAt / 4u];
    sum += int(part[weights + k]) * int(word >> (byteAt % 4u * 8u) & 255u);
  }
  return uint(clamp(sum >> 22, 0, 255));
}

void main() {
  uint image = gl_WorkGroupID.y;
  uint word = gl_GlobalInvocationID.x;
  uint at = image * p.partWords;
  uint pitch = (3u * p.size + 3u) / 4u;  // words of a row in rows
  if (word >= p.outWords || !VERTICAL && word / pitch >= part[at + HEADER_ROWS]) return;
  uint bytes = 0u;
  for (uint j = 0u; j < 4u; j++) {
    uint i, byteAt, value = 0u;
    if (VERTICAL) {
      byteAt = 4u * word + j;
      uint column = byteAt % (3u * p.size) / 3u - part[at + HEADER_AXES + PAD];  // beyond all where it is before the first
      i = byteAt / (3u * p.size) - axis(at, PAD);
      if (i < axis(at, N) && column < part[at + HEADER_AXES + N])
        value = sumTaps(at, i, image * p.rowsWords, 3u * column + byteAt % 3u, 4u * pitch);
    } else {
      byteAt = word % pitch * 4u + j;
      i = byteAt / 3u;
      if (i < axis(at, N))
        value = sumTaps(at, i, at + part[at + HEADER_PIXELS], word / pitch * part[at + HEADER_ROW_BYTES] + byteAt % 3u, 3u);
    }
    bytes |= value << (8u * j);
  }
  y[image * p.outWords + word] = bytes;
}
