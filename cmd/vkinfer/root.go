package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/console"
)

// app is what the subcommands share.
type app struct {
	in      io.Reader
	out     io.Writer
	outTTY  bool             // out is a terminal
	console *console.Console // standard error
	log     *slog.Logger     // writes to console

	quiet, verbose bool
	noQuirks       bool // --no-quirks
	begun          bool // a subcommand has begun; errors before that are of usage

	mu    sync.Mutex
	temps []string // temporary files
}

// grace is how long a subcommand may take to notice that it was interrupted.
const grace = 5 * time.Second

// run executes a command line and returns the exit status.
func run(args []string, in io.Reader, out, errOut *os.File) int {
	// Writing to a closed pipe is then an error like others instead of the program's end.
	signal.Ignore(syscall.SIGPIPE)
	a := &app{in: in, out: &pipeWriter{w: out}, outTTY: console.IsTerminal(out), console: console.New(errOut)}
	a.log = slog.New(a.console.Handler(slog.LevelInfo))
	ctx, stop := a.interruptible()
	defer stop()
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(a.out)
	root.SetErr(a.console)
	cmd, err := root.ExecuteContextC(ctx)
	return a.finish(ctx, cmd, err)
}

// interruptible returns a context that ends at the first interrupt or request to terminate. The second
// one, or grace, ends the program.
func (a *app) interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			cancel()
		case <-done:
			return
		}
		select {
		case <-signals:
		case <-time.After(grace):
		case <-done:
			return
		}
		a.removeTemp()
		a.console.StopProgress()
		fmt.Fprintln(a.console, "vkinfer: interrupted")
		os.Exit(exitInterrupted)
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

// The groups of subcommands in the help text.
const (
	groupUse     = "use"
	groupInspect = "inspect"
	groupCheck   = "check"
	groupWeights = "weights"
)

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "vkinfer",
		Short: "Classify pictures with the pruned EfficientNets on any GPU through Vulkan",
		Long: `vkinfer classifies pictures with the knapsack-pruned EfficientNets (b1, b2, b3) on any GPU through Vulkan,
or on the CPU with a plain reference implementation.

Results go to standard output, all else to standard error. Exit status: 0 fine; 1 part of the work failed, the
rest was done; 2 wrong usage, nothing was run; 3 it ran and a check failed; 4 no usable device or feature;
130 interrupted.`,
		Example: `  vkinfer fetch efficientnet_b1_pruned
  vkinfer classify efficientnet_b1_pruned photo.jpg
  vkinfer classify efficientnet_b2_pruned --checkpoint my.pth -o csv photos/ > photos.csv`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddGroup(&cobra.Group{ID: groupUse, Title: "Run networks:"}, &cobra.Group{ID: groupWeights, Title: "Weights:"},
		&cobra.Group{ID: groupInspect, Title: "Look inside:"}, &cobra.Group{ID: groupCheck, Title: "Check and measure:"})
	p := root.PersistentFlags()
	p.BoolVarP(&a.quiet, "quiet", "q", false, "print no warnings and no progress, only errors and results")
	p.BoolVarP(&a.verbose, "verbose", "v", false, "say on standard error what is being done")
	p.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName { // --batch_size is --batch-size
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
	})
	root.SetGlobalNormalizationFunc(p.GetNormalizeFunc())
	root.SetFlagErrorFunc(flagError)
	root.SuggestionsMinimumDistance = 3
	root.AddCommand(
		classifyCommand(a), preprocessCommand(a), runCommand(a), validateCommand(a), mergeCommand(a),
		fetchCommand(a), synthCommand(a), convertCommand(a),
		devicesCommand(a), modelsCommand(a), infoCommand(a), planCommand(a),
		verifyCommand(a), doctorCommand(a), benchCommand(a), profileCommand(a),
		versionCommand(a), probeCommand(a),
	)
	return root
}

// action makes a subcommand's function of f: it marks that the subcommand has begun and sets the log level.
func (a *app) action(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.begun = true
		switch {
		case a.quiet:
			a.log = slog.New(a.console.Handler(slog.LevelError))
			a.console.HideProgress()
		case a.verbose:
			a.log = slog.New(a.console.Handler(slog.LevelDebug))
		}
		return f(cmd, args)
	}
}
