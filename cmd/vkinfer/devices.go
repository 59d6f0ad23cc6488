package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
)

// deviceJSON is a device for programs.
type deviceJSON struct {
	Device        string        `json:"device"` // what --device takes
	Name          string        `json:"name"`
	Type          string        `json:"type"`
	Driver        string        `json:"driver"`
	DriverVersion string        `json:"driver_version,omitempty"`
	APIVersion    string        `json:"api_version,omitempty"`
	MemoryBytes   int64         `json:"memory_bytes,omitempty"`
	Fit           bool          `json:"fit"`
	Why           string        `json:"why_not,omitempty"`
	Default       bool          `json:"default"` // what --device vulkan means
	Quirks        []string      `json:"quirks,omitempty"`
	Caps          *netplan.Caps `json:"caps,omitempty"`
}

func devicesCommand(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "devices",
		GroupID: groupInspect,
		Short:   "List the devices that can run networks",
		Long: `List the devices that can run networks: those of all Vulkan drivers, and cpu, the reference implementation.
The one that --device vulkan means is marked *. The exit status is 4 when there is no Vulkan device to use.

The "caps" that -o json prints are what plan --caps reads.`,
		Example: `  vkinfer devices
  vkinfer devices -o json | jq '.[] | select(.default) | .caps' > caps.json`,
		Args: args(0),
		RunE: a.action(func(*cobra.Command, []string) error { return a.devices(format) }),
	}
	a.addQuirks(cmd)
	choiceFlag(cmd, &format, "output", "o", "form of the list", "text", "json")
	return cmd
}

func (a *app) devices(format string) error {
	found, err := a.listDevices()
	found = append(found, deviceJSON{Device: "cpu", Name: "reference implementation in Go", Type: "cpu", Driver: "cpuref", Fit: true})
	if format == "json" {
		if e := table.JSON(a.out, found); e != nil {
			return e
		}
		return err
	}
	t := table.Table{Titles: []string{"", "DEVICE", "NAME", "TYPE", "DRIVER", "VULKAN", "MEMORY", "FIT"}, Right: []bool{6: true, 7: false}}
	for _, d := range found {
		mark, memory, fit := "", "", "yes"
		if d.Default {
			mark = "*"
		}
		if d.MemoryBytes > 0 {
			memory = table.Bytes(d.MemoryBytes)
		}
		if !d.Fit {
			fit = "no: " + d.Why
		}
		t.Add(mark, d.Device, d.Name, d.Type, d.Driver, d.APIVersion, memory, fit)
	}
	if e := t.Text(a.out); e != nil {
		return e
	}
	for _, d := range found {
		for _, q := range d.Quirks {
			a.log.Debug(fmt.Sprintf("%s: %s", d.Device, q))
		}
	}
	return err
}

// listDevices returns the Vulkan devices, and an error when none can be used.
func (a *app) listDevices() ([]deviceJSON, error) {
	list := gpu.Devices
	if a.noQuirks {
		list = gpu.DevicesWithoutQuirks
	}
	infos, err := list()
	if err != nil {
		return nil, err
	}
	// Opening the best one tells which that is, and that it does open.
	best := -1
	dev, err := gpu.Open(gpu.Options{NoQuirks: a.noQuirks})
	if err == nil {
		best = dev.Info().Index
		dev.Close()
	}
	var out []deviceJSON
	for _, d := range infos {
		out = append(out, deviceJSON{Device: fmt.Sprintf("vulkan:%d", d.Index), Name: d.Caps.Name, Type: d.Caps.Type,
			Driver: strings.TrimSpace(d.Driver), DriverVersion: d.DriverVersion, APIVersion: d.APIVersion, MemoryBytes: d.Memory,
			Fit: d.Fit, Why: d.Why, Default: d.Index == best, Quirks: d.Quirks, Caps: &d.Caps})
	}
	return out, err
}
