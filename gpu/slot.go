package gpu

import (
	"time"

	"github.com/vkinfer/vkinfer/netplan"
	vk "github.com/vulkan-go/vulkan"
)

// slot is what one batch in flight needs for itself: an arena, staging buffers, commands and a fence. One
// goroutine at a time has it.
type slot struct {
	*Executor

	arena  *buffer
	upload *buffer // nil in direct mode, as is back
	back   *buffer

	pool     vk.CommandPool
	loadPool vk.CommandPool // of the queue for copies, nil where the one queue does all
	loaded   handle         // VkSemaphore that the copies signal, with loadPool
	fence    vk.Fence
	recorded []*recording

	inFlight bool      // the fence was submitted and its end not seen
	began    time.Time // of that submit
	macs     int64     // of that submit
	counted  bool      // phases.compute has it
}

// newCommands makes the command pools, the fence and the semaphore.
func (s *slot) newCommands() (err error) {
	if s.pool, err = s.d.newCommandPool(s.d.probed.queueFamily); err != nil {
		return err
	}
	fence := vk.FenceCreateInfo{SType: vk.StructureTypeFenceCreateInfo}
	defer fence.Free()
	var f vk.Fence
	if err := s.d.call("vkCreateFence", func() vk.Result { return vk.CreateFence(s.d.h, &fence, nil, &f) }); err != nil {
		return err
	}
	s.fence = f
	if s.direct || !s.d.loadsApart() {
		return nil
	}
	if s.loadPool, err = s.d.newCommandPool(s.d.loadFamily()); err != nil {
		return err
	}
	return s.newSemaphore()
}

func (d *Device) newCommandPool(family int) (vk.CommandPool, error) {
	info := vk.CommandPoolCreateInfo{SType: vk.StructureTypeCommandPoolCreateInfo, QueueFamilyIndex: uint32(family)}
	defer info.Free()
	var p vk.CommandPool
	err := d.call("vkCreateCommandPool", func() vk.Result { return vk.CreateCommandPool(d.h, &info, nil, &p) })
	return p, err
}

// newSemaphore replaces the semaphore, whose state is not known after an error.
func (s *slot) newSemaphore() error {
	s.destroySemaphore()
	info := vk.SemaphoreCreateInfo{SType: vk.StructureTypeSemaphoreCreateInfo}
	defer info.Free()
	var sem vk.Semaphore
	if err := s.d.call("vkCreateSemaphore", func() vk.Result { return vk.CreateSemaphore(s.d.h, &info, nil, &sem) }); err != nil {
		return err
	}
	s.loaded = handleOf(sem)
	return nil
}

func (s *slot) destroySemaphore() {
	if s.loaded != 0 {
		vk.DestroySemaphore(s.d.h, fromBits[vk.Semaphore](s.loaded), nil)
	}
	s.loaded = 0
}

// allocate makes the arena and the staging buffers for a batch.
func (s *slot) allocate(batch int) (err error) {
	n := int64(batch)
	if s.arena, err = s.d.newBuffer(n*s.plan.ArenaBytes+2*s.guard, s.arenaUse()); err != nil || s.direct {
		return err
	}
	in := s.inputStride(netplan.EntryValues)
	for _, entry := range []netplan.Entry{netplan.EntryPictures, netplan.EntryParts} {
		if s.plan.Has(entry) {
			in = max(in, s.inputStride(entry))
		}
	}
	if s.upload, err = s.d.newBuffer(n*in+2*s.guard, useUpload); err != nil {
		return err
	}
	s.back, err = s.d.newBuffer(n*s.output().Stride+6*s.guard, useReadback)
	return err
}

func (s *slot) freeArena() {
	s.arena.free()
	s.upload.free()
	s.back.free()
	s.arena, s.upload, s.back = nil, nil, nil
}

// destroy frees what there is; the device no longer uses it.
func (s *slot) destroy() {
	for _, r := range s.recorded {
		s.freeRecording(r)
	}
	s.recorded = nil
	s.freeArena()
	s.destroySemaphore()
	if s.fence != nil {
		vk.DestroyFence(s.d.h, s.fence, nil)
	}
	for _, p := range []vk.CommandPool{s.pool, s.loadPool} {
		if p != nil {
			vk.DestroyCommandPool(s.d.h, p, nil)
		}
	}
	s.fence, s.pool, s.loadPool = nil, nil, nil
}

// feed is what a batch is made from: values, pictures or parts of them, of as many images.
type feed struct {
	values   []float32
	pictures []uint8
	parts    [][]byte
}

func (f feed) entry() netplan.Entry {
	switch {
	case f.pictures != nil:
		return netplan.EntryPictures
	case f.parts != nil:
		return netplan.EntryParts
	}
	return netplan.EntryValues
}

// part returns n images from the first on.
func (f feed) part(e *Executor, first, n int) feed {
	switch f.entry() {
	case netplan.EntryParts:
		return feed{parts: f.parts[first:][:n]}
	case netplan.EntryPictures:
		per := e.plan.Input.NumElements()
		return feed{pictures: f.pictures[first*per:][:n*per]}
	}
	return feed{values: f.values[first*e.values:][:n*e.values]}
}

// put stores image i's part of a tensor, whose first value is that number of the image's.
func (f feed) put(e *Executor, t *netplan.Tensor, i, first int, dst []byte) {
	n := t.Shape.NumElements()
	switch f.entry() {
	case netplan.EntryParts:
		copy(dst, f.parts[i])
		return
	case netplan.EntryPictures:
		copy(dst, f.pictures[i*n:][:n])
		return
	}
	pack(t, dst, f.values[i*e.values+first:][:n])
}
