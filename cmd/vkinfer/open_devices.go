package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/weights"
)

// selectDevices splits a --device that may name several: a list with commas, or all.
func (a *app) selectDevices(device string) ([]string, error) {
	if !strings.EqualFold(device, "all") {
		list := splitNames(device)
		for i, name := range list {
			if list[i] = strings.TrimSpace(name); list[i] == "" && len(list) > 1 {
				return nil, usagef("--device %s: an empty name, want devices separated by single commas", device)
			}
			if slices.Contains(list[:i], list[i]) {
				return nil, usagef("--device %s: %s twice", device, list[i])
			}
		}
		return list, nil
	}
	find := gpu.Devices
	if a.noQuirks {
		find = gpu.DevicesWithoutQuirks
	}
	all, err := find()
	if err != nil {
		return nil, setup(err)
	}
	var hardware, software []string
	for _, d := range all {
		switch name := fmt.Sprintf("vulkan:%d", d.Index); {
		case !d.Fit:
			a.log.Warn(fmt.Sprintf("%s is left out: %s", d, d.Why))
		case d.Caps.Type == "cpu":
			software = append(software, name)
		default:
			hardware = append(hardware, name)
		}
	}
	switch {
	case len(hardware) > 0:
		return hardware, nil
	case len(software) > 0:
		return software, nil
	}
	return []string{"vulkan"}, nil // whose error says what is missing
}

// splitNames splits at commas, but for those in brackets: devices are called "llvmpipe (LLVM 15.0.6, 256 bits)".
func splitNames(text string) []string {
	depth := 0
	var list []string
	start := 0
	for i, r := range text {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth <= 0:
			list = append(list, text[start:i])
			start = i + 1
		}
	}
	return append(list, text[start:])
}

// openAll is open for each of the devices; the caller closes what is returned.
func (a *app) openAll(ctx context.Context, spec *models.Spec, sd *weights.StateDict, devices []string, f *netFlags, opts vkinfer.Options) (list []*vkinfer.Classifier, err error) {
	defer func() {
		if err != nil {
			for _, cl := range list {
				cl.Close()
			}
			list = nil
		}
	}()
	for _, device := range devices {
		one := *f
		one.device = device
		cl, err := a.open(ctx, spec, sd, &one, opts)
		if err != nil {
			return list, err
		}
		list = append(list, cl)
	}
	return list, nil
}

// lost tells of a device that failed while others go on.
func (a *app) lost(c *vkinfer.Classifier, err error) {
	a.log.Error(fmt.Sprintf("%s failed, and the others take over its pictures: %v", c.Device().Name, err))
}
