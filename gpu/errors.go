package gpu

import (
	"errors"
	"fmt"
	"sync/atomic"

	vk "github.com/vulkan-go/vulkan"
)

// What callers branch on with errors.Is. The errors that wrap them say what was wrong, what was wanted
// and what to do.
var (
	ErrNoLoader    = errors.New("no Vulkan loader")        // libvulkan is not installed or cannot be opened
	ErrNoDriver    = errors.New("no Vulkan driver")        // the loader works, but found no driver
	ErrNoDevice    = errors.New("no such Vulkan device")   // no device, none fit, or none by that name
	ErrFeature     = errors.New("missing feature")         // the device, driver or installation lacks what was asked for
	ErrOutOfMemory = errors.New("out of device memory")    // even the smallest batch does not fit
	ErrDeviceLost  = errors.New("device lost")             // the driver gave the device up; open it anew
	ErrClosed      = errors.New("closed")                  // the Device or Executor was closed
	ErrPlan        = errors.New("plan does not fit")       // the plan contradicts the kernels or the device
	ErrCorrupt     = errors.New("guard words overwritten") // a debug switch found a write out of bounds
)

// resultNames are the VkResults that the calls made here may return (specification, "Return Codes").
var resultNames = map[vk.Result]string{
	vk.NotReady:                   "VK_NOT_READY",
	vk.Timeout:                    "VK_TIMEOUT",
	vk.Incomplete:                 "VK_INCOMPLETE",
	vk.ErrorOutOfHostMemory:       "VK_ERROR_OUT_OF_HOST_MEMORY",
	vk.ErrorOutOfDeviceMemory:     "VK_ERROR_OUT_OF_DEVICE_MEMORY",
	vk.ErrorInitializationFailed:  "VK_ERROR_INITIALIZATION_FAILED",
	vk.ErrorDeviceLost:            "VK_ERROR_DEVICE_LOST",
	vk.ErrorMemoryMapFailed:       "VK_ERROR_MEMORY_MAP_FAILED",
	vk.ErrorLayerNotPresent:       "VK_ERROR_LAYER_NOT_PRESENT",
	vk.ErrorExtensionNotPresent:   "VK_ERROR_EXTENSION_NOT_PRESENT",
	vk.ErrorFeatureNotPresent:     "VK_ERROR_FEATURE_NOT_PRESENT",
	vk.ErrorIncompatibleDriver:    "VK_ERROR_INCOMPATIBLE_DRIVER",
	vk.ErrorTooManyObjects:        "VK_ERROR_TOO_MANY_OBJECTS",
	vk.ErrorFragmentedPool:        "VK_ERROR_FRAGMENTED_POOL",
	vk.ErrorInvalidExternalHandle: "VK_ERROR_INVALID_EXTERNAL_HANDLE",
	vk.ErrorOutOfPoolMemory:       "VK_ERROR_OUT_OF_POOL_MEMORY",
	vk.ErrorFragmentation:         "VK_ERROR_FRAGMENTATION",
	vk.ErrorValidationFailed:      "VK_ERROR_VALIDATION_FAILED_EXT",
	resultUnknown:                 "VK_ERROR_UNKNOWN",
}

const resultUnknown vk.Result = -13 // newer than the binding

func resultName(r vk.Result) string {
	if s, ok := resultNames[r]; ok {
		return s
	}
	return fmt.Sprintf("VkResult %d", int32(r))
}

// faultHook, when set, is asked before every Vulkan call that returns a VkResult; anything but
// vk.Success is taken for the call's result and the call is not made. For tests.
var faultHook atomic.Pointer[func(call string) vk.Result]

// call makes the Vulkan call f, or lets the fault hook fail it. Every call that returns a VkResult, of
// the binding and of the shim, goes through here.
func call(name string, f func() vk.Result) vk.Result {
	if hook := faultHook.Load(); hook != nil {
		if r := (*hook)(name); r != vk.Success {
			return r
		}
	}
	return f()
}

// resultError turns a VkResult below zero into an error; others are nil.
func resultError(name string, r vk.Result) error {
	switch {
	case r >= 0:
		return nil
	case r == vk.ErrorDeviceLost:
		return fmt.Errorf("gpu: %s: %w (the driver reset it or a submission took too long); open the device again, "+
			"with a smaller batch if it happens again", name, ErrDeviceLost)
	case r == vk.ErrorOutOfDeviceMemory || r == vk.ErrorOutOfHostMemory:
		return fmt.Errorf("gpu: %s: %w (%s); use a smaller batch or free memory", name, ErrOutOfMemory, resultName(r))
	case r == vk.ErrorFeatureNotPresent || r == vk.ErrorExtensionNotPresent:
		return fmt.Errorf("gpu: %s: %w (%s)", name, ErrFeature, resultName(r))
	}
	return fmt.Errorf("gpu: %s: it returned %s; wanted VK_SUCCESS", name, resultName(r))
}
