package gpu

import (
	"fmt"
	"strings"

	vk "github.com/vulkan-go/vulkan"
)

const (
	validationLayer = "VK_LAYER_KHRONOS_validation"
	apiWanted       = 1<<22 | 3<<12 // newer instances may be asked of any loader since 1.1
)

// instance is a VkInstance with its own messages. Every Device has one to itself.
type instance struct {
	c *shimInstance
	h vk.Instance
}

// newInstance opens the loader if need be and creates an instance.
func newInstance(validation bool) (*instance, error) {
	if err := openLoader(); err != nil {
		return nil, err
	}
	o := instanceOptions{apiVersion: apiWanted, portability: shimHasInstanceExtension("", "VK_KHR_portability_enumeration")}
	if validation {
		if !shimHasLayer(validationLayer) {
			return nil, fmt.Errorf("gpu: validation: %w: the layer %s is not installed; install it (Debian, Ubuntu: apt install "+
				"vulkan-validationlayers), name its directory in VK_LAYER_PATH, or switch validation off", ErrFeature, validationLayer)
		}
		if !shimHasInstanceExtension(validationLayer, "VK_EXT_validation_features") {
			return nil, fmt.Errorf("gpu: validation: %w: the layer %s is too old for synchronization validation; "+
				"install version 1.2 or newer", ErrFeature, validationLayer)
		}
		o.validation, o.messenger = true, true
		o.layerSettings = shimHasInstanceExtension(validationLayer, "VK_EXT_layer_settings")
	}
	inst, r := createInstance(o)
	if r != vk.Success {
		return nil, instanceError(o, r)
	}
	if err := dropAnchor(o); err != nil {
		inst.close()
		return nil, err
	}
	if o.messenger {
		if err := resultError("vkCreateDebugUtilsMessengerEXT",
			call("vkCreateDebugUtilsMessengerEXT", func() vk.Result { return shimCreateMessenger(inst.c) })); err != nil {
			inst.close()
			return nil, err
		}
	}
	return inst, nil
}

// createInstance returns an instance, or a result below zero. A failed instance is already freed.
func createInstance(o instanceOptions) (*instance, vk.Result) {
	var c *shimInstance
	r := call("vkCreateInstance", func() (r vk.Result) {
		c, r = shimCreateInstance(o)
		return r
	})
	if r != vk.Success {
		if c != nil {
			shimFreeInstance(c)
		}
		return nil, r
	}
	return &instance{c: c, h: shimInstanceHandle(c)}, r
}

// instanceError explains why vkCreateInstance failed; it asks again with the loader's messages on.
func instanceError(o instanceOptions, r vk.Result) error {
	switch r {
	case vk.ErrorIncompatibleDriver:
	case vk.ErrorOutOfHostMemory: // what the loader of Vulkan 1.3.239 returns for an ICD file that is no JSON
		return fmt.Errorf("gpu: vkCreateInstance: %w (%s); or an ICD file is damaged: loaders return the same then; "+
			"'vkinfer doctor' looks at each", ErrOutOfMemory, resultName(r))
	default:
		return resultError("vkCreateInstance", r)
	}
	var said []string
	if shimHasInstanceExtension("", "VK_EXT_debug_utils") {
		o.messenger = true
		c, again := shimCreateInstance(o)
		if c != nil {
			list, _ := shimTakeMessages(c)
			for _, m := range list {
				said = append(said, m.Text)
			}
			if again == vk.Success {
				shimDestroyInstance(c)
			}
			shimFreeInstance(c)
		}
	}
	why := ""
	if len(said) > 0 {
		why = " (the loader says: " + strings.Join(said, "; ") + ")"
	}
	return fmt.Errorf("gpu: %w: the loader found none that works%s; wanted a driver's ICD file: install your GPU's driver or the software "+
		"driver (Debian, Ubuntu: apt install mesa-vulkan-drivers), or name the ICD file in VK_DRIVER_FILES "+
		"(in a container NVIDIA's driver needs the graphics capability)", ErrNoDriver, why)
}

// physicalDevices lists the handles of the physical devices.
func (i *instance) physicalDevices() ([]handle, error) {
	const name = "vkEnumeratePhysicalDevices"
	for {
		var n uint32
		r := call(name, func() vk.Result { return shimPhysicalDevices(i.c, &n, nil) })
		if r == vk.ErrorInitializationFailed { // what the loader returns where every driver failed to start
			return nil, nil
		}
		if err := resultError(name, r); err != nil || n == 0 {
			return nil, err
		}
		list := make([]handle, n)
		r = call(name, func() vk.Result { return shimPhysicalDevices(i.c, &n, list) })
		if r == vk.Incomplete { // one was plugged in meanwhile
			continue
		}
		if err := resultError(name, r); err != nil {
			return nil, err
		}
		return list[:n], nil
	}
}

// close destroys the instance and returns the messages that were left.
func (i *instance) close() []Message {
	shimDestroyInstance(i.c)
	list, _ := shimTakeMessages(i.c)
	shimFreeInstance(i.c)
	i.c, i.h = nil, nil
	return list
}
