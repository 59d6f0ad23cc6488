package gpu

/*
#cgo CFLAGS: -O2 -Wall -fno-strict-aliasing
#cgo linux LDFLAGS: -ldl -lpthread
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// This file is the only one that speaks cgo. Handles of the binding are C pointers of eight bytes; the
// shim takes their bits.

type (
	shimInstance = C.vkx_instance
	shimDevice   = C.vkx_device
	shimOp       = C.vkx_op
	shimWrite    = C.vkx_write
	handle       = uint64
)

// handleOf returns the bits of one of the binding's handles.
func handleOf[H any](h H) handle { return *(*handle)(unsafe.Pointer(&h)) }

// fromBits returns the handle of those bits.
func fromBits[H any](b handle) H { return *(*H)(unsafe.Pointer(&b)) }

// The conversions above are right only where handles have eight bytes.
var _ [unsafe.Sizeof(vk.Buffer(nil)) - 8]struct{}
var _ [8 - unsafe.Sizeof(vk.Buffer(nil))]struct{}

func cptr(p *handle) *C.vkx_handle { return (*C.vkx_handle)(unsafe.Pointer(p)) }

// shimLoad opens the loader library; "" is success, anything else the reason.
func shimLoad(library string) string {
	name := C.CString(library)
	defer C.free(unsafe.Pointer(name))
	const n = 512
	text := (*C.char)(C.calloc(n, 1))
	defer C.free(unsafe.Pointer(text))
	if C.vkx_load(name, text, n) == 0 {
		return ""
	}
	return C.GoString(text)
}

func shimGetInstanceProcAddr() unsafe.Pointer { return C.vkx_get_instance_proc_addr() }
func shimLoaderVersion() uint32               { return uint32(C.vkx_loader_version()) }

func shimHasLayer(layer string) bool {
	name := C.CString(layer)
	defer C.free(unsafe.Pointer(name))
	return C.vkx_has_layer(name) != 0
}

// shimHasInstanceExtension says whether the loader (layer "") or the layer offers the extension.
func shimHasInstanceExtension(layer, extension string) bool {
	var l *C.char
	if layer != "" {
		l = C.CString(layer)
		defer C.free(unsafe.Pointer(l))
	}
	e := C.CString(extension)
	defer C.free(unsafe.Pointer(e))
	return C.vkx_has_instance_extension(l, e) != 0
}

func shimLoaderFile() string {
	const n = 4096
	text := (*C.char)(C.calloc(n, 1))
	defer C.free(unsafe.Pointer(text))
	C.vkx_loader_file(text, n)
	return C.GoString(text)
}

func shimLayers() (out []Layer, r vk.Result) {
	var n C.uint32_t
	if r = vk.Result(C.vkx_layers(&n, nil)); r < 0 || n == 0 {
		return nil, r
	}
	list := make([]C.vkx_layer, n)
	if r = vk.Result(C.vkx_layers(&n, &list[0])); r < 0 {
		return nil, r
	}
	for i := range list[:n] {
		out = append(out, Layer{Name: cstring(&list[i].name), Description: cstring(&list[i].description), Version: versionString(uint32(list[i].version))})
	}
	return out, r
}

// shimTryDriver opens a driver's library; "" is success, anything else the reason.
func shimTryDriver(library string) string {
	name := C.CString(library)
	defer C.free(unsafe.Pointer(name))
	const n = 1024
	text := (*C.char)(C.calloc(n, 1))
	defer C.free(unsafe.Pointer(text))
	if C.vkx_try_driver(name, text, n) == 0 {
		return ""
	}
	return C.GoString(text)
}

type instanceOptions struct {
	apiVersion                                        uint32
	validation, messenger, layerSettings, portability bool
}

func cbool(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}

// shimCreateInstance returns the shim's object also on failure, for its messages.
func shimCreateInstance(o instanceOptions) (*shimInstance, vk.Result) {
	opts := C.vkx_instance_options{
		api_version: C.uint32_t(o.apiVersion), validation: cbool(o.validation), messenger: cbool(o.messenger),
		layer_settings: cbool(o.layerSettings), portability: cbool(o.portability),
	}
	var out *shimInstance
	r := C.vkx_create_instance(&opts, &out)
	return out, vk.Result(r)
}

func shimCreateMessenger(i *shimInstance) vk.Result { return vk.Result(C.vkx_create_messenger(i)) }
func shimInstanceHandle(i *shimInstance) vk.Instance {
	return fromBits[vk.Instance](handle(C.vkx_instance_handle(i)))
}
func shimDestroyInstance(i *shimInstance) { C.vkx_destroy_instance(i) }
func shimFreeInstance(i *shimInstance)    { C.vkx_free_instance(i) }

func shimTakeMessages(i *shimInstance) (out []Message, dropped int) {
	var n C.uint32_t
	list := C.vkx_take_messages(i, &n)
	for m := list; m != nil; m = m.next {
		out = append(out, Message{
			Error: m.severity >= 0x1000, Kind: messageKind(uint32(m.types)), ID: C.GoString(m.id), Text: C.GoString(m.text)})
	}
	C.vkx_free_messages(list)
	return out, int(n)
}

func shimPhysicalDevices(i *shimInstance, count *uint32, out []handle) vk.Result {
	var p *C.vkx_handle
	if len(out) > 0 {
		p = cptr(&out[0])
	}
	return vk.Result(C.vkx_physical_devices(i, (*C.uint32_t)(unsafe.Pointer(count)), p))
}

func shimProbe(i *shimInstance, physical handle) probed {
	var info C.vkx_device_info
	C.vkx_probe(i, C.vkx_handle(physical), &info)
	return newProbed(&info)
}

func cstring(s *[256]C.char) string { return C.GoString(&s[0]) }

// probed is vkx_device_info in Go's types, for the files without cgo.
type probed struct {
	name, driverName, driverInfo                                        string
	apiVersion, driverVersion, vendorID, deviceID, kind                 uint32
	cacheUUID                                                           [16]byte
	maxInvocations                                                      uint32
	maxSize, maxCount                                                   [3]uint32
	maxShared, maxPush, maxSets, maxStorageBuffers                      uint32
	maxTexelBuffers, maxTexels                                          uint32
	maxRange, alignment, texelAlignment, atom, maxAllocation, maxBuffer uint64
	subgroupSize                                                        uint32
	subgroupBasic, subgroupShuffle, float16, storage16                  bool
	portabilitySubset                                                   bool
	types                                                               []memoryType
	heaps                                                               []memoryHeap
	queueFamily, loadFamily                                             int // loadFamily only copies; -1 where there is none
	timestampBits                                                       uint32
	timestampNs                                                         float64
}

type memoryType struct {
	flags uint32
	heap  int
}

type memoryHeap struct {
	size  uint64
	flags uint32
}

func newProbed(c *C.vkx_device_info) probed {
	p := probed{
		name: cstring(&c.name), driverName: cstring(&c.driver_name), driverInfo: cstring(&c.driver_info),
		apiVersion: uint32(c.api_version), driverVersion: uint32(c.driver_version),
		vendorID: uint32(c.vendor_id), deviceID: uint32(c.device_id), kind: uint32(c.device_type),
		maxInvocations: uint32(c.max_invocations), maxShared: uint32(c.max_shared), maxPush: uint32(c.max_push),
		maxSets: uint32(c.max_sets), maxStorageBuffers: uint32(c.max_storage_buffers),
		maxTexelBuffers: uint32(c.max_texel_buffers), maxTexels: uint32(c.max_texels), texelAlignment: uint64(c.texel_alignment),
		maxRange: uint64(c.max_storage_range), alignment: uint64(c.storage_alignment), atom: uint64(c.atom_size),
		maxAllocation: uint64(c.max_allocation), maxBuffer: uint64(c.max_buffer),
		subgroupSize: uint32(c.subgroup_size), subgroupBasic: c.subgroup_basic != 0, subgroupShuffle: c.subgroup_shuffle != 0,
		float16: c.float16 != 0, storage16: c.storage16 != 0, portabilitySubset: c.portability_subset != 0,
		queueFamily: int(c.queue_family), loadFamily: int(c.load_family), timestampBits: uint32(c.timestamp_bits), timestampNs: float64(c.timestamp_ns),
	}
	for i := range 3 {
		p.maxSize[i], p.maxCount[i] = uint32(c.max_size[i]), uint32(c.max_count[i])
	}
	for i := range p.cacheUUID {
		p.cacheUUID[i] = byte(c.pipeline_cache_uuid[i])
	}
	for i := range min(int(c.memory_types), len(c.type_flags)) {
		p.types = append(p.types, memoryType{uint32(c.type_flags[i]), int(c.type_heap[i])})
	}
	for i := range min(int(c.memory_heaps), len(c.heap_size)) {
		p.heaps = append(p.heaps, memoryHeap{uint64(c.heap_size[i]), uint32(c.heap_flags[i])})
	}
	return p
}

func cu32(b bool) C.uint32_t { return C.uint32_t(cbool(b)) }

func shimCreateDevice(i *shimInstance, physical handle, p *probed) (*shimDevice, vk.Result) {
	wanted := C.vkx_wanted{
		queue_family: C.uint32_t(p.queueFamily), load_family: C.int32_t(p.loadFamily), float16: cu32(p.float16), storage16: cu32(p.storage16),
		portability_subset: cu32(p.portabilitySubset), api_version: C.uint32_t(p.apiVersion),
	}
	var out *shimDevice
	r := C.vkx_create_device(i, C.vkx_handle(physical), &wanted, &out)
	return out, vk.Result(r)
}

func shimDeviceHandle(d *shimDevice) vk.Device {
	return fromBits[vk.Device](handle(C.vkx_device_handle(d)))
}
func shimFreeDevice(d *shimDevice)         { C.vkx_free_device(d) }
func shimWaitIdle(d *shimDevice) vk.Result { return vk.Result(C.vkx_wait_idle(d)) }

// shimCreateSetLayout makes a layout of so many bindings, of which those in texels are uniform texel buffers.
func shimCreateSetLayout(d *shimDevice, bindings int, texels uint32) (h handle, r vk.Result) {
	r = vk.Result(C.vkx_create_set_layout(d, C.uint32_t(bindings), C.uint32_t(texels), cptr(&h)))
	return h, r
}

func shimCreatePipelineLayout(d *shimDevice, setLayout handle, pushBytes int) (h handle, r vk.Result) {
	r = vk.Result(C.vkx_create_pipeline_layout(d, C.vkx_handle(setLayout), C.uint32_t(pushBytes), cptr(&h)))
	return h, r
}

func words(s []uint32) *C.uint32_t { return (*C.uint32_t)(unsafe.Pointer(unsafe.SliceData(s))) }

// shimCreateComputePipeline sets specialization constant ids[i] to values[i]. It may run in several
// goroutines at once.
func shimCreateComputePipeline(d *shimDevice, cache, module, layout handle, ids, values []uint32) (h handle, r vk.Result) {
	r = vk.Result(C.vkx_create_compute_pipeline(d, C.vkx_handle(cache), C.vkx_handle(module), C.vkx_handle(layout),
		words(ids), words(values), C.uint32_t(len(ids)), cptr(&h)))
	return h, r
}

func shimCreateDescriptorPool(d *shimDevice, sets, storage, texel int) (h handle, r vk.Result) {
	r = vk.Result(C.vkx_create_descriptor_pool(d, C.uint32_t(sets), C.uint32_t(storage), C.uint32_t(texel), cptr(&h)))
	return h, r
}

// shimAllocateSets fills out with one set for each layout.
func shimAllocateSets(d *shimDevice, pool handle, layouts, out []handle) vk.Result {
	return vk.Result(C.vkx_allocate_sets(d, C.vkx_handle(pool), C.uint32_t(len(layouts)), cptr(&layouts[0]), cptr(&out[0])))
}

func newWrite(set handle, binding int, buffer handle, offset, size int64) shimWrite {
	return shimWrite{set: C.vkx_handle(set), binding: C.uint32_t(binding), buffer: C.vkx_handle(buffer),
		offset: C.uint64_t(offset), _range: C.uint64_t(size)}
}

func newTexelWrite(set handle, binding int, view handle) shimWrite {
	return shimWrite{set: C.vkx_handle(set), binding: C.uint32_t(binding), view: C.vkx_handle(view)}
}

func shimUpdateSets(d *shimDevice, w []shimWrite) {
	if len(w) > 0 {
		C.vkx_update_sets(d, C.uint32_t(len(w)), &w[0])
	}
}

func shimBegin(d *shimDevice, cmd handle, oneTime bool) vk.Result {
	return vk.Result(C.vkx_begin(d, C.vkx_handle(cmd), cbool(oneTime)))
}
func shimEnd(d *shimDevice, cmd handle) vk.Result { return vk.Result(C.vkx_end(d, C.vkx_handle(cmd))) }

func shimRecord(d *shimDevice, cmd handle, ops []shimOp, push []uint32) {
	if len(ops) > 0 {
		C.vkx_record(d, C.vkx_handle(cmd), &ops[0], C.uint32_t(len(ops)), words(push))
	}
}

// shimSubmit submits to the queue for copies (load) or to the main one; fence, wait and signal may be 0.
func shimSubmit(d *shimDevice, load bool, cmd, fence, wait, signal handle) vk.Result {
	return vk.Result(C.vkx_submit(d, cbool(load), C.vkx_handle(cmd), C.vkx_handle(fence), C.vkx_handle(wait), C.vkx_handle(signal)))
}

// shimCreateBuffer makes a buffer that the queue families use at once, or, without any, one at a time.
func shimCreateBuffer(d *shimDevice, size int64, usage uint32, families []uint32) (h handle, r vk.Result) {
	r = vk.Result(C.vkx_create_buffer(d, C.uint64_t(size), C.uint32_t(usage), C.uint32_t(len(families)), words(families), cptr(&h)))
	return h, r
}

// shimCreateBufferView views a range of a buffer as texels of format.
func shimCreateBufferView(d *shimDevice, buffer handle, format vk.Format, offset, size int64) (h handle, r vk.Result) {
	r = vk.Result(C.vkx_create_buffer_view(d, C.vkx_handle(buffer), C.uint32_t(format), C.uint64_t(offset), C.uint64_t(size), cptr(&h)))
	return h, r
}

func shimWaitFence(d *shimDevice, fence handle, timeoutNs uint64) vk.Result {
	return vk.Result(C.vkx_wait_fence(d, C.vkx_handle(fence), C.uint64_t(timeoutNs)))
}

func shimResetFence(d *shimDevice, fence handle) vk.Result {
	return vk.Result(C.vkx_reset_fence(d, C.vkx_handle(fence)))
}

func shimFlush(d *shimDevice, memory handle, offset, size int64) vk.Result {
	return vk.Result(C.vkx_flush(d, C.vkx_handle(memory), C.uint64_t(offset), C.uint64_t(size)))
}

func shimInvalidate(d *shimDevice, memory handle, offset, size int64) vk.Result {
	return vk.Result(C.vkx_invalidate(d, C.vkx_handle(memory), C.uint64_t(offset), C.uint64_t(size)))
}

// Operations for shimRecord -----------------------------------------------------------------------

func opDispatch(pipeline, layout, set handle, pushFirst, pushBytes int, groups [3]int) shimOp {
	return shimOp{kind: C.VKX_DISPATCH, pipeline: C.vkx_handle(pipeline), layout: C.vkx_handle(layout), set: C.vkx_handle(set),
		push_first: C.uint32_t(pushFirst), push_bytes: C.uint32_t(pushBytes),
		groups: [3]C.uint32_t{C.uint32_t(groups[0]), C.uint32_t(groups[1]), C.uint32_t(groups[2])}}
}

// scope is a pipeline stage with the accesses made there, one side of a barrier.
type scope struct{ stage, access uint32 }

var (
	computeWrite  = scope{uint32(vk.PipelineStageComputeShaderBit), uint32(vk.AccessShaderWriteBit)}
	computeAccess = scope{uint32(vk.PipelineStageComputeShaderBit), uint32(vk.AccessShaderReadBit | vk.AccessShaderWriteBit)}
	transferRead  = scope{uint32(vk.PipelineStageTransferBit), uint32(vk.AccessTransferReadBit)}
	transferWrite = scope{uint32(vk.PipelineStageTransferBit), uint32(vk.AccessTransferWriteBit)}
	hostRead      = scope{uint32(vk.PipelineStageHostBit), uint32(vk.AccessHostReadBit)}
)

func (s scope) or(t scope) scope { return scope{s.stage | t.stage, s.access | t.access} }

// opBarrier is a global memory barrier.
func opBarrier(src, dst scope) shimOp {
	return shimOp{kind: C.VKX_BARRIER, src_stage: C.uint32_t(src.stage), src_access: C.uint32_t(src.access),
		dst_stage: C.uint32_t(dst.stage), dst_access: C.uint32_t(dst.access)}
}

func opCopy(src, dst handle, srcOffset, dstOffset, size int64) shimOp {
	return shimOp{kind: C.VKX_COPY, src: C.vkx_handle(src), dst: C.vkx_handle(dst),
		src_offset: C.uint64_t(srcOffset), dst_offset: C.uint64_t(dstOffset), size: C.uint64_t(size)}
}

func opFill(dst handle, offset, size int64, word uint32) shimOp {
	return shimOp{kind: C.VKX_FILL, dst: C.vkx_handle(dst), dst_offset: C.uint64_t(offset), size: C.uint64_t(size), value: C.uint32_t(word)}
}

func opTimestamp(pool handle, query int) shimOp {
	return shimOp{kind: C.VKX_TIMESTAMP, src: C.vkx_handle(pool), value: C.uint32_t(query),
		src_stage: C.uint32_t(vk.PipelineStageBottomOfPipeBit)}
}

func opResetQueries(pool handle, first, count int) shimOp {
	return shimOp{kind: C.VKX_RESET_QUERIES, src: C.vkx_handle(pool), value: C.uint32_t(first), count: C.uint32_t(count)}
}
