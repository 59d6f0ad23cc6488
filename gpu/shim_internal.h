// What the shim's C files share; Go sees vkx_instance and vkx_device only as opaque pointers.
#ifndef VKINFER_SHIM_INTERNAL_H
#define VKINFER_SHIM_INTERNAL_H

#include "shim.h"
#include "vkdecl.h"

struct vkx_messages;

struct vkx_instance {
	void *handle;
	VkH messenger;
	struct vkx_messages *messages;
	void (VKAPI *DestroyInstance)(void *, const void *);
	VkResult (VKAPI *EnumeratePhysicalDevices)(void *, uint32_t *, void **);
	VkResult (VKAPI *EnumerateDeviceExtensionProperties)(void *, const char *, uint32_t *, VkExtensionProperties *);
	void (VKAPI *GetPhysicalDeviceProperties)(void *, VkPhysicalDeviceProperties *);
	void (VKAPI *GetPhysicalDeviceProperties2)(void *, VkPhysicalDeviceProperties2 *);
	void (VKAPI *GetPhysicalDeviceFeatures2)(void *, VkPhysicalDeviceFeatures2 *);
	void (VKAPI *GetPhysicalDeviceMemoryProperties)(void *, VkPhysicalDeviceMemoryProperties *);
	void (VKAPI *GetPhysicalDeviceQueueFamilyProperties)(void *, uint32_t *, VkQueueFamilyProperties *);
	VkResult (VKAPI *CreateDevice)(void *, const VkDeviceCreateInfo *, const void *, void **);
	PFN_vkGetDeviceProcAddr GetDeviceProcAddr;
	VkResult (VKAPI *CreateDebugUtilsMessengerEXT)(void *, const VkDebugUtilsMessengerCreateInfoEXT *, const void *, VkH *);
	void (VKAPI *DestroyDebugUtilsMessengerEXT)(void *, VkH, const void *);
};

struct vkx_device {
	void *handle, *queue, *load_queue; // load_queue is queue where there is none for copies
	void (VKAPI *GetDeviceQueue)(void *, uint32_t, uint32_t, void **);
	VkResult (VKAPI *CreateBufferView)(void *, const VkBufferViewCreateInfo *, const void *, VkH *);
	VkResult (VKAPI *DeviceWaitIdle)(void *);
	VkResult (VKAPI *CreateBuffer)(void *, const VkBufferCreateInfo *, const void *, VkH *);
	VkResult (VKAPI *CreateDescriptorSetLayout)(void *, const VkDescriptorSetLayoutCreateInfo *, const void *, VkH *);
	VkResult (VKAPI *CreatePipelineLayout)(void *, const VkPipelineLayoutCreateInfo *, const void *, VkH *);
	VkResult (VKAPI *CreateComputePipelines)(void *, VkH, uint32_t, const VkComputePipelineCreateInfo *, const void *, VkH *);
	VkResult (VKAPI *CreateDescriptorPool)(void *, const VkDescriptorPoolCreateInfo *, const void *, VkH *);
	VkResult (VKAPI *AllocateDescriptorSets)(void *, const VkDescriptorSetAllocateInfo *, VkH *);
	void (VKAPI *UpdateDescriptorSets)(void *, uint32_t, const VkWriteDescriptorSet *, uint32_t, const void *);
	VkResult (VKAPI *BeginCommandBuffer)(void *, const VkCommandBufferBeginInfo *);
	VkResult (VKAPI *EndCommandBuffer)(void *);
	void (VKAPI *CmdBindPipeline)(void *, uint32_t, VkH);
	void (VKAPI *CmdBindDescriptorSets)(void *, uint32_t, VkH, uint32_t, uint32_t, const VkH *, uint32_t, const uint32_t *);
	void (VKAPI *CmdPushConstants)(void *, VkH, VkFlags, uint32_t, uint32_t, const void *);
	void (VKAPI *CmdDispatch)(void *, uint32_t, uint32_t, uint32_t);
	void (VKAPI *CmdPipelineBarrier)(void *, VkFlags, VkFlags, VkFlags, uint32_t, const VkMemoryBarrier *,
		uint32_t, const void *, uint32_t, const void *);
	void (VKAPI *CmdCopyBuffer)(void *, VkH, VkH, uint32_t, const VkBufferCopy *);
	void (VKAPI *CmdFillBuffer)(void *, VkH, VkDeviceSize, VkDeviceSize, uint32_t);
	void (VKAPI *CmdWriteTimestamp)(void *, uint32_t, VkH, uint32_t);
	void (VKAPI *CmdResetQueryPool)(void *, VkH, uint32_t, uint32_t);
	VkResult (VKAPI *QueueSubmit)(void *, uint32_t, const VkSubmitInfo *, VkH);
	VkResult (VKAPI *WaitForFences)(void *, uint32_t, const VkH *, VkBool32, uint64_t);
	VkResult (VKAPI *ResetFences)(void *, uint32_t, const VkH *);
	VkResult (VKAPI *FlushMappedMemoryRanges)(void *, uint32_t, const VkMappedMemoryRange *);
	VkResult (VKAPI *InvalidateMappedMemoryRanges)(void *, uint32_t, const VkMappedMemoryRange *);
};

#endif
