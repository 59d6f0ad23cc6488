package gpu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	vk "github.com/vulkan-go/vulkan"
)

// watchCalls notes the names of Vulkan calls from now on; what it returns takes the list.
func watchCalls(t *testing.T) func() []string {
	t.Helper()
	var mu sync.Mutex
	var names []string
	hook := func(name string) vk.Result {
		mu.Lock()
		defer mu.Unlock()
		names = append(names, name)
		return vk.Success
	}
	faultHook.Store(&hook)
	t.Cleanup(func() { faultHook.Store(nil) })
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(names)
	}
}

// TestBatchesOverlap: as many parts of a batch are submitted as may be in flight before the host waits for the
// first, and the next follows as soon as one is done.
func TestBatchesOverlap(t *testing.T) {
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			d := open(t, opts)
			for inFlight := 1; inFlight <= 3; inFlight++ {
				e := testExecutor(t, d, testPlan(testShape), ExecutorOptions{MaxBatch: 2, InFlight: inFlight, Guards: true, Poison: true})
				x := testInput(testShape, 11, 1)
				want := testWant(testShape, x, 11)
				if !slices.Equal(mustRun(t, e, x, 11), want) { // and makes the arenas
					t.Fatalf("%d in flight: wrong result", inFlight)
				}
				calls := watchCalls(t)
				if !slices.Equal(mustRun(t, e, x, 11), want) {
					t.Fatalf("%d in flight: wrong result", inFlight)
				}
				faultHook.Store(nil)
				submits := 0
				for _, c := range calls() {
					if c == "vkQueueSubmit" {
						submits++
					}
					if c == "vkWaitForFences" {
						break
					}
				}
				if d.loadsApart() && !e.direct { // two for each
					submits /= 2
				}
				if submits != inFlight || e.Stats().InFlight != inFlight {
					t.Errorf("%d parts were submitted before the host waited, with %d arenas; want %d", submits, e.Stats().InFlight, inFlight)
				}
			}
		})
	}
}

// TestManyCallersOfSeveralParts: callers who all need several slots neither wait for each other for ever nor get
// each other's results, and nobody is left out.
func TestManyCallersOfSeveralParts(t *testing.T) {
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			e := testExecutor(t, open(t, opts), testPlan(testShape), ExecutorOptions{MaxBatch: 2, InFlight: 3, Guards: true})
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					for i := range 12 {
						n := 1 + (3*g+i)%9
						x := testInput(testShape, n, 100*g+i)
						ctx, cancel := t.Context(), context.CancelFunc(func() {})
						if i%4 == 3 { // some give up
							ctx, cancel = context.WithTimeout(ctx, time.Duration(g)*100*time.Microsecond)
						}
						got, err := e.Run(ctx, x, n)
						cancel()
						if err != nil && i%4 == 3 && errors.Is(err, context.DeadlineExceeded) {
							continue
						}
						if err != nil {
							t.Error(err)
							return
						}
						if want := testWant(testShape, x, n); !slices.Equal(got, want) {
							t.Errorf("caller %d, batch %d: got %v, want %v", g, n, got, want)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestLongBatchGivesWay: a small batch that comes while a long one runs does not wait for its end.
func TestLongBatchGivesWay(t *testing.T) {
	e := testExecutor(t, open(t, Options{}), slowPlan(20), ExecutorOptions{MaxBatch: 1, InFlight: 2})
	x := testInput(testShape, 60, 1)
	mustRun(t, e, x, 60)
	var wg sync.WaitGroup
	var long, small time.Time
	started := make(chan struct{})
	wg.Go(func() {
		close(started)
		mustRun(t, e, x, 60)
		long = time.Now()
	})
	<-started
	time.Sleep(20 * time.Millisecond)
	mustRun(t, e, x[:testShape.NumElements()], 1)
	small = time.Now()
	wg.Wait()
	if !small.Before(long) {
		t.Error("one image waited for the end of sixty that came before it")
	}
}

// TestFewerArenas: where there is no memory for a second arena there is one, and the results are right.
func TestFewerArenas(t *testing.T) {
	d := open(t, Options{ForceStaging: true})
	e := testExecutor(t, d, testPlan(testShape), ExecutorOptions{MaxBatch: 2, InFlight: 3})
	hook := func(name string) vk.Result {
		if name == "vkAllocateMemory" {
			return vk.ErrorOutOfDeviceMemory
		}
		return vk.Success
	}
	faultHook.Store(&hook)
	defer faultHook.Store(nil)
	x := testInput(testShape, 9, 1)
	if got := mustRun(t, e, x, 9); !slices.Equal(got, testWant(testShape, x, 9)) {
		t.Error("wrong result")
	}
	if s := e.Stats(); s.InFlight != 1 {
		t.Errorf("there are %d arenas, want 1", s.InFlight)
	}
}

// TestSubmitBudget: a tiny budget makes a submit of every dispatch, with the same results; as the device shows its
// pace the parts become fewer.
func TestSubmitBudget(t *testing.T) {
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			d := open(t, opts)
			p := testPlan(testShape)
			for range 8 { // the same again, which changes nothing
				p.Dispatches = append(p.Dispatches, p.Dispatches[1])
			}
			for i := range p.Dispatches {
				p.Dispatches[i].MACs = 1 << 30
				p.MACs += p.Dispatches[i].MACs
			}
			x := testInput(testShape, 5, 1)
			for _, c := range []struct {
				budget time.Duration
				want   int
			}{{0, 1}, {time.Nanosecond, 10}} {
				e := testExecutor(t, d, p, ExecutorOptions{MaxBatch: 5, SubmitBudget: c.budget, Guards: true})
				for range 3 {
					if got := mustRun(t, e, x, 5); !slices.Equal(got, testWant(testShape, x, 5)) {
						t.Fatalf("budget %v: wrong result", c.budget)
					}
				}
				if got := len(e.slots[0].recorded[0].cmds); got != c.want {
					t.Errorf("budget %v: %d submits, want %d", c.budget, got, c.want)
				}
			}
			// The first guess is slow: 5 images in many parts; the runs show that they are one.
			e := testExecutor(t, d, p, ExecutorOptions{MaxBatch: 5, SubmitBudget: 200 * time.Millisecond})
			if parts := e.pace.parts(5*p.MACs, e.opts.SubmitBudget); parts != 14 {
				t.Errorf("%d parts at first, want 14", parts)
			}
			for range 2 {
				mustRun(t, e, x, 5)
			}
			if got := len(e.slots[0].recorded[0].cmds); got != 1 {
				t.Errorf("%d submits once the pace is known, want 1", got)
			}
		})
	}
}

func TestPace(t *testing.T) {
	var p pace
	if got := p.parts(1e12, 0); got != 1 {
		t.Errorf("%d parts without a budget, want 1", got)
	}
	if got := p.parts(1e9, time.Second); got != 1 {
		t.Errorf("%d parts, want 1", got)
	}
	if got := p.parts(200e9, time.Second); got != 11 {
		t.Errorf("%d parts at the first guess, want 11", got)
	}
	p.note(1e12, time.Second)
	p.note(1e11, time.Second) // one that waited for others
	p.note(0, time.Nanosecond)
	if got := p.parts(3e12, time.Second); got != 4 {
		t.Errorf("%d parts at 1e12 a second, want 4", got)
	}
}

// TestPicturesAreRefused by plans and sizes that are not made for them.
func TestPicturesAreRefused(t *testing.T) {
	e := testExecutor(t, open(t, Options{}), testPlan(testShape), ExecutorOptions{})
	if _, err := e.RunPictures(t.Context(), make([]uint8, testShape.NumElements()), 1); !errors.Is(err, ErrPlan) || !strings.Contains(fmt.Sprint(err), "Options.Pictures") {
		t.Errorf("got %v, want ErrPlan that says how to plan", err)
	}
}
