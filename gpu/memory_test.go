package gpu

import (
	"errors"
	"strings"
	"testing"
)

// Memory types of real devices, in their drivers' order.
var (
	discreteMemory = probed{heaps: []memoryHeap{{size: 24 << 30, flags: 1}, {size: 64 << 30}, {size: 256 << 20, flags: 1}}, types: []memoryType{
		{0, 1}, {deviceLocal, 0}, {hostVisible | hostCoherent, 1}, {hostVisible | hostCoherent | hostCached, 1},
		{deviceLocal | hostVisible | hostCoherent, 2}}}
	integratedMemory = probed{heaps: []memoryHeap{{size: 16 << 30, flags: 1}}, types: []memoryType{
		{deviceLocal, 0}, {deviceLocal | hostVisible | hostCoherent, 0}, {deviceLocal | hostVisible | hostCoherent | hostCached, 0}}}
	mobileMemory = probed{heaps: []memoryHeap{{size: 8 << 30, flags: 1}}, types: []memoryType{
		{deviceLocal | lazy, 0}, {deviceLocal | protected, 0}, {deviceLocal | hostVisible | hostCoherent, 0}, {deviceLocal | hostVisible | hostCached, 0}}}
	softwareMemory = probed{heaps: []memoryHeap{{size: 8 << 30, flags: 1}}, types: []memoryType{
		{deviceLocal | hostVisible | hostCoherent | hostCached, 0}}}
)

func TestMemoryTypes(t *testing.T) {
	cases := []struct {
		name                             string
		p                                probed
		direct, device, upload, readback int
	}{
		{"discrete", discreteMemory, -1, 1, 2, 3},
		{"integrated", integratedMemory, 2, 0, 1, 2},
		{"mobile", mobileMemory, 3, 2, 2, 3},
		{"software", softwareMemory, 0, 0, 0, 0},
	}
	for _, c := range cases {
		if got := c.p.directType(); got != c.direct {
			t.Errorf("%s: direct mode uses type %d, want %d", c.name, got, c.direct)
		}
		for use, want := range map[memoryUse]int{useDirect: c.direct, useDevice: c.device, useUpload: c.upload, useReadback: c.readback} {
			if got := c.p.memoryType(use, ^uint32(0)); got != want {
				t.Errorf("%s: use %d gets type %d, want %d", c.name, use, got, want)
			}
		}
		if got := c.p.memoryType(useDevice, 0); got != -1 {
			t.Errorf("%s: type %d of none allowed", c.name, got)
		}
	}
}

func TestLargestBuffer(t *testing.T) {
	p := discreteMemory
	if got := p.largestBuffer(); got != 24<<30 {
		t.Errorf("without limits got %d, want the largest local heap", got)
	}
	p.maxAllocation, p.maxBuffer = 4<<30, 2<<30
	if got := p.largestBuffer(); got != 2<<30 {
		t.Errorf("got %d, want the smallest limit", got)
	}
}

func TestAtoms(t *testing.T) {
	b := &buffer{d: &Device{probed: probed{atom: 64}}, size: 1000, held: 1000}
	for _, c := range [][4]int64{{0, 1, 0, 64}, {63, 2, 0, 128}, {64, 64, 64, 64}, {130, 4, 128, 64}, {900, 100, 896, 104}, {0, 1000, 0, 1000}} {
		if o, n := b.atoms(c[0], c[1]); o != c[2] || n != c[3] {
			t.Errorf("atoms(%d, %d) = %d, %d; want %d, %d", c[0], c[1], o, n, c[2], c[3])
		}
	}
}

func TestTooLargeABuffer(t *testing.T) {
	d := open(t, Options{})
	for _, use := range []memoryUse{useDevice, useDirect, useUpload, useReadback} {
		b, err := d.newBuffer(d.Caps().MaxAllocation+1, use)
		if !errors.Is(err, ErrOutOfMemory) || !strings.Contains(err.Error(), "smaller batch") {
			t.Errorf("use %d: got %v %v, want ErrOutOfMemory that says what to do", use, b, err)
		}
	}
}

func TestBufferIsMapped(t *testing.T) {
	d := open(t, Options{treatNonCoherent: true})
	for _, use := range []memoryUse{useUpload, useReadback} {
		b, err := d.newBuffer(1000, use)
		if err != nil {
			t.Fatal(err)
		}
		if b.coherent || len(b.mapped) != 1000 {
			t.Fatalf("use %d: coherent is %v, %d bytes are mapped", use, b.coherent, len(b.mapped))
		}
		b.float32s(996, 1)[0] = 1
		if b.mapped[999] != 0x3f || b.mapped[998] != 0x80 {
			t.Errorf("the last float is not where it should be: % x", b.mapped[992:])
		}
		if err := errors.Join(b.flush(500, 500), b.invalidate(1, 2), b.flush(0, 0)); err != nil {
			t.Error(err)
		}
		b.free()
		b.free()
	}
}
