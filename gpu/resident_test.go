package gpu

import (
	"context"
	"errors"
	"slices"
	"testing"
)

func TestRunResident(t *testing.T) {
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			d := open(t, opts)
			p := testPlan(testShape)
			// The result overwrites the input, as it may: only a copy outlives a pass.
			p.Tensors[2].Offset = p.Tensors[0].Offset
			e := testExecutor(t, d, p, ExecutorOptions{MaxBatch: 3, Guards: true})
			for _, n := range []int{3, 1} {
				x := testInput(testShape, n, n)
				want := testWant(testShape, x, n)
				times, y, err := e.RunResident(t.Context(), x, n, 4, 2)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(y, want) {
					t.Errorf("batch %d: wrong result after four passes", n)
				}
				if len(times) != 2 || times[0] <= 0 || times[1] <= 0 {
					t.Errorf("got %v, want two times", times)
				}
				if !slices.Equal(mustRun(t, e, x, n), want) {
					t.Errorf("batch %d: wrong result of Run afterwards", n)
				}
			}
			x := testInput(testShape, 2, 1)
			for _, bad := range [][3]int{{2, 0, 1}, {2, 1, 0}, {1, 1, 1}} {
				if _, _, err := e.RunResident(t.Context(), x, bad[0], bad[1], bad[2]); err == nil {
					t.Errorf("%v was run", bad)
				}
			}
			if _, _, err := e.RunResident(t.Context(), testInput(testShape, 4, 1), 4, 1, 1); err == nil {
				t.Error("a batch above MaxBatch was run")
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, _, err := e.RunResident(ctx, x, 2, 1, 1); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want the context's error", err)
			}
		})
	}
}
