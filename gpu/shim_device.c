// Physical devices, the probe, devices, pipelines and descriptors.
#include "shim_internal.h"

#include <stdlib.h>
#include <string.h>

#define API(major, minor) ((uint32_t)(major) << 22 | (uint32_t)(minor) << 12)
static void *ptr(vkx_handle h) { return (void *)(uintptr_t)h; }

int32_t vkx_physical_devices(vkx_instance *inst, uint32_t *count, vkx_handle *out) {
	_Static_assert(sizeof(void *) == sizeof(vkx_handle), "handles");
	return inst->EnumeratePhysicalDevices(inst->handle, count, (void **)out);
}

static int has_extension(const VkExtensionProperties *p, uint32_t n, const char *name) {
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(p[i].extensionName, name) == 0)
			return 1;
	return 0;
}

static void probe_limits(const VkPhysicalDeviceProperties *p, vkx_device_info *out) {
	memcpy(out->name, p->deviceName, sizeof out->name);
	memcpy(out->pipeline_cache_uuid, p->pipelineCacheUUID, sizeof out->pipeline_cache_uuid);
	out->api_version = p->apiVersion;
	out->driver_version = p->driverVersion;
	out->vendor_id = p->vendorID;
	out->device_id = p->deviceID;
	out->device_type = p->deviceType;
	const VkPhysicalDeviceLimits *l = &p->limits;
	out->max_invocations = l->maxComputeWorkGroupInvocations;
	memcpy(out->max_size, l->maxComputeWorkGroupSize, sizeof out->max_size);
	memcpy(out->max_count, l->maxComputeWorkGroupCount, sizeof out->max_count);
	out->max_shared = l->maxComputeSharedMemorySize;
	out->max_push = l->maxPushConstantsSize;
	out->max_sets = l->maxBoundDescriptorSets;
	out->max_storage_buffers = l->maxPerStageDescriptorStorageBuffers;
	out->max_texel_buffers = l->maxPerStageDescriptorSampledImages; // which uniform texel buffers count as
	out->max_texels = l->maxTexelBufferElements;
	out->texel_alignment = l->minTexelBufferOffsetAlignment;
	out->max_storage_range = l->maxStorageBufferRange;
	out->storage_alignment = l->minStorageBufferOffsetAlignment;
	out->atom_size = l->nonCoherentAtomSize;
	out->timestamp_ns = l->timestampPeriod;
}

// What came with Vulkan 1.1 and later. A struct enters a chain only where the device knows it.
static void probe_newer(vkx_instance *inst, void *pd, vkx_device_info *out) {
	uint32_t n = 0;
	VkExtensionProperties *ext = NULL;
	if (inst->EnumerateDeviceExtensionProperties(pd, NULL, &n, NULL) == VK_SUCCESS && n && (ext = calloc(n, sizeof *ext)))
		if (inst->EnumerateDeviceExtensionProperties(pd, NULL, &n, ext) < 0)
			n = 0;
	if (!ext)
		n = 0;
	out->portability_subset = has_extension(ext, n, "VK_KHR_portability_subset");
	int v12 = out->api_version >= API(1, 2), v13 = out->api_version >= API(1, 3);

	VkPhysicalDeviceSubgroupProperties subgroup = {.sType = ST_SUBGROUP_PROPERTIES};
	VkPhysicalDeviceMaintenance3Properties m3 = {.sType = ST_MAINTENANCE_3_PROPERTIES, .pNext = &subgroup};
	VkPhysicalDeviceProperties2 p2 = {.sType = ST_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &m3};
	VkPhysicalDeviceDriverProperties driver = {.sType = ST_DRIVER_PROPERTIES};
	if (v12 || has_extension(ext, n, "VK_KHR_driver_properties")) {
		driver.pNext = p2.pNext;
		p2.pNext = &driver;
	}
	VkPhysicalDeviceMaintenance4Properties m4 = {.sType = ST_MAINTENANCE_4_PROPERTIES};
	if (v13 || has_extension(ext, n, "VK_KHR_maintenance4")) {
		m4.pNext = p2.pNext;
		p2.pNext = &m4;
	}
	inst->GetPhysicalDeviceProperties2(pd, &p2);
	out->max_allocation = m3.maxMemoryAllocationSize;
	out->max_buffer = m4.maxBufferSize;
	memcpy(out->driver_name, driver.driverName, sizeof out->driver_name);
	memcpy(out->driver_info, driver.driverInfo, sizeof out->driver_info);
	out->subgroup_size = subgroup.subgroupSize;
	if (subgroup.supportedStages & STAGE_COMPUTE) {
		out->subgroup_basic = (subgroup.supportedOperations & SUBGROUP_BASIC) != 0;
		out->subgroup_shuffle = (subgroup.supportedOperations & SUBGROUP_SHUFFLE) != 0;
	}

	VkPhysicalDevice16BitStorageFeatures s16 = {.sType = ST_16BIT_STORAGE_FEATURES};
	VkPhysicalDeviceFeatures2 f2 = {.sType = ST_PHYSICAL_DEVICE_FEATURES_2, .pNext = &s16};
	VkPhysicalDeviceShaderFloat16Int8Features f16 = {.sType = ST_SHADER_FLOAT16_INT8_FEATURES};
	if (v12) { // as an extension it would have to be enabled by name; drivers without 1.2 go without
		f16.pNext = f2.pNext;
		f2.pNext = &f16;
	}
	inst->GetPhysicalDeviceFeatures2(pd, &f2);
	out->storage16 = s16.storageBuffer16BitAccess;
	out->float16 = f16.shaderFloat16;
	free(ext);
}

static void probe_queues(vkx_instance *inst, void *pd, vkx_device_info *out) {
	VkQueueFamilyProperties q[32];
	uint32_t n = 32;
	inst->GetPhysicalDeviceQueueFamilyProperties(pd, &n, q);
	out->queue_family = out->load_family = -1;
	for (uint32_t i = 0; i < n; i++) // nothing but copies: queues for video copy too
		if ((q[i].queueFlags & ~QUEUE_SPARSE) == QUEUE_TRANSFER && q[i].queueCount) {
			out->load_family = (int32_t)i;
			break;
		}
	for (uint32_t i = 0; i < n; i++) {
		if (!(q[i].queueFlags & QUEUE_COMPUTE) || q[i].queueCount == 0)
			continue;
		// The first family that computes: on every known driver the main one, which has the most resources.
		out->queue_family = (int32_t)i;
		out->timestamp_bits = q[i].timestampValidBits;
		break;
	}
}

void vkx_probe(vkx_instance *inst, vkx_handle physical, vkx_device_info *out) {
	void *pd = ptr(physical);
	memset(out, 0, sizeof *out);
	VkPhysicalDeviceProperties p;
	memset(&p, 0, sizeof p);
	inst->GetPhysicalDeviceProperties(pd, &p);
	probe_limits(&p, out);
	if (p.apiVersion >= API(1, 1) && inst->GetPhysicalDeviceProperties2 && inst->GetPhysicalDeviceFeatures2)
		probe_newer(inst, pd, out);
	probe_queues(inst, pd, out);
	VkPhysicalDeviceMemoryProperties m;
	memset(&m, 0, sizeof m);
	inst->GetPhysicalDeviceMemoryProperties(pd, &m);
	out->memory_types = m.memoryTypeCount;
	out->memory_heaps = m.memoryHeapCount;
	for (uint32_t i = 0; i < m.memoryTypeCount && i < VKX_MAX_TYPES; i++) {
		out->type_flags[i] = m.memoryTypes[i].propertyFlags;
		out->type_heap[i] = m.memoryTypes[i].heapIndex;
	}
	for (uint32_t i = 0; i < m.memoryHeapCount && i < VKX_MAX_HEAPS; i++) {
		out->heap_size[i] = m.memoryHeaps[i].size;
		out->heap_flags[i] = m.memoryHeaps[i].flags;
	}
}

// Devices -----------------------------------------------------------------------------------------

static void load_device(vkx_instance *inst, vkx_device *dev) {
#define LOAD(f) dev->f = (__typeof__(dev->f))(void *)inst->GetDeviceProcAddr(dev->handle, "vk" #f)
	LOAD(GetDeviceQueue);
	LOAD(CreateBuffer);
	LOAD(CreateBufferView);
	LOAD(DeviceWaitIdle);
	LOAD(CreateDescriptorSetLayout);
	LOAD(CreatePipelineLayout);
	LOAD(CreateComputePipelines);
	LOAD(CreateDescriptorPool);
	LOAD(AllocateDescriptorSets);
	LOAD(UpdateDescriptorSets);
	LOAD(BeginCommandBuffer);
	LOAD(EndCommandBuffer);
	LOAD(CmdBindPipeline);
	LOAD(CmdBindDescriptorSets);
	LOAD(CmdPushConstants);
	LOAD(CmdDispatch);
	LOAD(CmdPipelineBarrier);
	LOAD(CmdCopyBuffer);
	LOAD(CmdFillBuffer);
	LOAD(CmdWriteTimestamp);
	LOAD(CmdResetQueryPool);
	LOAD(QueueSubmit);
	LOAD(WaitForFences);
	LOAD(ResetFences);
	LOAD(FlushMappedMemoryRanges);
	LOAD(InvalidateMappedMemoryRanges);
#undef LOAD
}

int32_t vkx_create_device(vkx_instance *inst, vkx_handle physical, const vkx_wanted *wanted, vkx_device **out) {
	VkPhysicalDeviceShaderFloat16Int8Features f16 = {.sType = ST_SHADER_FLOAT16_INT8_FEATURES, .shaderFloat16 = 1};
	VkPhysicalDevice16BitStorageFeatures s16 = {.sType = ST_16BIT_STORAGE_FEATURES, .storageBuffer16BitAccess = 1};
	void *next = NULL;
	if (wanted->float16 && wanted->api_version >= API(1, 2)) {
		f16.pNext = next;
		next = &f16;
	}
	if (wanted->storage16) {
		s16.pNext = next;
		next = &s16;
	}
	const char *extensions[1];
	uint32_t n = 0;
	if (wanted->portability_subset) // the specification demands it where it is there
		extensions[n++] = "VK_KHR_portability_subset";
	const float priority = 1;
	VkDeviceQueueCreateInfo queues[] = {
		{.sType = ST_DEVICE_QUEUE_CREATE_INFO, .queueFamilyIndex = wanted->queue_family, .queueCount = 1, .pQueuePriorities = &priority},
		{.sType = ST_DEVICE_QUEUE_CREATE_INFO, .queueFamilyIndex = (uint32_t)wanted->load_family, .queueCount = 1, .pQueuePriorities = &priority},
	};
	VkDeviceCreateInfo info = {
		.sType = ST_DEVICE_CREATE_INFO,
		.pNext = next,
		.queueCreateInfoCount = wanted->load_family < 0 ? 1 : 2,
		.pQueueCreateInfos = queues,
		.enabledExtensionCount = n,
		.ppEnabledExtensionNames = extensions,
	};
	vkx_device *dev = calloc(1, sizeof *dev);
	if (!dev)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	VkResult r = inst->CreateDevice(ptr(physical), &info, NULL, &dev->handle);
	if (r != VK_SUCCESS) {
		free(dev);
		return r;
	}
	load_device(inst, dev);
	dev->GetDeviceQueue(dev->handle, wanted->queue_family, 0, &dev->queue);
	dev->load_queue = dev->queue;
	if (wanted->load_family >= 0)
		dev->GetDeviceQueue(dev->handle, (uint32_t)wanted->load_family, 0, &dev->load_queue);
	*out = dev;
	return r;
}

vkx_handle vkx_device_handle(const vkx_device *dev) { return (vkx_handle)(uintptr_t)dev->handle; }
vkx_handle vkx_device_queue(const vkx_device *dev) { return (vkx_handle)(uintptr_t)dev->queue; }
void vkx_free_device(vkx_device *dev) { free(dev); }
int32_t vkx_wait_idle(vkx_device *dev) { return dev->DeviceWaitIdle(dev->handle); }

int32_t vkx_create_buffer(vkx_device *dev, uint64_t size, uint32_t usage, uint32_t count, const uint32_t *families, vkx_handle *out) {
	VkBufferCreateInfo info = {
		.sType = ST_BUFFER_CREATE_INFO,
		.size = size,
		.usage = usage,
		.sharingMode = count ? SHARING_CONCURRENT : SHARING_EXCLUSIVE,
		.queueFamilyIndexCount = count,
		.pQueueFamilyIndices = families,
	};
	return dev->CreateBuffer(dev->handle, &info, NULL, out);
}

int32_t vkx_create_buffer_view(vkx_device *dev, vkx_handle buffer, uint32_t format, uint64_t offset, uint64_t range, vkx_handle *out) {
	VkBufferViewCreateInfo info = {.sType = ST_BUFFER_VIEW_CREATE_INFO, .buffer = buffer, .format = format, .offset = offset, .range = range};
	return dev->CreateBufferView(dev->handle, &info, NULL, out);
}

// Pipelines and descriptors -----------------------------------------------------------------------

int32_t vkx_create_set_layout(vkx_device *dev, uint32_t bindings, uint32_t texels, vkx_handle *out) {
	VkDescriptorSetLayoutBinding *b = calloc(bindings ? bindings : 1, sizeof *b);
	if (!b)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	for (uint32_t i = 0; i < bindings; i++) {
		b[i].binding = i;
		b[i].descriptorType = texels >> i & 1 ? DESCRIPTOR_UNIFORM_TEXEL_BUFFER : DESCRIPTOR_STORAGE_BUFFER;
		b[i].descriptorCount = 1;
		b[i].stageFlags = STAGE_COMPUTE;
	}
	VkDescriptorSetLayoutCreateInfo info = {
		.sType = ST_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = bindings, .pBindings = b};
	VkResult r = dev->CreateDescriptorSetLayout(dev->handle, &info, NULL, out);
	free(b);
	return r;
}

int32_t vkx_create_pipeline_layout(vkx_device *dev, vkx_handle set_layout, uint32_t push_bytes, vkx_handle *out) {
	VkPushConstantRange push = {.stageFlags = STAGE_COMPUTE, .size = push_bytes};
	VkPipelineLayoutCreateInfo info = {
		.sType = ST_PIPELINE_LAYOUT_CREATE_INFO,
		.setLayoutCount = 1,
		.pSetLayouts = &set_layout,
		.pushConstantRangeCount = push_bytes ? 1 : 0,
		.pPushConstantRanges = &push,
	};
	return dev->CreatePipelineLayout(dev->handle, &info, NULL, out);
}

int32_t vkx_create_compute_pipeline(vkx_device *dev, vkx_handle cache, vkx_handle module, vkx_handle layout,
	const uint32_t *ids, const uint32_t *values, uint32_t count, vkx_handle *out) {
	VkSpecializationMapEntry *map = calloc(count ? count : 1, sizeof *map);
	if (!map)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	for (uint32_t i = 0; i < count; i++) {
		map[i].constantID = ids[i];
		map[i].offset = 4 * i;
		map[i].size = 4;
	}
	VkSpecializationInfo spec = {.mapEntryCount = count, .pMapEntries = map, .dataSize = 4 * (size_t)count, .pData = values};
	VkComputePipelineCreateInfo info = {
		.sType = ST_COMPUTE_PIPELINE_CREATE_INFO,
		.stage = {
			.sType = ST_PIPELINE_SHADER_STAGE_CREATE_INFO,
			.stage = STAGE_COMPUTE,
			.module = module,
			.pName = "main",
			.pSpecializationInfo = &spec,
		},
		.layout = layout,
		.basePipelineIndex = -1,
	};
	VkResult r = dev->CreateComputePipelines(dev->handle, cache, 1, &info, NULL, out);
	free(map);
	return r;
}

int32_t vkx_create_descriptor_pool(vkx_device *dev, uint32_t sets, uint32_t storage, uint32_t texel, vkx_handle *out) {
	VkDescriptorPoolSize sizes[2];
	uint32_t n = 0;
	if (storage)
		sizes[n++] = (VkDescriptorPoolSize){.type = DESCRIPTOR_STORAGE_BUFFER, .descriptorCount = storage};
	if (texel)
		sizes[n++] = (VkDescriptorPoolSize){.type = DESCRIPTOR_UNIFORM_TEXEL_BUFFER, .descriptorCount = texel};
	VkDescriptorPoolCreateInfo info = {
		.sType = ST_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = sets, .poolSizeCount = n, .pPoolSizes = sizes};
	return dev->CreateDescriptorPool(dev->handle, &info, NULL, out);
}

int32_t vkx_allocate_sets(vkx_device *dev, vkx_handle pool, uint32_t count, const vkx_handle *layouts, vkx_handle *out) {
	VkDescriptorSetAllocateInfo info = {
		.sType = ST_DESCRIPTOR_SET_ALLOCATE_INFO, .descriptorPool = pool, .descriptorSetCount = count, .pSetLayouts = layouts};
	return dev->AllocateDescriptorSets(dev->handle, &info, out);
}

void vkx_update_sets(vkx_device *dev, uint32_t count, const vkx_write *writes) {
	enum { SLICE = 64 };
	VkWriteDescriptorSet w[SLICE];
	VkDescriptorBufferInfo b[SLICE];
	for (uint32_t done = 0; done < count;) {
		uint32_t n = 0;
		for (; n < SLICE && done < count; n++, done++) {
			b[n] = (VkDescriptorBufferInfo){writes[done].buffer, writes[done].offset, writes[done].range};
			w[n] = (VkWriteDescriptorSet){
				.sType = ST_WRITE_DESCRIPTOR_SET,
				.dstSet = writes[done].set,
				.dstBinding = writes[done].binding,
				.descriptorCount = 1,
				.descriptorType = writes[done].view ? DESCRIPTOR_UNIFORM_TEXEL_BUFFER : DESCRIPTOR_STORAGE_BUFFER,
				.pBufferInfo = &b[n],
				.pTexelBufferView = &writes[done].view,
			};
		}
		dev->UpdateDescriptorSets(dev->handle, n, w, 0, NULL);
	}
}
