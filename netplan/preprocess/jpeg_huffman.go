package preprocess

import (
	"encoding/binary"
	"errors"
	"io"
)

// huffLookup is the number of bits decoded by one table look-up; longer codes take a short loop.
const huffLookup = 9

// huffFast is the number of bits in which a code and the value after it are decoded by one look-up.
const huffFast = 10

// huffSkip is the number of bits in which codes are passed over by one look-up, those of several coefficients if they fit.
const huffSkip = 12

// skipEnd marks entries of skip that end with the end of the block.
const skipEnd = 1 << 15

// huffTable decodes one JPEG Huffman code.
type huffTable struct {
	// lookup holds length<<8 | symbol for every bit pattern that begins with a code of at most
	// huffLookup bits, 0 for the others.
	lookup [1 << huffLookup]uint16
	// fast holds, for every pattern of huffFast bits that begins with a code and all of its value, as AC coefficients
	// have them: value<<16 | coefficients to pass over<<6 | bits; 0 for the others. At the end of a block the value is
	// 0 and 64 coefficients are passed over.
	fast [1 << huffFast]uint32
	// skip holds, for every pattern of huffSkip bits, how to pass over the AC coefficients whose codes it has:
	// coefficients<<5 | bits, these with the last one's value, which may follow the pattern. The end of a block counts
	// as a coefficient, so that it is not looked for behind the last one. 0 where the first code is a long one.
	skip *[1 << huffSkip]uint16
	// For codes of n bits: those below limit[n] (left-aligned to 16 bits) are of at most n bits, and
	// symbol = symbols[code + offset[n]].
	limit   [18]int32
	offset  [18]int32
	symbols []uint8
}

var errBadCode = errors.New("damaged: its data holds an invalid Huffman code")

// newHuffTable reads 16 code counts and the symbols; n is the number of bytes taken.
func newHuffTable(p []byte) (t *huffTable, n int, err error) {
	total := 0
	for _, c := range p[:16] {
		total += int(c)
	}
	if total > 256 || len(p) < 16+total {
		return nil, 0, errors.New("damaged: a Huffman table is too short")
	}
	t = &huffTable{symbols: p[16 : 16+total]}
	code, k := int32(0), int32(0)
	for length := 1; length <= 16; length++ {
		t.offset[length] = k - code
		for range p[length-1] {
			if code >= 1<<length {
				return nil, 0, errors.New("damaged: a Huffman table has too many codes")
			}
			if length <= huffLookup {
				entry := uint16(length)<<8 | uint16(t.symbols[k])
				first := code << (huffLookup - length)
				for i := range int32(1) << (huffLookup - length) {
					t.lookup[first+i] = entry
				}
			}
			code++
			k++
		}
		t.limit[length] = code << (16 - length)
		code <<= 1
	}
	t.limit[17] = 1 << 30
	for i := range t.fast {
		e := t.lookup[i>>(huffFast-huffLookup)]
		length, run, size := int(e>>8), uint32(e>>4&15), int(e&15)
		if e == 0 || length+size > huffFast {
			continue
		}
		if size == 0 && run != 15 {
			t.fast[i] = 64<<6 | uint32(length)
			continue
		}
		v := int32(i) >> (huffFast - length - size) & (1<<size - 1)
		if size > 0 && v < 1<<(size-1) {
			v += -1<<size + 1
		}
		t.fast[i] = uint32(v)<<16 | run<<6 | uint32(length+size)
	}
	return t, 16 + total, nil
}

// skips returns skip, which is made when it is first needed.
func (t *huffTable) skips() *[1 << huffSkip]uint16 {
	if t.skip == nil {
		t.makeSkips()
	}
	return t.skip
}

func (t *huffTable) makeSkips() {
	t.skip = new([1 << huffSkip]uint16)
	for i := range t.skip {
		used, passed, end := 0, 0, 0
		for used < huffSkip && end == 0 {
			e := t.lookup[i<<used&(1<<huffSkip-1)>>(huffSkip-huffLookup)]
			length, n, size := int(e>>8), int(e>>4&15)+1, int(e&15)
			if size == 0 && n != 16 {
				n, end = 1, skipEnd
			}
			if e == 0 || used+length > huffSkip || used+length+size > 31 || passed+n > 64 {
				end = 0
				break
			}
			used, passed = used+length+size, passed+n
		}
		t.skip[i] = uint16(end | passed<<5 | used)
	}
}

// bitReader reads entropy-coded data. Bits are kept at the top of acc. At a marker or the end of the
// data it goes on with zeros and counts them in over, so that the inner loops need no checks: whoever
// has used a bit too many finds left() negative.
type bitReader struct {
	data []byte
	pos  int
	acc  uint64
	n    int // bits in acc
	over int // of these, made up
}

// fill makes at least 56 bits available.
func (b *bitReader) fill() {
	if b.pos+8 <= len(b.data) {
		v := binary.BigEndian.Uint64(b.data[b.pos:])
		// Without a byte 0xff in sight whole bytes can be taken at once.
		if (^v-0x0101010101010101)&v&0x8080808080808080 == 0 {
			b.acc |= v >> b.n
			taken := (63 - b.n) >> 3
			b.pos += taken
			b.n += 8 * taken
			return
		}
	}
	for b.n <= 56 {
		var v byte
		if b.pos < len(b.data) {
			v = b.data[b.pos]
			if v == 0xff {
				if b.pos+1 < len(b.data) && b.data[b.pos+1] == 0 {
					b.pos++
				} else {
					v = 0
					b.over += 8
					b.pos--
				}
			}
			b.pos++
		} else {
			b.over += 8
		}
		b.acc |= uint64(v) << (56 - b.n)
		b.n += 8
	}
}

// err says whether more was used than there was, and why the data ended.
func (b *bitReader) err() error {
	if b.n >= b.over {
		return nil
	}
	if b.pos+1 >= len(b.data) {
		return io.ErrUnexpectedEOF
	}
	return errors.New("damaged: a marker cuts its data short")
}

// bits takes n bits, n at most 16.
func (b *bitReader) bits(n int) int32 {
	if b.n < n {
		b.fill()
	}
	v := int32(b.acc >> 48 >> (16 - n))
	b.acc <<= n
	b.n -= n
	return v
}

func (b *bitReader) bit() bool { return b.bits(1) != 0 }

// symbol decodes one code; it is -1 for a pattern that is no code.
func (b *bitReader) symbol(t *huffTable) int32 {
	if b.n < 16 {
		b.fill()
	}
	e := t.lookup[b.acc>>(64-huffLookup)]
	if e != 0 {
		b.acc <<= e >> 8
		b.n -= int(e >> 8)
		return int32(e & 0xff)
	}
	top := int32(b.acc >> 48)
	for length := huffLookup + 1; ; length++ {
		if top < t.limit[length] {
			if length > 16 {
				return -1
			}
			b.acc <<= length
			b.n -= length
			return int32(t.symbols[top>>(16-length)+t.offset[length]])
		}
	}
}

// signed takes an n-bit value in JPEG's form, where a leading 0 bit means a negative number; n is at
// most 16.
func (b *bitReader) signed(n int32) int32 {
	v := b.bits(int(n))
	if n > 0 && v < 1<<(n-1) {
		v += -1<<n + 1
	}
	return v
}
