package vkinfer

import (
	"context"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vkinfer/vkinfer/gpu"
)

// The tests here are on a clock that moves only while everything waits: what does not sleep takes no time.

// TestStreamStats: the device takes all the time there is.
func TestStreamStats(t *testing.T) {
	files := grays(t)
	synctest.Test(t, func(t *testing.T) {
		c, e := meanClassifier(t, 8, 2)
		var stats StreamStats
		if r := stats.Report(); r.Wall != 0 || r.Ended || len(r.Stages) != int(numStages) || r.Stage("loop").Pictures != 0 {
			t.Errorf("before the stream begins: %+v", r)
		}
		const turn = 2 * time.Millisecond
		e.fail = func(int64) error { time.Sleep(turn); return nil }
		failed := int64(0)
		for r, err := range c.Stream(t.Context(), graySource(&files, 300, nil), StreamOptions{Stats: &stats}) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Err != nil {
				failed++
			}
			if stats.Report().Ended {
				t.Fatal("it ended before its last result")
			}
		}
		report := stats.Report()
		got := ""
		for _, s := range report.Stages {
			got += fmt.Sprint(s.Stage, " ", s.Pictures, "/", s.Lanes, " ")
			want := time.Duration(0)
			if s.Stage == "compute" {
				want = turn * time.Duration(report.Batches)
			}
			if s.Busy != want || s.Load(report.Wall) != float64(want)/float64(report.Wall)/float64(s.Lanes) {
				t.Errorf("%s was busy %v, %.2f of the time, want %v", s.Stage, s.Busy, s.Load(report.Wall), want)
			}
		}
		// Of 300 pictures 3 have no reader, 3 cannot be read and 3 not be decoded.
		want := "source 300/1 read 297/2 decode 294/2 resize 291/2 upload 291/2 compute 291/2 readback 291/2 loop 300/1 "
		if got != want || failed != 9 || report.Failed != 9 || report.Batches != e.calls.Load() {
			t.Errorf("%s, %d failed, %d batches, want %s", got, report.Failed, report.Batches, want)
		}
		if bytes := report.Stage("upload").Bytes; bytes != 291*8*8*3 {
			t.Errorf("%d bytes of prepared pictures", bytes)
		}
		if min := turn * time.Duration(report.Batches) / runners; report.Wall < min {
			t.Errorf("%d batches took %v, want at least %v", report.Batches, report.Wall, min)
		}
		time.Sleep(time.Hour)
		if later := stats.Report(); !later.Ended || !reflect.DeepEqual(later, report) {
			t.Errorf("an hour after the end:\n%+v\nthen:\n%+v", later, report)
		}
	})
}

// phasedEngine is a device that does one batch at a time, and tells how long each phase takes.
type phasedEngine struct {
	meanEngine
	upload, compute, readback time.Duration
	device                    chan struct{} // holds the batch that computes
	batches                   atomic.Int64
}

func (e *phasedEngine) runPictures(ctx context.Context, pictures []uint8, n int) ([]float32, error) {
	time.Sleep(e.upload)
	e.device <- struct{}{}
	time.Sleep(e.compute)
	<-e.device
	time.Sleep(e.readback)
	e.batches.Add(1)
	return e.meanEngine.runPictures(ctx, pictures, n)
}

func (e *phasedEngine) phases() gpu.Phases {
	n := time.Duration(e.batches.Load())
	return gpu.Phases{Upload: n * e.upload, Compute: n * e.compute, Readback: n * e.readback}
}

func phasedClassifier(t testing.TB, batch, workers int, upload, compute, readback time.Duration) *Classifier {
	c, mean := meanClassifier(t, batch, workers)
	e := &phasedEngine{upload: upload, compute: compute, readback: readback, device: make(chan struct{}, 1)}
	e.meanEngine.batch, e.size = mean.batch, mean.size
	c.engine = e
	return c
}

// TestStreamBottlenecks makes one stage after the other the slow one: it must be busy all the time and the others must
// not, what comes before it must wait in the queues, and what comes after it must not.
func TestStreamBottlenecks(t *testing.T) {
	files := grays(t)
	const n, batch, workers, ms = 400, 4, 3, time.Millisecond
	for _, test := range []struct {
		slow  string
		full  string // the queue before it; "" for none
		least float64
		empty []string // queues behind it
	}{
		{"source", "", 0, []string{"workers", "batch", "device", "loop"}},
		{"read", "workers", workers - 1, []string{"batch", "device", "loop"}},
		// Two lanes that end together: of every two batches the second need not have waited.
		{"upload", "device", 0.4, nil},
		{"compute", "device", 0.4, nil},
		{"readback", "device", 0.4, nil},
		{"loop", "loop", batch, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			takes := func(stage string, d time.Duration) time.Duration {
				if stage == test.slow {
					return d
				}
				return 0
			}
			c := phasedClassifier(t, batch, workers, takes("upload", 9*ms), takes("compute", 9*ms), takes("readback", 9*ms))
			// What the engine did before the stream is none of its business.
			if _, err := c.engine.runPictures(t.Context(), make([]uint8, 8*8*3), 1); err != nil {
				t.Fatal(err)
			}
			var stats StreamStats
			source := func(yield func(Item) bool) {
				for i := range n {
					time.Sleep(takes("source", 2*ms))
					if !yield(Item{Name: fmt.Sprint(i), Read: func() ([]byte, error) { time.Sleep(takes("read", 4*ms)); return files[i%256], nil }}) {
						return
					}
				}
			}
			for _, err := range c.Stream(t.Context(), source, StreamOptions{Stats: &stats, Unordered: true, Idle: time.Hour}) {
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(takes("loop", 2*ms))
			}
			r := stats.Report()
			for _, s := range r.Stages {
				busy := s.Load(r.Wall)
				if s.Stage == test.slow && busy < 0.9 || s.Stage != test.slow && busy > 0 || s.Pictures != n {
					t.Errorf("%s is slow: %s had %d pictures and was busy %.2f of %v", test.slow, s.Stage, s.Pictures, busy, r.Wall)
				}
			}
			device := map[string]time.Duration{"upload": 9 * ms, "compute": 9 * ms, "readback": 9 * ms}[test.slow]
			if d := r.Devices[0]; d.Upload+d.Compute+d.Readback != device*n/batch || device > 0 && d.Load(r.Wall) < 0.9 || device == 0 && d.Load(r.Wall) > 0 {
				t.Errorf("%s is slow: the device's account is %+v, want %v in all", test.slow, d, device*n/batch)
			}
			for _, q := range r.Queues {
				looks := map[string]int64{"workers": n, "batch": n, "device": n / batch, "loop": n, "order": 0}[q.Queue]
				if q.Looks != looks || q.Waiting != 0 || q.Mean() > float64(q.Most) {
					t.Errorf("%s is slow: %+v, want %d looks", test.slow, q, looks)
				}
				if q.Queue == test.full && q.Mean() < test.least {
					t.Errorf("%s is slow: in the queue %s waited %.2f, at most %d, want at least %.1f", test.slow, q.Queue, q.Mean(), q.Most, test.least)
				}
				for _, empty := range test.empty {
					// What comes at the same moment may stand in line for it.
					if q.Queue == empty && q.Mean() > 3 {
						t.Errorf("%s is slow: in the queue %s behind it waited %.2f", test.slow, q.Queue, q.Mean())
					}
				}
			}
		})
	}
}

// TestStreamBesideStats: the phases of classifiers beside are counted, each engine's once.
func TestStreamBesideStats(t *testing.T) {
	files := grays(t)
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		c, other := phasedClassifier(t, 4, 2, ms, 4*ms, ms), phasedClassifier(t, 4, 2, 0, 3*ms, 0)
		var stats StreamStats
		source := func(yield func(Item) bool) {
			for i := range 40 {
				if !yield(Item{Name: fmt.Sprint(i), Read: func() ([]byte, error) { return files[i], nil }}) {
					return
				}
			}
		}
		for _, err := range c.Stream(t.Context(), source, StreamOptions{Stats: &stats, Beside: []*Classifier{other}, Unordered: true, Idle: time.Hour}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		r := stats.Report()
		if d := r.Devices[0]; len(r.Devices) != 1 || d.Upload != 10*ms || d.Compute != 70*ms || d.Readback != 10*ms || r.Stage("compute").Lanes != 2 {
			t.Errorf("%+v", r)
		}
	})
}

// TestStreamOrderQueue: results that are ready wait in the queue for their turn behind the first, which is late.
func TestStreamOrderQueue(t *testing.T) {
	files := grays(t)
	synctest.Test(t, func(t *testing.T) {
		c, _ := meanClassifier(t, 4, 2)
		var stats StreamStats
		source := func(yield func(Item) bool) {
			for i := range 10 {
				if !yield(Item{Read: func() ([]byte, error) { time.Sleep(time.Duration(1-min(i, 1)) * time.Second); return files[i], nil }}) {
					return
				}
			}
		}
		for _, err := range c.Stream(t.Context(), source, StreamOptions{Stats: &stats}) {
			if q := stats.Report().Queues[queueOrder]; err != nil || q.Waiting != 9 {
				t.Fatalf("%+v, %v, want 9 results to wait for the first", q, err)
			}
			break
		}
	})
}

func TestStreamReportAdd(t *testing.T) {
	at := func(wall time.Duration, device string, n int64) StreamReport {
		return StreamReport{Wall: wall, Stages: []StageStats{{"read", 2, n, 10 * n, wall}}, Queues: []QueueStats{{"loop", n, 3 * n, n, 2 * n}},
			Devices: []DeviceStats{{device, n, 4 * n, 2, wall, gpu.Phases{Compute: wall}, 1}}, Batches: n, Failed: n}
	}
	got := at(time.Second, "a", 1).Add(at(2*time.Second, "a", 2))
	want := at(3*time.Second, "a", 3)
	want.Queues[0].Waiting, want.Queues[0].Most = 2, 6
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := at(time.Second, "a", 1).Add(at(2*time.Second, "b", 2)); got.Batches != 3 || !reflect.DeepEqual(got.Devices, at(2*time.Second, "b", 2).Devices) {
		t.Errorf("other devices: %+v", got)
	}
	if got := (StreamReport{}).Add(want); !reflect.DeepEqual(got.Stages, want.Stages) {
		t.Errorf("to nothing: %+v", got)
	}
	if q := (QueueStats{}); q.Mean() != 0 || (StreamReport{}).Stage("x").Load(time.Second) != 0 {
		t.Error("nothing has a mean")
	}
}
