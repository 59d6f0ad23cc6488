package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/metrics"
)

// metricsFlag is --metrics.
type metricsFlag struct{ path string }

func (m *metricsFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.path, "metrics", "", "`FILE` for metrics in Prometheus' text format, written anew every 5 s (a textfile collector takes *.prom)")
}

// check complains about a file that cannot be, before anything is run.
func (m *metricsFlag) check(a *app) error {
	switch m.path {
	case "":
		return nil
	case "-":
		return usagef("--metrics -: want a file, such as vkinfer.prom")
	}
	return a.needOutput("--metrics", m.path, "FILE")
}

// open begins the file; without the flag it returns nil, which counts for itself alone.
func (m *metricsFlag) open(a *app, command string, models, precisions []string) (*metrics.File, error) {
	if m.path == "" {
		return nil, nil
	}
	v := build()
	f, err := metrics.Create(m.path, metrics.Info{Command: command, Model: strings.Join(models, ","), Precision: strings.Join(precisions, ","), Version: v.Version, Commit: v.Commit},
		func(err error) { a.log.Warn(fmt.Sprintf("--metrics: %v", err)) })
	if err != nil {
		return nil, usagef("--metrics: %w", err)
	}
	return f, nil
}

// closeMetrics writes the file for the last time, and keeps its error unless there is one already.
func closeMetrics(err *error, f *metrics.File) {
	if e := f.Close(); e != nil && *err == nil {
		*err = partf("--metrics: %w", e)
	}
}
