package main

import (
	"context"
	"errors"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/doctor"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/weights"
)

// probeCommandName is the hidden subcommand that doctor runs in processes of its own.
const probeCommandName = "doctor-probe"

func doctorCommand(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "doctor",
		GroupID: groupCheck,
		Short:   "Find out what Vulkan lacks on this machine and how to get it",
		Long: `Look at everything that Vulkan needs on this machine and say what is missing and how to get it: the loader, the
drivers' ICD files and libraries, device files and their permissions, containers, layers, each device with its
features, limits and known faults, and the caches. Then run a small network on each device and compare it with the
CPU reference. Drivers are opened in processes of their own, so that a broken one harms nothing else.

The exit status is 4 when no device works, 3 when one works and another computes wrongly.`,
		Example: `  vkinfer doctor
  vkinfer doctor -o json | jq -r '.findings[] | select(.mark == "fail") | .what, .fix'`,
		Args: args(0),
		RunE: a.action(func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context(), format) }),
	}
	a.addQuirks(cmd)
	choiceFlag(cmd, &format, "output", "o", "form of the report", "text", "json")
	return cmd
}

// doctorJSON is a report for programs.
type doctorJSON struct {
	*doctor.Report
	Build buildJSON `json:"vkinfer"`
}

func (a *app) doctor(ctx context.Context, format string) error {
	before := []string{probeCommandName}
	if a.noQuirks {
		before = append(before, "--no-quirks")
	}
	r := doctor.Diagnose(ctx, &doctor.System{GOOS: runtime.GOOS, Arch: runtime.GOARCH, Getenv: os.Getenv, Child: doctor.Child(before...)})
	if err := ctx.Err(); err != nil {
		return err
	}
	pipelines, pipelinesErr := gpu.PipelineCacheDir("")
	dir, err := weights.CacheDir()
	r.Cache("fetched weights", dir, pipelines, err)
	r.Cache("compiled pipelines", pipelines, "", pipelinesErr)
	if format == "json" {
		err = table.JSON(a.out, doctorJSON{r, build()})
	} else {
		err = r.Text(a.out)
	}
	switch {
	case err != nil:
		return err
	case !r.Works:
		return &failure{exitDevice, errors.New("doctor: " + r.Reason)}
	case r.Wrong:
		return &failure{exitCheck, errors.New("doctor: a device failed its smoke test")}
	}
	return nil
}
