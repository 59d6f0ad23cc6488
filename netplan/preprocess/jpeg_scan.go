package preprocess

import (
	"errors"
	"fmt"
	"io"
)

// zigzag maps the order of transmission to the place in a block of 8 rows of 8.
var zigzag = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

// jpegScan is a scan header.
type jpegScan struct {
	comps          []*jpegComponent
	dc, ac         []*huffTable // per component of the scan
	start, end     int          // coefficients start … end of each block
	high, low      int          // successive approximation: bits already there, bits still missing
	refine, acOnly bool
}

var errTooManyCoefficients = errors.New("damaged: a block has more than 64 coefficients")

// scanHeader reads and checks a start-of-scan payload.
func (d *jpegDecoder) scanHeader(p []byte) (s jpegScan, err error) {
	if len(p) < 1 || len(p) < 4+2*int(p[0]) || p[0] < 1 || p[0] > 4 {
		return s, errors.New("damaged: a scan header is too short")
	}
	n := int(p[0])
	s.start, s.end = int(p[1+2*n]), int(p[2+2*n])
	s.high, s.low = int(p[3+2*n]>>4), int(p[3+2*n]&15)
	if !d.progressive {
		s.start, s.end, s.high, s.low = 0, 63, 0, 0
	}
	s.acOnly, s.refine = s.start > 0, s.high > 0
	if d.progressive && (s.start > s.end || s.end > 63 || s.low > 13 || s.acOnly && n > 1 ||
		!s.acOnly && s.end > 0 || s.refine && s.high != s.low+1) {
		return s, fmt.Errorf("damaged: a scan of %d components has the progression %d-%d, %d-%d", n, s.start, s.end, s.high, s.low)
	}
	blocks := 0
	for i := range n {
		id, tables := int(p[1+2*i]), p[2+2*i]
		var c *jpegComponent
		for j := range d.comps {
			if d.comps[j].id == id {
				c = &d.comps[j]
				break
			}
		}
		if c == nil {
			return s, fmt.Errorf("damaged: a scan names the unknown component %d", id)
		}
		for _, other := range s.comps {
			if other == c {
				return s, fmt.Errorf("damaged: a scan names the component %d twice", id)
			}
		}
		if c.quant == nil {
			if d.quant[c.tq] == nil {
				return s, fmt.Errorf("damaged: no quantisation table %d", c.tq)
			}
			c.quant = d.quant[c.tq]
		}
		dc, ac := d.dc[tables>>4&3], d.ac[tables&3]
		if !s.acOnly && !s.refine && dc == nil || s.end > 0 && ac == nil {
			return s, fmt.Errorf("damaged: no Huffman table for component %d", id)
		}
		s.comps, s.dc, s.ac = append(s.comps, c), append(s.dc, dc), append(s.ac, ac)
		blocks += c.h * c.v
	}
	if n > 1 && blocks > 10 {
		return s, fmt.Errorf("damaged: a scan has %d blocks in a unit; want at most 10", blocks)
	}
	return s, nil
}

// scan decodes one scan; the entropy-coded data begins at d.pos.
func (d *jpegDecoder) scan(header []byte) error {
	s, err := d.scanHeader(header)
	if err != nil {
		return err
	}
	for _, c := range s.comps {
		d.visited += c.rowBlocks * c.colBlocks
	}
	if d.scans++; d.scans > maxScans || d.visited > max(maxPasses*d.blocks, 1<<20) {
		return fmt.Errorf("damaged: %d scans, too many", d.scans)
	}
	b := &bitReader{data: d.data, pos: d.pos}
	unitsX, unitsY := d.mcusX, d.mcusY
	if len(s.comps) == 1 {
		unitsX, unitsY = s.comps[0].bw, s.comps[0].bh // one component alone: its true blocks only
	}
	d.resetScan(&s)
	left, next := d.restart, byte(mRST0)
	for uy := range unitsY {
		for ux := range unitsX {
			if d.restart > 0 && left == 0 {
				if err := b.restart(next); err != nil {
					return err
				}
				d.resetScan(&s)
				left, next = d.restart, mRST0|(next+1)&7
			}
			left--
			if err := d.unit(b, &s, ux, uy); err != nil {
				if over := b.err(); over != nil {
					return over
				}
				return err
			}
		}
		if err := b.err(); err != nil {
			return err
		}
	}
	for _, c := range s.comps {
		c.seen = c.seen || !s.acOnly
	}
	d.pos = b.pos
	return nil
}

func (d *jpegDecoder) resetScan(s *jpegScan) {
	d.eobRun = 0
	for _, c := range s.comps {
		c.pred = 0
	}
}

// restart goes to the next marker, which must be the expected one.
func (b *bitReader) restart(want byte) error {
	if err := b.err(); err != nil {
		return err
	}
	for b.pos+1 < len(b.data) && (b.data[b.pos] != 0xff || b.data[b.pos+1] == 0xff || b.data[b.pos+1] == 0) {
		b.pos++
	}
	if b.pos+1 >= len(b.data) {
		return io.ErrUnexpectedEOF
	}
	if got := b.data[b.pos+1]; got != want {
		return fmt.Errorf("damaged: marker %#x in its data; want the restart marker %#x", got, want)
	}
	*b = bitReader{data: b.data, pos: b.pos + 2}
	return nil
}

// unit decodes one MCU, or one block of a scan with one component.
func (d *jpegDecoder) unit(b *bitReader, s *jpegScan, ux, uy int) error {
	for i, c := range s.comps {
		h, v := c.h, c.v
		if len(s.comps) == 1 {
			h, v = 1, 1
		}
		for j := range h * v {
			bx, by := ux*h+j%h, uy*v+j/h
			if d.progressive {
				block := (*[64]int16)(c.coef[(by*c.rowBlocks+bx)*64:])
				if err := d.progressiveBlock(b, s, i, block); err != nil {
					return err
				}
				continue
			}
			n := b.symbol(s.dc[i])
			if n < 0 || n > 15 {
				return errBadCode
			}
			c.pred = int32(int16(c.pred + b.signed(n)))
			seen := bx >= c.win.x0 && bx < c.win.x1 && by >= c.win.y0 && by < c.win.y1
			if !seen || c.size == 1 {
				if err := b.skipAC(s.ac[i]); err != nil {
					return err
				}
				if seen {
					dst, _ := c.samples(bx, by)
					dst[0] = idctMean(c.pred * int32(c.quant[0]))
				}
				continue
			}
			var block [64]int32
			block[0] = c.pred * int32(c.quant[0])
			last, err := b.sequentialAC(&block, c.quant, s.ac[i])
			if err != nil {
				return err
			}
			dst, stride := c.samples(bx, by)
			if c.size == 8 { // as a rule, and a call less
				idct(&block, last, dst, stride)
			} else {
				idctReduced(c.size, &block, last, dst, stride)
			}
		}
	}
	return nil
}

// sequentialAC decodes all coefficients of a block but the first, and dequantises them; last is the zigzag index of the
// last one that may differ from 0.
func (b *bitReader) sequentialAC(block *[64]int32, q *[64]uint16, ac *huffTable) (last int, err error) {
	for k := 1; k < 64; k++ {
		if b.n < huffFast {
			b.fill()
		}
		if e := ac.fast[b.acc>>(64-huffFast)]; e != 0 {
			b.acc <<= e & 63
			b.n -= int(e & 63)
			k += int(e >> 6 & 1023)
			if v := int32(e) >> 16; v != 0 {
				if k > 63 {
					return 0, errTooManyCoefficients
				}
				block[zigzag[k&63]] = v * int32(q[k&63])
				last = k
			}
			continue
		}
		rs := b.symbol(ac)
		if rs < 0 {
			return 0, errBadCode
		}
		n := rs & 15
		if n == 0 {
			if rs != 0xf0 {
				break
			}
			k += 15
			continue
		}
		if k += int(rs >> 4); k > 63 {
			return 0, errTooManyCoefficients
		}
		block[zigzag[k]] = b.signed(n) * int32(q[k])
		last = k
	}
	return last, nil
}

// skipAC passes over the coefficients that sequentialAC decodes, and checks them all the same.
func (b *bitReader) skipAC(ac *huffTable) error {
	skips := ac.skips()
	for k := 1; k < 64; {
		if b.n < 32 {
			b.fill()
		}
		if e := skips[b.acc>>(64-huffSkip)]; e != 0 && k+int(e>>5&127) <= 64 {
			b.acc <<= e & 31
			b.n -= int(e & 31)
			k += int(e >> 5 & 127)
			if e&skipEnd != 0 {
				break
			}
			continue
		}
		rs := b.symbol(ac)
		if rs < 0 {
			return errBadCode
		}
		n := rs & 15
		if n == 0 && rs != 0xf0 {
			break
		}
		if k += int(rs >> 4); n != 0 && k > 63 {
			return errTooManyCoefficients
		}
		b.bits(int(n))
		k++
	}
	return nil
}

// progressiveBlock decodes a scan's share of component i's block.
func (d *jpegDecoder) progressiveBlock(b *bitReader, s *jpegScan, i int, block *[64]int16) error {
	switch {
	case s.acOnly && s.refine:
		return d.refineAC(b, s, s.ac[i], block)
	case s.acOnly:
		return d.firstAC(b, s, s.ac[i], block)
	case s.refine:
		if b.bit() {
			block[0] |= 1 << s.low
		}
		return nil
	}
	n := b.symbol(s.dc[i])
	if n < 0 || n > 15 {
		return errBadCode
	}
	c := s.comps[i]
	c.pred += b.signed(n)
	block[0] = int16(c.pred << s.low)
	return nil
}

// firstAC decodes the high bits of a band of coefficients (T.81, G.1.2.2).
func (d *jpegDecoder) firstAC(b *bitReader, s *jpegScan, t *huffTable, block *[64]int16) error {
	if d.eobRun > 0 {
		d.eobRun--
		return nil
	}
	for k := s.start; k <= s.end; k++ {
		rs := b.symbol(t)
		if rs < 0 {
			return errBadCode
		}
		r, n := rs>>4, rs&15
		if n == 0 {
			if r < 15 {
				d.eobRun = 1<<r + b.bits(int(r)) - 1
				return nil
			}
			k += 15
			continue
		}
		if k += int(r); k > 63 {
			return errTooManyCoefficients
		}
		block[zigzag[k]] = int16(b.signed(n) << s.low)
	}
	return nil
}

// refineAC decodes the next lower bit of a band (T.81, G.1.2.3): a correction bit for every coefficient
// that is not 0 yet, and new coefficients of ±1 in between.
func (d *jpegDecoder) refineAC(b *bitReader, s *jpegScan, t *huffTable, block *[64]int16) error {
	plus, minus := int16(1)<<s.low, int16(-1)<<s.low
	k := s.start
	for d.eobRun == 0 && k <= s.end {
		rs := b.symbol(t)
		if rs < 0 {
			return errBadCode
		}
		r, n := rs>>4, rs&15
		var value int16
		switch {
		case n == 1:
			value = minus
			if b.bit() {
				value = plus
			}
		case n > 1:
			return errors.New("damaged: a refined coefficient is larger than 1")
		case r < 15:
			d.eobRun = 1<<r + b.bits(int(r))
		}
		if d.eobRun > 0 {
			break
		}
		// Skip r coefficients that are 0 (16 for the code without a value), correcting the others.
		if k = correct(b, block, k, s.end, int(r), plus, minus); k > s.end {
			if value != 0 {
				return errTooManyCoefficients
			}
			break
		}
		if value != 0 {
			block[zigzag[k]] = value
		}
		k++
	}
	if d.eobRun > 0 {
		correct(b, block, k, s.end, 64, plus, minus)
		d.eobRun--
	}
	return nil
}

// correct reads a correction bit for every coefficient from k on that is not 0, passes over zeros of
// those that are, and returns the index of the 0 after them, or end+1.
func correct(b *bitReader, block *[64]int16, k, end, zeros int, plus, minus int16) int {
	for ; k <= end; k++ {
		p := &block[zigzag[k]]
		if *p == 0 {
			if zeros == 0 {
				break
			}
			zeros--
			continue
		}
		if b.bit() && *p&plus == 0 {
			if *p > 0 {
				*p += plus
			} else {
				*p += minus
			}
		}
	}
	return k
}

// samples returns where a block's samples go; rows are stride apart.
func (c *jpegComponent) samples(bx, by int) (dst []uint8, stride int) {
	stride = c.win.w() * c.size
	return c.pix[((by-c.win.y0)*stride+bx-c.win.x0)*c.size:], stride
}

// reconstruct turns the coefficients of a progressive picture into samples.
func (d *jpegDecoder) reconstruct() {
	for i := range d.comps {
		c := &d.comps[i]
		for by := c.win.y0; by < min(c.win.y1, c.bh); by++ {
			for bx := c.win.x0; bx < min(c.win.x1, c.bw); bx++ {
				coef := (*[64]int16)(c.coef[(by*c.rowBlocks+bx)*64:])
				dst, stride := c.samples(bx, by)
				if c.size == 1 {
					dst[0] = idctMean(int32(coef[0]) * int32(c.quant[0]))
					continue
				}
				var block [64]int32
				last := 0
				for k, at := range zigzag {
					if v := coef[at]; v != 0 {
						block[at] = int32(v) * int32(c.quant[k])
						last = k
					}
				}
				idctReduced(c.size, &block, last, dst, stride)
			}
		}
		c.coef = nil
	}
}
