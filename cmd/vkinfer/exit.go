package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/weights"
)

// Exit statuses.
const (
	exitFine        = 0
	exitPart        = 1   // part of the work failed; the rest was done
	exitUsage       = 2   // nothing was run
	exitCheck       = 3   // it ran and a check failed
	exitDevice      = 4   // no usable device or feature
	exitInterrupted = 130 // by SIGINT or SIGTERM
)

// failure is an error with its exit status.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// usagef says that the command line, or a file it names, cannot be used.
func usagef(format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...)}
}

// partf says that part of the work failed.
func partf(format string, args ...any) error {
	return &failure{exitPart, fmt.Errorf(format, args...)}
}

// setup classifies an error of what comes before the first run: unless the device is to blame it is the
// caller's files or options.
func setup(err error) error {
	var f *failure
	if err == nil || errors.As(err, &f) || deviceError(err) || errors.Is(err, context.Canceled) || errors.Is(err, errPipe) {
		return err
	}
	return &failure{exitUsage, err}
}

// deviceErrors are those of package gpu that mean no usable device or feature.
var deviceErrors = []error{gpu.ErrNoLoader, gpu.ErrNoDriver, gpu.ErrNoDevice, gpu.ErrFeature, gpu.ErrOutOfMemory, gpu.ErrDeviceLost}

func deviceError(err error) bool {
	for _, e := range deviceErrors {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// exitCode returns the status that an error means.
func (a *app) exitCode(ctx context.Context, err error) int {
	var (
		f           *failure
		unknown     *models.UnknownError
		mismatch    *models.MismatchError
		format      *weights.FormatError
		unsupported *weights.UnsupportedError
	)
	switch {
	case err == nil, errors.Is(err, errPipe):
		return exitFine
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, &f):
		return f.code
	case deviceError(err):
		return exitDevice
	case !a.begun, errors.As(err, &unknown), errors.As(err, &mismatch), errors.As(err, &format), errors.As(err, &unsupported):
		return exitUsage
	}
	return exitPart
}

// finish prints the error and returns the exit status.
func (a *app) finish(ctx context.Context, cmd *cobra.Command, err error) int {
	a.console.StopProgress()
	code := a.exitCode(ctx, err)
	switch {
	case code == exitFine:
		return code
	case code == exitInterrupted:
		fmt.Fprintln(a.console, "vkinfer: interrupted")
		return code
	}
	text := strings.TrimRight(strings.TrimPrefix(err.Error(), "vkinfer: "), "\n")
	fmt.Fprintf(a.console, "vkinfer: %s\n", text)
	if code == exitDevice && cmd.Annotations[hasCPU] != "" && !strings.EqualFold(cmd.Flag("device").Value.String(), "cpu") {
		fmt.Fprintln(a.console, "vkinfer: without a GPU: --device cpu (slow)")
	}
	if code == exitUsage && !a.begun {
		fmt.Fprintf(a.console, "Run '%s --help' for usage.\n", cmd.CommandPath())
	}
	return code
}

// errPipe says that whoever read standard output has gone away: nothing went wrong, but it ends here.
var errPipe = errors.New("standard output was closed")

// pipeWriter turns a broken pipe into errPipe.
type pipeWriter struct{ w io.Writer }

func (p *pipeWriter) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		return n, errPipe
	}
	if err != nil {
		return n, fmt.Errorf("standard output: %w", err)
	}
	return n, nil
}
