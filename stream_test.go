package vkinfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"iter"
	"math"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/netplan/preprocess"
)

// meanEngine's logits are functions of a picture's mean.
type meanEngine struct {
	engine
	batch int
	size  int
	fail  func(call int64) error
	calls atomic.Int64
	most  atomic.Int64 // largest batch seen
}

func (e *meanEngine) resizing() netplan.Resizing { return netplan.Resizing{} }

func (e *meanEngine) info() DeviceInfo { return DeviceInfo{MaxBatch: e.batch} }

func (e *meanEngine) runPictures(ctx context.Context, pictures []uint8, n int) ([]float32, error) {
	call := e.calls.Add(1)
	e.most.Store(max(e.most.Load(), int64(n)))
	if n > e.batch || len(pictures) != n*e.size {
		return nil, fmt.Errorf("%d bytes for a batch of %d", len(pictures), n)
	}
	if e.fail != nil {
		if err := e.fail(call); err != nil {
			return nil, err
		}
	}
	out := make([]float32, 0, 5*n)
	for i := range n {
		sum := 0
		for _, v := range pictures[i*e.size:][:e.size] {
			sum += int(v)
		}
		mean := float64(sum) / float64(e.size)
		for c := range 5 {
			out = append(out, float32(math.Sin(mean*float64(c+1))))
		}
	}
	return out, ctx.Err()
}

func meanClassifier(t testing.TB, batch, workers int) (*Classifier, *meanEngine) {
	t.Helper()
	spec, err := models.Lookup("efficientnet_b1_pruned")
	if err != nil {
		t.Fatal(err)
	}
	tr := spec.Transform
	tr.Size = 8
	e := &meanEngine{batch: batch, size: 8 * 8 * 3}
	return &Classifier{spec: spec, transform: tr, input: graph.Shape{C: 3, H: 8, W: 8}, topK: 3, workers: workers, classes: 5,
		limits: preprocess.Limits{}, engine: e}, e
}

// grays are PNG files of 256 grays.
func grays(t testing.TB) (files [256][]byte) {
	t.Helper()
	for v := range files {
		img := image.NewGray(image.Rect(0, 0, 9, 9))
		for i := range img.Pix {
			img.Pix[i] = uint8(v)
		}
		img.SetGray(0, 0, color.Gray{uint8(v)})
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		files[v] = b.Bytes()
	}
	return files
}

// graySource has n pictures, some of which cannot be read; pulled counts those taken from it.
func graySource(files *[256][]byte, n int, pulled *atomic.Int64) iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for i := range n {
			if pulled != nil {
				pulled.Add(1)
			}
			item := Item{Name: fmt.Sprint(i), Read: func() ([]byte, error) { return files[i*7%256], nil }}
			switch {
			case i%101 == 50:
				item.Read = func() ([]byte, error) { return files[1][:20], nil }
			case i%103 == 60:
				item.Read = func() ([]byte, error) { return nil, errors.New("no such thing") }
			case i%107 == 70:
				item.Read, item.Err = nil, errors.New("not to be had")
			}
			if !yield(item) {
				return
			}
		}
	}
}

func TestStream(t *testing.T) {
	files := grays(t)
	const n = 1000
	var want []Result
	single, _ := meanClassifier(t, 1, 1)
	for item := range graySource(&files, n, nil) {
		data, err := []byte(nil), item.Err
		if err == nil {
			data, err = item.Read()
		}
		r := Result{Err: err}
		if err == nil {
			r.Predictions, r.Err = single.Classify(t.Context(), data)
		}
		want = append(want, r)
	}
	for _, test := range []struct {
		batch, workers int
		unordered      bool
	}{{1, 1, false}, {8, 4, false}, {64, 3, false}, {5000, 2, false}, {8, 4, true}, {7, 1, true}} {
		c, _ := meanClassifier(t, test.batch, test.workers)
		seen := make([]bool, n)
		at := int64(0)
		for r, err := range c.Stream(t.Context(), graySource(&files, n, nil), StreamOptions{Unordered: test.unordered, Idle: time.Millisecond}) {
			if err != nil {
				t.Fatalf("%+v: %v", test, err)
			}
			if !test.unordered && r.Index != at {
				t.Fatalf("%+v: picture %d came when it was %d's turn", test, r.Index, at)
			}
			at++
			if seen[r.Index] || r.Name != fmt.Sprint(r.Index) {
				t.Fatalf("%+v: picture %d twice, or as %q", test, r.Index, r.Name)
			}
			seen[r.Index] = true
			w := want[r.Index]
			if fmt.Sprint(r.Err) != fmt.Sprint(w.Err) || !reflect.DeepEqual(r.Predictions, w.Predictions) {
				t.Fatalf("%+v: picture %d: %+v, alone %+v", test, r.Index, r.Result, w)
			}
		}
		if at != n {
			t.Errorf("%+v: %d results for %d pictures", test, at, n)
		}
	}
}

func TestStreamBeside(t *testing.T) {
	files := grays(t)
	c, _ := meanClassifier(t, 8, 2)
	other, e := meanClassifier(t, 16, 1)
	other.classes, other.topK = 5, 1
	n := 0
	for r, err := range c.Stream(t.Context(), graySource(&files, 200, nil), StreamOptions{Beside: []*Classifier{other, c}}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if r.Err != nil {
			if r.Beside != nil {
				t.Errorf("picture %d failed, and has %+v beside", r.Index, r.Beside)
			}
			continue
		}
		if len(r.Beside) != 2 || len(r.Beside[0].Predictions) != 1 || r.Beside[0].Predictions[0] != r.Predictions[0] || !reflect.DeepEqual(r.Beside[1], r.Result) {
			t.Errorf("picture %d: %+v", r.Index, r)
		}
	}
	if n != 200 || e.calls.Load() == 0 {
		t.Errorf("%d results, %d calls", n, e.calls.Load())
	}
	other.transform.CropPct = 1
	for _, err := range c.Stream(t.Context(), graySource(&files, 200, nil), StreamOptions{Beside: []*Classifier{other}}) {
		if err == nil {
			t.Error("another transform beside was taken")
		}
	}
}

// TestStreamFurther has devices of different speed, one of which fails in the middle: every picture has its result once,
// faster devices have more of them, and the failure is told.
func TestStreamFurther(t *testing.T) {
	files := grays(t)
	const n = 2000
	var want []Result
	c, fast := meanClassifier(t, 4, 2)
	for r, err := range c.Stream(t.Context(), graySource(&files, n, nil), StreamOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, r.Result)
	}
	broken := errors.New("broken")
	for _, test := range []struct {
		unordered bool
		failAt    int64 // call from which the second device fails, 0 for never
		all       bool  // all devices fail then
	}{{}, {unordered: true}, {failAt: 20}, {failAt: 1, unordered: true}, {failAt: 20, all: true}} {
		synctest.Test(t, func(t *testing.T) {
			slow, slowEngine := meanClassifier(t, 4, 2)
			third, thirdEngine := meanClassifier(t, 8, 2)
			fast.calls.Store(0)
			failing := func(from int64) func(int64) error {
				return func(call int64) error {
					if from > 0 && call >= from {
						return broken
					}
					return nil
				}
			}
			// On the bubble's clock the slow one takes four times as long as the others.
			takes := func(e *meanEngine, d time.Duration, from int64) {
				fails := failing(from)
				e.fail = func(call int64) error { time.Sleep(d); return fails(call) }
			}
			takes(thirdEngine, time.Millisecond, test.failAt)
			failAt := int64(0)
			if test.all {
				failAt = test.failAt
			}
			takes(slowEngine, 4*time.Millisecond, failAt)
			takes(fast, time.Millisecond, failAt)
			var stats StreamStats
			var lost []error
			var mu sync.Mutex
			opts := StreamOptions{Unordered: test.unordered, Further: []*Classifier{slow, third}, Stats: &stats,
				Lost: func(l *Classifier, err error) {
					mu.Lock()
					defer mu.Unlock()
					if l != third && !test.all {
						t.Error("another device was lost")
					}
					lost = append(lost, err)
				}}
			got := map[int64]Result{}
			var end error
			for r, err := range c.Stream(t.Context(), graySource(&files, n, nil), opts) {
				if end = err; err != nil {
					break
				}
				if _, twice := got[r.Index]; twice {
					t.Fatalf("%+v: picture %d twice", test, r.Index)
				}
				got[r.Index] = r.Result
			}
			if test.all {
				if !errors.Is(end, broken) || len(lost) != 2 {
					t.Errorf("%+v: ended with %v, %d lost", test, end, len(lost))
				}
				return
			}
			if end != nil || len(got) != n {
				t.Fatalf("%+v: %d results, error %v", test, len(got), end)
			}
			for i, w := range want {
				if g := got[int64(i)]; fmt.Sprint(g.Err) != fmt.Sprint(w.Err) || !reflect.DeepEqual(g.Predictions, w.Predictions) {
					t.Fatalf("%+v: picture %d: %+v, alone %+v", test, i, g, w)
				}
			}
			report := stats.Report()
			d := report.Devices
			sum := d[0].Pictures + d[1].Pictures + d[2].Pictures
			if len(d) != 3 || sum != report.Stage("compute").Pictures || sum != report.Stage("resize").Pictures || d[0].Batches+d[1].Batches+d[2].Batches != report.Batches {
				t.Errorf("%+v: %+v", test, report)
			}
			if test.failAt == 0 && min(d[0].Pictures, d[2].Pictures) < 3*d[1].Pictures || test.failAt == 1 && d[2].Pictures != 0 {
				t.Errorf("%+v: the work was shared as %+v", test, d)
			}
			if failed := test.failAt > 0; failed != (len(lost) == 1) || failed && !errors.Is(lost[0], broken) {
				t.Errorf("%+v: lost %v", test, lost)
			}
		})
	}
	// What cannot share pictures.
	other, _ := meanClassifier(t, 4, 1)
	other.topK++
	for _, opts := range []StreamOptions{{Further: []*Classifier{other}}, {Further: []*Classifier{c}}, {Further: []*Classifier{c}, Beside: []*Classifier{c}}} {
		for _, err := range c.Stream(t.Context(), graySource(&files, 9, nil), opts) {
			if err == nil {
				t.Errorf("%+v was taken", opts)
			}
		}
	}
}

// settled waits until there are no more goroutines than before.
func settled(t *testing.T, before int) {
	t.Helper()
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// TestStreamIsBounded: a slow loop holds up the source; what is ahead of it are pictures, and in an ordered stream more
// results.
func TestStreamIsBounded(t *testing.T) {
	files := grays(t)
	for _, unordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := meanClassifier(t, 4, 2)
			most := int64(c.InFlight(0)) + 1
			if !unordered {
				most = int64(c.InFlight(0))*ahead + 1
			}
			var pulled atomic.Int64
			taken, seen := int64(0), int64(0)
			for range c.Stream(t.Context(), graySource(&files, 10000, &pulled), StreamOptions{Unordered: unordered}) {
				if taken++; taken%50 == 0 {
					time.Sleep(time.Second) // everything goes as far as it can without the loop
					seen = max(seen, pulled.Load()-taken)
				}
				if taken == 500 {
					break
				}
			}
			if seen > most || seen < int64(c.InFlight(0)) {
				t.Errorf("unordered %v: %d pictures ahead of the loop, want at most %d", unordered, seen, most)
			}
		})
	}
}

// TestStreamLatePictures: in an ordered stream the workers do not wait for a picture that takes long.
func TestStreamLatePictures(t *testing.T) {
	files := grays(t)
	took := map[bool]time.Duration{}
	for _, unordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := meanClassifier(t, 8, 4)
			var stats StreamStats
			source := func(yield func(Item) bool) {
				for i := range 1000 {
					d := 4 * time.Millisecond
					if i%100 == 50 {
						d *= 50
					}
					if !yield(Item{Read: func() ([]byte, error) { time.Sleep(d); return files[i%256], nil }}) {
						return
					}
				}
			}
			for _, err := range c.Stream(t.Context(), source, StreamOptions{Stats: &stats, Unordered: unordered}) {
				if err != nil {
					t.Fatal(err)
				}
			}
			took[unordered] = stats.Report().Wall
		})
	}
	if took[false] > took[true]*11/10 {
		t.Errorf("%v in order, %v without", took[false], took[true])
	}
}

func TestStreamStops(t *testing.T) {
	files := grays(t)
	before := runtime.NumGoroutine()
	broken := errors.New("broken")
	c, e := meanClassifier(t, 4, 2)
	e.fail = func(call int64) error {
		if call == 20 {
			return broken
		}
		return nil
	}
	var last error
	n := 0
	for _, err := range c.Stream(t.Context(), graySource(&files, 10000, nil), StreamOptions{}) {
		if last != nil {
			t.Fatal("the iteration went on after an error")
		}
		if last = err; err == nil {
			n++
		}
	}
	if !errors.Is(last, broken) || n > 20*4+300 {
		t.Errorf("a broken device: %v after %d results", last, n)
	}
	settled(t, before)

	// A source that never ends and then waits for ever; a context that ends.
	e.fail = nil
	ctx, cancel := context.WithCancel(t.Context())
	stuck := make(chan struct{})
	source := func(yield func(Item) bool) {
		for item := range graySource(&files, 30, nil) {
			yield(item)
		}
		<-stuck
	}
	n, last = 0, nil
	for _, err := range c.Stream(ctx, source, StreamOptions{}) {
		if err != nil {
			last = err
			continue
		}
		if n++; n == 30 { // all came, though the last batch is incomplete
			cancel()
		}
	}
	if n != 30 || !errors.Is(last, context.Canceled) {
		t.Errorf("a source that waits: %d results, %v", n, last)
	}
	close(stuck)
	settled(t, before)
	cancel()
	last = nil
	for _, err := range c.Stream(ctx, graySource(&files, 10, nil), StreamOptions{}) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("a context that has ended: %v", last)
	}
	c.input.W = 9
	for _, err := range c.Stream(t.Context(), graySource(&files, 10, nil), StreamOptions{}) {
		if err == nil {
			t.Error("pictures for an input that is not square")
		}
	}
}

// TestStreamMemory: what is held does not grow with the number of pictures.
func TestStreamMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	files := grays(t)
	synctest.Test(t, func(t *testing.T) {
		c, _ := meanClassifier(t, 32, 2)
		heap := func() uint64 {
			time.Sleep(time.Second) // every stage waits for the loop
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		var first uint64
		n, most := 0, uint64(0)
		for _, err := range c.Stream(t.Context(), graySource(&files, 100_000, nil), StreamOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			switch n++; {
			case n == 5000:
				first = heap()
			case n%10_000 == 0:
				most = max(most, heap())
			}
		}
		if n != 100_000 || most > first+1<<20 {
			t.Errorf("%d pictures; %d bytes in use after 5000, up to %d later", n, first, most)
		}
		t.Logf("%d pictures; %d bytes in use after 5000, up to %d later", n, first, most)
	})
}
