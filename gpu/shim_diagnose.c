// What vkinfer doctor asks about the loader, layers and libraries of drivers.
#if !defined(_WIN32)
#define _GNU_SOURCE // dladdr
#endif
#include "shim_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#include <limits.h>
#endif

void vkx_loader_file(char *out, size_t len) {
	void *f = vkx_get_instance_proc_addr();
	out[0] = 0;
	if (!f)
		return;
#if defined(_WIN32)
	HMODULE lib = NULL;
	if (GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, (LPCSTR)f, &lib))
		GetModuleFileNameA(lib, out, (DWORD)len);
#else
	Dl_info info;
	char real[PATH_MAX];
	if (dladdr(f, &info) && info.dli_fname)
		snprintf(out, len, "%s", realpath(info.dli_fname, real) ? real : info.dli_fname);
#endif
}

int32_t vkx_layers(uint32_t *count, vkx_layer *out) {
	PFN_vkGetInstanceProcAddr loader = (PFN_vkGetInstanceProcAddr)vkx_get_instance_proc_addr();
	VkResult (VKAPI *f)(uint32_t *, VkLayerProperties *) = NULL;
	if (loader)
		f = (VkResult (VKAPI *)(uint32_t *, VkLayerProperties *))loader(NULL, "vkEnumerateInstanceLayerProperties");
	if (!f)
		return VK_ERROR_INITIALIZATION_FAILED;
	if (!out)
		return f(count, NULL);
	VkLayerProperties *p = calloc(*count ? *count : 1, sizeof *p);
	if (!p)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	VkResult r = f(count, p);
	for (uint32_t i = 0; r >= 0 && i < *count; i++) {
		memcpy(out[i].name, p[i].layerName, sizeof out[i].name);
		memcpy(out[i].description, p[i].description, sizeof out[i].description);
		out[i].version = p[i].specVersion;
	}
	free(p);
	return r;
}

#if defined(_WIN32)
int vkx_try_driver(const char *library, char *err, size_t errlen) {
	HMODULE lib = LoadLibraryA(library);
	if (!lib) {
		snprintf(err, errlen, "error %lu", GetLastError());
		return -1;
	}
	if (GetProcAddress(lib, "vk_icdGetInstanceProcAddr") || GetProcAddress(lib, "vkGetInstanceProcAddr"))
		return 0;
	snprintf(err, errlen, "it is no Vulkan driver: it has no vk_icdGetInstanceProcAddr");
	return -1;
}
#else
int vkx_try_driver(const char *library, char *err, size_t errlen) {
	void *lib = dlopen(library, RTLD_NOW | RTLD_LOCAL); // it stays open: drivers do not survive being unloaded
	if (!lib) {
		const char *why = dlerror();
		snprintf(err, errlen, "%s", why ? why : "unknown error");
		return -1;
	}
	if (dlsym(lib, "vk_icdGetInstanceProcAddr") || dlsym(lib, "vkGetInstanceProcAddr"))
		return 0;
	snprintf(err, errlen, "it is no Vulkan driver: it has no vk_icdGetInstanceProcAddr");
	return -1;
}
#endif
