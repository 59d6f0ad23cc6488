// The inner loop of a 1×1 convolution: ROWS rows of x times eight columns of w. Columns and the loop
// over K are uniform over the workgroup, so weights load once for all lanes.
// Wants: buffers x (vec4, [rows][k4]) and w (vec4, [k][n4]).
const uint ROWS = 4u;

void multiplyTile(in uint rowAt[ROWS], in uint gateAt[ROWS], uint k4, uint n4, uint col4, bool gated, out vec4 acc[ROWS][2]) {
  for (uint r = 0u; r < ROWS; r++) {
    acc[r][0] = vec4(0.0);
    acc[r][1] = vec4(0.0);
  }
  for (uint k = 0u; k < k4; k++) {
    vec4 a[ROWS];
    for (uint r = 0u; r < ROWS; r++) {
      a[r] = x[rowAt[r] + k];
      if (gated) a[r] *= gate[gateAt[r] + k];
    }
    uint wAt = k * 4u * n4 + col4;
    for (uint j = 0u; j < 4u; j++) {
      vec4 w0 = w[wAt + j * n4], w1 = w[wAt + j * n4 + 1u];
      for (uint r = 0u; r < ROWS; r++) {
        acc[r][0] += a[r][j] * w0;
        acc[r][1] += a[r][j] * w1;
      }
    }
  }
}
