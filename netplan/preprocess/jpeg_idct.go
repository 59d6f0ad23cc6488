package preprocess

// The inverse DCT of Loeffler, Ligtenberg and Moschytz (ICASSP 1989) with 12 multiplications a line, in
// the fixed point of libjpeg's accurate integer method ("islow"): constants with 13 bits, 2 more bits
// kept between the passes, every sum rounded half up. These figures decide the low bits of the samples.
const (
	idctBits = 13
	idctKeep = 2

	c0298 = 2446  // 0.298631336
	c0390 = 3196  // 0.390180644
	c0541 = 4433  // 0.541196100
	c0765 = 6270  // 0.765366865
	c0899 = 7373  // 0.899976223
	c1175 = 9633  // 1.175875602
	c1501 = 12299 // 1.501321110
	c1847 = 15137 // 1.847759065
	c1961 = 16069 // 1.961570560
	c2053 = 16819 // 2.053119869
	c2562 = 20995 // 2.562915447
	c3072 = 25172 // 3.072711026
)

// idct writes a block's 8×8 samples. Coefficients after zigzag index last are 0.
func idct(block *[64]int32, last int, dst []uint8, stride int) {
	if last == 0 {
		fill(dst, stride, 8, idctMean(block[0]))
		return
	}
	if last < 10 { // all in the first four rows and columns
		idctSparse(block, dst, stride)
		return
	}
	for x := range 8 {
		column := (*[57]int32)(block[x:])
		if column[8]|column[16]|column[24]|column[32]|column[40]|column[48]|column[56] == 0 {
			v := column[0] << idctKeep
			for y := 0; y < 57; y += 8 {
				column[y] = v
			}
			continue
		}
		e0, e1, e2, e3 := idctEven(column[0], column[16], column[32], column[48])
		o0, o1, o2, o3 := idctOdd(column[8], column[24], column[40], column[56])
		idctColumn(column, e0, e1, e2, e3, o0, o1, o2, o3)
	}
	for y := range 8 {
		line := (*[8]int32)(block[8*y:])
		row := dst[y*stride : y*stride+8 : y*stride+8]
		e0, e1, e2, e3 := idctEven(line[0], line[2], line[4], line[6])
		o0, o1, o2, o3 := idctOdd(line[1], line[3], line[5], line[7])
		idctRow((*[8]uint8)(row), e0, e1, e2, e3, o0, o1, o2, o3)
	}
}

// idctMean is the sample that a block's first coefficient alone gives.
func idctMean(first int32) uint8 {
	return clampByte((first*(1<<idctKeep)+1<<(idctKeep+2))>>(idctKeep+3) + 128)
}

// fill writes size×size samples.
func fill(dst []uint8, stride, size int, v uint8) {
	for y := range size {
		row := dst[y*stride : y*stride+size : y*stride+size]
		for x := range row {
			row[x] = v
		}
	}
}

// idctSparse is idct where coefficients beyond the first four rows and columns are 0.
func idctSparse(block *[64]int32, dst []uint8, stride int) {
	for x := range 4 {
		column := (*[57]int32)(block[x:])
		e0, e1, e2, e3 := idctEven(column[0], column[16], 0, 0)
		o0, o1, o2, o3 := idctOdd(column[8], column[24], 0, 0)
		idctColumn(column, e0, e1, e2, e3, o0, o1, o2, o3)
	}
	for y := range 8 {
		line := (*[4]int32)(block[8*y:])
		row := dst[y*stride : y*stride+8 : y*stride+8]
		e0, e1, e2, e3 := idctEven(line[0], line[2], 0, 0)
		o0, o1, o2, o3 := idctOdd(line[1], line[3], 0, 0)
		idctRow((*[8]uint8)(row), e0, e1, e2, e3, o0, o1, o2, o3)
	}
}

// idctColumn ends the pass over a column: even plus and minus odd.
func idctColumn(column *[57]int32, e0, e1, e2, e3, o0, o1, o2, o3 int32) {
	const shift = idctBits - idctKeep
	const half = 1 << (shift - 1)
	column[0], column[56] = (e0+o0+half)>>shift, (e0-o0+half)>>shift
	column[8], column[48] = (e1+o1+half)>>shift, (e1-o1+half)>>shift
	column[16], column[40] = (e2+o2+half)>>shift, (e2-o2+half)>>shift
	column[24], column[32] = (e3+o3+half)>>shift, (e3-o3+half)>>shift
}

// idctRow ends the pass over a row, and makes samples of it.
func idctRow(row *[8]uint8, e0, e1, e2, e3, o0, o1, o2, o3 int32) {
	const shift = idctBits + idctKeep + 3
	const half = 1<<(shift-1) + 128<<shift
	row[0], row[7] = clampByte((e0+o0+half)>>shift), clampByte((e0-o0+half)>>shift)
	row[1], row[6] = clampByte((e1+o1+half)>>shift), clampByte((e1-o1+half)>>shift)
	row[2], row[5] = clampByte((e2+o2+half)>>shift), clampByte((e2-o2+half)>>shift)
	row[3], row[4] = clampByte((e3+o3+half)>>shift), clampByte((e3-o3+half)>>shift)
}

// idctEven is the part of the transform that coefficients 0, 2, 4, 6 give.
func idctEven(a, b, c, d int32) (e0, e1, e2, e3 int32) {
	z := (b + d) * c0541
	t2, t3 := z-d*c1847, z+b*c0765
	t0, t1 := (a+c)<<idctBits, (a-c)<<idctBits
	return t0 + t3, t1 + t2, t1 - t2, t0 - t3
}

// idctOdd is the part that coefficients 1, 3, 5, 7 give.
func idctOdd(a, b, c, d int32) (o0, o1, o2, o3 int32) {
	z5 := (d + b + c + a) * c1175
	z1, z2 := (d+a)*-c0899, (c+b)*-c2562
	z3, z4 := (d+b)*-c1961+z5, (c+a)*-c0390+z5
	return a*c1501 + z1 + z4, b*c3072 + z2 + z3, c*c2053 + z2 + z4, d*c0298 + z1 + z3
}
