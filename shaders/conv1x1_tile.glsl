// The inner loop of a 1×1 convolution: ROWS rows of one image times eight columns. Columns and the loop
// over K are uniform over the workgroup, so weights load once for all lanes.
// Wants: types.glsl, buffers x (READ4, [rows][k4]) and w (vec4, [k][n4]), and GATE_AT(i), four of the gates
// [images][k4] as vec4.
const uint ROWS = 8u;

void multiplyTile(in uint rowAt[ROWS], uint gateAt, uint k4, uint n4, uint col4, bool gated, out vec4 acc[ROWS][2]) {
  for (uint r = 0u; r < ROWS; r++) {
    acc[r][0] = vec4(0.0);
    acc[r][1] = vec4(0.0);
  }
  for (uint k = 0u; k < k4; k++) {
    vec4 a[ROWS];
    for (uint r = 0u; r < ROWS; r++) a[r] = LOAD4(x[rowAt[r] + k]);
    if (gated) {
      vec4 g = GATE_AT(gateAt + k);
      for (uint r = 0u; r < ROWS; r++) a[r] *= g;
    }
    // Four products are summed before they meet the accumulator, which so is rounded a quarter as often:
    // a third less error at the logits.
    uint wAt = k * 4u * n4 + col4;
    vec4 w0 = w[wAt], w1 = w[wAt + 1u];
    vec4 sum[ROWS][2];
    for (uint r = 0u; r < ROWS; r++) {
      sum[r][0] = a[r][0] * w0;
      sum[r][1] = a[r][0] * w1;
    }
    for (uint j = 1u; j < 4u; j++) {
      w0 = w[wAt + j * n4];
      w1 = w[wAt + j * n4 + 1u];
      for (uint r = 0u; r < ROWS; r++) {
        sum[r][0] += a[r][j] * w0;
        sum[r][1] += a[r][j] * w1;
      }
    }
    for (uint r = 0u; r < ROWS; r++) {
      acc[r][0] += sum[r][0];
      acc[r][1] += sum[r][1];
    }
  }
}
