package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Device is what the probe "devices" prints of each device.
type Device struct {
	Index    int      `json:"index"`
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Driver   string   `json:"driver"`
	API      string   `json:"api_version"`
	Fit      bool     `json:"fit"`
	Why      string   `json:"why_not,omitempty"`
	Quirks   []string `json:"quirks,omitempty"`
	Features []string `json:"features"`
	Lacks    []string `json:"lacks"`
	Limits   []string `json:"limits"`             // the limits that matter, for people
	Problems []string `json:"problems,omitempty"` // limits that a network exceeds
	Smoke    *Smoke   `json:"smoke_test,omitempty"`
}

// Smoke is the outcome of a small network on a device.
type Smoke struct {
	OK      bool    `json:"ok"`
	Detail  string  `json:"detail"`
	Seconds float64 `json:"seconds"`
}

// Limits on the time of probes. Some drivers compile a kernel in a second.
const (
	openLimit  = 20 * time.Second
	smokeLimit = 90 * time.Second
)

const (
	areaLoader, areaDrivers, areaDevices = "loader", "drivers", "devices"

	installLoader = "install the Vulkan loader (Debian, Ubuntu: apt install libvulkan1; Fedora: dnf install vulkan-loader; " +
		"Arch: pacman -S vulkan-icd-loader), or name it in VKINFER_LIBVULKAN"
	installDriver = "install your GPU's driver or the software driver (Debian, Ubuntu: apt install mesa-vulkan-drivers), " +
		"or name an ICD file: export VK_DRIVER_FILES=FILE.json"
)

// Diagnose looks at the machine.
func Diagnose(ctx context.Context, s *System) *Report {
	r := &Report{Findings: []Finding{}, Drivers: []Manifest{}, Devices: []Device{}}
	s.loader(ctx, r)
	s.variables(r)
	s.drivers(ctx, r)
	s.hardware(r)
	if r.Loader != nil {
		s.layers(r)
		s.devices(ctx, r)
	}
	for i := range r.Devices {
		if d := &r.Devices[i]; d.Smoke != nil {
			r.Works = r.Works || d.Smoke.OK
			r.Wrong = r.Wrong || !d.Smoke.OK
		}
	}
	if !r.Works {
		r.Reason = cmp.Or(r.reasons(areaLoader), r.reasons(areaDrivers), r.reasons("hardware"), r.reasons(areaDevices), "there is no device")
	}
	return r
}

// ask runs a probe and reads what it prints.
func (s *System) ask(ctx context.Context, limit time.Duration, env []string, into any, args ...string) error {
	out, err := s.Child(ctx, limit, env, args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("the probe printed no answer (%w)", err)
	}
	return nil
}

func (s *System) loader(ctx context.Context, r *Report) {
	var l Loader
	if err := s.ask(ctx, openLimit, nil, &l, "loader"); err != nil {
		r.add(areaLoader, Fail, installLoader, "%v", err)
		return
	}
	r.Loader = &l
	r.add(areaLoader, OK, "", "%s, for Vulkan %s", l.File, l.Version)
	if s.Getenv("VK_DRIVER_FILES") != "" && older(l.Version, 1, 3, 207) {
		r.add(areaLoader, Warn, "export VK_ICD_FILENAMES=$VK_DRIVER_FILES", "this loader is older than 1.3.207 and does not know VK_DRIVER_FILES")
	}
}

// older compares versions such as 1.3.239.
func older(version string, want ...int) bool {
	var v [3]int
	_, _ = fmt.Sscanf(version, "%d.%d.%d", &v[0], &v[1], &v[2])
	return slices.Compare(v[:], want) < 0
}

// variables lists the variables that change what the loader does.
func (s *System) variables(r *Report) {
	const area = "environment"
	for _, v := range []string{"VKINFER_LIBVULKAN", "VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES", "VK_LOADER_DRIVERS_SELECT",
		"VK_LOADER_DRIVERS_DISABLE", "VK_INSTANCE_LAYERS", "VK_LOADER_LAYERS_ENABLE", "VK_LAYER_PATH", "VKINFER_VALIDATION", "VKINFER_CACHE",
		"VKINFER_PIPELINE_CACHE"} {
		if value := s.Getenv(v); value != "" {
			mark, note := Info, ""
			switch {
			case v == "VK_ICD_FILENAMES" && s.chosen() != v, v == "VK_ADD_DRIVER_FILES" && s.chosen() != "":
				mark, note = Warn, ", but "+s.chosen()+" overrides it"
			case v == s.chosen():
				note = ", instead of the standard folders"
			}
			r.add(area, mark, "", "%s=%s%s", v, value, note)
		}
	}
}

// drivers looks at every manifest, opens its library, and has it list its devices, alone.
func (s *System) drivers(ctx context.Context, r *Report) {
	if s.GOOS != "linux" {
		r.add(areaDrivers, Info, "", "the loader's search for drivers is not followed on %s", s.GOOS)
		return
	}
	r.Drivers = append(r.Drivers, s.manifests()...)
	if len(r.Drivers) == 0 {
		var places []string
		for _, f := range s.folders() {
			places = append(places, f.Path)
		}
		fix := installDriver
		if found := s.elsewhere(); found != "" {
			fix = "export VK_DRIVER_FILES=" + found
		}
		r.add(areaDrivers, Fail, fix, "no driver: no ICD file in %s", strings.Join(places, ", "))
	}
	for i := range r.Drivers {
		s.driver(ctx, r, &r.Drivers[i])
	}
}

// elsewhere is an ICD file where the loader does not look.
func (s *System) elsewhere() string {
	for _, p := range elsewhere {
		if found := s.glob(p); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

func (s *System) driver(ctx context.Context, r *Report, m *Manifest) {
	switch {
	case m.Disabled != "":
		r.add(areaDrivers, Warn, "unset "+m.Disabled, "%s: %s has the loader skip it", m.File, m.Disabled)
		return
	case m.Error != "":
		fix := "reinstall the driver that it belongs to, or remove it"
		if v := s.chosen(); m.From == v && v != "" {
			fix = "name a file that is there in " + v + ", or unset it"
		}
		r.add(areaDrivers, Fail, fix, "%s: %s", m.File, m.Error)
		return
	}
	var done bool
	if err := s.ask(ctx, openLimit, nil, &done, "driver", m.Library); err != nil {
		m.Error = err.Error()
		// What the system says often begins with the library.
		r.add(areaDrivers, Fail, missing(m.Error, m.Library), "%s: %s: %s", m.File, m.Library, strings.TrimPrefix(m.Error, m.Library+": "))
		return
	}
	if r.Loader == nil {
		r.add(areaDrivers, OK, "", "%s: %s (Vulkan %s) can be opened", m.File, m.Library, m.API)
		return
	}
	var list []Device
	if err := s.ask(ctx, openLimit, only(m.File), &list, "devices"); err != nil {
		m.Error = err.Error()
		r.add(areaDrivers, Fail, "update or reinstall it; the others without it: "+s.others(r, m), "%s: %s", m.File, m.Error)
		return
	}
	m.Devices = len(list)
	if len(list) == 0 {
		r.add(areaDrivers, Info, "", "%s: %s (Vulkan %s) opens, but has no device: its hardware is not here, or may not be used", m.File, m.Library, m.API)
		return
	}
	var names []string
	for _, d := range list {
		names = append(names, d.Name)
	}
	r.add(areaDrivers, OK, "", "%s: %s (Vulkan %s): %s", m.File, m.Library, m.API, strings.Join(names, ", "))
}

// only is the environment in which a manifest is the only one.
func only(file string) []string {
	file = absolute(file)
	return []string{"VK_DRIVER_FILES=" + file, "VK_ICD_FILENAMES=" + file, "VK_ADD_DRIVER_FILES=", "VK_LOADER_DRIVERS_SELECT=", "VK_LOADER_DRIVERS_DISABLE="}
}

// others is the command that leaves out one driver.
func (s *System) others(r *Report, without *Manifest) string {
	var files []string
	for i := range r.Drivers {
		if m := &r.Drivers[i]; m != without && m.Error == "" && m.Disabled == "" {
			files = append(files, absolute(m.File))
		}
	}
	if len(files) == 0 {
		return "there are none"
	}
	return "export VK_DRIVER_FILES=" + strings.Join(files, ":")
}

// debian has the packages of libraries that drivers want and small containers lack.
var debian = map[string]string{
	"libX11.so.6": "libx11-6", "libX11-xcb.so.1": "libx11-xcb1", "libXext.so.6": "libxext6", "libxcb.so.1": "libxcb1",
	"libxcb-dri3.so.0": "libxcb-dri3-0", "libxcb-present.so.0": "libxcb-present0", "libxcb-randr.so.0": "libxcb-randr0",
	"libxcb-sync.so.1": "libxcb-sync1", "libxcb-xfixes.so.0": "libxcb-xfixes0", "libxshmfence.so.1": "libxshmfence1", "libdrm.so.2": "libdrm2",
	"libwayland-client.so.0": "libwayland-client0", "libexpat.so.1": "libexpat1", "libEGL.so.1": "libegl1", "libGLdispatch.so.0": "libglvnd0",
	"libelf.so.1": "libelf1", "libz.so.1": "zlib1g", "libzstd.so.1": "libzstd1", "libstdc++.so.6": "libstdc++6",
}

// missing says what to do about a library that cannot be opened.
func missing(why, library string) string {
	if name, _, ok := strings.Cut(why, ": cannot open shared object file"); ok {
		name = name[strings.LastIndexByte(name, ' ')+1:]
		switch pkg := debian[name]; {
		case pkg != "":
			return "it needs " + name + " (Debian, Ubuntu: apt install " + pkg + ")"
		case path.Base(name) != path.Base(library):
			return "it needs " + name + ": install the package that has it, or name its folder in LD_LIBRARY_PATH"
		}
		return "install the driver that the ICD file belongs to, or name the folder of " + path.Base(library) + " in LD_LIBRARY_PATH"
	}
	if strings.Contains(why, "no Vulkan driver") {
		return "the ICD file names a library that is no driver: reinstall the driver, or remove the file"
	}
	return "update or reinstall the driver"
}

// layers lists what is between this program and drivers.
func (s *System) layers(r *Report) {
	const area = "layers"
	validation := false
	for _, l := range r.Loader.Layers {
		validation = validation || l.Name == "VK_LAYER_KHRONOS_validation"
		r.add(area, Info, "", "%s, for Vulkan %s: %s", l.Name, l.Version, l.Description)
	}
	if !validation {
		r.add(area, Info, "to check vkinfer's own use of Vulkan (verify --validation): Debian, Ubuntu: apt install vulkan-validationlayers",
			"the validation layers are not installed; nothing needs them")
	}
}

// devices lists the devices as other subcommands see them and tries each. Where a broken driver spoils that for
// all, each healthy driver's are tried by themselves.
func (s *System) devices(ctx context.Context, r *Report) {
	var list []Device
	err := s.ask(ctx, openLimit, nil, &list, "devices")
	switch {
	case err != nil && slices.ContainsFunc(r.Drivers, func(m Manifest) bool { return m.Devices > 0 }):
		var good []string
		for _, m := range r.Drivers {
			if m.Devices > 0 {
				good = append(good, absolute(m.File))
			}
		}
		r.add(areaDevices, Fail, "use the drivers that work: export VK_DRIVER_FILES="+strings.Join(good, ":"), "with all drivers together: %v", err)
		return
	case err != nil:
		r.add(areaDevices, Fail, installDriver, "%v", err)
		return
	case len(list) == 0:
		r.add(areaDevices, Fail, installDriver, "no driver has a device")
		return
	}
	for i := range list {
		s.device(ctx, r, &list[i])
	}
	r.Devices = append(r.Devices, list...)
}

func (s *System) device(ctx context.Context, r *Report, d *Device) {
	name := fmt.Sprintf("vulkan:%d %s", d.Index, d.Name)
	if !d.Fit {
		r.add(areaDevices, Warn, "", "%s (%s, %s) cannot be used: %s", name, d.Type, d.Driver, d.Why)
		return
	}
	r.add(areaDevices, OK, "", "%s (%s, %s), Vulkan %s", name, d.Type, d.Driver, d.API)
	r.add(areaDevices, Info, "", "has %s", cmp.Or(strings.Join(d.Features, ", "), "no optional feature"))
	if len(d.Lacks) > 0 {
		r.add(areaDevices, Info, "", "lacks %s", strings.Join(d.Lacks, ", "))
	}
	for _, l := range d.Limits {
		r.add(areaDevices, Info, "", "%s", l)
	}
	for _, p := range d.Problems {
		r.add(areaDevices, Warn, "", "%s", p)
	}
	for _, q := range d.Quirks {
		r.add(areaDevices, Info, "", "known fault, corrected: %s", q)
	}
	d.Smoke = &Smoke{}
	if err := s.ask(ctx, smokeLimit, nil, d.Smoke, "smoke", fmt.Sprint(d.Index)); err != nil {
		d.Smoke = &Smoke{Detail: err.Error()}
	}
	if d.Smoke.OK {
		r.add(areaDevices, OK, "", "smoke test: %s (%.1f s)", d.Smoke.Detail, d.Smoke.Seconds)
		return
	}
	r.add(areaDevices, Fail, "update its driver, use another device, and see 'vkinfer verify' for details", "%s: smoke test: %s", name, d.Smoke.Detail)
}
