// Compile-time checks of the hand-declared structs whose members are lumped together: the offsets are
// those of the specification's member lists on a 64-bit target.
#include "vkdecl.h"

_Static_assert(sizeof(void *) == 8, "package gpu needs a 64-bit target");
_Static_assert(offsetof(VkPhysicalDeviceLimits, maxTexelBufferElements) == 20, "limits");
_Static_assert(offsetof(VkPhysicalDeviceLimits, maxStorageBufferRange) == 28, "limits");
_Static_assert(offsetof(VkPhysicalDeviceLimits, maxBoundDescriptorSets) == 64, "limits");
_Static_assert(offsetof(VkPhysicalDeviceLimits, maxPerStageDescriptorStorageBuffers) == 76, "limits");
_Static_assert(offsetof(VkPhysicalDeviceLimits, maxPerStageDescriptorSampledImages) == 80, "limits");
_Static_assert(offsetof(VkPhysicalDeviceLimits, maxComputeSharedMemorySize) == 216, "limits");
_Static_assert(offsetof(VkPhysicalDeviceLimits, maxComputeWorkGroupSize) == 236, "limits");
_Static_assert(offsetof(VkPhysicalDeviceLimits, minMemoryMapAlignment) == 304, "limits");
_Static_assert(offsetof(VkPhysicalDeviceLimits, minTexelBufferOffsetAlignment) == 312, "limits");
_Static_assert(offsetof(VkPhysicalDeviceLimits, minStorageBufferOffsetAlignment) == 328, "limits");
_Static_assert(offsetof(VkPhysicalDeviceLimits, timestampPeriod) == 424, "limits");
_Static_assert(offsetof(VkPhysicalDeviceLimits, nonCoherentAtomSize) == 496, "limits");
_Static_assert(sizeof(VkPhysicalDeviceLimits) == 504, "limits");
_Static_assert(offsetof(VkPhysicalDeviceProperties, limits) == 296, "properties");
_Static_assert(sizeof(VkPhysicalDeviceProperties) == 824, "properties");
_Static_assert(sizeof(VkPhysicalDeviceFeatures2) == 240, "features2");
_Static_assert(sizeof(VkPhysicalDeviceMemoryProperties) == 520, "memory properties");
_Static_assert(sizeof(VkBufferViewCreateInfo) == 56, "buffer view");
_Static_assert(sizeof(VkComputePipelineCreateInfo) == 96, "compute pipeline");
_Static_assert(sizeof(VkWriteDescriptorSet) == 64, "write descriptor set");
