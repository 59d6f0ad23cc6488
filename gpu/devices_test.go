package gpu

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vkinfer/vkinfer/netplan"
)

// list makes candidates out of "name type GiB", with a "!" before the unfit.
func list(descriptions ...string) []candidate {
	var out []candidate
	for i, s := range descriptions {
		var c candidate
		s, unfit := strings.CutPrefix(s, "!")
		fields := strings.Fields(s)
		c.physical = handle(i + 1)
		c.info = DeviceInfo{Index: i, Fit: !unfit, Caps: netplan.Caps{Name: strings.ReplaceAll(fields[0], "_", " "), Type: fields[1]}}
		_, _ = fmt.Sscan(fields[2], &c.info.Memory)
		if unfit {
			c.info.Why = "it is broken"
		}
		out = append(out, c)
	}
	return out
}

func TestChoose(t *testing.T) {
	all := list("llvmpipe cpu 64", "GeForce_RTX_4090 discrete 24", "GeForce_RTX_4090_D discrete 24", "Radeon_780M integrated 32",
		"!Arc_A770 discrete 99", "virtio virtual 100")
	cases := []struct {
		devices  []candidate
		selector string
		want     int // index, or -1
		is       error
		says     string
	}{
		{all, "", 1, nil, ""},
		{all, "vulkan", 1, nil, ""},
		{all, "Vulkan", 1, nil, ""},
		{list("a cpu 9", "b integrated 1"), "", 1, nil, ""},
		{list("a other 9", "b cpu 1"), "", 1, nil, ""},
		{list("a discrete 8", "b discrete 24"), "", 1, nil, ""},
		{all, "vulkan:0", 0, nil, ""},
		{all, "VULKAN:3", 3, nil, ""},
		{all, "radeon", 3, nil, ""},
		{all, "geforce rtx 4090", 1, nil, ""}, // the whole name, though also a part of another
		{all, "4090 d", 2, nil, ""},
		{all, "vulkan:6", -1, ErrNoDevice, "vulkan:0 to vulkan:5"},
		{all, "vulkan:-1", -1, ErrNoDevice, "wanted vulkan:0"},
		{all, "vulkan:x", -1, ErrNoDevice, "vulkan:x"},
		{all, "4090", -1, ErrNoDevice, "ambiguous, wanted one of vulkan:1 GeForce RTX 4090 (discrete, ), vulkan:2"},
		{all, "voodoo", -1, ErrNoDevice, "vulkan:0 llvmpipe"},
		{all, "arc", -1, ErrFeature, "it is broken"},
		{all, "vulkan:4", -1, ErrFeature, "Arc A770"},
		{list("!a cpu 1", "!b cpu 1"), "", -1, ErrNoDevice, "vulkan:1 b: it is broken"},
		{nil, "", -1, ErrNoDevice, "apt install mesa-vulkan-drivers"},
		{nil, "vulkan:0", -1, ErrNoDevice, "found none"},
	}
	for _, c := range cases {
		got, err := choose(c.devices, c.selector)
		switch {
		case c.want >= 0 && (err != nil || got.info.Index != c.want):
			t.Errorf("choose %q: got %d, %v; want %d", c.selector, got.info.Index, err, c.want)
		case c.want < 0 && (!errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says)):
			t.Errorf("choose %q: got %v; want %v that says %q", c.selector, err, c.is, c.says)
		}
	}
}

func TestDevices(t *testing.T) {
	d := open(t, Options{})
	devices, err := Devices()
	if err != nil {
		t.Fatal(err)
	}
	if len(devices) == 0 {
		t.Fatal("no devices, though one was opened")
	}
	for i, info := range devices {
		if info.Index != i {
			t.Errorf("device %d has index %d", i, info.Index)
		}
		e, err := Open(Options{Device: fmt.Sprintf("vulkan:%d", i)})
		if info.Fit != (err == nil) {
			t.Errorf("%v: fit is %v, opening gives %v", info, info.Fit, err)
		}
		if err != nil {
			continue
		}
		if diff := cmp.Diff(info, e.Info()); diff != "" {
			t.Errorf("Devices and Info differ (-Devices +Info):\n%s", diff)
		}
		e.Close()
	}
	if _, err := Open(Options{Device: "vulkan:99"}); !errors.Is(err, ErrNoDevice) {
		t.Errorf("got %v, want ErrNoDevice", err)
	}
	if len(devices) == 1 {
		e, err := Open(Options{Device: d.Caps().Name})
		if err != nil {
			t.Fatalf("opening by name: %v", err)
		}
		e.Close()
	}
}

// TestCapsArePlausible: nothing may be below what the specification promises (chapter "Limits").
func TestCapsArePlausible(t *testing.T) {
	d := open(t, Options{})
	c, min := d.Caps(), netplan.MinimalCaps()
	atLeast := func(what string, got, want int64) {
		if got < want {
			t.Errorf("%s is %d, Vulkan promises %d", what, got, want)
		}
	}
	atLeast("invocations", int64(c.MaxWorkgroupInvocations), int64(min.MaxWorkgroupInvocations))
	for i := range 3 {
		atLeast("workgroup size", int64(c.MaxWorkgroupSize[i]), int64(min.MaxWorkgroupSize[i]))
		atLeast("workgroup count", int64(c.MaxWorkgroupCount[i]), int64(min.MaxWorkgroupCount[i]))
	}
	atLeast("shared memory", int64(c.MaxSharedMemory), int64(min.MaxSharedMemory))
	atLeast("push constants", int64(c.MaxPushConstants), int64(min.MaxPushConstants))
	atLeast("descriptor sets", int64(c.MaxBoundDescriptorSets), int64(min.MaxBoundDescriptorSets))
	atLeast("storage range", c.MaxStorageBufferRange, min.MaxStorageBufferRange)
	atLeast("texels", c.MaxTexelElements, min.MaxTexelElements)
	atLeast("allocation", c.MaxAllocation, 1<<28)
	if a := c.StorageBufferAlignment; a < 1 || a > min.StorageBufferAlignment || a&(a-1) != 0 {
		t.Errorf("storage alignment is %d", a)
	}
	if s := c.SubgroupSize; s < 1 || s > 128 || s&(s-1) != 0 {
		t.Errorf("subgroup size is %d", s)
	}
	if c.APIVersion < vulkan11 || c.Name == "" || c.Type == "" || d.Info().Memory < c.MaxAllocation>>4 {
		t.Errorf("got %+v", d.Info())
	}
	if c.TimestampBits > 0 && c.TimestampNs <= 0 {
		t.Errorf("%d timestamp bits of %v ns", c.TimestampBits, c.TimestampNs)
	}
	if os.Getenv("VKINFER_DEVICE") == "" && strings.Contains(c.Name, "llvmpipe") && c.Type != "cpu" {
		t.Errorf("lavapipe is of type %s", c.Type)
	}
}

func TestForceStagingShowsInCaps(t *testing.T) {
	if open(t, Options{ForceStaging: true}).Caps().HostVisible {
		t.Errorf("a device that is made to stage says that its memory is host visible")
	}
}

func TestDriverVersion(t *testing.T) {
	if got := driverVersion(0x10de, 550<<22|54<<14|15<<6); got != "550.54.15.0" {
		t.Errorf("NVIDIA: got %s", got)
	}
	if got := driverVersion(0x10005, 22<<22|3<<12|6); got != "22.3.6" {
		t.Errorf("Mesa: got %s", got)
	}
}

func TestQuirks(t *testing.T) {
	table := []quirk{
		{"first", "x", func(c *netplan.Caps) bool { return c.VendorID == 7 }, func(c *netplan.Caps) { c.Float16 = false }},
		{"second", "y", func(c *netplan.Caps) bool { return !c.Float16 }, func(c *netplan.Caps) { c.MaxSharedMemory /= 2 }},
	}
	c := netplan.Caps{VendorID: 7, Float16: true, MaxSharedMemory: 64}
	if got, want := applyQuirks(&c, table), []string{"first (x)", "second (y)"}; !cmp.Equal(got, want) || c.Float16 || c.MaxSharedMemory != 32 {
		t.Errorf("got %v and %+v", got, c)
	}
	c = netplan.Caps{Float16: true, MaxSharedMemory: 64}
	if got := applyQuirks(&c, table); got != nil || !c.Float16 || c.MaxSharedMemory != 64 {
		t.Errorf("got %v and %+v for a device that no row means", got, c)
	}
}

// TestNewerVulkanIsNeeded: what a probe finds decides whether a device is fit.
func TestFitness(t *testing.T) {
	good := probed{name: "x", apiVersion: vulkan11, heaps: []memoryHeap{{size: 1 << 30, flags: 1}}}
	cases := []struct {
		edit func(*probed)
		why  string
	}{
		{func(*probed) {}, ""},
		{func(p *probed) { p.apiVersion = 1 << 22 }, "it is of Vulkan 1.0.0, wanted 1.1 or newer; update its driver"},
		{func(p *probed) { p.queueFamily = -1 }, "none of its queues can compute"},
		{func(p *probed) { p.heaps[0].flags = 0 }, "it has no device-local memory"},
	}
	for _, c := range cases {
		p := good
		p.heaps = append([]memoryHeap(nil), good.heaps...)
		c.edit(&p)
		if info := p.info(3, quirks); info.Why != c.why || info.Fit != (c.why == "") || info.Index != 3 {
			t.Errorf("got %+v, want %q", info, c.why)
		}
	}
}
