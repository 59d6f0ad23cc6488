package gpu

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	vk "github.com/vulkan-go/vulkan"
)

func TestRunIsExact(t *testing.T) {
	shapes := []graph.Shape{{C: 1, H: 1, W: 1}, testShape, {C: 8, H: 9, W: 2}, {C: 300, H: 17, W: 19}}
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			d := open(t, opts)
			for _, s := range shapes {
				e := testExecutor(t, d, testPlan(s), ExecutorOptions{MaxBatch: 4, Poison: true, Guards: true})
				for _, n := range []int{1, 4, 3, 1, 9, 2} { // 9 runs in three submits
					x := testInput(s, n, n)
					if got, want := mustRun(t, e, x, n), testWant(s, x, n); !slices.Equal(got, want) {
						t.Fatalf("%v batch %d: got %v, want %v", s, n, got, want)
					}
				}
			}
		})
	}
}

func TestRunWithoutDebugSwitches(t *testing.T) {
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			e := testExecutor(t, open(t, opts), testPlan(testShape), ExecutorOptions{})
			if e.MaxBatch() != 8 {
				t.Errorf("MaxBatch is %d by default, want 8", e.MaxBatch())
			}
			for seed := range 20 {
				n := 1 + seed%10
				x := testInput(testShape, n, seed)
				if got, want := mustRun(t, e, x, n), testWant(testShape, x, n); !slices.Equal(got, want) {
					t.Fatalf("batch %d: got %v, want %v", n, got, want)
				}
			}
		})
	}
}

// TestWeightsInSlices uploads more weights than a staging buffer holds, and looks at both ends of them.
func TestWeightsInSlices(t *testing.T) {
	d := open(t, Options{ForceStaging: true})
	p := testPlan(testShape)
	const big = 40 << 20
	p.Weights = append(make([]byte, big), p.Weights...)
	p.Dispatches[1].Bind[1].Offset += big
	e := testExecutor(t, d, p, ExecutorOptions{Guards: true})
	x := testInput(testShape, 2, 1)
	if got, want := mustRun(t, e, x, 2), testWant(testShape, x, 2); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestRunRefusesBadInput(t *testing.T) {
	e := testExecutor(t, open(t, Options{}), testPlan(testShape), ExecutorOptions{})
	for _, n := range []int{0, -1, 2} {
		if _, err := e.Run(t.Context(), testInput(testShape, 1, 1), n); err == nil || !strings.Contains(err.Error(), "165 floats") {
			t.Errorf("batch %d with one image: got %v, want an error that says what was wanted", n, err)
		}
	}
}

// TestRecordedBatches keeps two recordings while five sizes take turns.
func TestRecordedBatches(t *testing.T) {
	e := testExecutor(t, open(t, Options{}), testPlan(testShape), ExecutorOptions{MaxBatch: 5, Recorded: 2})
	for _, n := range []int{1, 2, 3, 1, 4, 5, 5, 1, 2} {
		x := testInput(testShape, n, n)
		if got, want := mustRun(t, e, x, n), testWant(testShape, x, n); !slices.Equal(got, want) {
			t.Fatalf("batch %d: got %v, want %v", n, got, want)
		}
		if len(e.slots[0].recorded) > 2 || e.slots[0].recorded[len(e.slots[0].recorded)-1].n != n {
			t.Fatalf("after batch %d there are %d recordings, want at most 2 with the latest last", n, len(e.slots[0].recorded))
		}
	}
}

func TestConcurrentRuns(t *testing.T) {
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			a, b := open(t, opts), open(t, opts) // two devices, two executors on one of them
			execs := []*Executor{
				testExecutor(t, a, testPlan(testShape), ExecutorOptions{MaxBatch: 3}),
				testExecutor(t, a, testPlan(testShape), ExecutorOptions{MaxBatch: 2, Guards: true}),
				testExecutor(t, b, testPlan(testShape), ExecutorOptions{MaxBatch: 4, Poison: true}),
			}
			var wg sync.WaitGroup
			for g := range 9 {
				wg.Go(func() {
					for i := range 10 {
						n := 1 + (g+i)%6
						x := testInput(testShape, n, 100*g+i)
						got, err := execs[g%3].Run(t.Context(), x, n)
						if err != nil {
							t.Error(err)
							return
						}
						if want := testWant(testShape, x, n); !slices.Equal(got, want) {
							t.Errorf("goroutine %d batch %d: got %v, want %v", g, n, got, want)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestPoison reads a tensor that nothing wrote: the result must be NaN every time.
func TestPoison(t *testing.T) {
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			p := testPlan(testShape)
			p.Tensors = append(p.Tensors, p.Tensors[1])
			p.Tensors[3].Name, p.Tensors[3].Offset = "unwritten", p.ArenaBytes
			p.ArenaBytes += alignUp(p.Tensors[3].Stride, 256)
			p.Dispatches[1].Bind[0].Tensor = 3
			e := testExecutor(t, open(t, opts), p, ExecutorOptions{Poison: true})
			for range 2 {
				for i, v := range mustRun(t, e, testInput(testShape, 2, 1), 2) {
					if !math.IsNaN(float64(v)) {
						t.Fatalf("logit %d of an unwritten tensor is %v, want NaN", i, v)
					}
				}
			}
		})
	}
}

// TestGuards lets a kernel write one word too far, past the last tensor of the arena.
func TestGuards(t *testing.T) {
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			p := testPlan(testShape)
			p.ArenaBytes = p.Tensors[2].Offset + p.Tensors[2].Stride
			for i := range p.Tensors { // so that a batch of 2 is aligned though the arena is not
				p.Tensors[i].Offset = alignUp(p.Tensors[i].Offset, 256)
			}
			d := open(t, opts)
			clean := testExecutor(t, d, p, ExecutorOptions{Guards: true, Overhang: 64})
			mustRun(t, clean, testInput(testShape, 2, 1), 2)
			bad := *p
			bad.Dispatches = slices.Clone(p.Dispatches)
			bad.Dispatches[1].Spec = []uint32{testLanes, 1, 1, 1, 0}
			spilled := testExecutor(t, d, &bad, ExecutorOptions{Guards: true, Overhang: 64})
			_, err := spilled.Run(t.Context(), testInput(testShape, 2, 1), 2)
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "0 bytes into the guard after the arena is 0x40e00000") {
				t.Errorf("got %v, want ErrCorrupt that names the word after the arena", err)
			}
		})
	}
}

func TestTrace(t *testing.T) {
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			e := testExecutor(t, open(t, opts), testPlan(testShape), ExecutorOptions{MaxBatch: 2, Poison: true, Guards: true})
			const n = 5 // three submits
			x := testInput(testShape, n, 4)
			got, err := e.Trace(t.Context(), x, n)
			if err != nil {
				t.Fatal(err)
			}
			scaled := slices.Clone(x)
			for i := range scaled {
				scaled[i] *= testFactor
			}
			want := []TraceValue{
				{Name: "input", Yields: "input", Shape: testShape, Layout: netplan.NCHW, Data: x},
				{Name: "packed", Yields: "packed", Kernel: "pack", Shape: testShape, Layout: netplan.NHWC8, Data: scaled},
				{Name: "sums", Yields: "sums", Kernel: "reduce", Shape: graph.Shape{C: 11, H: 1, W: 1}, Layout: netplan.Vector, Data: testWant(testShape, x, n)},
			}
			for i, w := range want {
				if g, w := fmt.Sprintf("%+v", got[i]), fmt.Sprintf("%+v", w); g != w {
					t.Errorf("got  %s\nwant %s", g, w)
				}
			}
		})
	}
}

// TestTraceAddsMeans: the values of a tensor that is stored less its means are those with them.
func TestTraceAddsMeans(t *testing.T) {
	p := testPlan(testShape)
	p.Tensors[1].Mean = make([]float64, testShape.C)
	for c := range p.Tensors[1].Mean {
		p.Tensors[1].Mean[c] = float64(10 * c)
	}
	e := testExecutor(t, open(t, Options{}), p, ExecutorOptions{})
	x := testInput(testShape, 2, 4)
	got, err := e.Trace(t.Context(), x, 2)
	if err != nil {
		t.Fatal(err)
	}
	pixels := testShape.H * testShape.W
	for i, v := range got[1].Data {
		if want := x[i]*testFactor + float32(10*(i/pixels%testShape.C)); v != want {
			t.Fatalf("element %d is %v, want %v", i, v, want)
		}
	}
	if got[1].NotZero != 0 {
		t.Errorf("%d padding lanes are not zero", got[1].NotZero)
	}
}

// TestTraceSeesDirtyPadding: the weights of padding lanes are not zero here, and the reduce kernel adds
// what the padding of the packed tensor holds.
func TestTraceSeesDirtyPadding(t *testing.T) {
	p := testPlan(testShape)
	p.Dispatches[0].Push = []uint32{0, 16, 15} // pack thinks that there are 16 channels: no padding
	p.Dispatches[0].Bind[0].Tensor = 3
	p.Tensors = append(p.Tensors, netplan.Tensor{Name: "wide", Shape: graph.Shape{C: 16, H: 3, W: 5}, Layout: netplan.NCHW,
		Stride: 4 * 16 * 15, Offset: p.ArenaBytes})
	p.ArenaBytes += 1024
	e := testExecutor(t, open(t, Options{}), p, ExecutorOptions{Poison: true})
	got, err := e.Trace(t.Context(), testInput(testShape, 2, 1), 2)
	if err != nil {
		t.Fatal(err)
	}
	if want := 2 * 15 * 5; got[1].NotZero != want { // NaNs, in 5 padding channels of 15 pixels of 2 images
		t.Errorf("%d padding lanes are not zero, want %d", got[1].NotZero, want)
	}
}

func TestTraceWantsTensorsApart(t *testing.T) {
	p := testPlan(testShape)
	p.Tensors[2].Offset = p.Tensors[0].Offset
	e := testExecutor(t, open(t, Options{}), p, ExecutorOptions{})
	if _, err := e.Trace(t.Context(), testInput(testShape, 1, 1), 1); !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), "KeepAll") {
		t.Errorf("got %v, want ErrPlan that says how to plan", err)
	}
}

// slowPlan makes the second kernel count for a while, and repeats it. (One long loop will not do:
// lavapipe 22.3 ends loops after 65535 turns.)
func slowPlan(repeat int) *netplan.Plan {
	p := testPlan(testShape)
	p.Dispatches[1].Spec = []uint32{testLanes, 1, 1, 0, 60000}
	for range repeat - 1 {
		p.Dispatches = append(p.Dispatches, p.Dispatches[1])
	}
	return p
}

func TestCancelWhileWaiting(t *testing.T) {
	d := open(t, Options{})
	repeat := 16
	var e *Executor
	x := testInput(testShape, 2, 1)
	var whole time.Duration
	for ; ; repeat *= 2 { // until a run is long enough to be interrupted
		e = testExecutor(t, d, slowPlan(repeat), ExecutorOptions{InFlight: 1})
		mustRun(t, e, x, 2)
		start := time.Now()
		mustRun(t, e, x, 2)
		if whole = time.Since(start); whole > 150*time.Millisecond || repeat >= 1<<16 {
			break
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), whole/10)
	defer cancel()
	if _, err := e.Run(ctx, x, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the deadline exceeded (a run takes %v)", err, whole)
	}
	if got := vk.GetFenceStatus(d.h, e.slots[0].fence); !e.slots[0].inFlight || got != vk.NotReady {
		t.Errorf("the device should still be at work when Run returns; its fence says %v", got)
	}
	// The next call waits for the device, then runs as ever; so does Close.
	if got, want := mustRun(t, e, x, 2), testWant(testShape, x, 2); !slices.Equal(got, want) {
		t.Fatalf("after a cancelled run: got %v, want %v", got, want)
	}
	ctx, cancel = context.WithTimeout(t.Context(), whole/10)
	defer cancel()
	_, _ = e.Run(ctx, x, 2)
	e.Close()
}

func TestCancelBeforeAndInTheQueue(t *testing.T) {
	e := testExecutor(t, open(t, Options{}), testPlan(testShape), ExecutorOptions{InFlight: 1})
	x := testInput(testShape, 1, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Run(ctx, x, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	s, err := e.take(t.Context()) // hold the only slot
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := e.Run(ctx, x, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline exceeded", err)
	}
	e.release(s)
	mustRun(t, e, x, 1)
}

// TestCallersTakeTurns: who came first runs first.
func TestCallersTakeTurns(t *testing.T) {
	e := testExecutor(t, open(t, Options{}), testPlan(testShape), ExecutorOptions{InFlight: 1})
	held, err := e.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const callers = 6
	order := make(chan int, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			s, err := e.take(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			order <- i
			e.release(s)
		})
		time.Sleep(20 * time.Millisecond) // until it waits
	}
	e.release(held)
	wg.Wait()
	for i := range callers {
		if got := <-order; got != i {
			t.Errorf("caller %d came as number %d", got, i)
		}
	}
}

func TestClose(t *testing.T) {
	d := open(t, Options{})
	x := testInput(testShape, 1, 1)
	e, other := testExecutor(t, d, testPlan(testShape), ExecutorOptions{}), testExecutor(t, d, testPlan(testShape), ExecutorOptions{})
	for range 2 {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := e.Run(t.Context(), x, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("Run of a closed executor: got %v, want ErrClosed", err)
	}
	mustRun(t, other, x, 1)
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := other.Run(t.Context(), x, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("Run after Device.Close: got %v, want ErrClosed", err)
	}
	if _, err := NewExecutor(d, testPlan(testShape), ExecutorOptions{lookup: testKernel}); !errors.Is(err, ErrClosed) {
		t.Errorf("NewExecutor after Close: got %v, want ErrClosed", err)
	}
}

// TestCloseWhileRunning closes the device while goroutines run and prepare executors.
func TestCloseWhileRunning(t *testing.T) {
	d := open(t, Options{})
	e := testExecutor(t, d, testPlan(testShape), ExecutorOptions{})
	var wg sync.WaitGroup
	started := make(chan struct{}, 8)
	for g := range 4 {
		wg.Go(func() {
			started <- struct{}{}
			for {
				x := testInput(testShape, 3, g)
				got, err := e.Run(t.Context(), x, 3)
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil || !slices.Equal(got, testWant(testShape, x, 3)) {
					t.Errorf("got %v %v", got, err)
					return
				}
			}
		})
		wg.Go(func() {
			started <- struct{}{}
			for {
				_, err := NewExecutor(d, testPlan(testShape), ExecutorOptions{lookup: testKernel})
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 8 {
		<-started
	}
	time.Sleep(20 * time.Millisecond)
	d.Close()
	wg.Wait()
}

func TestStats(t *testing.T) {
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			p := testPlan(testShape)
			e := testExecutor(t, open(t, opts), p, ExecutorOptions{MaxBatch: 3})
			s := e.Stats()
			if s.MaxBatch != 3 || s.Dispatches != 2 || s.Pipelines != 2 || s.ArenaBytes != 3*p.ArenaBytes || s.WeightsBytes != int64(len(p.Weights)) {
				t.Errorf("got %+v", s)
			}
			if s.DeviceBytes < s.ArenaBytes+s.WeightsBytes || s.CompileMs <= 0 || s.Direct == opts.ForceStaging && s.Direct {
				t.Errorf("got %+v", s)
			}
		})
	}
}
