package gpu

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/vkinfer/vkinfer/netplan"
	vk "github.com/vulkan-go/vulkan"
)

// DeviceInfo describes a physical device.
type DeviceInfo struct {
	Index         int // N of the selector "vulkan:N"
	Caps          netplan.Caps
	Memory        int64  // bytes of its device-local heaps
	Driver        string // name and version of the driver, as it calls itself
	DriverVersion string
	APIVersion    string
	Fit           bool
	Why           string   // why it is not fit, "" otherwise
	Quirks        []string // reasons of the rows of the quirk table that edited Caps
}

func (d DeviceInfo) String() string {
	return fmt.Sprintf("vulkan:%d %s (%s, %s)", d.Index, d.Caps.Name, d.Caps.Type, d.Driver)
}

// Devices lists the devices of all installed drivers, fit or not, in the loader's order. It returns
// ErrNoLoader or ErrNoDriver where there is nothing to ask, and an empty list where no driver has a device.
func Devices() ([]DeviceInfo, error) { return devices(quirks) }

// DevicesWithoutQuirks is Devices with the Caps as the drivers state them (Options.NoQuirks).
func DevicesWithoutQuirks() ([]DeviceInfo, error) { return devices(nil) }

func devices(table []quirk) ([]DeviceInfo, error) {
	inst, err := newInstance(false)
	if err != nil {
		return nil, err
	}
	defer inst.close()
	list, err := inst.candidates(table)
	if err != nil {
		return nil, err
	}
	out := make([]DeviceInfo, len(list))
	for i, c := range list {
		out[i] = c.info
	}
	return out, nil
}

// candidate is a physical device that was probed.
type candidate struct {
	physical handle
	probed   probed
	info     DeviceInfo
}

func (i *instance) candidates(table []quirk) ([]candidate, error) {
	handles, err := i.physicalDevices()
	if err != nil {
		return nil, err
	}
	out := make([]candidate, len(handles))
	for n, h := range handles {
		p := shimProbe(i.c, h)
		out[n] = candidate{physical: h, probed: p, info: p.info(n, table)}
	}
	return out, nil
}

// info turns what the driver says into the Caps that planners see, which the table of quirks edits.
func (p *probed) info(index int, table []quirk) DeviceInfo {
	d := DeviceInfo{Index: index, Caps: p.caps(), Memory: int64(p.localMemory()),
		DriverVersion: driverVersion(p.vendorID, p.driverVersion), APIVersion: versionString(p.apiVersion)}
	d.Driver = strings.TrimSpace(p.driverName + " " + p.driverInfo)
	if d.Driver == "" {
		d.Driver = "driver " + d.DriverVersion
	}
	switch {
	case p.apiVersion < vulkan11:
		d.Why = fmt.Sprintf("it is of Vulkan %s, wanted 1.1 or newer; update its driver", versionString(p.apiVersion))
	case p.queueFamily < 0:
		d.Why = "none of its queues can compute"
	case d.Memory == 0:
		d.Why = "it has no device-local memory"
	}
	d.Fit = d.Why == ""
	d.Quirks = applyQuirks(&d.Caps, table)
	return d
}

func (p *probed) caps() netplan.Caps {
	ints := func(v [3]uint32) (out [3]int) {
		for i := range v {
			out[i] = int(v[i])
		}
		return out
	}
	return netplan.Caps{
		Name: p.name, Type: deviceType(p.kind), VendorID: p.vendorID, DeviceID: p.deviceID,
		DriverName: p.driverName, DriverInfo: p.driverInfo, DriverVersion: p.driverVersion, APIVersion: p.apiVersion,
		MaxWorkgroupInvocations: int(p.maxInvocations), MaxWorkgroupSize: ints(p.maxSize), MaxWorkgroupCount: ints(p.maxCount),
		MaxSharedMemory: int(p.maxShared), MaxPushConstants: int(p.maxPush), MaxBoundDescriptorSets: int(p.maxSets),
		MaxStorageBufferRange: int64(p.maxRange), MaxTexelElements: int64(p.maxTexels), StorageBufferAlignment: int(p.alignment), MaxAllocation: p.largestBuffer(),
		SubgroupSize: int(p.subgroupSize), SubgroupBasic: p.subgroupBasic, SubgroupShuffle: p.subgroupShuffle,
		Float16: p.float16, Storage16: p.storage16, HostVisible: p.directType() >= 0,
		TimestampBits: int(p.timestampBits), TimestampNs: p.timestampNs,
	}
}

// largestBuffer is the smallest of the limits on one buffer with its own allocation.
func (p *probed) largestBuffer() int64 {
	limit := uint64(math.MaxInt64)
	for _, l := range []uint64{p.maxAllocation, p.maxBuffer, p.localHeap()} {
		if l > 0 {
			limit = min(limit, l)
		}
	}
	return int64(limit)
}

// localHeap is the size of the largest device-local heap.
func (p *probed) localHeap() (size uint64) {
	for _, h := range p.heaps {
		if h.flags&uint32(vk.MemoryHeapDeviceLocalBit) != 0 {
			size = max(size, h.size)
		}
	}
	return size
}

func (p *probed) localMemory() (size uint64) {
	for _, h := range p.heaps {
		if h.flags&uint32(vk.MemoryHeapDeviceLocalBit) != 0 {
			size += h.size
		}
	}
	return min(size, math.MaxInt64)
}

func deviceType(kind uint32) string {
	switch vk.PhysicalDeviceType(kind) {
	case vk.PhysicalDeviceTypeIntegratedGpu:
		return "integrated"
	case vk.PhysicalDeviceTypeDiscreteGpu:
		return "discrete"
	case vk.PhysicalDeviceTypeVirtualGpu:
		return "virtual"
	case vk.PhysicalDeviceTypeCpu:
		return "cpu"
	}
	return "other"
}

// driverVersion writes the vendor's packed version; NVIDIA packs it unlike the others.
func driverVersion(vendor, v uint32) string {
	if vendor == 0x10de {
		return fmt.Sprintf("%d.%d.%d.%d", v>>22, v>>14&0xff, v>>6&0xff, v&0x3f)
	}
	return versionString(v)
}

// choose finds the device that the selector means: "" or "vulkan" for the best one, "vulkan:N", or a part
// of a name in any case.
func choose(list []candidate, selector string) (candidate, error) {
	switch {
	case len(list) == 0:
		return candidate{}, fmt.Errorf("gpu: devices: %w: the drivers found none; wanted a Vulkan device: install your GPU's driver or "+
			"the software driver (Debian, Ubuntu: apt install mesa-vulkan-drivers), or name an ICD file in VK_DRIVER_FILES", ErrNoDevice)
	case selector == "" || strings.EqualFold(selector, "vulkan"):
		return best(list)
	}
	if rest, ok := cutPrefixFold(selector, "vulkan:"); ok {
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 || n >= len(list) {
			return candidate{}, fmt.Errorf("gpu: device %q: %w: wanted vulkan:0 to vulkan:%d; there are %s", selector, ErrNoDevice, len(list)-1, names(list))
		}
		return fit(list[n])
	}
	var found []candidate
	for _, c := range list {
		if strings.EqualFold(c.info.Caps.Name, selector) {
			found = []candidate{c}
			break
		}
		if strings.Contains(strings.ToLower(c.info.Caps.Name), strings.ToLower(selector)) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return candidate{}, fmt.Errorf("gpu: device %q: %w: no name contains it; there are %s", selector, ErrNoDevice, names(list))
	case 1:
		return fit(found[0])
	}
	return candidate{}, fmt.Errorf("gpu: device %q: %w: it is ambiguous, wanted one of %s; use vulkan:N", selector, ErrNoDevice, names(found))
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

func fit(c candidate) (candidate, error) {
	if !c.info.Fit {
		return c, fmt.Errorf("gpu: device vulkan:%d %s: %w: %s", c.info.Index, c.info.Caps.Name, ErrFeature, c.info.Why)
	}
	return c, nil
}

func best(list []candidate) (candidate, error) {
	rank := map[string]int{"discrete": 0, "integrated": 1, "virtual": 2, "cpu": 3, "other": 4}
	var usable []candidate
	var whys []string
	for _, c := range list {
		if c.info.Fit {
			usable = append(usable, c)
		} else {
			whys = append(whys, fmt.Sprintf("vulkan:%d %s: %s", c.info.Index, c.info.Caps.Name, c.info.Why))
		}
	}
	if len(usable) == 0 {
		return candidate{}, fmt.Errorf("gpu: devices: %w that is fit: %s", ErrNoDevice, strings.Join(whys, "; "))
	}
	return slices.MinFunc(usable, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(rank[a.info.Caps.Type], rank[b.info.Caps.Type]), cmp.Compare(b.info.Memory, a.info.Memory),
			cmp.Compare(a.info.Index, b.info.Index))
	}), nil
}

func names(list []candidate) string {
	var s []string
	for _, c := range list {
		s = append(s, c.info.String())
	}
	return strings.Join(s, ", ")
}
