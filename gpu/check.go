package gpu

import (
	"fmt"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/shaders"
)

// lookupKernel finds a kernel by name: shaders.Lookup, or a test's own.
type lookupKernel func(name string) (*shaders.Kernel, bool)

func planError(p *netplan.Plan, format string, args ...any) error {
	return fmt.Errorf("gpu: plan %s: %w: %s", p.Model, ErrPlan, fmt.Sprintf(format, args...))
}

// checkPlan compares a plan with the kernels' reflection and the device's limits, for batches up to
// batch. A plan that passes cannot make the executor record anything that Vulkan forbids.
func checkPlan(p *netplan.Plan, d *Device, lookup lookupKernel, batch int) error {
	if p.Precision != netplan.PrecisionFloat32 && p.Precision != netplan.PrecisionAMP {
		return fmt.Errorf("gpu: plan %s: %w: precision %q; wanted %s or %s", p.Model, ErrFeature, p.Precision, netplan.PrecisionFloat32, netplan.PrecisionAMP)
	}
	if err := checkTensors(p, d, int64(batch)); err != nil {
		return err
	}
	if len(p.Dispatches) == 0 {
		return planError(p, "it has no dispatches")
	}
	for dis := range p.All() {
		k, ok := lookup(dis.Kernel)
		if !ok {
			return planError(p, "node %s: there is no kernel %q; build with the shaders the plan was made for", dis.Node, dis.Kernel)
		}
		if err := checkCapabilities(k, &d.info.Caps); err != nil {
			return err
		}
		if err := checkDispatch(p, d, dis, k, batch); err != nil {
			return err
		}
	}
	return nil
}

func checkTensors(p *netplan.Plan, d *Device, batch int64) error {
	align := int64(d.info.Caps.StorageBufferAlignment)
	if p.ArenaBytes <= 0 || p.ArenaBytes%4 != 0 {
		return planError(p, "an arena of %d bytes per image; wanted a positive multiple of 4", p.ArenaBytes)
	}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		switch {
		case t.Offset < 0 || t.Stride <= 0 || t.Offset+t.Stride > p.ArenaBytes:
			return planError(p, "tensor %s: bytes %d to %d of an arena of %d", t.Name, t.Offset, t.Offset+t.Stride, p.ArenaBytes)
		case align > 0 && t.Offset%align != 0:
			return planError(p, "tensor %s: offset %d; wanted a multiple of %d for this device", t.Name, t.Offset, align)
		case t.Stride < t.ImageBytes():
			return planError(p, "tensor %s: %d bytes an image for %v %v; wanted %d", t.Name, t.Stride, t.Shape, t.Layout, t.ImageBytes())
		case batch*t.Stride > d.info.Caps.MaxStorageBufferRange:
			return planError(p, "tensor %s: %d bytes at batch %d; this device binds at most %d", t.Name, batch*t.Stride, batch, d.info.Caps.MaxStorageBufferRange)
		}
	}
	for _, i := range append(p.InputTensors(), p.OutputTensor) {
		if i < 0 || i >= len(p.Tensors) {
			return planError(p, "tensor %d of %d is its input or output", i, len(p.Tensors))
		}
	}
	if in := &p.Tensors[p.InputTensor]; in.Shape != p.Input {
		return planError(p, "the input tensor is %v; wanted %v", in.Shape, p.Input)
	}
	if p.Pictures != nil {
		if i := p.Pictures.Tensor; i < 0 || i >= len(p.Tensors) || p.Tensors[i].Shape != p.Input || p.Tensors[i].Layout != netplan.HWC || p.Tensors[i].DType != netplan.Uint8 {
			return planError(p, "tensor %d of %d is its input of pictures; wanted one of bytes, %v", i, len(p.Tensors), p.Input)
		}
	}
	if p.Resize != nil {
		if p.Pictures == nil {
			return planError(p, "it resizes pictures without an input of pictures; wanted both")
		}
		if i := p.Resize.Tensor; i < 0 || i >= len(p.Tensors) || p.Tensors[i].DType != netplan.Uint8 || p.Tensors[i].Stride < int64(p.Resize.Bytes) {
			return planError(p, "tensor %d of %d is its input of parts; wanted one of %d bytes", i, len(p.Tensors), p.Resize.Bytes)
		}
	}
	for _, i := range append(p.InputTensors(), p.OutputTensor) {
		// Tile sums mean something to their kernels only.
		if t := &p.Tensors[i]; t.Layout == netplan.Tiles || t.Layout == netplan.HWC {
			return planError(p, "its input or output is tensor %s, %v %v; wanted a map or a vector", t.Name, t.Shape, t.Layout)
		}
	}
	if out := &p.Tensors[p.OutputTensor]; out.Shape.C != p.Classes || out.Layout == netplan.Vector && out.Shape.NumElements() != p.Classes {
		return planError(p, "the output tensor is %v %v; wanted a vector of %d classes", out.Shape, out.Layout, p.Classes)
	}
	return nil
}

func checkDispatch(p *netplan.Plan, d *Device, dis *netplan.Dispatch, k *shaders.Kernel, batch int) error {
	c := &d.info.Caps
	if len(dis.Bind) != len(k.Bindings) {
		return planError(p, "node %s: %d bindings; kernel %s has %d", dis.Node, len(dis.Bind), k.Name, len(k.Bindings))
	}
	texels := ifaceOf(dis).countTexels()
	if n, most := len(dis.Bind)-texels, int(d.probed.maxStorageBuffers); n > most {
		return planError(p, "node %s: %d storage buffers; this device binds at most %d", dis.Node, n, most)
	}
	if most := int(d.probed.maxTexelBuffers); texels > most {
		return planError(p, "node %s: %d texel buffers; this device binds at most %d", dis.Node, texels, most)
	}
	if 4*len(dis.Push) != k.PushBytes || k.PushBytes > c.MaxPushConstants {
		return planError(p, "node %s: %d push bytes; kernel %s takes %d, the device at most %d", dis.Node, 4*len(dis.Push), k.Name, k.PushBytes, c.MaxPushConstants)
	}
	if err := checkSpec(p, c, dis, k); err != nil {
		return err
	}
	for axis, g := range dis.Groups {
		if g.Tile <= 0 {
			return planError(p, "node %s: workgroups of axis %d have tile %d; wanted a positive one", dis.Node, axis, g.Tile)
		}
		if n := g.For(batch); n < 0 || n > c.MaxWorkgroupCount[axis] {
			return planError(p, "node %s: %d workgroups on axis %d at batch %d; this device allows %d", dis.Node, n, axis, batch, c.MaxWorkgroupCount[axis])
		}
	}
	for i, b := range dis.Bind {
		if want := k.Bindings[i]; b.Write != want.Write || b.Texel != want.Texel {
			return planError(p, "node %s: binding %d has Write %v, Texel %v; kernel %s (%s) has %v, %v", dis.Node, i, b.Write, b.Texel, k.Name, want.Name, want.Write, want.Texel)
		}
		if err := checkBinding(p, c, dis, i, b); err != nil {
			return err
		}
		if b.Texel {
			if err := checkTexels(p, d, dis, i, b, batch); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkSpec: the plan's words are the constants with ids 0, 1, …, all of them, and 0 to 2 the workgroup.
func checkSpec(p *netplan.Plan, c *netplan.Caps, dis *netplan.Dispatch, k *shaders.Kernel) error {
	if len(dis.Spec) != len(k.Spec) || len(dis.Spec) < 3 {
		return planError(p, "node %s: %d specialization constants; kernel %s has %d, and needs the three of the workgroup's size",
			dis.Node, len(dis.Spec), k.Name, len(k.Spec))
	}
	for i, s := range k.Spec {
		if s.ID != uint32(i) {
			return planError(p, "kernel %s: constant ids have a gap before %d", k.Name, s.ID)
		}
	}
	total := 1
	for axis, n := range dis.Spec[:3] {
		if n == 0 || int(n) > c.MaxWorkgroupSize[axis] {
			return planError(p, "node %s: workgroup of %d on axis %d; wanted 1 to %d on this device", dis.Node, n, axis, c.MaxWorkgroupSize[axis])
		}
		total *= int(n)
	}
	if total > c.MaxWorkgroupInvocations {
		return planError(p, "node %s: workgroup of %d invocations; this device allows %d", dis.Node, total, c.MaxWorkgroupInvocations)
	}
	return nil
}

func checkBinding(p *netplan.Plan, c *netplan.Caps, dis *netplan.Dispatch, i int, b netplan.Binding) error {
	switch {
	case b.Tensor >= len(p.Tensors):
		return planError(p, "node %s: binding %d is tensor %d of %d", dis.Node, i, b.Tensor, len(p.Tensors))
	case b.Tensor >= 0 && b.Offset != 0:
		return planError(p, "node %s: binding %d begins %d bytes into its tensor; wanted 0", dis.Node, i, b.Offset)
	case b.Tensor >= 0:
		return nil
	case b.Write:
		return planError(p, "node %s: binding %d writes the weights", dis.Node, i)
	case b.Offset < 0 || b.Size <= 0 || b.Offset+b.Size > int64(len(p.Weights)):
		return planError(p, "node %s: binding %d is bytes %d to %d of %d bytes of weights", dis.Node, i, b.Offset, b.Offset+b.Size, len(p.Weights))
	case c.StorageBufferAlignment > 0 && b.Offset%int64(c.StorageBufferAlignment) != 0:
		return planError(p, "node %s: binding %d begins at byte %d of the weights; wanted a multiple of %d", dis.Node, i, b.Offset, c.StorageBufferAlignment)
	case b.Size > c.MaxStorageBufferRange:
		return planError(p, "node %s: binding %d is %d bytes of weights; this device binds at most %d", dis.Node, i, b.Size, c.MaxStorageBufferRange)
	}
	return nil
}

// checkTexels: a binding that checkBinding passed can be a texel buffer.
func checkTexels(p *netplan.Plan, d *Device, dis *netplan.Dispatch, i int, b netplan.Binding, batch int) error {
	offset, size := b.Offset, b.Size
	if b.Tensor >= 0 {
		offset, size = p.Tensors[b.Tensor].Offset, int64(batch)*p.Tensors[b.Tensor].Stride
	}
	texel, align := p.TexelOf(b).Bytes(), int64(d.probed.texelAlignment)
	switch {
	case size%texel != 0:
		return planError(p, "node %s: binding %d is %d bytes; wanted whole texels of %d", dis.Node, i, size, texel)
	case size/texel > d.info.Caps.MaxTexelElements:
		return planError(p, "node %s: binding %d is %d texels at batch %d; this device reads at most %d", dis.Node, i, size/texel, batch, d.info.Caps.MaxTexelElements)
	case align > 0 && offset%align != 0:
		return planError(p, "node %s: binding %d begins at byte %d; wanted a multiple of %d for texels", dis.Node, i, offset, align)
	}
	return nil
}
