package gpu

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/netplan"
)

// fragmentPlan has two inputs: a picture (t0), packed into the result, a map (t1), and a map in the
// network's own layout (t3), reduced to a vector (t2).
func fragmentPlan() *netplan.Plan {
	p := testPlan(testShape)
	inner := p.Tensors[1]
	inner.Name, inner.Yields, inner.Offset = "inner", "inner", p.ArenaBytes
	p.Tensors = append(p.Tensors, inner)
	p.ArenaBytes += alignUp(inner.Stride, 256)
	p.Feeds = []int{3}
	p.OutputTensor = 1
	p.Dispatches[1].Bind[0].Tensor = 3
	p.Dispatches[1].Barrier = false
	return p
}

// TestFragment runs a plan with several inputs in several layouts and a map for its result.
func TestFragment(t *testing.T) {
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			p := fragmentPlan()
			e := testExecutor(t, open(t, opts), p, ExecutorOptions{MaxBatch: 3, Poison: true, Guards: true})
			const n = 5
			per := testShape.NumElements()
			x := testInput(testShape, 2*n, 6) // image i: the picture 2i, the inner map 2i+1
			var want, sums []float32
			for i := range n {
				for _, v := range x[2*i*per:][:per] {
					want = append(want, testFactor*v)
				}
				for _, v := range testWant(testShape, x[(2*i+1)*per:][:per], 1) {
					sums = append(sums, v/testFactor) // the kernel that reduces does not multiply
				}
			}
			if got := mustRun(t, e, x, n); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			values, err := e.Trace(t.Context(), x, n)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(values[1].Data, want) || !slices.Equal(values[2].Data, sums) {
				t.Errorf("traced %v and %v, want %v and %v", values[1].Data, values[2].Data, want, sums)
			}
			for i := range n {
				if !slices.Equal(values[0].Data[i*per:][:per], x[2*i*per:][:per]) || !slices.Equal(values[3].Data[i*per:][:per], x[(2*i+1)*per:][:per]) {
					t.Errorf("image %d: the inputs are not those given", i)
				}
			}
			if values[3].NotZero != 0 {
				t.Errorf("%d padding lanes of the inner input are not zero", values[3].NotZero)
			}
			if _, err := e.Run(t.Context(), x[:n*per], n); err == nil || !strings.Contains(err.Error(), "one image of 330 floats") {
				t.Errorf("half an input: got %v, want an error with the floats wanted", err)
			}
		})
	}
}

// TestTraceSeesStrayWrites lets a kernel write one word past its tensor, where no other tensor lies.
func TestTraceSeesStrayWrites(t *testing.T) {
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			p := testPlan(testShape)
			p.Tensors[2].Offset += 512 // so that something lies behind the packed map and before the sums
			p.ArenaBytes += 1024
			p.Dispatches[1].Spec = []uint32{testLanes, 1, 1, 1, 0}
			e := testExecutor(t, open(t, opts), p, ExecutorOptions{Poison: true, Overhang: 64})
			_, err := e.Trace(t.Context(), testInput(testShape, 2, 1), 2)
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "0 bytes into the gap after tensor sums is 0x40e00000 (7)") {
				t.Errorf("got %v, want ErrCorrupt that names the word after the tensor", err)
			}
			if y := mustRun(t, e, testInput(testShape, 2, 1), 2); math.IsNaN(float64(y[0])) {
				t.Error("the run itself is spoilt")
			}
		})
	}
}
