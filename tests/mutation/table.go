package main

// mutation is a fault: texts of one file replaced.
type mutation struct {
	name  string
	file  string // from the module's root
	edits []edit
	cases string // the layers' cases, by comma; "" for the usual ones
	by    string // layers that must notice; more may
	amp   bool   // networks run in that precision
	on    string // a set of scripts/with-driver.sh, where the driver at hand cannot show the fault
}

// edit replaces a text, which must be there exactly once.
type edit struct{ old, new string }

func swap(old, new string) []edit { return []edit{{old, new}} }

// The cases: ragged channels, odd and even maps, both strides, several tiles, several subgroups.
const (
	stem      = "stem-c3-n32-k3-s2-260x260-silu"
	depthwise = "depthwise-c61-k5-s1-30x30-silu-se10"
	strided   = "depthwise-c70-k5-s2-60x60-silu-se6"
	oddMap    = "depthwise-c274-k3-s1-17x17-silu-se22"
	expand    = "conv1x1-c67-n213-15x15-silu"
	project   = "conv1x1-c61-n35-30x30-gate-residual"
	deep      = "conv1x1-c891-n192-8x8-gate-residual"
	both      = "conv1x1-c61-n35-13x9-gate-silu-residual"
	even      = "conv1x1-c40-n90-38x38-silu"
	few       = "conv1x1-c2-n16-4x33-silu"
	headSmall = "head-c320-n1280-8x8-silu"
	head      = "head-c352-n1408-9x9-silu"
	headLong  = "head-c35-n61-5x27-silu"
	linear    = "linear-c1280-n1000"
	linearOdd = "linear-c333-n15"
	stemOdd   = "stem-c3-n16-k3-s2-13x19-silu"
	usual     = stem + "," + depthwise + "," + project + "," + linearOdd
)

// Files.
const (
	fileAct    = "shaders/activation.glsl"
	fileTypes  = "shaders/types.glsl"
	fileTile   = "shaders/conv1x1_tile.glsl"
	fileConv   = "shaders/conv1x1.comp"
	filePool   = "shaders/conv1x1_pool.comp"
	fileShared = "shaders/conv1x1_shared.glsl"
	fileConvS  = "shaders/conv1x1_shared.comp"
	filePoolS  = "shaders/conv1x1_pool_shared.comp"
	fileDepth  = "shaders/conv_dw.comp"
	fileStem   = "shaders/conv_stem.comp"
	fileLinear = "shaders/linear.comp"
	fileSE     = "shaders/se.comp"
	fileResize = "shaders/resize.comp"
)

// half rounds a vec4 of GLSL to float16 and back.
func half(v string) string {
	return "vec4(unpackHalf2x16(packHalf2x16((" + v + ").xy)), unpackHalf2x16(packHalf2x16((" + v + ").zw)))"
}

// kernels are faults of the shaders.
var kernels = []mutation{
	{name: "activation: hard-swish for SiLU", file: fileAct, edits: swap("return x / (1.0 + exp(-x)); }", "return x * clamp(x / 6.0 + 0.5, 0.0, 1.0); }"), cases: expand, by: "real network golden"},
	{name: "activation: ReLU for SiLU", file: fileAct, edits: swap("return x / (1.0 + exp(-x)); }", "return max(x, 0.0); }"), cases: expand, by: "real network golden"},
	{name: "activation: SiLU by way of exp(+x), which overflows", file: fileAct, edits: swap("return x / (1.0 + exp(-x)); }", "return x * exp(x) / (1.0 + exp(x)); }"), cases: expand, by: "real"},
	{name: "activation: exponential to five digits", file: fileAct, edits: swap("return x / (1.0 + exp(-x)); }", "return x / (1.0 + exp2(-x * 1.4427)); }"), cases: few, by: "real"},
	{name: "activation: sigmoid of -x", file: fileAct, edits: swap("return 1.0 / (1.0 + exp(-x)); }", "return 1.0 / (1.0 + exp(x)); }"), cases: depthwise, by: "exact real network golden"},
	{name: "activation: sigmoid by way of exp(+x), which overflows", file: fileAct, edits: swap("return 1.0 / (1.0 + exp(-x)); }", "return exp(x) / (1.0 + exp(x)); }"), cases: depthwise, by: "exact"},

	{name: "types: halves of a word change places as they are read", file: fileTypes, edits: swap("vec4(unpackHalf2x16(v.x),", "vec4(unpackHalf2x16(v.x).yx,"), cases: project, by: "exact real"},
	{name: "types: halves of a word change places as they are packed", file: fileTypes, edits: swap("packHalf2x16((v).zw))", "packHalf2x16((v).wz))"), cases: expand, by: "exact real"},
	{name: "types: the first word stored twice", file: fileTypes, edits: swap("packHalf2x16((v).zw))", "packHalf2x16((v).xy))"), cases: depthwise, by: "exact real"},
	{name: "types: packed results cut to 9 bits of mantissa", file: fileTypes, edits: swap("uvec2(packHalf2x16((v).xy), packHalf2x16((v).zw))", "(uvec2(packHalf2x16((v).xy), packHalf2x16((v).zw)) & 0xfffefffeu)"), cases: expand, by: "real"},
	{name: "types: the texel before", file: fileTypes, edits: swap("#define LOAD4(name, i) texelFetch(name, int(i))", "#define LOAD4(name, i) texelFetch(name, max(int(i) - 1, 0))"), cases: expand, by: "exact real network golden"},
	{name: "types: weights beyond the 100th texel not read", file: fileTypes, edits: swap("#define FLOAT4(name, i) texelFetch(name, int(i))", "#define FLOAT4(name, i) texelFetch(name, min(int(i), 99))"), cases: expand + "," + depthwise, by: "exact real network golden"},
	{name: "types: results rounded away from zero", file: fileTypes, edits: swap("#define STORE4(v) f16vec4(v)", "#define STORE4(v) f16vec4((v) * 1.0007)"), cases: expand, by: "exact real"},

	{name: "1x1 tile: the last four input channels left out", file: fileTile, edits: swap("k < k4; k++", "k + 1u < k4; k++"), cases: project, by: "exact real network golden"},
	{name: "1x1 tile: the last 3 of 891 input channels left out", file: fileTile, edits: swap("k < k4; k++", "k < k4 - (k4 == 224u ? 2u : 0u); k++"), cases: deep, by: "exact real network"},
	{name: "1x1 tile: weights of neighbouring channels swapped", file: fileTile, edits: swap("w0 = WEIGHT(0u, c), w1 = WEIGHT(1u, c)", "w0 = WEIGHT(1u, c), w1 = WEIGHT(0u, c)"), cases: expand, by: "exact real network golden"},
	{name: "1x1 tile: every other group of columns from its neighbour", file: fileTile, edits: []edit{{"min(col4 + c, n4 - 1u)", "min(col4 + c / 2u, n4 - 1u)"}, {"min(col4 + q % COLS4, n4 - 1u)", "min(col4 + q % COLS4 / 2u, n4 - 1u)"}}, cases: expand, by: "exact real network golden"},
	{name: "1x1 tile: weights from the lane beside", file: fileTile, edits: swap("% SUBGROUP)\n", "% SUBGROUP ^ 1u)\n"), cases: expand, by: "exact real network golden"},
	{name: "1x1 tile: the second part of the weights like the first", file: fileTile, edits: swap("min(i * SUBGROUP + gl_SubgroupInvocationID, WEIGHTS - 1u)", "gl_SubgroupInvocationID"), cases: expand, by: "exact real network golden"},
	{name: "1x1 tile: accumulator in float16", file: fileTile, edits: swap("acc[r][c] += sum;", "acc[r][c] = "+half("acc[r][c] + sum")+";"), cases: expand + "," + deep, by: "exact real network golden"},
	{name: "1x1 tile: sums of four products in float16", file: fileTile, edits: swap("acc[r][c] += sum;", "acc[r][c] += "+half("sum")+";"), cases: expand, by: "exact real network golden"},
	{name: "1x1 tile: inputs cut to 10 bits of mantissa", file: fileTile, edits: swap("a[r] = LOAD4(x, rowAt[r] + k);", "a[r] = uintBitsToFloat(floatBitsToUint(LOAD4(x, rowAt[r] + k)) & 0xffffe000u);"), cases: expand, by: "real network golden"},
	{name: "1x1 tile: the accumulator starts with the first input", file: fileTile, edits: swap("acc[r][c] = vec4(0.0);", "acc[r][c] = c == 1u ? LOAD4(x, rowAt[r]) : vec4(0.0);"), cases: expand, by: "exact real network golden"},
	{name: "1x1 tile: the gate applied to the first row only", file: fileTile, edits: swap("for (uint r = 0u; r < ROWS; r++) a[r] *= g;", "a[0] *= g;"), cases: project, by: "exact real network golden"},

	{name: "1x1: lanes beyond the batch leave, and the weights they fetch with them", file: fileConv, edits: swap("if (FIRST_LANE(lane) / tiles", "if (lane / tiles"), cases: expand, by: "exact real"},
	{name: "1x1: bias dropped", file: fileConv, edits: swap("activate(acc[r][c] + b, ACT)", "activate(acc[r][c], ACT)"), cases: expand, by: "exact real network golden"},
	{name: "1x1: bias of the other four columns", file: fileConv, edits: swap("vec4 b = FLOAT4(bias, col4 + c);", "vec4 b = FLOAT4(bias, (col4 + c) ^ 1u);"), cases: expand, by: "exact real network golden"},
	{name: "1x1: residual added before the activation", file: fileConv, edits: []edit{{"vec4 v = activate(acc[r][c] + b, ACT);", "vec4 v = acc[r][c] + b;"}, {"y[at] = STORE4(v);", "y[at] = STORE4(activate(v, ACT));"}}, cases: both, by: "real"},
	{name: "1x1: residual of another pixel", file: fileConv, edits: swap("v += LOAD4(residual, at);", "v += LOAD4(residual, at - (at >= p.n4 ? p.n4 : 0u));"), cases: project, by: "exact real network golden"},
	{name: "1x1: image index dropped from the rows", file: fileConv, edits: swap("uint row0 = image * p.pixels;", "uint row0 = 0u;"), cases: expand, by: "exact real network golden"},
	{name: "1x1: gate of the first image for all", file: fileConv, edits: swap("image * p.k4, p.k4, p.n4", "0u, p.k4, p.n4"), cases: project, by: "exact real network golden"},
	{name: "1x1: the tail of the tile written, over the next image", file: fileConv, edits: swap("if (pixel0 + r >= p.pixels) break;", ""), cases: expand, by: "exact real"},
	{name: "1x1: the last pixel not written", file: fileConv, edits: swap("if (pixel0 + r >= p.pixels) break;", "if (pixel0 + r + 1u >= p.pixels) break;"), cases: expand, by: "exact real network golden"},
	{name: "1x1: half of the tile not written", file: fileConv, edits: swap("y[at] = STORE4(v);", "if (c % 2u == 0u) y[at] = STORE4(v);"), cases: expand, by: "exact real network golden"},
	{name: "1x1: half of the tile written twice", file: fileConv, edits: swap("y[at] = STORE4(v);", "y[at - c % 2u] = STORE4(v);"), cases: expand, by: "exact real network golden"},
	{name: "1x1: columns in steps of four", file: fileConv, edits: swap("gl_WorkGroupID.y * COLS4", "gl_WorkGroupID.y"), cases: expand, by: "exact real network golden"},
	{name: "1x1: results stored in float16", file: fileConv, edits: swap("y[at] = STORE4(v);", "y[at] = STORE4("+half("v")+");"), cases: expand, by: "exact real network golden"},

	{name: "head: no barrier before the sums are added", file: filePool, edits: swap("barrier();", ""), cases: headLong, by: "interface exact real"},
	{name: "head: lanes without rows leave, and the weights they fetch with them", file: filePool, edits: swap("turn + FIRST_LANE(lane) * ROWS", "turn + lane * ROWS"), cases: headLong, by: "exact real"},
	{name: "head: mean over the map padded to eights", file: filePool, edits: swap("total / float(p.pixels)", "total / float((p.pixels + 7u) / 8u * 8u)"), cases: head, by: "exact real network golden"},
	{name: "head: the last pixel counted for the whole tile", file: filePool, edits: swap("if (row0 + r >= p.pixels) break;", ""), cases: head, by: "exact real network golden"},
	{name: "head: the last lane's sum left out", file: filePool, edits: swap("i < LANES; i++) total += sums", "i + 1u < LANES; i++) total += sums"), cases: headSmall, by: "exact real"},
	{name: "head: activation of the mean, not mean of the activations", file: filePool, edits: []edit{{"sum[c] += activate(acc[r][c] + b[c], ACT);", "sum[c] += acc[r][c] + b[c];"}, {"= total / float(p.pixels);", "= activate(total / float(p.pixels), ACT);"}}, cases: head, by: "real network golden"},
	{name: "head: every image reads the first", file: filePool, edits: swap("(image * p.pixels + min", "(min"), cases: head, by: "exact real network golden"},
	{name: "head: sums of the lanes in float16", file: filePool, edits: swap("sums[lane][c] = sum[c];", "sums[lane][c] = "+half("sum[c]")+";"), cases: head, by: "exact real network golden"},

	{name: "1x1 shared: no barrier before the slab is read", file: fileShared, edits: swap("    barrier();\n    // Behind", "    // Behind"), cases: expand, by: "interface"},
	{name: "1x1 shared: no barrier before the slab is overwritten", file: fileShared, edits: swap("    barrier();\n  }\n}", "  }\n}"), cases: expand, by: "interface"},
	{name: "1x1 shared: channels beyond the last counted", file: fileShared, edits: swap("inside ? v : vec4(0.0);", "v;"), cases: even, by: "exact real"},
	{name: "1x1 shared: the last slab left out", file: fileShared, edits: swap("k0 < k4; k0 += SLAB4", "k0 + SLAB4 < k4; k0 += SLAB4"), cases: deep, by: "exact real"},
	{name: "1x1 shared: the slab before multiplied", file: fileShared, edits: swap("fetch(xAt, gateAt, k0 + SLAB4, k4", "fetch(xAt, gateAt, k0, k4"), cases: deep, by: "exact real"},
	{name: "1x1 shared: gate of another image", file: fileShared, edits: swap("gated ? row / pixels * k4 : 0u;", "gated ? row0 / pixels * k4 : 0u;"), cases: project, by: "exact real"},
	{name: "1x1 shared: rows of neighbouring lanes swapped", file: fileShared, edits: swap("(r * ROW_LANES + rowLane()) * PITCH + k]", "(r * ROW_LANES + (rowLane() ^ 1u)) * PITCH + k]"), cases: expand, by: "exact real"},
	{name: "1x1 shared: pitch even, but not where it is stored", file: fileShared, edits: swap("/ SLAB4 * PITCH + lane % SLAB4] =", "/ SLAB4 * SLAB4 + lane % SLAB4] ="), cases: expand, by: "exact real"},
	{name: "1x1 shared: the last columns of the weights' slab never stored", file: fileShared, edits: swap("if (i * LANES + lane < SLAB_W)", "if (i * LANES + lane + 1u < SLAB_W)"), cases: expand + "," + few, by: "exact real"},
	{name: "1x1 shared: sums of four in float16", file: fileShared, edits: swap("          acc[r][c] += sum;", "          acc[r][c] += "+half("sum")+";"), cases: expand, by: "exact real"},
	{name: "1x1 shared: accumulator in float16 with maps in 16 bits", file: fileShared, edits: swap("acc[r][c] += a[r][3] * w3;\n#else", "acc[r][c] = "+half("acc[r][c] + a[r][3] * w3")+";\n#else"), cases: expand + "," + deep, by: "real"},
	{name: "1x1 shared: columns and rows of tiles in the wrong order", file: fileConvS, edits: swap("gl_WorkGroupID.x % tilesAcross * TILE_COLS4", "gl_WorkGroupID.x / tilesAcross * TILE_COLS4"), cases: deep + "," + expand, by: "exact real"},
	{name: "1x1 shared: the tile's tail written, beyond the batch", file: fileConvS, edits: swap("row < rows && col4 < p.n4", "col4 < p.n4"), cases: expand, by: "exact real"},
	{name: "1x1 shared: the batch's last row not written", file: fileConvS, edits: swap("row < rows && col4 < p.n4", "row + 1u < rows && col4 < p.n4"), cases: expand, by: "exact real"},
	{name: "1x1 shared: columns beyond the last over the next row", file: fileConvS, edits: swap("row < rows && col4 < p.n4", "row < rows"), cases: project, by: "exact real"},
	{name: "1x1 shared: bias dropped", file: fileConvS, edits: swap("activate(acc[r][c] + b, ACT)", "activate(acc[r][c], ACT)"), cases: expand, by: "exact real"},
	{name: "head shared: rows of the next image counted", file: filePoolS, edits: swap("rowLane() < p.pixels)", "rowLane() < p.pixels + 1u)"), cases: head, by: "exact real"},
	{name: "head shared: no barrier before the sums are added", file: filePoolS, edits: swap("  barrier();\n", ""), cases: headLong, by: "interface"},
	{name: "head shared: the first tile of rows only", file: filePoolS, edits: swap("pixel0 < p.pixels; pixel0", "pixel0 < min(p.pixels, TILE_ROWS); pixel0"), cases: headLong, by: "exact real"},
	{name: "head shared: the last row of lanes left out", file: filePoolS, edits: swap("i < ROW_LANES; i++", "i + 1u < ROW_LANES; i++"), cases: headSmall, by: "exact real"},

	{name: "depthwise: no barrier before the tile's sums", file: fileDepth, edits: swap("barrier();", ""), cases: depthwise, by: "interface exact real network golden"},
	{name: "depthwise: padding above off by one", file: fileDepth, edits: swap("- int(p.padTop),", "- int(p.padTop) + 1,"), cases: depthwise, by: "exact real network golden"},
	{name: "depthwise: row above the first", file: fileDepth, edits: swap("bool rowIn = iy >= 0 && iy < int(p.height);", "bool rowIn = iy < int(p.height);"), cases: depthwise, by: "exact real network golden"},
	{name: "depthwise: row below the last", file: fileDepth, edits: swap("bool rowIn = iy >= 0 && iy < int(p.height);", "bool rowIn = iy >= 0 && iy <= int(p.height);"), cases: depthwise, by: "exact real network golden"},
	{name: "depthwise: column right of the last from the next row", file: fileDepth, edits: swap("ix < int(p.width)", "ix <= int(p.width)"), cases: depthwise, by: "exact real network golden"},
	{name: "depthwise: window off by one", file: fileDepth, edits: swap("acc[r][i] += window[i * STRIDE + kx]", "acc[r][i] += window[i * STRIDE + (kx + 1u) % KERNEL]"), cases: depthwise, by: "exact real network golden"},
	{name: "depthwise: stride forgotten within the strip", file: fileDepth, edits: swap("acc[r][i] += window[i * STRIDE + kx]", "acc[r][i] += window[i + kx]"), cases: strided, by: "exact real network golden"},
	{name: "depthwise: kernel transposed", file: fileDepth, edits: swap("FLOAT4(w, ((wy - r * STRIDE) * KERNEL + kx)", "FLOAT4(w, (kx * KERNEL + (wy - r * STRIDE))"), cases: depthwise, by: "exact real network golden"},
	{name: "depthwise: bias dropped", file: fileDepth, edits: swap("activate(acc[r][i] + b, ACT)", "activate(acc[r][i], ACT)"), cases: depthwise, by: "exact real network golden"},
	{name: "depthwise: accumulator in float16 between rows of the window", file: fileDepth, edits: swap("{  // known when compiled", "{\n        [[unroll]] for (uint i = 0u; i < STRIP; i++) acc[r][i] = "+half("acc[r][i]")+";"), cases: depthwise, by: "exact real network golden"},
	{name: "depthwise: the strip's tail written, over the next row", file: fileDepth, edits: swap(" && uint(ox0) + i < p.outWidth;", ";"), cases: depthwise, by: "exact real"},
	{name: "depthwise: the strip's tail summed but not written", file: fileDepth, edits: swap("sum += inside ? v : vec4(0.0);", "sum += any && uint(oy0) + r < p.outHeight ? v : vec4(0.0);"), cases: oddMap, by: "exact real network golden"},
	{name: "depthwise: sums taken before the activation", file: fileDepth, edits: swap("sum += inside ? v : vec4(0.0);", "sum += inside ? acc[r][i] + b : vec4(0.0);"), cases: depthwise, by: "real network golden"},
	{name: "depthwise: sums of a tile over those of the first", file: fileDepth, edits: swap("(image * p.tiles + tile) * p.channels4", "image * p.tiles * p.channels4"), cases: depthwise, by: "exact real network golden"},
	{name: "depthwise: the last row of lanes left out of the sums", file: fileDepth, edits: swap("i < LANES_Y; i++", "i + 1u < LANES_Y; i++"), cases: depthwise, by: "exact real network golden"},
	{name: "depthwise: lanes without a strip leave their sum as it was", file: fileDepth, edits: swap(
		"    sums[gl_LocalInvocationID.y][gl_LocalInvocationID.x] = sum;", "    if (sum != vec4(0.0)) sums[gl_LocalInvocationID.y][gl_LocalInvocationID.x] = sum;"), cases: depthwise + "," + oddMap, by: "exact real"},
	{name: "depthwise: rows of a patch below the map", file: fileDepth, edits: swap("any && uint(oy0) + r < p.outHeight &&", "any &&"), cases: oddMap, by: "exact real"},
	{name: "depthwise: the patch's second row from the first's window", file: fileDepth, edits: swap("wk = FLOAT4(w, ((wy - r * STRIDE)", "wk = FLOAT4(w, ((wy - min(r, 0u))"), cases: depthwise, by: "exact real network golden"},
	{name: "depthwise: patches below the map", file: fileDepth, edits: swap("bool any = index < patches &&", "bool any ="), cases: oddMap, by: "exact real"},

	{name: "stem: padding to the left off by one", file: fileStem, edits: swap("- int(p.padLeft);", "- int(p.padLeft) - 1;"), cases: stem, by: "exact real network golden"},
	{name: "stem: planes in reverse order", file: fileStem, edits: swap("image * 3u + c)", "image * 3u + 2u - c)"), cases: stem, by: "exact real network golden"},
	{name: "stem: padded with black instead of zero", file: fileStem, edits: swap("inside ? window[c][i] : 0.0;", "inside ? window[c][i] : -1.0;"), cases: stem, by: "exact real network golden"},
	{name: "stem: row below the last", file: fileStem, edits: swap("iy < int(p.height);", "iy <= int(p.height);"), cases: stem, by: "exact real network"},
	{name: "stem: the last row left out", file: fileStem, edits: swap("bool idle = strip >= p.outHeight * perRow;", "bool idle = strip + perRow >= p.outHeight * perRow;"), cases: stem, by: "exact real network"},
	{name: "stem: pictures: words not shifted", file: fileStem, edits: swap("uint shift = uint(at & 3) * 8u;", "uint shift = 0u;"), cases: stemOdd, by: "exact real"},
	{name: "stem: pictures: a word more than the window's", file: fileStem, edits: swap("raw[i + 1u] << (32u - shift)", "raw[i] << (32u - shift)"), cases: stemOdd, by: "exact real"},
	{name: "stem: pictures: blue before red", file: fileStem, edits: swap("window[c][i] = v *", "window[2u - c][i] = v *"), cases: stem, by: "exact real"},
	{name: "stem: pictures: every picture the first", file: fileStem, edits: swap("WORD1(x, image * p.words + ", "WORD1(x, "), cases: stem, by: "exact real"},
	{name: "stem: pictures: offsets of red for all", file: fileStem, edits: swap("c == 1u ? p.offsetG : p.offsetB", "c == 1u ? p.offsetR : p.offsetR"), cases: stem, by: "real"},
	{name: "stem: every image the first", file: fileStem, edits: swap("(image * 3u + c)", "c"), cases: stem, by: "exact real network golden"},

	{name: "linear: no barrier before the parts are added", file: fileLinear, edits: swap("barrier();", ""), cases: linear, by: "interface exact real network golden", on: "swiftshader"},
	{name: "linear: the inputs' tail left out", file: fileLinear, edits: swap("k < p.k4; k += LANES", "k - lane + LANES <= p.k4; k += LANES"), cases: linearOdd, by: "exact real"},
	{name: "linear: bias of the first four for all", file: fileLinear, edits: swap("FLOAT4(bias, col4 + lane % 2u)", "FLOAT4(bias, col4)"), cases: linear, by: "exact real network golden"},
	{name: "linear: every image reads the first", file: fileLinear, edits: swap("FLOAT4(x, xAt[i] + k)", "FLOAT4(x, k)"), cases: linear, by: "exact real network golden"},
	{name: "linear: sums in float16", file: fileLinear, edits: swap("acc[2u * i] += a[i][j] * w0;", "acc[2u * i] = "+half("acc[2u * i] + a[i][j] * w0")+";"), cases: linear, by: "exact network golden"},

	{name: "linear: the last image not written", file: fileLinear, edits: swap("image0 + lane / 2u < p.batch", "image0 + lane / 2u + 1u < p.batch"), cases: linear, by: "exact real network golden"},
	{name: "linear: the first image of a workgroup for all", file: fileLinear, edits: swap("min(image0 + i, p.batch - 1u)", "min(image0, p.batch - 1u)"), cases: linear, by: "exact real"},

	{name: "SE: no barrier after the means", file: fileSE, edits: swap("  barrier();\n  for (uint r0", "  for (uint r0"), cases: oddMap, by: "interface real network golden"},
	{name: "SE: no barrier after the parts", file: fileSE, edits: swap("    parts[lane] = dotPart;\n    barrier();", "    parts[lane] = dotPart;"), cases: depthwise, by: "interface exact real network golden"},
	{name: "SE: no barrier after the reduced values", file: fileSE, edits: swap("    }\n    barrier();\n  }", "    }\n  }"), cases: oddMap, by: "interface"},
	{name: "SE: mean over the map padded to eights", file: fileSE, edits: swap("c) / float(p.pixels)", "c) / float((p.pixels + 7u) / 8u * 8u)"), cases: oddMap, by: "real network golden"},
	{name: "SE: no barrier after the parts of the tiles", file: fileSE, edits: swap("= sum;\n    barrier();", "= sum;"), cases: depthwise, by: "interface"},
	{name: "SE: no barrier before the parts give way to the means", file: fileSE, edits: swap("    barrier();\n    if (part == 0u)", "    if (part == 0u)"), cases: depthwise, by: "interface"},
	{name: "SE: the last part of the tiles left out", file: fileSE, edits: swap("i < PARTS; i++", "i + 1u < PARTS; i++"), cases: depthwise, by: "exact real"},
	{name: "SE: every part the first tiles", file: fileSE, edits: swap("uint i = part; i < 8u * PARTS;", "uint i = 0u; i < 8u * PARTS;"), cases: depthwise, by: "exact real"},
	{name: "SE: sums of the first tile for all", file: fileSE, edits: swap("(image * p.tiles + t)", "(image * p.tiles)"), cases: depthwise, by: "exact real network golden"},
	{name: "SE: the last four channels left out of the products", file: fileSE, edits: swap("c < p.channels4; c += SPLIT", "c + 1u < p.channels4; c += SPLIT"), cases: depthwise, by: "real network golden"},
	{name: "SE: the last reduced value left out", file: fileSE, edits: swap("r < p.reduced; r++", "r + 1u < p.reduced; r++"), cases: depthwise, by: "exact real network golden"},
	{name: "SE: bias of the reduction forgotten", file: fileSE, edits: swap("float sum = FLOAT4(b1, (r0 + lane) / 4u)[(r0 + lane) % 4u];", "float sum = 0.0;"), cases: depthwise, by: "exact real network golden"},
	{name: "SE: ReLU for SiLU", file: fileSE, edits: swap("sum / (1.0 + exp(-sum));", "max(sum, 0.0);"), cases: depthwise, by: "real network golden"},
	{name: "SE: hard sigmoid", file: fileSE, edits: swap("= sigmoid(sum);", "= clamp(sum / 6.0 + 0.5, 0.0, 1.0);"), cases: depthwise, by: "real network golden"},
	{name: "SE: all gates to the first image's row", file: fileSE, edits: swap("y[image * p.channels4 + c]", "y[c]"), cases: depthwise, by: "exact real network golden"},
	{name: "resize: half of the rounding dropped", file: fileResize, edits: swap("int sum = 1 << 21;", "int sum = 0;"), by: "invariance"},
	{name: "resize: bytes below zero not cut", file: fileResize, edits: swap("clamp(sum >> 22, 0, 255)", "min(sum >> 22, 255)"), by: "invariance"},
	{name: "resize: bytes above 255 not cut", file: fileResize, edits: swap("clamp(sum >> 22, 0, 255)", "max(sum >> 22, 0)"), by: "invariance"},
	{name: "resize: the last tap left out", file: fileResize, edits: swap("k < count; k++", "k + 1u < count; k++"), by: "invariance"},
	{name: "resize: taps of the first output for all", file: fileResize, edits: swap("axis(at, TAPS) + 2u * i", "axis(at, TAPS)"), by: "invariance"},
	{name: "resize: the first picture for all", file: fileResize, edits: swap("uint at = image * p.partWords;", "uint at = 0u;"), by: "invariance"},
	{name: "resize: the last row not made", file: fileResize, edits: swap("word / pitch >= part[at + HEADER_ROWS]", "word / pitch + 1u >= part[at + HEADER_ROWS]"), by: "invariance"},
	{name: "resize: colours of the neighbour", file: fileResize, edits: swap("3u * column + byteAt % 3u", "3u * column + (byteAt + 1u) % 3u"), by: "invariance"},

	{name: "SE: a constant more", file: fileSE, edits: swap("const uint SPLIT = 16u;", "layout(constant_id = 4) const uint SPLIT = 16u;"), cases: depthwise, by: "interface"},
}
