package gpu

import (
	"fmt"
	"hash/fnv"
	"math/bits"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sync/errgroup"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/shaders"
	vk "github.com/vulkan-go/vulkan"
)

// compiled is everything that a device has compiled so far. Its executors share it until the device
// closes: a network needs about twenty pipelines whatever its input size, and some drivers take a second
// for one.
type compiled struct {
	mu      sync.Mutex
	sets    map[bindings]handle // VkDescriptorSetLayout
	layouts map[iface]handle    // VkPipelineLayout
	byKey   map[string]handle   // VkPipeline by kernel, its code's hash, and specialization constants
}

// bindings are those of a kernel: how many, and bit by bit which of them are texel buffers.
type bindings struct {
	n      int
	texels uint32
}

func (b bindings) countTexels() int { return bits.OnesCount32(b.texels) }

// iface is the interface of a kernel.
type iface struct {
	bindings
	pushBytes int
}

func ifaceOf(d *netplan.Dispatch) iface {
	f := iface{bindings{n: len(d.Bind)}, 4 * len(d.Push)}
	for i, b := range d.Bind {
		if b.Texel {
			f.texels |= 1 << i
		}
	}
	return f
}

// pipelines are the compiled kernels of a plan. A pipeline is shared by all dispatches of the same
// kernel and specialization constants, a layout by all kernels of the same interface.
type pipelines struct {
	d       *Device
	sets    map[bindings]handle
	layouts map[iface]handle
	modules map[string]vk.ShaderModule
	byKey   map[string]handle // by pipelineKey
	took    time.Duration
}

func pipelineKey(d *netplan.Dispatch) string { return fmt.Sprint(d.Kernel, d.Spec) }

// newPipelines compiles what the plan needs and the device does not have yet, in parallel. The shader
// modules are gone afterwards.
func newPipelines(d *Device, p *netplan.Plan, lookup lookupKernel) (*pipelines, error) {
	start := time.Now()
	d.compiled.mu.Lock()
	defer d.compiled.mu.Unlock()
	ps := &pipelines{d: d, sets: map[bindings]handle{}, layouts: map[iface]handle{}, modules: map[string]vk.ShaderModule{}, byKey: map[string]handle{}}
	err := ps.build(p, lookup)
	for _, m := range ps.modules {
		vk.DestroyShaderModule(d.h, m, nil)
	}
	ps.modules = nil
	if err != nil {
		return nil, err
	}
	ps.took = time.Since(start)
	return ps, nil
}

func (ps *pipelines) build(p *netplan.Plan, lookup lookupKernel) error {
	type job struct {
		key, shared    string
		module, layout handle
		spec           []uint32
		kernel         string
		result         handle
	}
	var jobs []*job
	seen := map[string]bool{}
	for d := range p.All() {
		k, _ := lookup(d.Kernel) // checkPlan found it
		layout, err := ps.layout(ifaceOf(d))
		if err != nil {
			return err
		}
		key := pipelineKey(d)
		if seen[key] {
			continue
		}
		seen[key] = true
		h := fnv.New64a()
		h.Write(k.Code) // never fails
		shared := fmt.Sprintf("%s %x", key, h.Sum64())
		if p, ok := ps.d.compiled.byKey[shared]; ok {
			ps.byKey[key] = p
			continue
		}
		module, err := ps.module(k)
		if err != nil {
			return err
		}
		jobs = append(jobs, &job{key: key, shared: shared, module: module, layout: layout, spec: d.Spec, kernel: d.Kernel})
	}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, j := range jobs {
		g.Go(func() error {
			ids := make([]uint32, len(j.spec))
			for i := range ids {
				ids[i] = uint32(i)
			}
			var h handle
			err := ps.d.call("vkCreateComputePipelines", func() (r vk.Result) {
				h, r = shimCreateComputePipeline(ps.d.dev, handleOf(ps.d.cache), j.module, j.layout, ids, j.spec)
				return r
			})
			if err != nil {
				return fmt.Errorf("%w (kernel %s, constants %v)", err, j.kernel, j.spec)
			}
			j.result = h
			return nil
		})
	}
	err := g.Wait()
	for _, j := range jobs {
		if j.result != 0 {
			ps.byKey[j.key], ps.d.compiled.byKey[j.shared] = j.result, j.result
		}
	}
	if err == nil && len(jobs) > 0 {
		ps.d.savePipelines()
	}
	return err
}

// layout returns the pipeline layout of an interface.
func (ps *pipelines) layout(key iface) (handle, error) {
	c := &ps.d.compiled
	set, ok := c.sets[key.bindings]
	if !ok {
		err := ps.d.call("vkCreateDescriptorSetLayout", func() (r vk.Result) {
			set, r = shimCreateSetLayout(ps.d.dev, key.n, key.texels)
			return r
		})
		if err != nil {
			return 0, err
		}
		c.sets[key.bindings] = set
	}
	ps.sets[key.bindings] = set
	h, ok := c.layouts[key]
	ps.layouts[key] = h
	if ok {
		return h, nil
	}
	err := ps.d.call("vkCreatePipelineLayout", func() (r vk.Result) {
		h, r = shimCreatePipelineLayout(ps.d.dev, set, key.pushBytes)
		return r
	})
	if err != nil {
		return 0, err
	}
	c.layouts[key], ps.layouts[key] = h, h
	return h, nil
}

func (ps *pipelines) module(k *shaders.Kernel) (handle, error) {
	if m, ok := ps.modules[k.Name]; ok {
		return handleOf(m), nil
	}
	// The embedded bytes need not be aligned as words.
	code := make([]uint32, len(k.Code)/4)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(code))), 4*len(code)), k.Code)
	info := vk.ShaderModuleCreateInfo{SType: vk.StructureTypeShaderModuleCreateInfo, CodeSize: uint(4 * len(code)), PCode: code}
	defer info.Free()
	var m vk.ShaderModule
	if err := ps.d.call("vkCreateShaderModule", func() vk.Result { return vk.CreateShaderModule(ps.d.h, &info, nil, &m) }); err != nil {
		return 0, fmt.Errorf("%w (kernel %s)", err, k.Name)
	}
	ps.modules[k.Name] = m
	return handleOf(m), nil
}

// of returns a dispatch's pipeline, its layout and the layout of its descriptor set.
func (ps *pipelines) of(d *netplan.Dispatch) (pipeline, layout, set handle) {
	f := ifaceOf(d)
	return ps.byKey[pipelineKey(d)], ps.layouts[f], ps.sets[f.bindings]
}

func newCompiled() compiled {
	return compiled{sets: map[bindings]handle{}, layouts: map[iface]handle{}, byKey: map[string]handle{}}
}

// free destroys everything; the device's executors are gone.
func (c *compiled) free(dev vk.Device) {
	for _, h := range c.byKey {
		vk.DestroyPipeline(dev, fromBits[vk.Pipeline](h), nil)
	}
	for _, h := range c.layouts {
		vk.DestroyPipelineLayout(dev, fromBits[vk.PipelineLayout](h), nil)
	}
	for _, h := range c.sets {
		vk.DestroyDescriptorSetLayout(dev, fromBits[vk.DescriptorSetLayout](h), nil)
	}
}

// newPipelineCache makes the device's pipeline cache, which all its executors share; initial is what an
// earlier one held, nil for none. The specification has drivers reject data that is not theirs.
func (d *Device) newPipelineCache(initial []byte) error {
	info := vk.PipelineCacheCreateInfo{SType: vk.StructureTypePipelineCacheCreateInfo,
		InitialDataSize: uint(len(initial)), PInitialData: unsafe.Pointer(unsafe.SliceData(initial))}
	defer info.Free()
	if len(initial) > 0 { // the binding keeps the pointer in C memory
		var pin runtime.Pinner
		pin.Pin(&initial[0])
		defer pin.Unpin()
	}
	var h vk.PipelineCache
	if err := d.call("vkCreatePipelineCache", func() vk.Result { return vk.CreatePipelineCache(d.h, &info, nil, &h) }); err != nil {
		return err
	}
	d.cache = h
	return nil
}
