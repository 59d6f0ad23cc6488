// The inner loop of a 1×1 convolution: ROWS rows of one image times COLS4 groups of four columns. Columns and the
// loop over K are uniform over the workgroup: some drivers load weights once for all lanes.
//
// With TEXEL the lanes of a subgroup share that work: each fetches a part of the weights, and shuffles give all to all.
// All lanes of a subgroup must be in here together, and together go around the loop. FIRST_LANE is the first of them.
// Wants: types.glsl, ROWS, COLS4, SUBGROUP (the lanes of a subgroup, with TEXEL), buffers x (READS4, [rows][k4]) and w (READS_FLOAT4, [k][n4]), and GATE_AT(i), four of the
// gates [images][k4] as vec4.

#if defined(TEXEL)
#define FIRST_LANE(lane) (lane - gl_SubgroupInvocationID)
const uint WEIGHTS = 4u * COLS4;  // of four input channels
const uint PARTS = (WEIGHTS + SUBGROUP - 1u) / SUBGROUP;
#define WEIGHT(j, c) subgroupShuffle(part[(j * COLS4 + c) / SUBGROUP], (j * COLS4 + c) % SUBGROUP)
#else
#define FIRST_LANE(lane) (lane)
#define WEIGHT(j, c) FLOAT4(w, (k * 4u + j) * n4 + min(col4 + c, n4 - 1u))
#endif

// rowAt are indexes into x. Columns beyond the last are computed from the last, and mean nothing.
void multiplyTile(in uint rowAt[ROWS], uint gateAt, uint k4, uint n4, uint col4, bool gated, out vec4 acc[ROWS][COLS4]) {
  for (uint r = 0u; r < ROWS; r++)
    for (uint c = 0u; c < COLS4; c++) acc[r][c] = vec4(0.0);
#if defined(TEXEL)
  uint partAt[PARTS];
  [[unroll]] for (uint i = 0u; i < PARTS; i++) {
    uint q = min(i * SUBGROUP + gl_SubgroupInvocationID, WEIGHTS - 1u);
    partAt[i] = q / COLS4 * n4 + min(col4 + q % COLS4, n4 - 1u);
  }
#endif
  for (uint k = 0u; k < k4; k++) {
#if defined(TEXEL)
    vec4 part[PARTS];
    [[unroll]] for (uint i = 0u; i < PARTS; i++) part[i] = FLOAT4(w, partAt[i] + k * 4u * n4);
#endif
    vec4 a[ROWS];
    for (uint r = 0u; r < ROWS; r++) a[r] = LOAD4(x, rowAt[r] + k);
    if (gated) {
      vec4 g = GATE_AT(gateAt + k);
      for (uint r = 0u; r < ROWS; r++) a[r] *= g;
    }
    [[unroll]] for (uint c = 0u; c < COLS4; c++) {
      vec4 w0 = WEIGHT(0u, c), w1 = WEIGHT(1u, c), w2 = WEIGHT(2u, c), w3 = WEIGHT(3u, c);
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
