package preprocess

// Inverse DCTs that give a block 4×4 or 2×2 samples instead of 8×8, in libjpeg's fixed point (that of jpeg_idct.go).
// Rounding apart these are the means of 2×2 or 4×4 samples of the full transform: in the sums that make them the odd
// coefficients have smaller factors, and coefficient 4 (of 2 samples also 2 and 6) cancels out.
const (
	r0211 = 1730  // 0.211164243
	r0509 = 4176  // 0.509795579
	r0601 = 4926  // 0.601344887
	r0720 = 5906  // 0.720959822
	r0850 = 6967  // 0.850430095
	r1061 = 8697  // 1.061594337
	r1272 = 10426 // 1.272758580
	r1451 = 11893 // 1.451774981
	r2172 = 17799 // 2.172734803
	r3624 = 29692 // 3.624509785
)

// idctReduced writes a block's size×size samples, size 8, 4 or 2. Coefficients after zigzag index last are 0.
func idctReduced(size int, block *[64]int32, last int, dst []uint8, stride int) {
	switch size {
	case 8:
		idct(block, last, dst, stride)
	case 4:
		idct4(block, last, dst, stride)
	default:
		idct2(block, last, dst, stride)
	}
}

// idct4 writes a block's 4×4 samples. Coefficients after zigzag index last are 0.
func idct4(block *[64]int32, last int, dst []uint8, stride int) {
	const (
		shift    = idctBits + 1 - idctKeep
		half     = 1 << (shift - 1)
		rowShift = idctBits + 1 + idctKeep + 3
		rowHalf  = 1<<(rowShift-1) + 128<<rowShift
	)
	if last == 0 {
		fill(dst, stride, 4, idctMean(block[0]))
		return
	}
	columns := 8
	if last < 10 { // all in the first four rows and columns
		columns = 4
	}
	for x := range columns {
		if x == 4 {
			continue
		}
		c := (*[57]int32)(block[x:])
		if c[8]|c[16]|c[24]|c[40]|c[48]|c[56] == 0 {
			v := c[0] << idctKeep
			c[0], c[8], c[16], c[24] = v, v, v, v
			continue
		}
		s0, s1, s2, s3 := line4(c[0], c[8], c[16], c[24], c[40], c[48], c[56])
		c[0], c[8], c[16], c[24] = (s0+half)>>shift, (s1+half)>>shift, (s2+half)>>shift, (s3+half)>>shift
	}
	for y := range 4 {
		l := (*[8]int32)(block[8*y:])
		s0, s1, s2, s3 := line4(l[0], l[1], l[2], l[3], l[5], l[6], l[7])
		row := (*[4]uint8)(dst[y*stride:])
		row[0], row[1] = clampByte((s0+rowHalf)>>rowShift), clampByte((s1+rowHalf)>>rowShift)
		row[2], row[3] = clampByte((s2+rowHalf)>>rowShift), clampByte((s3+rowHalf)>>rowShift)
	}
}

// line4 transforms coefficients 0 … 3 and 5 … 7 of a line to 4 samples, scaled by 2 << idctBits.
func line4(a, b, c, d, f, g, h int32) (s0, s1, s2, s3 int32) {
	even := c*c1847 - g*c0765
	e0, e1 := a<<(idctBits+1)+even, a<<(idctBits+1)-even
	o0 := b*c2562 + d*c0899 - f*r0601 - h*r0509
	o1 := b*r1061 - d*r2172 + f*r1451 - h*r0211
	return e0 + o0, e1 + o1, e1 - o1, e0 - o0
}

// idct2 writes a block's 2×2 samples. Coefficients after zigzag index last are 0.
func idct2(block *[64]int32, last int, dst []uint8, stride int) {
	const (
		shift    = idctBits + 2 - idctKeep
		half     = 1 << (shift - 1)
		rowShift = idctBits + 2 + idctKeep + 3
		rowHalf  = 1<<(rowShift-1) + 128<<rowShift
	)
	if last == 0 {
		fill(dst, stride, 2, idctMean(block[0]))
		return
	}
	columns := [...]int{0, 1, 3, 5, 7}
	some := columns[:]
	if last < 10 {
		some = columns[:3]
	}
	for _, x := range some {
		c := (*[57]int32)(block[x:])
		s0, s1 := line2(c[0], c[8], c[24], c[40], c[56])
		c[0], c[8] = (s0+half)>>shift, (s1+half)>>shift
	}
	for y := range 2 {
		l := (*[8]int32)(block[8*y:])
		s0, s1 := line2(l[0], l[1], l[3], l[5], l[7])
		row := (*[2]uint8)(dst[y*stride:])
		row[0], row[1] = clampByte((s0+rowHalf)>>rowShift), clampByte((s1+rowHalf)>>rowShift)
	}
}

// line2 transforms coefficients 0, 1, 3, 5 and 7 of a line to 2 samples, scaled by 4 << idctBits.
func line2(a, b, d, f, h int32) (s0, s1 int32) {
	odd := b*r3624 - d*r1272 + f*r0850 - h*r0720
	return a<<(idctBits+2) + odd, a<<(idctBits+2) - odd
}
