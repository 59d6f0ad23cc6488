// The inner loop of a 1×1 convolution whose lanes work together: a workgroup computes a tile of TILE_ROWS rows times
// TILE_COLS4 groups of four columns. Slabs of 4·SLAB4 input channels of x and w go through shared memory, so that
// neighbouring lanes read neighbouring places and every value is fetched once for the tile; the next slab is on its
// way while this one is multiplied. A lane has ROWS rows and COLS4 groups of columns, both as far apart as there are
// lanes: what lanes read or store at once lies side by side.
// Wants: types.glsl, the constants LANES, COL_LANES, ROWS, COLS4 and SLAB4, buffers x (READS4, [rows][k4]) and w (READS_FLOAT4,
// [k][n4]), and GATE_AT(i), four of the gates [images][k4] as vec4.
const uint ROW_LANES = LANES / COL_LANES;
const uint TILE_ROWS = ROW_LANES * ROWS;
const uint TILE_COLS4 = COL_LANES * COLS4;
const uint PITCH = SLAB4 | 1u;  // odd: rows that are read at once begin in different banks
const uint PARTS_X = ROWS * SLAB4 / COL_LANES;
const uint SLAB_W = 4u * SLAB4 * TILE_COLS4;
const uint PARTS_W = (SLAB_W + LANES - 1u) / LANES;

shared vec4 slabX[TILE_ROWS * PITCH];
shared vec4 slabW[SLAB_W];

uint rowLane() { return gl_LocalInvocationID.x / COL_LANES; }
uint colLane() { return gl_LocalInvocationID.x % COL_LANES; }

// fetch reads a lane's part of the slab from input channels 4·k0 on; what lies beyond the last is zero.
void fetch(in uint xAt[PARTS_X], in uint gateAt[PARTS_X], uint k0, uint k4, uint n4, uint col0, bool gated, out vec4 partX[PARTS_X], out vec4 partW[PARTS_W]) {
  uint k = k0 + gl_LocalInvocationID.x % SLAB4;
  bool inside = k < k4;
  k = min(k, k4 - 1u);
  [[unroll]] for (uint i = 0u; i < PARTS_X; i++) {
    vec4 v = LOAD4(x, xAt[i] + k);
    if (gated) v *= GATE_AT(gateAt[i] + k);
    partX[i] = inside ? v : vec4(0.0);
  }
  [[unroll]] for (uint i = 0u; i < PARTS_W; i++) {
    uint part = i * LANES + gl_LocalInvocationID.x;
    uint row = min(4u * k0 + part / TILE_COLS4, 4u * k4 - 1u);
    partW[i] = FLOAT4(w, row * n4 + min(col0 + part % TILE_COLS4, n4 - 1u));
  }
}

// multiplyShared: acc[r][c] is of row row0 + r·ROW_LANES + rowLane() and column col0 + c·COL_LANES + colLane(). Rows from
// endRow on and columns beyond the last are computed from the last, and mean nothing. Images have that many rows of gates'
// pixels. All lanes of the workgroup call it; when it returns the slabs may be overwritten.
void multiplyShared(uint row0, uint endRow, uint pixels, uint k4, uint n4, uint col0, bool gated, out vec4 acc[ROWS][COLS4]) {
  uint lane = gl_LocalInvocationID.x;
  uint xAt[PARTS_X], gateAt[PARTS_X];
  [[unroll]] for (uint i = 0u; i < PARTS_X; i++) {
    uint row = min(row0 + (i * LANES + lane) / SLAB4, endRow - 1u);
    xAt[i] = row * k4;
    gateAt[i] = gated ? row / pixels * k4 : 0u;
  }
  [[unroll]] for (uint r = 0u; r < ROWS; r++)
    [[unroll]] for (uint c = 0u; c < COLS4; c++) acc[r][c] = vec4(0.0);
  vec4 partX[PARTS_X], partW[PARTS_W];
  fetch(xAt, gateAt, 0u, k4, n4, col0, gated, partX, partW);
  for (uint k0 = 0u; k0 < k4; k0 += SLAB4) {
    [[unroll]] for (uint i = 0u; i < PARTS_X; i++) slabX[(i * LANES + lane) / SLAB4 * PITCH + lane % SLAB4] = partX[i];
    [[unroll]] for (uint i = 0u; i < PARTS_W; i++)
      if (i * LANES + lane < SLAB_W) slabW[i * LANES + lane] = partW[i];
    barrier();
    // Behind the last slab this reads the end of it again, which nobody uses.
    fetch(xAt, gateAt, k0 + SLAB4, k4, n4, col0, gated, partX, partW);
    [[unroll]] for (uint k = 0u; k < SLAB4; k++) {
      vec4 a[ROWS];
      [[unroll]] for (uint r = 0u; r < ROWS; r++) a[r] = slabX[(r * ROW_LANES + rowLane()) * PITCH + k];
      [[unroll]] for (uint c = 0u; c < COLS4; c++) {
        uint wAt = 4u * k * TILE_COLS4 + c * COL_LANES + colLane();
        vec4 w0 = slabW[wAt], w1 = slabW[wAt + TILE_COLS4], w2 = slabW[wAt + 2u * TILE_COLS4], w3 = slabW[wAt + 3u * TILE_COLS4];
        [[unroll]] for (uint r = 0u; r < ROWS; r++) {
          // Sums of four, as in conv1x1_tile.glsl, at a fifth more arithmetic; maps in 16 bits do not gain by it.
#if defined(F16) || defined(F16P)
          acc[r][c] += a[r][0] * w0;
          acc[r][c] += a[r][1] * w1;
          acc[r][c] += a[r][2] * w2;
          acc[r][c] += a[r][3] * w3;
#else
          vec4 sum = a[r][0] * w0;
          sum += a[r][1] * w1;
          sum += a[r][2] * w2;
          sum += a[r][3] * w3;
          acc[r][c] += sum;
#endif
        }
      }
    }
    barrier();
  }
}
