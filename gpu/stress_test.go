package gpu

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// residentKiB reads the process's resident memory.
func residentKiB(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize() / 1024
}

// needMemoryFigures skips tests that measure memory where it cannot be measured.
func needMemoryFigures(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/proc/self/statm"); err != nil || sanitized {
		t.Skip("no figures of this process's memory, or they mean nothing under a sanitizer")
	}
	openLoud(t, Options{}).Close() // skip without a device
}

// cycle opens a device, runs a plan if asked to, and closes.
func cycle(t *testing.T, opts Options, run bool) {
	t.Helper()
	opts.Device = os.Getenv("VKINFER_DEVICE")
	d, err := Open(opts)
	skipWithoutDevice(t, err)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if !run {
		return
	}
	e, err := NewExecutor(d, testPlan(testShape), ExecutorOptions{lookup: testKernel})
	if err != nil {
		t.Fatal(err)
	}
	x := testInput(testShape, 2, 1)
	if y := mustRun(t, e, x, 2); !slices.Equal(y, testWant(testShape, x, 2)) {
		t.Fatal("wrong result")
	}
}

// TestCyclesDoNotLeak opens, runs and closes a thousand times, in a process of its own, where no other
// test has left memory to reuse; resident memory must level off. Validation is off, as the layer keeps
// memory of its own, and malloc has one arena, as drivers start threads for every device.
func TestCyclesDoNotLeak(t *testing.T) {
	needMemoryFigures(t)
	inSubprocess(t, []string{"VKINFER_VALIDATION=", "MALLOC_ARENA_MAX=1"}, func() error {
		warm, cycles, allowed := 200, 1000, 3<<10 // KiB; a buffer or a kernel lost in each cycle would be far more
		if testing.Short() {
			warm, cycles = 60, 60
		}
		for i := range warm {
			cycle(t, Options{ForceStaging: i%2 == 1}, i%4 < 2)
		}
		debug.FreeOSMemory()
		before := residentKiB(t)
		for i := range cycles {
			cycle(t, Options{ForceStaging: i%2 == 1}, i%4 < 2)
		}
		debug.FreeOSMemory()
		grown := residentKiB(t) - before
		fmt.Printf("%d cycles: resident %d KiB before, %+d KiB; device memory held: %d bytes\n", cycles, before, grown, deviceBytes.Load())
		if n := deviceBytes.Load(); n != 0 {
			return fmt.Errorf("%d bytes of device memory are held after %d cycles, want 0", n, cycles)
		}
		if grown > allowed {
			return fmt.Errorf("resident memory grew by %d KiB in %d cycles, want at most %d", grown, cycles, allowed)
		}
		return nil
	})
}

// TestRunsDoNotLeak does the same for runs of one executor, with recordings that come and go.
func TestRunsDoNotLeak(t *testing.T) {
	needMemoryFigures(t)
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			inSubprocess(t, []string{"VKINFER_VALIDATION=", "MALLOC_ARENA_MAX=1"}, func() error {
				opts.Device = os.Getenv("VKINFER_DEVICE")
				d, err := Open(opts)
				if err != nil {
					return err
				}
				defer d.Close()
				e := testExecutor(t, d, testPlan(testShape), ExecutorOptions{MaxBatch: 8, Recorded: 2})
				runs := 10000
				if testing.Short() {
					runs = 1000
				}
				loop := func(runs int) {
					for i := range runs {
						n := 1 + i%8
						mustRun(t, e, testInput(testShape, n, 1), n)
					}
				}
				loop(3000)
				debug.FreeOSMemory()
				before := residentKiB(t)
				loop(runs)
				debug.FreeOSMemory()
				grown := residentKiB(t) - before
				fmt.Printf("%d runs: %+d KiB\n", runs, grown)
				if grown > 3<<10 {
					return fmt.Errorf("resident memory grew by %d KiB in %d runs", grown, runs)
				}
				return nil
			})
		})
	}
}

// TestUnderCollection runs while other goroutines allocate and collect without pause: parameters that C
// memory outlives, or Go memory that moves or dies too early, show here.
func TestUnderCollection(t *testing.T) {
	d := open(t, Options{ForceStaging: true})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			var keep [][]byte
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				keep = append(keep, make([]byte, 1000+i%7000))
				if len(keep) > 1000 {
					keep = nil
					runtime.GC()
				}
			}
		})
	}
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	for i := range rounds {
		e := testExecutor(t, d, testPlan(testShape), ExecutorOptions{Recorded: 1, Guards: true})
		for n := 1; n < 6; n++ {
			x := testInput(testShape, n, i)
			if got := mustRun(t, e, x, n); !slices.Equal(got, testWant(testShape, x, n)) {
				t.Fatalf("round %d batch %d: wrong result", i, n)
			}
		}
		e.Close()
	}
	close(stop)
	wg.Wait()
}

// TestConcurrentOpen opens, runs and closes in several goroutines at once, listing devices meanwhile.
func TestConcurrentOpen(t *testing.T) {
	openLoud(t, Options{}).Close() // skip without a device
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for i := range 4 {
				if err := openAndRun(t, Options{ForceStaging: g%2 == 0, Validation: g == 0 && haveValidation()}, 10*g+i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func openAndRun(t *testing.T, opts Options, seed int) error {
	if _, err := Devices(); err != nil {
		return err
	}
	opts.Device = os.Getenv("VKINFER_DEVICE")
	d, err := Open(opts)
	if err != nil {
		return err
	}
	defer d.Close()
	e, err := NewExecutor(d, testPlan(testShape), ExecutorOptions{lookup: testKernel})
	if err != nil {
		return err
	}
	x := testInput(testShape, 3, seed)
	y, err := e.Run(t.Context(), x, 3)
	if err == nil && !slices.Equal(y, testWant(testShape, x, 3)) {
		err = fmt.Errorf("wrong result")
	}
	return err
}
