// Recording, submission and host access to memory.
#include "shim_internal.h"

static void *ptr(vkx_handle h) { return (void *)(uintptr_t)h; }

int32_t vkx_begin(vkx_device *dev, vkx_handle cmd, int32_t one_time) {
	VkCommandBufferBeginInfo info = {.sType = ST_COMMAND_BUFFER_BEGIN_INFO, .flags = one_time ? 1 : 0};
	return dev->BeginCommandBuffer(ptr(cmd), &info);
}

static void record_dispatch(vkx_device *dev, void *cmd, const vkx_op *op, const uint32_t *push) {
	enum { BIND_POINT_COMPUTE = 1, STAGE_COMPUTE_BIT = 0x20 };
	dev->CmdBindPipeline(cmd, BIND_POINT_COMPUTE, op->pipeline);
	dev->CmdBindDescriptorSets(cmd, BIND_POINT_COMPUTE, op->layout, 0, 1, &op->set, 0, 0);
	if (op->push_bytes)
		dev->CmdPushConstants(cmd, op->layout, STAGE_COMPUTE_BIT, 0, op->push_bytes, push + op->push_first);
	dev->CmdDispatch(cmd, op->groups[0], op->groups[1], op->groups[2]);
}

void vkx_record(vkx_device *dev, vkx_handle command_buffer, const vkx_op *ops, uint32_t count, const uint32_t *push) {
	void *cmd = ptr(command_buffer);
	for (uint32_t i = 0; i < count; i++) {
		const vkx_op *op = &ops[i];
		switch (op->kind) {
		case VKX_DISPATCH:
			record_dispatch(dev, cmd, op, push);
			break;
		case VKX_BARRIER: {
			VkMemoryBarrier b = {.sType = ST_MEMORY_BARRIER, .srcAccessMask = op->src_access, .dstAccessMask = op->dst_access};
			dev->CmdPipelineBarrier(cmd, op->src_stage, op->dst_stage, 0, 1, &b, 0, 0, 0, 0);
			break;
		}
		case VKX_COPY: {
			VkBufferCopy c = {op->src_offset, op->dst_offset, op->size};
			dev->CmdCopyBuffer(cmd, op->src, op->dst, 1, &c);
			break;
		}
		case VKX_FILL:
			dev->CmdFillBuffer(cmd, op->dst, op->dst_offset, op->size, op->value);
			break;
		case VKX_TIMESTAMP:
			dev->CmdWriteTimestamp(cmd, op->src_stage, op->src, op->value);
			break;
		case VKX_RESET_QUERIES:
			dev->CmdResetQueryPool(cmd, op->src, op->value, op->count);
			break;
		}
	}
}

int32_t vkx_end(vkx_device *dev, vkx_handle cmd) { return dev->EndCommandBuffer(ptr(cmd)); }

int32_t vkx_submit(vkx_device *dev, int32_t load, vkx_handle cmd, vkx_handle fence, vkx_handle wait, vkx_handle signal) {
	enum { STAGE_COMPUTE_SHADER_BIT = 0x800, STAGE_TRANSFER_BIT = 0x1000 };
	void *c = ptr(cmd);
	const VkFlags stages = STAGE_COMPUTE_SHADER_BIT | STAGE_TRANSFER_BIT;
	VkSubmitInfo info = {
		.sType = ST_SUBMIT_INFO,
		.waitSemaphoreCount = wait != 0,
		.pWaitSemaphores = &wait,
		.pWaitDstStageMask = &stages,
		.commandBufferCount = 1,
		.pCommandBuffers = &c,
		.signalSemaphoreCount = signal != 0,
		.pSignalSemaphores = &signal,
	};
	return dev->QueueSubmit(load ? dev->load_queue : dev->queue, 1, &info, fence);
}

int32_t vkx_wait_fence(vkx_device *dev, vkx_handle fence, uint64_t timeout_ns) {
	return dev->WaitForFences(dev->handle, 1, &fence, 1, timeout_ns);
}

int32_t vkx_reset_fence(vkx_device *dev, vkx_handle fence) { return dev->ResetFences(dev->handle, 1, &fence); }

int32_t vkx_flush(vkx_device *dev, vkx_handle memory, uint64_t offset, uint64_t size) {
	VkMappedMemoryRange r = {.sType = ST_MAPPED_MEMORY_RANGE, .memory = memory, .offset = offset, .size = size};
	return dev->FlushMappedMemoryRanges(dev->handle, 1, &r);
}

int32_t vkx_invalidate(vkx_device *dev, vkx_handle memory, uint64_t offset, uint64_t size) {
	VkMappedMemoryRange r = {.sType = ST_MAPPED_MEMORY_RANGE, .memory = memory, .offset = offset, .size = size};
	return dev->InvalidateMappedMemoryRanges(dev->handle, 1, &r);
}
