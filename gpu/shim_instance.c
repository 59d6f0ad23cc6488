// Loader, instances, the debug messenger and its list of messages.
#include "shim_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#include <windows.h>
typedef SRWLOCK vkx_lock;
#define LOCK_INIT(l) InitializeSRWLock(l)
#define LOCK(l) AcquireSRWLockExclusive(l)
#define UNLOCK(l) ReleaseSRWLockExclusive(l)
#else
#include <dlfcn.h>
#include <pthread.h>
typedef pthread_mutex_t vkx_lock;
#define LOCK_INIT(l) pthread_mutex_init(l, NULL)
#define LOCK(l) pthread_mutex_lock(l)
#define UNLOCK(l) pthread_mutex_unlock(l)
#endif

static PFN_vkGetInstanceProcAddr loader;

int vkx_load(const char *library, char *err, size_t errlen) {
	if (loader)
		return 0;
	PFN_vkGetInstanceProcAddr found = NULL;
#if defined(_WIN32)
	HMODULE lib = LoadLibraryA(library);
	if (!lib) {
		snprintf(err, errlen, "error %lu", GetLastError());
		return -1;
	}
	found = (PFN_vkGetInstanceProcAddr)(void *)GetProcAddress(lib, "vkGetInstanceProcAddr");
	if (!found) {
		snprintf(err, errlen, "it has no vkGetInstanceProcAddr");
		FreeLibrary(lib);
		return -1;
	}
#else
	void *lib = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		const char *why = dlerror();
		snprintf(err, errlen, "%s", why ? why : "unknown error");
		return -1;
	}
	found = (PFN_vkGetInstanceProcAddr)dlsym(lib, "vkGetInstanceProcAddr");
	if (!found) {
		snprintf(err, errlen, "it has no vkGetInstanceProcAddr");
		dlclose(lib);
		return -1;
	}
#endif
	loader = found;
	return 0;
}

void *vkx_get_instance_proc_addr(void) { return (void *)loader; }

#define GLOBAL(type, name) ((type)loader(NULL, name))

uint32_t vkx_loader_version(void) {
	uint32_t v = 1u << 22;
	VkResult (VKAPI *f)(uint32_t *) = GLOBAL(VkResult (VKAPI *)(uint32_t *), "vkEnumerateInstanceVersion");
	if (f)
		f(&v);
	return v;
}

int vkx_has_layer(const char *layer) {
	VkResult (VKAPI *f)(uint32_t *, VkLayerProperties *) =
		GLOBAL(VkResult (VKAPI *)(uint32_t *, VkLayerProperties *), "vkEnumerateInstanceLayerProperties");
	uint32_t n = 0;
	if (!f || f(&n, NULL) != VK_SUCCESS || n == 0)
		return 0;
	VkLayerProperties *p = calloc(n, sizeof *p);
	int found = 0;
	if (p && f(&n, p) >= 0)
		for (uint32_t i = 0; i < n && !found; i++)
			found = strcmp(p[i].layerName, layer) == 0;
	free(p);
	return found;
}

int vkx_has_instance_extension(const char *layer, const char *extension) {
	VkResult (VKAPI *f)(const char *, uint32_t *, VkExtensionProperties *) = GLOBAL(
		VkResult (VKAPI *)(const char *, uint32_t *, VkExtensionProperties *), "vkEnumerateInstanceExtensionProperties");
	uint32_t n = 0;
	if (!f || f(layer, &n, NULL) != VK_SUCCESS || n == 0)
		return 0;
	VkExtensionProperties *p = calloc(n, sizeof *p);
	int found = 0;
	if (p && f(layer, &n, p) >= 0)
		for (uint32_t i = 0; i < n && !found; i++)
			found = strcmp(p[i].extensionName, extension) == 0;
	free(p);
	return found;
}

// Messages ----------------------------------------------------------------------------------------

enum { MAX_MESSAGES = 1000 };

struct vkx_messages {
	vkx_lock lock;
	vkx_message *first, **last;
	uint32_t count, dropped;
};

// on_message may be called by any thread, also by the driver's own.
static VkBool32 VKAPI on_message(VkFlags severity, VkFlags types, const VkDebugUtilsMessengerCallbackDataEXT *data, void *user) {
	struct vkx_messages *list = user;
	vkx_message *m = calloc(1, sizeof *m);
	if (m) {
		m->severity = severity;
		m->types = types;
		m->id = strdup(data->pMessageIdName ? data->pMessageIdName : "");
		m->text = strdup(data->pMessage ? data->pMessage : "");
	}
	LOCK(&list->lock);
	if (!m || !m->id || !m->text || list->count >= MAX_MESSAGES) {
		list->dropped++;
		UNLOCK(&list->lock);
		vkx_free_messages(m);
		return 0;
	}
	*list->last = m;
	list->last = &m->next;
	list->count++;
	UNLOCK(&list->lock);
	return 0;
}

vkx_message *vkx_take_messages(vkx_instance *inst, uint32_t *dropped) {
	struct vkx_messages *list = inst->messages;
	LOCK(&list->lock);
	vkx_message *m = list->first;
	*dropped = list->dropped;
	list->first = NULL;
	list->last = &list->first;
	list->count = list->dropped = 0;
	UNLOCK(&list->lock);
	return m;
}

void vkx_free_messages(vkx_message *m) {
	while (m) {
		vkx_message *next = m->next;
		free(m->id);
		free(m->text);
		free(m);
		m = next;
	}
}

static VkDebugUtilsMessengerCreateInfoEXT messenger_info(struct vkx_messages *list) {
	VkDebugUtilsMessengerCreateInfoEXT info = {
		.sType = ST_DEBUG_UTILS_MESSENGER_CREATE_INFO,
		.messageSeverity = SEVERITY_WARNING | SEVERITY_ERROR,
		.messageType = MESSAGE_GENERAL | MESSAGE_VALIDATION | MESSAGE_PERFORMANCE,
		.pfnUserCallback = on_message,
		.pUserData = list,
	};
	return info;
}

// Instances ---------------------------------------------------------------------------------------

static void load_instance(vkx_instance *inst) {
	void *h = inst->handle;
#define LOAD(f) inst->f = (__typeof__(inst->f))(void *)loader(h, "vk" #f)
	LOAD(DestroyInstance);
	LOAD(EnumeratePhysicalDevices);
	LOAD(EnumerateDeviceExtensionProperties);
	LOAD(GetPhysicalDeviceProperties);
	LOAD(GetPhysicalDeviceProperties2);
	LOAD(GetPhysicalDeviceFeatures2);
	LOAD(GetPhysicalDeviceMemoryProperties);
	LOAD(GetPhysicalDeviceQueueFamilyProperties);
	LOAD(CreateDevice);
	LOAD(GetDeviceProcAddr);
	LOAD(CreateDebugUtilsMessengerEXT);
	LOAD(DestroyDebugUtilsMessengerEXT);
#undef LOAD
}

static const char *const validation_layer = "VK_LAYER_KHRONOS_validation";

static VkResult create_instance(const vkx_instance_options *opts, vkx_instance *inst) {
	// What a submit hides from the next one, and storage buffers that a shader indexes dynamically, are
	// only looked at by newer layers when asked.
	static const VkBool32 yes = 1;
	const VkLayerSettingEXT settings[] = {
		{validation_layer, "syncval_shader_accesses_heuristic", 0, 1, &yes},
		{validation_layer, "syncval_submit_time_validation", 0, 1, &yes},
	};
	VkLayerSettingsCreateInfoEXT layer_settings = {
		.sType = ST_LAYER_SETTINGS_CREATE_INFO, .settingCount = 2, .pSettings = settings};
	const int32_t enable[] = {VALIDATION_FEATURE_SYNCHRONIZATION};
	VkValidationFeaturesEXT features = {
		.sType = ST_VALIDATION_FEATURES, .enabledValidationFeatureCount = 1, .pEnabledValidationFeatures = enable};
	VkDebugUtilsMessengerCreateInfoEXT messenger = messenger_info(inst->messages);

	const char *extensions[4];
	uint32_t n = 0;
	const void *next = NULL;
	if (opts->messenger) {
		extensions[n++] = "VK_EXT_debug_utils";
		next = &messenger;
	}
	if (opts->validation) {
		extensions[n++] = "VK_EXT_validation_features";
		features.pNext = next;
		next = &features;
	}
	if (opts->validation && opts->layer_settings) {
		extensions[n++] = "VK_EXT_layer_settings";
		layer_settings.pNext = next;
		next = &layer_settings;
	}
	if (opts->portability)
		extensions[n++] = "VK_KHR_portability_enumeration";
	VkApplicationInfo app = {
		.sType = ST_APPLICATION_INFO, .pApplicationName = "vkinfer", .pEngineName = "vkinfer", .apiVersion = opts->api_version};
	VkInstanceCreateInfo info = {
		.sType = ST_INSTANCE_CREATE_INFO,
		.pNext = next,
		.flags = opts->portability ? INSTANCE_CREATE_ENUMERATE_PORTABILITY : 0,
		.pApplicationInfo = &app,
		.enabledLayerCount = opts->validation ? 1 : 0,
		.ppEnabledLayerNames = &validation_layer,
		.enabledExtensionCount = n,
		.ppEnabledExtensionNames = extensions,
	};
	VkResult (VKAPI *create)(const VkInstanceCreateInfo *, const void *, void **) =
		GLOBAL(VkResult (VKAPI *)(const VkInstanceCreateInfo *, const void *, void **), "vkCreateInstance");
	if (!create)
		return VK_ERROR_INITIALIZATION_FAILED;
	return create(&info, NULL, &inst->handle);
}

int32_t vkx_create_instance(const vkx_instance_options *opts, vkx_instance **out) {
	vkx_instance *inst = calloc(1, sizeof *inst);
	struct vkx_messages *list = calloc(1, sizeof *list);
	if (!inst || !list) {
		free(inst);
		free(list);
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	LOCK_INIT(&list->lock);
	list->last = &list->first;
	inst->messages = list;
	// The instance comes back also on failure: its messages say why.
	*out = inst;
	VkResult r = create_instance(opts, inst);
	if (r == VK_SUCCESS)
		load_instance(inst);
	else
		inst->handle = NULL;
	return r;
}

int32_t vkx_create_messenger(vkx_instance *inst) {
	VkDebugUtilsMessengerCreateInfoEXT info = messenger_info(inst->messages);
	if (!inst->CreateDebugUtilsMessengerEXT)
		return VK_ERROR_INITIALIZATION_FAILED;
	return inst->CreateDebugUtilsMessengerEXT(inst->handle, &info, NULL, &inst->messenger);
}

vkx_handle vkx_instance_handle(const vkx_instance *inst) { return (vkx_handle)(uintptr_t)inst->handle; }

void vkx_destroy_messenger(vkx_instance *inst) {
	if (inst->messenger)
		inst->DestroyDebugUtilsMessengerEXT(inst->handle, inst->messenger, NULL);
	inst->messenger = 0;
}

void vkx_destroy_instance(vkx_instance *inst) {
	vkx_destroy_messenger(inst);
	if (inst->handle)
		inst->DestroyInstance(inst->handle, NULL);
	inst->handle = NULL;
}

void vkx_free_instance(vkx_instance *inst) {
	uint32_t dropped;
	vkx_free_messages(vkx_take_messages(inst, &dropped));
#if !defined(_WIN32)
	pthread_mutex_destroy(&inst->messages->lock);
#endif
	free(inst->messages);
	free(inst);
}
