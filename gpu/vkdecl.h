// Vulkan's types as far as the shim uses them, declared by hand from the specification (Vulkan 1.3,
// chapters named beside each group), so that building needs no Vulkan headers. Members that nothing
// here reads are lumped into arrays named skip*; shim_layout.c asserts the resulting offsets.
//
// Only 64-bit targets: there every handle, dispatchable or not, is eight bytes, and it travels as
// vkx_handle between Go and C.
#ifndef VKINFER_VKDECL_H
#define VKINFER_VKDECL_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define VKAPI __stdcall
#else
#define VKAPI
#endif

typedef uint64_t VkH; // any handle
typedef int32_t VkResult;
typedef uint32_t VkFlags;
typedef uint32_t VkBool32;
typedef uint64_t VkDeviceSize;
typedef void (VKAPI *PFN_vkVoidFunction)(void);
typedef PFN_vkVoidFunction (VKAPI *PFN_vkGetInstanceProcAddr)(void *instance, const char *name);
typedef PFN_vkVoidFunction (VKAPI *PFN_vkGetDeviceProcAddr)(void *device, const char *name);

enum {
	VK_SUCCESS = 0,
	VK_INCOMPLETE = 5,
	VK_ERROR_OUT_OF_HOST_MEMORY = -1,
	VK_ERROR_INITIALIZATION_FAILED = -3,
};

// VkStructureType
enum {
	ST_APPLICATION_INFO = 0,
	ST_INSTANCE_CREATE_INFO = 1,
	ST_DEVICE_QUEUE_CREATE_INFO = 2,
	ST_DEVICE_CREATE_INFO = 3,
	ST_SUBMIT_INFO = 4,
	ST_MAPPED_MEMORY_RANGE = 6,
	ST_BUFFER_CREATE_INFO = 12,
	ST_BUFFER_VIEW_CREATE_INFO = 13,
	ST_PIPELINE_SHADER_STAGE_CREATE_INFO = 18,
	ST_COMPUTE_PIPELINE_CREATE_INFO = 29,
	ST_PIPELINE_LAYOUT_CREATE_INFO = 30,
	ST_DESCRIPTOR_SET_LAYOUT_CREATE_INFO = 32,
	ST_DESCRIPTOR_POOL_CREATE_INFO = 33,
	ST_DESCRIPTOR_SET_ALLOCATE_INFO = 34,
	ST_WRITE_DESCRIPTOR_SET = 35,
	ST_COMMAND_BUFFER_BEGIN_INFO = 42,
	ST_MEMORY_BARRIER = 46,
	ST_PHYSICAL_DEVICE_FEATURES_2 = 1000059000,
	ST_PHYSICAL_DEVICE_PROPERTIES_2 = 1000059001,
	ST_SHADER_FLOAT16_INT8_FEATURES = 1000082000,
	ST_16BIT_STORAGE_FEATURES = 1000083000,
	ST_SUBGROUP_PROPERTIES = 1000094000,
	ST_DEBUG_UTILS_MESSENGER_CREATE_INFO = 1000128004,
	ST_MAINTENANCE_3_PROPERTIES = 1000168000,
	ST_DRIVER_PROPERTIES = 1000196000,
	ST_VALIDATION_FEATURES = 1000247000,
	ST_MAINTENANCE_4_PROPERTIES = 1000413001,
	ST_LAYER_SETTINGS_CREATE_INFO = 1000496000,
};

// Every extensible struct begins like this.
typedef struct { uint32_t sType; const void *pNext; } VkBase;

// Instances (chapter "Initialization") -----------------------------------------------------------

typedef struct {
	uint32_t sType; const void *pNext;
	const char *pApplicationName; uint32_t applicationVersion;
	const char *pEngineName; uint32_t engineVersion;
	uint32_t apiVersion;
} VkApplicationInfo;

typedef struct {
	uint32_t sType; const void *pNext; VkFlags flags;
	const VkApplicationInfo *pApplicationInfo;
	uint32_t enabledLayerCount; const char *const *ppEnabledLayerNames;
	uint32_t enabledExtensionCount; const char *const *ppEnabledExtensionNames;
} VkInstanceCreateInfo;
enum { INSTANCE_CREATE_ENUMERATE_PORTABILITY = 1 };

typedef struct { char extensionName[256]; uint32_t specVersion; } VkExtensionProperties;
typedef struct {
	char layerName[256]; uint32_t specVersion, implementationVersion; char description[256];
} VkLayerProperties;

// VK_EXT_validation_features, VK_EXT_layer_settings, VK_EXT_debug_utils.
typedef struct {
	uint32_t sType; const void *pNext;
	uint32_t enabledValidationFeatureCount; const int32_t *pEnabledValidationFeatures;
	uint32_t disabledValidationFeatureCount; const int32_t *pDisabledValidationFeatures;
} VkValidationFeaturesEXT;
enum { VALIDATION_FEATURE_SYNCHRONIZATION = 4 };

typedef struct {
	const char *pLayerName, *pSettingName;
	uint32_t type, valueCount; // type 0 is VkBool32
	const void *pValues;
} VkLayerSettingEXT;
typedef struct {
	uint32_t sType; const void *pNext;
	uint32_t settingCount; const VkLayerSettingEXT *pSettings;
} VkLayerSettingsCreateInfoEXT;

typedef struct {
	uint32_t sType; const void *pNext; VkFlags flags;
	const char *pMessageIdName; int32_t messageIdNumber; const char *pMessage;
	// queue labels, command buffer labels and objects follow; never read
} VkDebugUtilsMessengerCallbackDataEXT;
typedef VkBool32 (VKAPI *PFN_vkDebugUtilsMessengerCallbackEXT)(
	VkFlags severity, VkFlags types, const VkDebugUtilsMessengerCallbackDataEXT *data, void *user);
typedef struct {
	uint32_t sType; const void *pNext; VkFlags flags;
	VkFlags messageSeverity, messageType;
	PFN_vkDebugUtilsMessengerCallbackEXT pfnUserCallback; void *pUserData;
} VkDebugUtilsMessengerCreateInfoEXT;
enum { SEVERITY_WARNING = 0x100, SEVERITY_ERROR = 0x1000 };
enum { MESSAGE_GENERAL = 1, MESSAGE_VALIDATION = 2, MESSAGE_PERFORMANCE = 4 };

// Physical devices (chapters "Devices and Queues", "Limits", "Features") --------------------------

typedef struct {
	uint32_t skip0[5];
	uint32_t maxTexelBufferElements, skip10;
	uint32_t maxStorageBufferRange, maxPushConstantsSize, maxMemoryAllocationCount, skip1;
	VkDeviceSize skip2[2];
	uint32_t maxBoundDescriptorSets, skip3[2], maxPerStageDescriptorStorageBuffers, maxPerStageDescriptorSampledImages, skip4[33];
	uint32_t maxComputeSharedMemorySize, maxComputeWorkGroupCount[3];
	uint32_t maxComputeWorkGroupInvocations, maxComputeWorkGroupSize[3];
	uint32_t skip5[13];
	size_t minMemoryMapAlignment;
	VkDeviceSize minTexelBufferOffsetAlignment, skip6, minStorageBufferOffsetAlignment;
	uint32_t skip7[21];
	VkBool32 timestampComputeAndGraphics;
	float timestampPeriod;
	uint32_t skip8[12];
	VkDeviceSize skip9[2], nonCoherentAtomSize;
} VkPhysicalDeviceLimits;

typedef struct {
	uint32_t apiVersion, driverVersion, vendorID, deviceID, deviceType;
	char deviceName[256];
	uint8_t pipelineCacheUUID[16];
	VkPhysicalDeviceLimits limits;
	VkBool32 sparseProperties[5];
} VkPhysicalDeviceProperties;

typedef struct { uint32_t sType; void *pNext; VkPhysicalDeviceProperties properties; } VkPhysicalDeviceProperties2;
typedef struct { uint32_t sType; void *pNext; VkBool32 features[55]; } VkPhysicalDeviceFeatures2;

typedef struct {
	uint32_t sType; void *pNext; uint32_t driverID; char driverName[256], driverInfo[256]; uint8_t conformanceVersion[4];
} VkPhysicalDeviceDriverProperties;
typedef struct {
	uint32_t sType; void *pNext; uint32_t subgroupSize; VkFlags supportedStages, supportedOperations; VkBool32 quad;
} VkPhysicalDeviceSubgroupProperties;
enum { SUBGROUP_BASIC = 1, SUBGROUP_SHUFFLE = 0x10, STAGE_COMPUTE = 0x20 };
typedef struct {
	uint32_t sType; void *pNext; uint32_t maxPerSetDescriptors; VkDeviceSize maxMemoryAllocationSize;
} VkPhysicalDeviceMaintenance3Properties;
typedef struct { uint32_t sType; void *pNext; VkDeviceSize maxBufferSize; } VkPhysicalDeviceMaintenance4Properties;
typedef struct {
	uint32_t sType; void *pNext; VkBool32 storageBuffer16BitAccess, uniformAndStorage, pushConstant, inputOutput;
} VkPhysicalDevice16BitStorageFeatures;
typedef struct { uint32_t sType; void *pNext; VkBool32 shaderFloat16, shaderInt8; } VkPhysicalDeviceShaderFloat16Int8Features;

typedef struct { VkFlags queueFlags; uint32_t queueCount, timestampValidBits, granularity[3]; } VkQueueFamilyProperties;
enum { QUEUE_GRAPHICS = 1, QUEUE_COMPUTE = 2, QUEUE_TRANSFER = 4, QUEUE_SPARSE = 8 };

typedef struct { VkFlags propertyFlags; uint32_t heapIndex; } VkMemoryType;
typedef struct { VkDeviceSize size; VkFlags flags; } VkMemoryHeap;
typedef struct {
	uint32_t memoryTypeCount; VkMemoryType memoryTypes[32];
	uint32_t memoryHeapCount; VkMemoryHeap memoryHeaps[16];
} VkPhysicalDeviceMemoryProperties;

typedef struct {
	uint32_t sType; const void *pNext; VkFlags flags;
	uint32_t queueFamilyIndex, queueCount; const float *pQueuePriorities;
} VkDeviceQueueCreateInfo;
typedef struct {
	uint32_t sType; const void *pNext; VkFlags flags;
	uint32_t queueCreateInfoCount; const VkDeviceQueueCreateInfo *pQueueCreateInfos;
	uint32_t enabledLayerCount; const char *const *ppEnabledLayerNames;
	uint32_t enabledExtensionCount; const char *const *ppEnabledExtensionNames;
	const void *pEnabledFeatures;
} VkDeviceCreateInfo;

// Buffers (chapter "Resource Creation") -----------------------------------------------------------

typedef struct {
	uint32_t sType; const void *pNext; VkFlags flags;
	VkDeviceSize size; VkFlags usage; uint32_t sharingMode, queueFamilyIndexCount; const uint32_t *pQueueFamilyIndices;
} VkBufferCreateInfo;
enum { SHARING_EXCLUSIVE = 0, SHARING_CONCURRENT = 1 };
typedef struct {
	uint32_t sType; const void *pNext; VkFlags flags; VkH buffer; uint32_t format; VkDeviceSize offset, range;
} VkBufferViewCreateInfo;

// Descriptors and pipelines (chapters "Resource Descriptors", "Pipelines") -------------------------

typedef struct {
	uint32_t binding, descriptorType, descriptorCount; VkFlags stageFlags; const void *pImmutableSamplers;
} VkDescriptorSetLayoutBinding;
enum { DESCRIPTOR_UNIFORM_TEXEL_BUFFER = 4, DESCRIPTOR_STORAGE_BUFFER = 7 };
typedef struct {
	uint32_t sType; const void *pNext; VkFlags flags; uint32_t bindingCount; const VkDescriptorSetLayoutBinding *pBindings;
} VkDescriptorSetLayoutCreateInfo;
typedef struct { VkFlags stageFlags; uint32_t offset, size; } VkPushConstantRange;
typedef struct {
	uint32_t sType; const void *pNext; VkFlags flags;
	uint32_t setLayoutCount; const VkH *pSetLayouts;
	uint32_t pushConstantRangeCount; const VkPushConstantRange *pPushConstantRanges;
} VkPipelineLayoutCreateInfo;
typedef struct { uint32_t type, descriptorCount; } VkDescriptorPoolSize;
typedef struct {
	uint32_t sType; const void *pNext; VkFlags flags; uint32_t maxSets, poolSizeCount; const VkDescriptorPoolSize *pPoolSizes;
} VkDescriptorPoolCreateInfo;
typedef struct {
	uint32_t sType; const void *pNext; VkH descriptorPool; uint32_t descriptorSetCount; const VkH *pSetLayouts;
} VkDescriptorSetAllocateInfo;
typedef struct { VkH buffer; VkDeviceSize offset, range; } VkDescriptorBufferInfo;
typedef struct {
	uint32_t sType; const void *pNext;
	VkH dstSet; uint32_t dstBinding, dstArrayElement, descriptorCount, descriptorType;
	const void *pImageInfo; const VkDescriptorBufferInfo *pBufferInfo; const void *pTexelBufferView;
} VkWriteDescriptorSet;

typedef struct { uint32_t constantID, offset; size_t size; } VkSpecializationMapEntry;
typedef struct {
	uint32_t mapEntryCount; const VkSpecializationMapEntry *pMapEntries; size_t dataSize; const void *pData;
} VkSpecializationInfo;
typedef struct {
	uint32_t sType; const void *pNext; VkFlags flags;
	uint32_t stage; VkH module; const char *pName; const VkSpecializationInfo *pSpecializationInfo;
} VkPipelineShaderStageCreateInfo;
typedef struct {
	uint32_t sType; const void *pNext; VkFlags flags;
	VkPipelineShaderStageCreateInfo stage; VkH layout, basePipelineHandle; int32_t basePipelineIndex;
} VkComputePipelineCreateInfo;

// Commands (chapters "Command Buffers", "Synchronization", "Copy Commands") ------------------------

typedef struct { uint32_t sType; const void *pNext; VkFlags flags; const void *pInheritanceInfo; } VkCommandBufferBeginInfo;
typedef struct { uint32_t sType; const void *pNext; VkFlags srcAccessMask, dstAccessMask; } VkMemoryBarrier;
typedef struct { VkDeviceSize srcOffset, dstOffset, size; } VkBufferCopy;
typedef struct {
	uint32_t sType; const void *pNext;
	uint32_t waitSemaphoreCount; const VkH *pWaitSemaphores; const VkFlags *pWaitDstStageMask;
	uint32_t commandBufferCount; void *const *pCommandBuffers;
	uint32_t signalSemaphoreCount; const VkH *pSignalSemaphores;
} VkSubmitInfo;
typedef struct { uint32_t sType; const void *pNext; VkH memory; VkDeviceSize offset, size; } VkMappedMemoryRange;

#endif
