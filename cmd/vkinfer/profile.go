package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/profile"
	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/weights"
)

// profiler is the subcommand profile.
type profiler struct {
	*app
	net          netFlags
	batches      batchList
	runs, warmup int
	sort, format string
}

func profileCommand(a *app) *cobra.Command {
	p := &profiler{app: a, batches: batchList{8}}
	cmd := &cobra.Command{
		Use:     "profile MODEL",
		GroupID: groupCheck,
		Short:   "Measure where the time goes, kernel launch by kernel launch",
		Long: `Measure every dispatch of the network by the device's own clock, and compare it with what the same device was
measured to do at most: bytes per second in a large copy, operations per second in a kernel that only multiplies
and adds. Of both the longer time is a dispatch's bound; "x over" says how many times longer it took. Where tensors
stay in a cache that is faster than the copy's memory, that may be below 1.

Times are medians over --runs and contain no transfers. Bytes are what the dispatches read and write, once, padding
and weights included. GFLOP/s counts two operations per multiply-add of the layers as published. The form trace
opens in Perfetto and chrome://tracing; html is one page with a roofline plot.

The input is seeded noise; without --checkpoint so are the weights.`,
		Example: `  vkinfer profile efficientnet_b1_pruned -b 64 --sort time
  vkinfer profile efficientnet_b1_pruned -b 1,256 -o html > b1.html
  vkinfer profile efficientnet_b3_pruned --device vulkan:1 -o trace > b3.json`,
		Args:              args(1, "MODEL"),
		ValidArgsFunction: completeModel,
		RunE:              a.action(func(cmd *cobra.Command, args []string) error { return p.run(cmd.Context(), args[0]) }),
	}
	p.net.addCheckpoint(cmd, "made-up ones")
	cmd.Flags().StringVar(&p.net.device, "device", "vulkan", "`DEVICE` to profile: vulkan (the best one), vulkan:N, or a part of its name")
	p.addQuirks(cmd)
	p.net.addPrecision(cmd)
	p.net.addKernels(cmd)
	p.net.addImgSize(cmd)
	p.net.addSeed(cmd, "which noise, and which made-up weights")
	cmd.Flags().VarP(&p.batches, "batch-size", "b", "batch sizes, separated by commas")
	numberFlag(cmd, &p.runs, "runs", "r", 20, 1, 10_000, "runs of each batch size that count")
	numberFlag(cmd, &p.warmup, "warmup", "", 3, 0, 10_000, "runs before the first that counts")
	choiceFlag(cmd, &p.sort, "sort", "", "order of the dispatches in text and csv", "network", "time")
	choiceFlag(cmd, &p.format, "output", "o", "form of the report", "text", "json", "csv", "trace", "html")
	return cmd
}

func (p *profiler) run(ctx context.Context, name string) error {
	spec, err := model(name)
	if err != nil {
		return err
	}
	if strings.EqualFold(p.net.device, "cpu") {
		return usagef("profile: --device cpu has no kernels to time; want a Vulkan device")
	}
	size := spec.Transform.Size
	if p.net.imgSize > 0 {
		size = p.net.imgSize
	}
	if err := checkBatch(slices.Max(p.batches), 3*size*size); err != nil {
		return err
	}
	reports, err := p.measure(ctx, spec)
	if err != nil {
		return err
	}
	switch p.format {
	case "json":
		return profile.JSON(p.out, reports)
	case "csv":
		return profile.CSV(p.out, reports, p.sort == "time")
	case "trace":
		return profile.Trace(p.out, reports)
	case "html":
		return profile.HTML(p.out, reports)
	}
	return profile.Text(p.out, reports, p.sort == "time")
}

// measure profiles every batch size.
func (p *profiler) measure(ctx context.Context, spec *models.Spec) (reports []*profile.Report, err error) {
	var sd *weights.StateDict
	if p.net.checkpoint == "" {
		sd = p.synthetic(spec, p.net.seed)
	} else if sd, err = p.stateDict(ctx, spec, p.net.checkpoint); err != nil {
		return nil, err
	}
	p.net.batch = slices.Max(p.batches)
	c, err := p.open(ctx, spec, sd, &p.net, vkinfer.Options{Kernels: p.net.kernelsOption()})
	if err != nil {
		return nil, err
	}
	defer p.closeNet(&err, c)
	d, s := c.Device(), c.InputShape()
	if d.MaxBatch < p.net.batch {
		return nil, &failure{exitDevice, fmt.Errorf("profile: a batch of %d does not fit %s, which runs at most %d at once; want a smaller -b", p.net.batch, d.Name, d.MaxBatch)}
	}
	p.log.Info(fmt.Sprintf("%s: measuring roofs", d.Name))
	measured, err := c.Roofs(ctx)
	if err != nil {
		if errors.Is(err, gpu.ErrOutOfMemory) {
			err = fmt.Errorf("%w (measuring roofs beside the network)", err)
		}
		return nil, err
	}
	roofs := profile.NewRoofs(measured)
	v := build()
	subject := profile.Subject{Date: time.Now().UTC().Format(time.RFC3339), Version: v.Version, Commit: v.Commit, Model: spec.Name,
		Height: s.H, Width: s.W, Device: d.Name, Driver: d.Driver, Precision: d.Precision}
	if v.Modified {
		subject.Commit += "+modified"
	}
	input := noise(uint64(p.net.seed), p.net.batch*s.NumElements())
	for _, n := range p.batches {
		p.log.Info(fmt.Sprintf("%s on %s: batch %d", spec.Name, d.Name, n))
		times, err := c.Profile(ctx, input[:n*s.NumElements()], n, vkinfer.ProfileOptions{Warmup: p.warmup, Runs: p.runs})
		if err != nil {
			return nil, err
		}
		reports = append(reports, profile.New(subject, n, times, roofs))
	}
	return reports, nil
}
