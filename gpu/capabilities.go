package gpu

import (
	"encoding/binary"
	"fmt"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/shaders"
)

// capabilities says what a kernel's SPIR-V may declare (OpCapability; SPIR-V specification, 3.31) and what of
// the device it takes. A driver need not refuse a module that declares what the device lacks, and some compute
// garbage; so it is refused here, before any is made.
var capabilities = map[uint32]struct {
	name string
	has  func(*netplan.Caps) bool
}{
	0:    {"Matrix", always},
	1:    {"Shader", always},
	9:    {"Float16", func(c *netplan.Caps) bool { return c.Float16 }},
	46:   {"SampledBuffer", always},
	61:   {"GroupNonUniform", func(c *netplan.Caps) bool { return c.SubgroupBasic }},
	65:   {"GroupNonUniformShuffle", func(c *netplan.Caps) bool { return c.SubgroupShuffle }},
	4433: {"StorageBuffer16BitAccess", func(c *netplan.Caps) bool { return c.Storage16 }},
}

func always(*netplan.Caps) bool { return true }

// checkCapabilities compares what a kernel declares with the device. The error wraps ErrFeature.
func checkCapabilities(k *shaders.Kernel, c *netplan.Caps) error {
	const header, opCapability = 5 * 4, 17
	for at := header; at+8 <= len(k.Code); {
		word := binary.LittleEndian.Uint32(k.Code[at:])
		if word&0xffff != opCapability { // they come first
			break
		}
		id := binary.LittleEndian.Uint32(k.Code[at+4:])
		row, ok := capabilities[id]
		switch {
		case !ok:
			return fmt.Errorf("gpu: kernel %s: %w: SPIR-V capability %d, which is never asked of devices", k.Name, ErrFeature, id)
		case !row.has(c):
			return fmt.Errorf("gpu: kernel %s: %w: SPIR-V capability %s, which %s lacks", k.Name, ErrFeature, row.name, c.Name)
		}
		at += 4 * int(max(word>>16, 1))
	}
	return nil
}
