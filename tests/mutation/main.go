package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"sync"
)

func main() {
	o := options{}
	flag.StringVar(&o.format, "o", "text", "form of the table: text or md")
	flag.StringVar(&o.run, "run", "", "only the faults whose names match this regular expression")
	flag.StringVar(&o.drivers, "drivers", "build/drivers", "where scripts/get-drivers.sh puts further drivers")
	flag.IntVar(&o.jobs, "j", min(runtime.NumCPU(), 4), "faults tried at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := check(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

type options struct {
	format, run, drivers string
	jobs                 int
}

// check tries the faults and prints the table.
func check(ctx context.Context, o options) (ok bool, err error) {
	if o.format != "text" && o.format != "md" || flag.NArg() > 0 || o.jobs < 1 {
		return false, fmt.Errorf("want -o text or md, -j of at least 1, and no arguments")
	}
	only, err := regexp.Compile(o.run)
	if err != nil {
		return false, err
	}
	var chosen []mutation
	for _, m := range slices.Concat(controls(), kernels, planner) {
		if m.edits == nil || only.MatchString(m.name) { // controls always run
			chosen = append(chosen, m)
		}
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return false, err
	}
	outcomes := make([]outcome, len(chosen))
	next, failed := make(chan int), make(chan error, o.jobs)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for job := range o.jobs {
		wg.Go(func() {
			b, err := newBench(ctx, root, job, o)
			if err != nil {
				failed <- err
				cancel()
				return
			}
			defer b.close()
			for i := range next {
				outcomes[i] = b.try(ctx, chosen[i])
				fmt.Fprintf(os.Stderr, "%d of %d: %s: %s (%.0f s)\n", i+1, len(chosen), chosen[i].name, outcomes[i].summary(), outcomes[i].took.Seconds())
			}
		})
	}
	for i := range chosen {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	select {
	case err := <-failed:
		return false, err
	default:
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return write(os.Stdout, o.format, outcomes), nil
}
