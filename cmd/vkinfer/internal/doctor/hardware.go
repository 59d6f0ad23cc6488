package doctor

import (
	"fmt"
	"os"
	"os/user"
	"path"
	"strings"
)

// Where drivers are put that the loader does not look: NVIDIA's on hosts of containers, NixOS, flatpak.
var elsewhere = []string{
	"/usr/local/nvidia/share/vulkan/icd.d/*.json", "/usr/local/nvidia/vulkan/icd.d/*.json", "/usr/local/nvidia/*/vulkan/icd.d/*.json",
	"/opt/nvidia/share/vulkan/icd.d/*.json", "/usr/lib/nvidia/vulkan/icd.d/*.json", "/var/lib/nvidia/vulkan/icd.d/*.json",
	"/run/opengl-driver/share/vulkan/icd.d/*.json", "/usr/lib/*/GL/vulkan/icd.d/*.json", "/opt/amdgpu*/share/vulkan/icd.d/*.json",
	"/opt/amdgpu*/etc/vulkan/icd.d/*.json",
}

// Where libraries lie.
var libraryDirs = []string{"/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib", "/lib/*-linux-gnu", "/lib64", "/usr/local/nvidia/lib64",
	"/usr/local/nvidia/lib", "/usr/local/lib", "/opt/nvidia/lib64", "/run/opengl-driver/lib"}

// library finds a library's file by name in the usual folders and those of LD_LIBRARY_PATH.
func (s *System) library(name string) string {
	for _, dir := range append(s.list("LD_LIBRARY_PATH"), libraryDirs...) {
		if found := s.glob(path.Join(dir, name)); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// hardware looks at what gives access to GPUs: device files, NVIDIA's kernel module, WSL.
func (s *System) hardware(r *Report) {
	const area = "hardware"
	if s.GOOS != "linux" {
		return
	}
	if c := s.container(); c != "" {
		r.add(area, Info, "", "this is a container (%s)", c)
	}
	nodes := s.glob("/dev/dri/renderD*")
	for _, n := range nodes {
		s.access(r, area, n)
	}
	nvidia := s.exists("/proc/driver/nvidia/version") || s.exists("/dev/nvidiactl")
	if nvidia {
		s.nvidia(r, area)
	}
	wsl := s.exists("/dev/dxg")
	if wsl {
		s.wsl(r, area)
	}
	if len(nodes) == 0 && !nvidia && !wsl {
		fix := ""
		if s.container() != "" {
			fix = "if the host has a GPU: pass it in (docker run --device /dev/dri, or --gpus all for NVIDIA's)"
		}
		r.add(area, Info, fix, "no GPU: no /dev/dri/renderD*, no /dev/nvidia*, no /dev/dxg; drivers for the CPU need none")
	}
}

// access says whether a device file can be opened, and who may.
func (s *System) access(r *Report, area, name string) {
	f, err := os.OpenFile(s.path(name), os.O_RDWR, 0)
	if err == nil {
		f.Close()
		r.add(area, OK, "", "%s can be opened", name)
		return
	}
	if !os.IsPermission(err) {
		r.add(area, Warn, "see whether the kernel's driver works: dmesg", "%s cannot be opened: %s", name, reason(err))
		return
	}
	fix, group := "ask the owner of the machine for access to it", ""
	if info, err := os.Stat(s.path(name)); err == nil {
		if id := groupOf(info); id != "" {
			group = "group " + id
			fix = "run with the group of that number (docker run --group-add " + id + ")"
			if g, err := user.LookupGroupId(id); err == nil {
				group = "group " + g.Name
				fix = fmt.Sprintf("sudo usermod -aG %s \"$USER\", then log in again (in a container: docker run --group-add %s)", g.Name, id)
			}
		}
	}
	r.add(area, Fail, fix, "%s cannot be opened: permission denied; it is for %s", name, group)
}

// nvidia looks for the parts of NVIDIA's driver that Vulkan needs. Containers often have only those of CUDA.
func (s *System) nvidia(r *Report, area string) {
	version := ""
	if b, err := readLimited(s.path("/proc/driver/nvidia/version"), maxManifest); err == nil {
		for _, w := range strings.Fields(string(b)) {
			if strings.Count(w, ".") >= 1 && w[0] >= '0' && w[0] <= '9' {
				version = " " + w
				break
			}
		}
	}
	r.add(area, Info, "", "NVIDIA's kernel driver%s is there", version)
	for _, n := range append(s.glob("/dev/nvidiactl"), s.glob("/dev/nvidia[0-9]*")...) {
		s.access(r, area, n)
	}
	if len(s.glob("/dev/nvidia[0-9]*")) == 0 {
		r.add(area, Warn, "docker run --gpus all, or ask for a GPU in the pod's resources", "there is no /dev/nvidia0: no GPU of NVIDIA's was passed in")
	}
	capability := "start the container with -e NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics (or all)"
	library := s.library("libGLX_nvidia.so.0")
	manifest := ""
	for _, m := range s.manifests() {
		if strings.Contains(path.Base(m.Library), "nvidia") {
			manifest = m.File
		}
	}
	switch {
	case manifest != "" && library != "":
		r.add(area, OK, "", "NVIDIA's Vulkan driver: %s, %s", manifest, library)
	case manifest != "":
		r.add(area, Fail, capability, "NVIDIA's Vulkan driver: %s is there, but no libGLX_nvidia.so.0", manifest)
	case s.nvidiaElsewhere() != "":
		fix := "export VK_DRIVER_FILES=" + s.nvidiaElsewhere()
		if library != "" && strings.HasPrefix(library, "/usr/local/nvidia/") {
			fix += "\nif its library is not found then: export LD_LIBRARY_PATH=" + path.Dir(library)
		}
		r.add(area, Fail, fix, "NVIDIA's Vulkan driver: its ICD file %s lies where the loader does not look", s.nvidiaElsewhere())
	case library != "":
		r.add(area, Fail, capability+`, or write /etc/vulkan/icd.d/nvidia_icd.json:
{"file_format_version": "1.0.0", "ICD": {"library_path": "libGLX_nvidia.so.0", "api_version": "1.3.0"}}`,
			"NVIDIA's Vulkan driver: %s is there, but no ICD file (nvidia_icd.json)", library)
	default:
		what := "libGLX_nvidia.so.0 and nvidia_icd.json are missing"
		if cuda := s.library("libcuda.so.1"); cuda != "" {
			what += "; the compute part is there (" + cuda + "), and Vulkan needs the graphics part"
		}
		fix := capability
		if s.container() == "" {
			fix = "install the driver's Vulkan part (Debian: apt install nvidia-vulkan-icd; Ubuntu: libnvidia-gl of the driver's version), or in a container: " + capability
		}
		if v, ok := os.LookupEnv("NVIDIA_DRIVER_CAPABILITIES"); ok && s.Root == "" {
			what += "; NVIDIA_DRIVER_CAPABILITIES is " + v
		}
		r.add(area, Fail, fix, "NVIDIA's Vulkan driver: %s", what)
	}
}

// nvidiaElsewhere is an ICD file of NVIDIA's in a place that the loader does not know.
func (s *System) nvidiaElsewhere() string {
	for _, p := range elsewhere {
		for _, f := range s.glob(p) {
			if strings.Contains(path.Base(f), "nvidia") {
				return f
			}
		}
	}
	return ""
}

// wsl: the GPU of the Windows below is reached through /dev/dxg by one driver only, Mesa's dzn.
func (s *System) wsl(r *Report, area string) {
	s.access(r, area, "/dev/dxg")
	for _, m := range s.manifests() {
		if strings.Contains(path.Base(m.File), "dzn") {
			r.add(area, OK, "", "WSL: /dev/dxg, and Mesa's driver for it: %s", m.File)
			return
		}
	}
	r.add(area, Warn, "install a Mesa that has it (its ICD file is named dzn_icd.*.json); without it only the CPU serves",
		"WSL: /dev/dxg is there, but not Mesa's driver for it (dzn)")
}
