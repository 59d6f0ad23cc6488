package gpu

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

const (
	deviceLocal  = uint32(vk.MemoryPropertyDeviceLocalBit)
	hostVisible  = uint32(vk.MemoryPropertyHostVisibleBit)
	hostCoherent = uint32(vk.MemoryPropertyHostCoherentBit)
	hostCached   = uint32(vk.MemoryPropertyHostCachedBit)
	lazy         = uint32(vk.MemoryPropertyLazilyAllocatedBit)
	protected    = uint32(vk.MemoryPropertyProtectedBit)
)

// memoryUse is what a buffer is for; it decides its memory type.
type memoryUse int

const (
	useDevice   memoryUse = iota // read and written by kernels, out of the host's sight
	useDirect                    // the same, mapped by the host
	useUpload                    // written by the host, read by copies
	useReadback                  // written by copies, read by the host
)

// directType returns the memory type for mapping the arena itself, -1 if there is none: device-local and
// cached by the host. Without the cache (a discrete GPU's window) reading results would crawl.
func (p *probed) directType() int {
	want := deviceLocal | hostVisible | hostCached
	for i, t := range p.types {
		if t.flags&want == want && t.flags&protected == 0 && p.heaps[t.heap].size == p.localHeap() {
			return i
		}
	}
	return -1
}

// memoryType picks a type out of allowed, -1 if none will do: it must have the use's flags, and of those
// the one with the most welcome and the fewest unwelcome flags wins, the driver's order breaking ties.
func (p *probed) memoryType(use memoryUse, allowed uint32) int {
	var must, good, bad uint32
	switch use {
	case useDevice:
		must, bad = deviceLocal, hostVisible
	case useDirect:
		must, good = deviceLocal|hostVisible|hostCached, hostCoherent
	case useUpload:
		must, good, bad = hostVisible, hostCoherent, hostCached|deviceLocal
	case useReadback:
		must, good, bad = hostVisible, hostCached, deviceLocal
	}
	found, best := -1, 0
	for i, t := range p.types {
		if allowed&(1<<i) == 0 || t.flags&must != must || t.flags&(lazy|protected) != 0 {
			continue
		}
		score := 2*bits.OnesCount32(t.flags&good) - bits.OnesCount32(t.flags&bad)
		if found < 0 || score > best {
			found, best = i, score
		}
	}
	return found
}

// deviceBytes is the device memory that this process holds, of all devices. Tests see leaks by it, with or
// without a validation layer.
var deviceBytes atomic.Int64

// buffer is a VkBuffer with memory of its own.
type buffer struct {
	d        *Device
	h        vk.Buffer
	mem      vk.DeviceMemory
	size     int64
	held     int64  // bytes allocated, which the driver may round up
	mapped   []byte // nil unless the host sees it
	coherent bool
}

// newBuffer makes a buffer for storage and copies; size is in bytes. A failed one leaves nothing behind.
// Its errors wrap ErrOutOfMemory where that is the cause.
func (d *Device) newBuffer(size int64, use memoryUse) (*buffer, error) {
	if size > d.info.Caps.MaxAllocation {
		return nil, fmt.Errorf("gpu: buffer: %w: %d bytes were wanted, the device allows %d at once; use a smaller batch",
			ErrOutOfMemory, size, d.info.Caps.MaxAllocation)
	}
	b := &buffer{d: d, size: size}
	if err := b.create(use); err != nil {
		b.free()
		return nil, fmt.Errorf("%w (a buffer of %d bytes)", err, size)
	}
	return b, nil
}

func (b *buffer) create(use memoryUse) error {
	d := b.d
	usage := uint32(vk.BufferUsageStorageBufferBit | vk.BufferUsageUniformTexelBufferBit | vk.BufferUsageTransferSrcBit | vk.BufferUsageTransferDstBit)
	var families []uint32 // that use it at once, if several do
	if use == useDevice && d.loadFamily() != d.probed.queueFamily {
		families = []uint32{uint32(d.probed.queueFamily), uint32(d.loadFamily())}
	}
	err := d.call("vkCreateBuffer", func() (r vk.Result) {
		var h handle
		h, r = shimCreateBuffer(d.dev, b.size, usage, families)
		b.h = fromBits[vk.Buffer](h)
		return r
	})
	if err != nil {
		return err
	}
	h := b.h
	var req vk.MemoryRequirements
	vk.GetBufferMemoryRequirements(d.h, h, &req)
	req.Deref()
	defer req.Free()
	index := d.probed.memoryType(use, req.MemoryTypeBits)
	if index < 0 {
		return fmt.Errorf("gpu: buffer: %w: no memory type for use %d among %#x", ErrFeature, use, req.MemoryTypeBits)
	}
	alloc := vk.MemoryAllocateInfo{SType: vk.StructureTypeMemoryAllocateInfo, AllocationSize: req.Size, MemoryTypeIndex: uint32(index)}
	defer alloc.Free()
	var mem vk.DeviceMemory
	if err := d.call("vkAllocateMemory", func() vk.Result { return vk.AllocateMemory(d.h, &alloc, nil, &mem) }); err != nil {
		return err
	}
	b.mem, b.held = mem, int64(req.Size)
	deviceBytes.Add(b.held)
	if err := d.call("vkBindBufferMemory", func() vk.Result { return vk.BindBufferMemory(d.h, h, mem, 0) }); err != nil {
		return err
	}
	if use == useDevice {
		return nil
	}
	var p unsafe.Pointer
	if err := d.call("vkMapMemory", func() vk.Result { return vk.MapMemory(d.h, mem, 0, vk.DeviceSize(vk.WholeSize), 0, &p) }); err != nil {
		return err
	}
	b.mapped = unsafe.Slice((*byte)(p), b.size)
	b.coherent = d.probed.types[index].flags&hostCoherent != 0 && !d.opts.treatNonCoherent
	return nil
}

// free frees the buffer; nil and half-made ones too. Freeing memory unmaps it.
func (b *buffer) free() {
	if b == nil {
		return
	}
	if b.h != nil {
		vk.DestroyBuffer(b.d.h, b.h, nil)
	}
	if b.mem != nil {
		vk.FreeMemory(b.d.h, b.mem, nil)
		deviceBytes.Add(-b.held)
	}
	*b = buffer{}
}

// atoms widens a range to whole atoms of non-coherent memory, within the allocation.
func (b *buffer) atoms(offset, size int64) (int64, int64) {
	atom := max(int64(b.d.probed.atom), 1)
	begin := offset / atom * atom
	end := min((offset+size+atom-1)/atom*atom, b.held)
	return begin, end - begin
}

// flush makes what the host wrote visible to the device's next submit.
func (b *buffer) flush(offset, size int64) error {
	if b.coherent || size == 0 {
		return nil
	}
	o, n := b.atoms(offset, size)
	return b.d.call("vkFlushMappedMemoryRanges", func() vk.Result { return shimFlush(b.d.dev, handleOf(b.mem), o, n) })
}

// invalidate makes what the device wrote, and a barrier made available to the host, visible to the host.
func (b *buffer) invalidate(offset, size int64) error {
	if b.coherent || size == 0 {
		return nil
	}
	o, n := b.atoms(offset, size)
	return b.d.call("vkInvalidateMappedMemoryRanges", func() vk.Result { return shimInvalidate(b.d.dev, handleOf(b.mem), o, n) })
}

// float32s views bytes of a mapped buffer as n floats; offset is a multiple of 4.
func (b *buffer) float32s(offset int64, n int) []float32 {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&b.mapped[offset])), len(b.mapped[offset:offset+4*int64(n)])/4)
}

// viewOf views bytes of a mapped buffer, or others that are aligned like these, as elements.
func viewOf[T uint16 | uint32 | float32](b []byte) []T {
	var t T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(t)))
}
