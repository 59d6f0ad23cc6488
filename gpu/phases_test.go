package gpu

import (
	"errors"
	"testing"
	"time"

	vk "github.com/vulkan-go/vulkan"
)

// TestOccupied: times that overlap count once.
func TestOccupied(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	var o occupied
	for _, step := range []struct {
		enter bool
		at    int
		want  time.Duration // until then
	}{{true, 10, 0}, {true, 12, 2}, {false, 15, 5}, {false, 16, 6}, {true, 20, 6}, {false, 21, 7}, {true, 20, 7}, {false, 22, 8}} {
		if got := o.total(at(step.at)); got != step.want*time.Second {
			t.Errorf("%v until %d, want %ds", got, step.at, step.want)
		}
		if step.enter {
			o.enter(at(step.at))
		} else {
			o.leave(at(step.at))
		}
	}
	if got := o.total(at(99)); got != 8*time.Second {
		t.Errorf("%v at the end, want 8s", got)
	}
}

// TestPhases: each phase of a run is counted, and a device that is lost or through with its work has none.
func TestPhases(t *testing.T) {
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			e := testExecutor(t, open(t, opts), testPlan(testShape), ExecutorOptions{MaxBatch: 2, InFlight: 2})
			before := e.Phases()
			mustRun(t, e, testInput(testShape, 7, 1), 7)
			first := e.Phases()
			if d := first.Sub(before); d.Upload <= 0 || d.Compute <= 0 || d.Readback <= 0 || first != before.Add(d) {
				t.Errorf("a run took %+v, all were %+v", d, first)
			}
			if again := e.Phases(); again != first {
				t.Errorf("%+v and then %+v without a run between", first, again)
			}
			hook := func(name string) vk.Result {
				if name == "vkWaitForFences" {
					return vk.ErrorDeviceLost
				}
				return vk.Success
			}
			faultHook.Store(&hook)
			defer faultHook.Store(nil)
			if _, err := e.Run(t.Context(), testInput(testShape, 1, 1), 1); !errors.Is(err, ErrDeviceLost) {
				t.Fatal(err)
			}
			if lost := e.Phases(); e.phases.compute.there != 0 || lost.Compute < first.Compute || lost != e.Phases() {
				t.Errorf("a lost device is still at work: %+v, %d in flight", lost, e.phases.compute.there)
			}
		})
	}
}
