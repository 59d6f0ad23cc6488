package gpu

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/vkinfer/vkinfer/netplan"
	vk "github.com/vulkan-go/vulkan"
)

// Options says how to open a Device.
type Options struct {
	// Device selects the device: "" or "vulkan" is the best one (discrete before integrated before
	// virtual before cpu, then the most memory), "vulkan:N" the Nth of Devices, anything else a part of
	// its name in any case.
	Device string
	// ForceStaging copies inputs, weights and results through staging buffers even where the device's
	// memory is visible to the host.
	ForceStaging bool
	// Validation switches the Khronos validation layer on, with synchronization validation; what it says
	// comes from Messages. The environment variable VKINFER_VALIDATION=1 does the same.
	Validation bool
	// NoQuirks takes the Caps as the driver states them, without the corrections of the table in quirks.go.
	NoQuirks bool
	// PipelineCache is the folder that compiled pipelines are kept in, "off" for none; "" is what
	// VKINFER_PIPELINE_CACHE says, or pipelines in $VKINFER_CACHE, or vkinfer/pipelines in the user's cache.
	PipelineCache string

	loadApart        bool // copy inputs as a queue of their own would, even where there is no such; for tests
	treatNonCoherent bool // flush and invalidate although the memory is coherent; for tests
}

// Device is an open device with one queue. Its methods may be called by any number of goroutines.
type Device struct {
	opts   Options
	inst   *instance
	info   DeviceInfo
	probed probed
	dev    *shimDevice
	h      vk.Device
	cache  vk.PipelineCache
	store  *pipelineStore

	compiled compiled

	queue sync.Mutex // held for every submit and wait-idle: a VkQueue is not safe by itself
	lost  atomic.Bool

	mu        sync.Mutex
	closed    bool
	building  sync.WaitGroup // executors under construction
	executors map[*Executor]struct{}
	messages  []Message // taken from the instance, not yet handed out
}

// Open opens a device. Errors wrap ErrNoLoader, ErrNoDriver, ErrNoDevice, ErrFeature or ErrOutOfMemory
// where one of them is the cause.
func Open(opts Options) (*Device, error) {
	opts.Validation = opts.Validation || os.Getenv("VKINFER_VALIDATION") == "1"
	inst, err := newInstance(opts.Validation)
	if err != nil {
		return nil, err
	}
	table := quirks
	if opts.NoQuirks {
		table = nil
	}
	list, err := inst.candidates(table)
	if err != nil {
		inst.close()
		return nil, err
	}
	c, err := choose(list, opts.Device)
	if err != nil {
		inst.close()
		return nil, err
	}
	d := &Device{opts: opts, inst: inst, info: c.info, probed: c.probed, executors: map[*Executor]struct{}{}, compiled: newCompiled()}
	r := call("vkCreateDevice", func() (r vk.Result) {
		d.dev, r = shimCreateDevice(inst.c, c.physical, &c.probed)
		return r
	})
	if r != vk.Success {
		inst.close()
		return nil, fmt.Errorf("%w (device %s)", resultError("vkCreateDevice", r), c.info.Caps.Name)
	}
	d.h = shimDeviceHandle(d.dev)
	if err := d.openPipelineCache(); err != nil {
		d.Close()
		return nil, err
	}
	if opts.ForceStaging {
		d.info.Caps.HostVisible = false
	}
	return d, nil
}

// Info describes the device.
func (d *Device) Info() DeviceInfo { return d.info }

// Options are what the device was opened with.
func (d *Device) Options() Options { return d.opts }

// Caps is what planners may know of the device, after the quirk table.
func (d *Device) Caps() netplan.Caps { return d.info.Caps }

// Lost reports whether the device was lost; every call that needs it then returns ErrDeviceLost.
func (d *Device) Lost() bool { return d.lost.Load() }

// Messages returns what the validation layer said since the last call, oldest first; nil without
// Options.Validation. After Close it returns what came while closing, such as objects never destroyed.
func (d *Device) Messages() []Message {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drain()
	out := d.messages
	d.messages = nil
	return out
}

// drain collects the messages of the instance, if it is still open. d.mu is held.
func (d *Device) drain() {
	if d.inst == nil {
		return
	}
	list, dropped := shimTakeMessages(d.inst.c)
	d.keep(list)
	if dropped > 0 {
		d.messages = append(d.messages, Message{Kind: "general", ID: "dropped", Text: fmt.Sprintf("%d more messages were dropped", dropped)})
	}
}

// keep keeps messages but the loader's remarks about drivers, which concern no call made here.
func (d *Device) keep(list []Message) {
	for _, m := range list {
		if m.Kind != "general" {
			d.messages = append(d.messages, m)
		}
	}
}

// check turns a result into an error and remembers a lost device.
func (d *Device) check(name string, r vk.Result) error {
	if r == vk.ErrorDeviceLost {
		d.lost.Store(true)
	}
	return resultError(name, r)
}

// loadsApart reports whether inputs are copied by submits of their own, which compute waits for.
func (d *Device) loadsApart() bool { return d.probed.loadFamily >= 0 || d.opts.loadApart }

// loadFamily is the family of the queue that does so.
func (d *Device) loadFamily() int {
	if d.probed.loadFamily >= 0 {
		return d.probed.loadFamily
	}
	return d.probed.queueFamily
}

// call makes a Vulkan call through the gate and checks its result.
func (d *Device) call(name string, f func() vk.Result) error { return d.check(name, call(name, f)) }

// usable returns ErrDeviceLost on a lost device.
func (d *Device) usable() error {
	if d.lost.Load() {
		return resultError(d.info.Caps.Name, vk.ErrorDeviceLost)
	}
	return nil
}

// waitIdle waits until the device has nothing to do; on a lost one it returns in finite time too. It comes
// before destruction, so it is the one call that the fault hook cannot suppress.
func (d *Device) waitIdle() error {
	d.queue.Lock()
	defer d.queue.Unlock()
	return d.check("vkDeviceWaitIdle", shimWaitIdle(d.dev))
}

// enter notes an executor under construction, so that Close waits for it.
func (d *Device) enter() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fmt.Errorf("gpu: %s: device is %w; open it again", d.info.Caps.Name, ErrClosed)
	}
	if err := d.usable(); err != nil {
		return err
	}
	d.building.Add(1)
	return nil
}

// Close closes all executors of the device after their work in flight, then the device. Further calls do
// nothing. No other method but Info, Caps, Lost and Messages may be used afterwards.
func (d *Device) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	d.mu.Unlock()
	d.building.Wait()
	d.mu.Lock()
	list := make([]*Executor, 0, len(d.executors))
	for e := range d.executors {
		list = append(list, e)
	}
	d.mu.Unlock()
	for _, e := range list {
		_ = e.Close()
	}
	_ = d.waitIdle() // whatever it says, destruction is due
	d.compiled.free(d.h)
	if d.cache != nil {
		vk.DestroyPipelineCache(d.h, d.cache, nil)
	}
	vk.DestroyDevice(d.h, nil)
	shimFreeDevice(d.dev)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drain()
	d.keep(d.inst.close())
	d.inst = nil
	return nil
}
