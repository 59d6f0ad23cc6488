// The C half of package gpu: every Vulkan call that github.com/vulkan-go/vulkan makes unsafely (any
// that takes a slice of structs, at the top level or inside a create-info) or does not know
// (features2, properties2, debug_utils, validation features). All parameters are plain data; handles
// are their 64 bits. Functions that can fail return the VkResult of exactly one Vulkan call, so that
// package gpu can pass all of them through its one gate (call in errors.go).
#ifndef VKINFER_SHIM_H
#define VKINFER_SHIM_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t vkx_handle;

// Loader. vkx_load opens the library and finds vkGetInstanceProcAddr; it returns 0, or -1 with the
// reason in err. It is called under a lock and has no effect after it has succeeded once.
int vkx_load(const char *library, char *err, size_t errlen);
void *vkx_get_instance_proc_addr(void);
// The loader's Vulkan version in packed form; 1.0 for loaders that cannot say.
uint32_t vkx_loader_version(void);
// Whether the layer exists / whether the extension is offered by the loader (layer NULL) or the layer.
int vkx_has_layer(const char *layer);
int vkx_has_instance_extension(const char *layer, const char *extension);


// For diagnosis. The file that the loader was opened from, "" where that cannot be said.
void vkx_loader_file(char *out, size_t len);
// The instance layers: count of them, and up to len records. Returns the VkResult.
typedef struct { char name[256], description[256]; uint32_t version; } vkx_layer;
int32_t vkx_layers(uint32_t *count, vkx_layer *out);
// Opens a library as the loader opens drivers and looks for a driver's entry points; 0, or -1 and the reason.
int vkx_try_driver(const char *library, char *err, size_t errlen);

// Instances.
typedef struct vkx_instance vkx_instance;
typedef struct {
	uint32_t api_version;
	int32_t validation;     // enable VK_LAYER_KHRONOS_validation with synchronization validation
	int32_t messenger;      // enable VK_EXT_debug_utils
	int32_t layer_settings; // the layer takes VK_EXT_layer_settings
	int32_t portability;    // VK_KHR_portability_enumeration is there: list non-conformant devices too
} vkx_instance_options;
int32_t vkx_create_instance(const vkx_instance_options *opts, vkx_instance **out);
int32_t vkx_create_messenger(vkx_instance *inst);
vkx_handle vkx_instance_handle(const vkx_instance *inst);
void vkx_destroy_messenger(vkx_instance *inst);
// Destroys the VkInstance; the messages stay until vkx_free_instance.
void vkx_destroy_instance(vkx_instance *inst);
void vkx_free_instance(vkx_instance *inst);

// Messages of the debug messenger, oldest first, detached from the instance by vkx_take_messages.
typedef struct vkx_message {
	struct vkx_message *next;
	uint32_t severity, types;
	char *id, *text;
} vkx_message;
vkx_message *vkx_take_messages(vkx_instance *inst, uint32_t *dropped);
void vkx_free_messages(vkx_message *list);

// Physical devices.
#define VKX_MAX_TYPES 32
#define VKX_MAX_HEAPS 16
typedef struct {
	char name[256], driver_name[256], driver_info[256];
	uint32_t api_version, driver_version, vendor_id, device_id, device_type;
	uint8_t pipeline_cache_uuid[16];
	uint32_t max_invocations, max_size[3], max_count[3], max_shared, max_push, max_sets, max_storage_buffers, max_texel_buffers, max_texels;
	uint64_t max_storage_range, storage_alignment, texel_alignment, atom_size, max_allocation, max_buffer;
	uint32_t subgroup_size, subgroup_basic, subgroup_shuffle;
	uint32_t float16, storage16;
	uint32_t portability_subset, memory_types, memory_heaps;
	uint32_t type_flags[VKX_MAX_TYPES], type_heap[VKX_MAX_TYPES];
	uint64_t heap_size[VKX_MAX_HEAPS];
	uint32_t heap_flags[VKX_MAX_HEAPS];
	int32_t queue_family; // -1: none can compute
	int32_t load_family;  // that copies and does nothing else; -1: none
	uint32_t timestamp_bits;
	float timestamp_ns;
} vkx_device_info;
int32_t vkx_physical_devices(vkx_instance *inst, uint32_t *count, vkx_handle *out);
void vkx_probe(vkx_instance *inst, vkx_handle physical, vkx_device_info *out);

// Devices. The vkx_device holds the function pointers of one VkDevice.
typedef struct vkx_device vkx_device;
typedef struct { int32_t load_family; uint32_t queue_family, float16, storage16, portability_subset, api_version; } vkx_wanted;
int32_t vkx_create_device(vkx_instance *inst, vkx_handle physical, const vkx_wanted *wanted, vkx_device **out);
vkx_handle vkx_device_handle(const vkx_device *dev);
vkx_handle vkx_device_queue(const vkx_device *dev);
void vkx_free_device(vkx_device *dev); // after vkDestroyDevice
int32_t vkx_wait_idle(vkx_device *dev);

// A buffer that the queue families use at once; count 0: by one at a time.
int32_t vkx_create_buffer(vkx_device *dev, uint64_t size, uint32_t usage, uint32_t count, const uint32_t *families, vkx_handle *out);

// A view of a buffer's range as texels of a VkFormat.
int32_t vkx_create_buffer_view(vkx_device *dev, vkx_handle buffer, uint32_t format, uint64_t offset, uint64_t range, vkx_handle *out);

// Pipelines and descriptors; every binding is one buffer for the compute stage: a uniform texel buffer where its bit of
// texels is set, else a storage buffer.
int32_t vkx_create_set_layout(vkx_device *dev, uint32_t bindings, uint32_t texels, vkx_handle *out);
int32_t vkx_create_pipeline_layout(vkx_device *dev, vkx_handle set_layout, uint32_t push_bytes, vkx_handle *out);
int32_t vkx_create_compute_pipeline(vkx_device *dev, vkx_handle cache, vkx_handle module, vkx_handle layout,
	const uint32_t *ids, const uint32_t *values, uint32_t count, vkx_handle *out);
int32_t vkx_create_descriptor_pool(vkx_device *dev, uint32_t sets, uint32_t storage, uint32_t texel, vkx_handle *out);
int32_t vkx_allocate_sets(vkx_device *dev, vkx_handle pool, uint32_t count, const vkx_handle *layouts, vkx_handle *out);
typedef struct {
	vkx_handle set, buffer, view; // a view for a uniform texel buffer, a buffer's range for a storage buffer
	uint64_t offset, range;
	uint32_t binding;
} vkx_write;
// Writes the descriptors in slices, without allocating.
void vkx_update_sets(vkx_device *dev, uint32_t count, const vkx_write *writes);

// Recording: one call turns an array of operations into commands.
enum { VKX_DISPATCH, VKX_BARRIER, VKX_COPY, VKX_FILL, VKX_TIMESTAMP, VKX_RESET_QUERIES };
typedef struct {
	uint32_t kind;
	uint32_t groups[3];             // dispatch
	uint32_t push_first, push_bytes; // dispatch: index into the words passed along
	vkx_handle pipeline, layout, set; // dispatch
	uint32_t src_stage, src_access, dst_stage, dst_access; // barrier; timestamp: src_stage
	vkx_handle src, dst;            // copy, fill (dst); timestamp and reset: the query pool in src
	uint64_t src_offset, dst_offset, size; // copy, fill
	uint32_t value, count;          // fill: the word; timestamp: the query; reset: first query and how many
} vkx_op;
int32_t vkx_begin(vkx_device *dev, vkx_handle cmd, int32_t one_time);
void vkx_record(vkx_device *dev, vkx_handle cmd, const vkx_op *ops, uint32_t count, const uint32_t *push);
int32_t vkx_end(vkx_device *dev, vkx_handle cmd);
// To the queue for copies (load) or the main one; fence, wait and signal may be 0.
int32_t vkx_submit(vkx_device *dev, int32_t load, vkx_handle cmd, vkx_handle fence, vkx_handle wait, vkx_handle signal);
int32_t vkx_wait_fence(vkx_device *dev, vkx_handle fence, uint64_t timeout_ns);
int32_t vkx_reset_fence(vkx_device *dev, vkx_handle fence);

// Host access to memory that is not coherent; offset and size are already rounded to the atom.
int32_t vkx_flush(vkx_device *dev, vkx_handle memory, uint64_t offset, uint64_t size);
int32_t vkx_invalidate(vkx_device *dev, vkx_handle memory, uint64_t offset, uint64_t size);

#endif
