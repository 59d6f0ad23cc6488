package gpu

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	vk "github.com/vulkan-go/vulkan"
)

// The Vulkan loader is opened once per process and stays open: drivers do not survive being unloaded.
var loader struct {
	sync.Mutex
	open bool
}

// loaderNames are the libraries to try, best first. The unversioned Linux name comes with development
// packages only.
func loaderNames() []string {
	if name := os.Getenv("VKINFER_LIBVULKAN"); name != "" {
		return []string{name}
	}
	switch runtime.GOOS {
	case "windows":
		return []string{"vulkan-1.dll"}
	case "darwin":
		return []string{"libvulkan.1.dylib", "libvulkan.dylib", "libMoltenVK.dylib"}
	}
	return []string{"libvulkan.so.1", "libvulkan.so"}
}

const vulkan11 = 1<<22 | 1<<12

// openLoader opens the loader and hands it to the binding. Later calls return at once, whatever
// VKINFER_LIBVULKAN says by then. A failure is tried again.
func openLoader() error {
	loader.Lock()
	defer loader.Unlock()
	if loader.open {
		return nil
	}
	var tried []string
	for _, name := range loaderNames() {
		why := shimLoad(name)
		if why == "" {
			tried = nil
			break
		}
		tried = append(tried, why)
	}
	if tried != nil {
		return fmt.Errorf("gpu: %w: %s; wanted the Vulkan loader library: install it (Debian, Ubuntu: apt install libvulkan1; "+
			"Fedora: dnf install vulkan-loader; Arch: pacman -S vulkan-icd-loader) or name it in VKINFER_LIBVULKAN",
			ErrNoLoader, strings.Join(tried, "; "))
	}
	if v := shimLoaderVersion(); v < vulkan11 {
		return fmt.Errorf("gpu: %w of Vulkan 1.1 or newer: the one installed is of %s; update the loader package", ErrNoLoader, versionString(v))
	}
	vk.SetGetInstanceProcAddr(shimGetInstanceProcAddr())
	if err := vk.Init(); err != nil {
		return fmt.Errorf("gpu: %w: it has no global functions (%v)", ErrNoLoader, err)
	}
	loader.open = true
	return nil
}

// anchor is an instance that lives as long as the process. It keeps the drivers loaded: the loader unloads
// them with the last instance, and drivers leak when they are unloaded (SwiftShader a thread-specific key
// each time, which ends the process at the 1024th). And the functions of the binding come from it: they are
// the loader's trampolines, the same for every instance, and must not be replaced while in use.
var anchor struct {
	sync.Mutex
	c *shimInstance
}

// dropAnchor makes the anchor, once, after the first instance that could be created.
func dropAnchor(o instanceOptions) error {
	anchor.Lock()
	defer anchor.Unlock()
	if anchor.c != nil {
		return nil
	}
	c, r := shimCreateInstance(instanceOptions{apiVersion: o.apiVersion, portability: o.portability})
	if r != vk.Success {
		if c != nil {
			shimFreeInstance(c)
		}
		return resultError("vkCreateInstance", r)
	}
	if err := vk.InitInstance(shimInstanceHandle(c)); err != nil {
		return fmt.Errorf("gpu: %w: its functions cannot be found (%v)", ErrNoLoader, err)
	}
	anchor.c = c
	return nil
}

// versionString writes Vulkan's packed version.
func versionString(v uint32) string {
	return fmt.Sprintf("%d.%d.%d", v>>22&0x7f, v>>12&0x3ff, v&0xfff)
}
