package gpu

import (
	"fmt"

	vk "github.com/vulkan-go/vulkan"
)

// LoaderInfo describes the Vulkan loader of this process.
type LoaderInfo struct {
	File    string // the library that was opened, links resolved
	Version string // of Vulkan, that it is made for
	Layers  []Layer
}

// Layer is an installed instance layer, such as the validation layers.
type Layer struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Version     string `json:"version"` // of Vulkan
}

// Loader opens the Vulkan loader if need be and describes it. Errors wrap ErrNoLoader.
func Loader() (LoaderInfo, error) {
	if err := openLoader(); err != nil {
		return LoaderInfo{}, err
	}
	info := LoaderInfo{File: shimLoaderFile(), Version: versionString(shimLoaderVersion())}
	var layers []Layer
	r := call("vkEnumerateInstanceLayerProperties", func() (r vk.Result) {
		layers, r = shimLayers()
		return r
	})
	info.Layers = layers
	return info, resultError("vkEnumerateInstanceLayerProperties", r)
}

// TryDriver opens a driver's library, a path or a name for the dynamic linker to find, as the Vulkan loader
// would, and looks for a driver's entry points. The error is the dynamic linker's. What libraries do when they
// are opened is theirs to know: call it in a process that may crash. The library stays open.
func TryDriver(library string) error {
	if why := shimTryDriver(library); why != "" {
		return fmt.Errorf("gpu: driver: %s", why)
	}
	return nil
}
