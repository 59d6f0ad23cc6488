package preprocess

// The tables of libjpeg's YCbCr to RGB conversion (jdcolor.c): 16-bit fixed point, rounded. Red and
// blue are whole levels; the two parts of green are added before the shift, crGreen holds no half and
// cbGreen holds it.
var crRed, cbBlue, crGreen, cbGreen = func() (r, b, cg, bg [256]int32) {
	const half = 1 << 15
	fix := func(x float64) int32 { return int32(x*65536 + 0.5) }
	for i := range 256 {
		x := int32(i - 128)
		r[i] = (fix(1.40200)*x + half) >> 16
		b[i] = (fix(1.77200)*x + half) >> 16
		cg[i] = -fix(0.71414) * x
		bg[i] = -fix(0.34414)*x + half
	}
	return
}()

// clampByte limits v to 0..255.
func clampByte(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^v >> 31)
	}
	return uint8(v)
}

// yccToRGB converts a row of full-range YCbCr.
func yccToRGB(dst, ys, cbs, crs []uint8) {
	n := len(dst) / 3
	ys, cbs, crs = ys[:n], cbs[:n], crs[:n]
	for x, l := range ys {
		y, cb, cr := int32(l), cbs[x], crs[x]
		d := dst[3*x : 3*x+3 : 3*x+3]
		d[0] = clampByte(y + crRed[cr])
		d[1] = clampByte(y + (cbGreen[cb]+crGreen[cr])>>16)
		d[2] = clampByte(y + cbBlue[cb])
	}
}

// interleave writes three planes' rows as pixels.
func interleave(dst, a, b, c []uint8) {
	n := len(dst) / 3
	a, b, c = a[:n], b[:n], c[:n]
	for x := range a {
		d := dst[3*x : 3*x+3 : 3*x+3]
		d[0], d[1], d[2] = a[x], b[x], c[x]
	}
}

// inksToRGB converts a row of inverted CMYK (255: no ink, as Adobe stores it): cmy is interleaved, k the
// black plane. It is Pillow's cmyk2rgb, which multiplies the inverted inks with a rounding division.
func inksToRGB(dst, cmy, k []uint8) {
	for x := range len(dst) / 3 {
		nk := int32(k[x]) // 255 - black
		for c := range 3 {
			ink := 255 - int32(cmy[3*x+c])
			t := ink*nk + 128
			dst[3*x+c] = clampByte(nk - (t>>8+t)>>8)
		}
	}
}
