package gpu

import "testing"

// TestOneVariant: views hold what they must, end where they must, are whole texels, and wherever there is room the second byte
// of their size is not zero, so that lavapipe compiles kernels once.
func TestOneVariant(t *testing.T) {
	const texel = 16
	for size := int64(texel); size <= 1<<18; size += texel {
		for _, room := range []int64{0, 240, 256, 1 << 20} {
			got := oneVariant(size, size+room)
			switch {
			case got < size || got > size+room:
				t.Errorf("%d of at most %d bytes: a view of %d", size, size+room, got)
			case got%texel != 0:
				t.Errorf("%d bytes: a view of %d, which is not whole texels", size, got)
			case got&0xff00 == 0 && room >= 256:
				t.Errorf("%d bytes: a view of %d", size, got)
			case size&0xff00 != 0 && got != size:
				t.Errorf("%d bytes: a view of %d, want it as it was", size, got)
			}
		}
	}
}
