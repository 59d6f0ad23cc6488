// The inner loop of a 1×1 convolution: ROWS rows of one image times COLS4 groups of four columns. Columns and the
// loop over K are uniform over the workgroup: some drivers load weights once for all lanes.
// Wants: types.glsl, ROWS, COLS4, buffers x (READS4, [rows][k4]) and w (READS_FLOAT4, [k][n4]), and GATE_AT(i), four of the
// gates [images][k4] as vec4.

// rowAt are indexes into x. Columns beyond the last are computed from the last, and mean nothing.
void multiplyTile(in uint rowAt[ROWS], uint gateAt, uint k4, uint n4, uint col4, bool gated, out vec4 acc[ROWS][COLS4]) {
  for (uint r = 0u; r < ROWS; r++)
    for (uint c = 0u; c < COLS4; c++) acc[r][c] = vec4(0.0);
  for (uint k = 0u; k < k4; k++) {
    vec4 a[ROWS];
    for (uint r = 0u; r < ROWS; r++) a[r] = LOAD4(x, rowAt[r] + k);
    if (gated) {
      vec4 g = GATE_AT(gateAt + k);
      for (uint r = 0u; r < ROWS; r++) a[r] *= g;
    }
    [[unroll]] for (uint c = 0u; c < COLS4; c++) {
      uint wAt = k * 4u * n4 + min(col4 + c, n4 - 1u);
      vec4 w0 = FLOAT4(w, wAt), w1 = FLOAT4(w, wAt + n4), w2 = FLOAT4(w, wAt + 2u * n4), w3 = FLOAT4(w, wAt + 3u * n4);
      [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        // Four products are summed before they meet the accumulator, which so is rounded a quarter as often:
        // a third less error at the logits.
        vec4 sum = a[r][0] * w0;
        sum += a[r][1] * w1;
        sum += a[r][2] * w2;
        sum += a[r][3] * w3;
        acc[r][c] += sum;
      }
    }
  }
}
