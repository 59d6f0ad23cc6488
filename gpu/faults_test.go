package gpu

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	vk "github.com/vulkan-go/vulkan"
)

// failAfter makes the Vulkan call number k from now (0 is the next one) give result, and every call made
// after it too if forever is set. Waiting for a fence in slices counts as one call. The function it
// returns says which call failed; the hook is gone after the test.
func failAfter(t *testing.T, k int, result vk.Result, forever bool) func() string {
	t.Helper()
	var mu sync.Mutex
	count, failed, last := 0, "", ""
	hook := func(name string) vk.Result {
		mu.Lock()
		defer mu.Unlock()
		if name != "vkWaitForFences" || last != name {
			count++
		}
		last = name
		if count-1 == k && failed == "" || forever && count-1 >= k { // once: a retry is another wait for the same fence
			if failed == "" {
				failed = name
			}
			return result
		}
		return vk.Success
	}
	faultHook.Store(&hook)
	t.Cleanup(func() { faultHook.Store(nil) })
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return failed
	}
}

// scenario opens a device, runs everything there is, and closes; it returns the first error. What the
// validation layer said, such as about objects that an error path leaked, fails the test.
func scenario(t *testing.T, opts Options, what string) (err error) {
	t.Helper()
	opts.Device = os.Getenv("VKINFER_DEVICE")
	opts.Validation = haveValidation()
	opts.PipelineCache = t.TempDir() // made anew: every run reads nothing and saves
	d, err := Open(opts)
	if err != nil {
		return err
	}
	defer func() {
		d.Close()
		if n := deviceBytes.Load(); n != 0 {
			t.Errorf("%s: %d bytes of device memory are still held", what, n)
			deviceBytes.Store(0)
		}
		for _, m := range d.Messages() {
			t.Errorf("%s: validation: %v", what, m)
		}
	}()
	e, err := NewExecutor(d, testPlan(testShape), ExecutorOptions{MaxBatch: 4, Recorded: 1, Guards: true, lookup: testKernel})
	if err != nil {
		return err
	}
	for _, n := range []int{4, 1, 9} { // 9 take two arenas
		x := testInput(testShape, n, n)
		y, err := e.Run(t.Context(), x, n)
		if err != nil {
			if d.Lost() {
				if _, again := e.Run(t.Context(), x, n); !errors.Is(again, ErrDeviceLost) {
					t.Errorf("%s: Run on a lost device gives %v", what, again)
				}
			} else if again, e2 := e.Run(t.Context(), x, n); e2 != nil || !slices.Equal(again, testWant(testShape, x, n)) {
				t.Errorf("%s: the fault has passed, and Run gives %v", what, e2)
			}
			return err
		}
		if !slices.Equal(y, testWant(testShape, x, n)) {
			t.Errorf("%s: wrong result", what)
		}
	}
	x := testInput(testShape, 2, 2)
	if _, err := e.Trace(t.Context(), x, 2); err != nil {
		return err
	}
	if d.Caps().TimestampBits > 0 {
		if _, err := e.Profile(t.Context(), x, 2, ProfileOptions{Warmup: 1, Runs: 2}); err != nil {
			return err
		}
	}
	_, y, err := e.RunResident(t.Context(), x, 2, 2, 1)
	if err != nil {
		return err
	}
	if !slices.Equal(y, testWant(testShape, x, 2)) {
		t.Errorf("%s: wrong result of a resident run", what)
	}
	return nil
}

// TestEveryCallMayFail fails each Vulkan call of a scenario in turn: the error must be the right one, it
// must be told or absorbed, and nothing may be leaked, used after free or submitted afterwards. The results of a
// configuration take turns, so that each call fails with one of them; with VKINFER_CONFORMANCE=full each fails
// with every one, with -short every seventh call fails.
func TestEveryCallMayFail(t *testing.T) {
	openLoud(t, Options{}).Close() // skip without a device
	type failure struct {
		result vk.Result
		want   error
	}
	memory, lost := failure{vk.ErrorOutOfDeviceMemory, ErrOutOfMemory}, failure{vk.ErrorDeviceLost, ErrDeviceLost}
	for _, c := range []struct {
		name     string
		opts     Options
		failures []failure
	}{
		{"staging", Options{ForceStaging: true, treatNonCoherent: true}, []failure{memory, lost, {vk.ErrorOutOfHostMemory, ErrOutOfMemory}}},
		{"apart", Options{ForceStaging: true, loadApart: true}, []failure{memory, lost}},
		{"direct", Options{}, []failure{lost, memory}},
	} {
		t.Run(c.name, func(t *testing.T) {
			total, calls := 0, map[string]int{}
			for i, f := range c.failures {
				first, step := i, len(c.failures)
				if os.Getenv("VKINFER_CONFORMANCE") == "full" {
					first, step = 0, 1
				} else if testing.Short() {
					step = 7
				}
				t.Run(resultName(f.result), func(t *testing.T) {
					for k := first; ; k += step {
						what := fmt.Sprintf("call %d", k)
						failed := failAfter(t, k, f.result, false)
						err := scenario(t, c.opts, what)
						faultHook.Store(nil)
						if failed() == "" {
							if err != nil {
								t.Errorf("without a fault: %v", err)
							}
							break
						}
						total++
						calls[failed()]++
						// Out of memory while the arena is allocated means a smaller batch, not an error.
						absorbed := err == nil && f.want == ErrOutOfMemory
						if !absorbed && !errors.Is(err, f.want) {
							t.Errorf("call %d, %s: got %v, want %v", k, failed(), err, f.want)
						}
					}
				})
			}
			for _, name := range []string{"vkCreateInstance", "vkCreateDevice", "vkAllocateMemory", "vkCreateComputePipelines",
				"vkAllocateDescriptorSets", "vkEndCommandBuffer", "vkQueueSubmit", "vkWaitForFences"} {
				if calls[name] == 0 && !testing.Short() {
					t.Errorf("%s was never failed: the gate does not see it", name)
				}
			}
			t.Logf("%d calls failed in turn, nothing leaked: %v", total, calls)
		})
	}
}

// TestBatchIsHalved lets memory run out for arenas: the executor settles for a smaller batch.
func TestBatchIsHalved(t *testing.T) {
	d := open(t, Options{ForceStaging: true})
	for fails, want := range map[int]int{0: 16, 1: 8, 2: 4, 4: 1} {
		left := fails
		var sizes int
		hook := func(name string) vk.Result {
			if name != "vkAllocateMemory" {
				return vk.Success
			}
			if sizes++; sizes > 2 && left > 0 { // the first two are for the weights
				left--
				return vk.ErrorOutOfDeviceMemory
			}
			return vk.Success
		}
		faultHook.Store(&hook)
		e := testExecutor(t, d, testPlan(testShape), ExecutorOptions{MaxBatch: 16})
		faultHook.Store(nil)
		if e.MaxBatch() != want {
			t.Errorf("after %d failures the batch is %d, want %d", fails, e.MaxBatch(), want)
		}
		x := testInput(testShape, 5, fails)
		if got := mustRun(t, e, x, 5); !slices.Equal(got, testWant(testShape, x, 5)) {
			t.Errorf("wrong result at batch %d", want)
		}
	}
	hook := func(name string) vk.Result {
		if name == "vkAllocateMemory" {
			return vk.ErrorOutOfDeviceMemory
		}
		return vk.Success
	}
	faultHook.Store(&hook)
	defer faultHook.Store(nil)
	if _, err := NewExecutor(d, testPlan(testShape), ExecutorOptions{lookup: testKernel}); !errors.Is(err, ErrOutOfMemory) {
		t.Errorf("got %v, want ErrOutOfMemory", err)
	}
}

// TestArenaLargerThanTheDevice asks for more than the device says it has in one allocation.
func TestArenaLargerThanTheDevice(t *testing.T) {
	d := open(t, Options{})
	p := testPlan(testShape)
	p.ArenaBytes = d.Caps().MaxAllocation/2&^255 + 4096
	e := testExecutor(t, d, p, ExecutorOptions{MaxBatch: 2})
	if e.MaxBatch() != 1 {
		t.Errorf("the batch is %d, want 1: two arenas exceed the device's largest allocation", e.MaxBatch())
	}
	p.ArenaBytes = d.Caps().MaxAllocation + 4096
	if _, err := NewExecutor(d, p, ExecutorOptions{lookup: testKernel}); !errors.Is(err, ErrOutOfMemory) {
		t.Errorf("got %v, want ErrOutOfMemory", err)
	}
}

// TestLostDeviceStaysLost: after the loss everything returns at once, without a Vulkan call.
func TestLostDeviceStaysLost(t *testing.T) {
	d := open(t, Options{})
	e := testExecutor(t, d, testPlan(testShape), ExecutorOptions{})
	x := testInput(testShape, 1, 1)
	mustRun(t, e, x, 1)
	failAfter(t, 0, vk.ErrorDeviceLost, true)
	if _, err := e.Run(t.Context(), x, 1); !errors.Is(err, ErrDeviceLost) || !d.Lost() {
		t.Fatalf("got %v, want ErrDeviceLost", err)
	}
	called := failAfter(t, 0, resultUnknown, true)
	_, err1 := e.Run(t.Context(), x, 1)
	_, err2 := e.Trace(t.Context(), x, 1)
	_, err3 := NewExecutor(d, testPlan(testShape), ExecutorOptions{lookup: testKernel})
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, ErrDeviceLost) {
			t.Errorf("got %v, want ErrDeviceLost", err)
		}
	}
	if called() != "" {
		t.Errorf("%s was called on a lost device", called())
	}
}

func TestResultErrors(t *testing.T) {
	for r, want := range map[vk.Result]error{
		vk.ErrorDeviceLost: ErrDeviceLost, vk.ErrorOutOfDeviceMemory: ErrOutOfMemory, vk.ErrorOutOfHostMemory: ErrOutOfMemory,
		vk.ErrorFeatureNotPresent: ErrFeature, vk.ErrorExtensionNotPresent: ErrFeature} {
		if err := resultError("vkFoo", r); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", resultName(r), err, want)
		}
	}
	for _, r := range []vk.Result{vk.Success, vk.Timeout, vk.Incomplete} {
		if err := resultError("vkFoo", r); err != nil {
			t.Errorf("%s: got %v, want none", resultName(r), err)
		}
	}
	if got, want := resultError("vkFoo", -77).Error(), "gpu: vkFoo: it returned VkResult -77; wanted VK_SUCCESS"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
