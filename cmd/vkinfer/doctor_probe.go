package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/doctor"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
	"github.com/vkinfer/vkinfer/cpuref"
	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// probeCommand is what doctor runs in processes of its own: one question each, answered in JSON.
func probeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:    probeCommandName + " loader|driver FILE|devices|smoke N",
		Hidden: true,
		Args:   args(2, "question"),
		RunE: a.action(func(cmd *cobra.Command, args []string) error {
			answer, err := a.probe(cmd.Context(), args[0], args[1:])
			if err != nil {
				return err
			}
			return table.JSON(a.out, answer)
		}),
	}
	a.addQuirks(cmd)
	return cmd
}

func (a *app) probe(ctx context.Context, question string, args []string) (any, error) {
	switch {
	case question == "loader" && len(args) == 0:
		info, err := gpu.Loader()
		out := doctor.Loader{File: info.File, Version: info.Version, Layers: []doctor.Layer{}}
		for _, l := range info.Layers {
			out.Layers = append(out.Layers, doctor.Layer(l))
		}
		return out, err
	case question == "driver" && len(args) == 1:
		if err := gpu.TryDriver(args[0]); err != nil {
			return nil, errors.New(strings.TrimPrefix(err.Error(), "gpu: driver: "))
		}
		return true, nil
	case question == "devices" && len(args) == 0:
		return a.probeDevices()
	case question == "smoke" && len(args) == 1:
		return smoke(ctx, gpu.Options{Device: "vulkan:" + args[0], NoQuirks: a.noQuirks}, nil)
	}
	return nil, usagef("%s: no such question", probeCommandName)
}

func (a *app) probeDevices() ([]doctor.Device, error) {
	list := gpu.Devices
	if a.noQuirks {
		list = gpu.DevicesWithoutQuirks
	}
	infos, err := list()
	out := []doctor.Device{}
	for _, d := range infos {
		c := d.Caps
		row := doctor.Device{Index: d.Index, Name: c.Name, Type: c.Type, Driver: d.Driver, API: d.APIVersion, Fit: d.Fit, Why: d.Why, Quirks: d.Quirks}
		row.Features, row.Lacks = features(&c)
		row.Limits = []string{
			fmt.Sprintf("memory %s, at most %s at once, %s in a binding", table.Bytes(d.Memory), table.Bytes(c.MaxAllocation), table.Bytes(c.MaxStorageBufferRange)),
			fmt.Sprintf("workgroups of %d with %s of shared memory, subgroups of %d, %d bytes of push constants",
				c.MaxWorkgroupInvocations, table.Bytes(int64(c.MaxSharedMemory)), c.SubgroupSize, c.MaxPushConstants),
		}
		batches, problems := largestBatches(c)
		row.Limits, row.Problems = append(row.Limits, batches), problems
		out = append(out, row)
	}
	return out, err
}

// features lists the yes-or-no fields of Caps by their names in JSON: those the device has, and those it lacks.
func features(c *netplan.Caps) (has, lacks []string) {
	has, lacks = []string{}, []string{}
	b, err := json.Marshal(c)
	var fields map[string]any
	if err != nil || json.Unmarshal(b, &fields) != nil {
		return has, lacks
	}
	for name, v := range fields {
		switch v {
		case true:
			has = append(has, name)
		case false:
			lacks = append(lacks, name)
		}
	}
	slices.Sort(has)
	slices.Sort(lacks)
	return has, lacks
}

// largestBatches says what the limits mean: the most images in a submit, for each network.
func largestBatches(c netplan.Caps) (text string, problems []string) {
	var parts []string
	for _, spec := range models.All() {
		g, err := spec.BuildShape(spec.Transform.Size, spec.Transform.Size)
		if err == nil {
			g, err = netplan.RunPasses(g, "fold", "fuse")
		}
		var p *netplan.Plan
		if err == nil {
			p, err = netplan.Lower(g, c, netplan.Options{})
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s does not fit: %v", spec.Name, err))
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %d", spec.Name, p.MaxBatch))
	}
	return "so the most images in a submit are: " + strings.Join(parts, ", "), problems
}

// smokeGate bounds the relative L2 error of the smoke test's logits, as verify's of any node.
const smokeGate = 1e-5

// smoke runs a small network with every kind of layer that the models have on a device, twice, and compares it
// with float64 arithmetic on the CPU. edit, if any, changes the plan first: for tests that it is noticed.
func smoke(ctx context.Context, opts gpu.Options, edit func(*netplan.Plan)) (doctor.Smoke, error) {
	const n = 3
	start := time.Now()
	g, err := smokeGraph()
	if err != nil {
		return doctor.Smoke{}, err
	}
	input := noise(1, n*g.InputShape().NumElements())
	wide := make([]float64, len(input))
	for i, v := range input {
		wide[i] = float64(v)
	}
	want, err := cpuref.Run(ctx, g, wide, n, cpuref.Options{})
	if err != nil {
		return doctor.Smoke{}, err
	}
	dev, err := gpu.Open(opts)
	if err != nil {
		return doctor.Smoke{}, err
	}
	defer dev.Close()
	fused, err := netplan.RunPasses(g, "fold", "fuse")
	if err != nil {
		return doctor.Smoke{}, err
	}
	plan, err := netplan.Lower(fused, dev.Caps(), netplan.Options{})
	if err != nil {
		return doctor.Smoke{}, err
	}
	if edit != nil {
		edit(plan)
	}
	exec, err := gpu.NewExecutor(dev, plan, gpu.ExecutorOptions{MaxBatch: n, Poison: true, Guards: true})
	if err != nil {
		return doctor.Smoke{}, err
	}
	defer exec.Close()
	got, err := exec.Run(ctx, input, n)
	if err != nil {
		return doctor.Smoke{}, err
	}
	again, err := exec.Run(ctx, input, n)
	if err != nil {
		return doctor.Smoke{}, err
	}
	out := judgeSmoke(got, again, want)
	out.Seconds = time.Since(start).Seconds()
	return out, nil
}
