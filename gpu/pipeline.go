package gpu

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sync/errgroup"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/shaders"
	vk "github.com/vulkan-go/vulkan"
)

// pipelines are the compiled kernels of a plan. A pipeline is shared by all dispatches of the same
// kernel and specialization constants, a layout by all kernels of the same interface.
type pipelines struct {
	d       *Device
	sets    map[int]handle    // VkDescriptorSetLayout by number of bindings
	layouts map[[2]int]handle // VkPipelineLayout by number of bindings and bytes of push constants
	modules map[string]vk.ShaderModule
	byKey   map[string]handle // VkPipeline
	took    time.Duration
}

func pipelineKey(d *netplan.Dispatch) string { return fmt.Sprint(d.Kernel, d.Spec) }

// newPipelines compiles what the plan needs, in parallel. The shader modules are gone afterwards.
func newPipelines(d *Device, p *netplan.Plan, lookup lookupKernel) (*pipelines, error) {
	start := time.Now()
	ps := &pipelines{d: d, sets: map[int]handle{}, layouts: map[[2]int]handle{}, modules: map[string]vk.ShaderModule{}, byKey: map[string]handle{}}
	err := ps.build(p, lookup)
	for _, m := range ps.modules {
		vk.DestroyShaderModule(d.h, m, nil)
	}
	ps.modules = nil
	if err != nil {
		ps.free()
		return nil, err
	}
	ps.took = time.Since(start)
	return ps, nil
}

func (ps *pipelines) build(p *netplan.Plan, lookup lookupKernel) error {
	type job struct {
		key            string
		module, layout handle
		spec           []uint32
		kernel         string
		result         handle
	}
	var jobs []*job
	seen := map[string]bool{}
	for i := range p.Dispatches {
		d := &p.Dispatches[i]
		k, _ := lookup(d.Kernel) // checkPlan found it
		layout, err := ps.layout(len(k.Bindings), k.PushBytes)
		if err != nil {
			return err
		}
		module, err := ps.module(k)
		if err != nil {
			return err
		}
		if key := pipelineKey(d); !seen[key] {
			seen[key] = true
			jobs = append(jobs, &job{key: key, module: module, layout: layout, spec: d.Spec, kernel: d.Kernel})
		}
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
			ps.byKey[j.key] = j.result
		}
	}
	return err
}

// layout returns the pipeline layout of an interface.
func (ps *pipelines) layout(bindings, pushBytes int) (handle, error) {
	key := [2]int{bindings, pushBytes}
	if h, ok := ps.layouts[key]; ok {
		return h, nil
	}
	set, ok := ps.sets[bindings]
	if !ok {
		err := ps.d.call("vkCreateDescriptorSetLayout", func() (r vk.Result) {
			set, r = shimCreateSetLayout(ps.d.dev, bindings)
			return r
		})
		if err != nil {
			return 0, err
		}
		ps.sets[bindings] = set
	}
	var h handle
	err := ps.d.call("vkCreatePipelineLayout", func() (r vk.Result) {
		h, r = shimCreatePipelineLayout(ps.d.dev, set, pushBytes)
		return r
	})
	if err != nil {
		return 0, err
	}
	ps.layouts[key] = h
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
	return ps.byKey[pipelineKey(d)], ps.layouts[[2]int{len(d.Bind), 4 * len(d.Push)}], ps.sets[len(d.Bind)]
}

func (ps *pipelines) free() {
	if ps == nil {
		return
	}
	for _, h := range ps.byKey {
		vk.DestroyPipeline(ps.d.h, fromBits[vk.Pipeline](h), nil)
	}
	for _, h := range ps.layouts {
		vk.DestroyPipelineLayout(ps.d.h, fromBits[vk.PipelineLayout](h), nil)
	}
	for _, h := range ps.sets {
		vk.DestroyDescriptorSetLayout(ps.d.h, fromBits[vk.DescriptorSetLayout](h), nil)
	}
	ps.byKey, ps.layouts, ps.sets = nil, nil, nil
}

// newPipelineCache makes the device's pipeline cache, which all its executors share; initial is what an
// earlier one held, nil for none. The specification has drivers reject data that is not theirs.
func (d *Device) newPipelineCache(initial []byte) error {
	info := vk.PipelineCacheCreateInfo{SType: vk.StructureTypePipelineCacheCreateInfo,
		InitialDataSize: uint(len(initial)), PInitialData: unsafe.Pointer(unsafe.SliceData(initial))}
	defer info.Free()
	var h vk.PipelineCache
	if err := d.call("vkCreatePipelineCache", func() vk.Result { return vk.CreatePipelineCache(d.h, &info, nil, &h) }); err != nil {
		return err
	}
	d.cache = h
	return nil
}
