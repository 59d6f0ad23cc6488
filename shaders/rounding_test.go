package shaders

import (
	"encoding/binary"
	"strings"
	"testing"
)

// TestStoresRoundToNearest: kernels that store 16-bit floats have every conversion to them decorated with
// FPRoundingMode RTE, so that results do not depend on the device's taste.
func TestStoresRoundToNearest(t *testing.T) {
	const opTypeFloat, opTypeVector, opDecorate, opFConvert, decFPRoundingMode = 22, 23, 71, 115, 39
	for _, v := range Variants {
		if !strings.HasSuffix(v.Name, "_f16") || strings.HasPrefix(v.Name, "roof_") {
			continue
		}
		k, _ := Lookup(v.Name)
		word := func(at int) uint32 { return binary.LittleEndian.Uint32(k.Code[at:]) }
		half, nearest, conversions := map[uint32]bool{}, map[uint32]bool{}, 0
		for at := 20; at < len(k.Code); at += int(word(at)>>16) * 4 {
			switch word(at) & 0xffff {
			case opDecorate:
				if word(at+8) == decFPRoundingMode && word(at+12) == 0 {
					nearest[word(at+4)] = true
				}
			case opTypeFloat:
				half[word(at+4)] = word(at+8) == 16
			case opTypeVector:
				half[word(at+4)] = half[word(at+8)]
			case opFConvert:
				if half[word(at+4)] {
					conversions++
					if !nearest[word(at+8)] {
						t.Errorf("%s: a conversion to 16 bits is not decorated", v.Name)
					}
				}
			}
		}
		if conversions == 0 && !strings.HasPrefix(v.Name, "conv1x1_pool_") {
			t.Errorf("%s: no conversion to 16 bits", v.Name)
		}
	}
}
