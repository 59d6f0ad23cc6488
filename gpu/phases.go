package gpu

import (
	"sync"
	"sync/atomic"
	"time"
)

// Phases is where the time of an Executor's runs went since it was made, all its callers together.
type Phases struct {
	Upload   time.Duration // the host wrote inputs where the device finds them; of concurrent runs the sum
	Compute  time.Duration // the device had work: from a submit until the host knows that nothing is left, copies over the bus included
	Readback time.Duration // the host read results; of concurrent runs the sum
}

// Sub returns what was added since an earlier state.
func (p Phases) Sub(earlier Phases) Phases {
	return Phases{p.Upload - earlier.Upload, p.Compute - earlier.Compute, p.Readback - earlier.Readback}
}

// Add returns the sum of two executors' phases.
func (p Phases) Add(o Phases) Phases {
	return Phases{p.Upload + o.Upload, p.Compute + o.Compute, p.Readback + o.Readback}
}

// Phases returns where the time of runs went so far. What the device is doing now is counted up to now.
func (e *Executor) Phases() Phases {
	p := Phases{Upload: time.Duration(e.phases.upload.Load()), Readback: time.Duration(e.phases.readback.Load())}
	p.Compute = e.phases.compute.total(time.Now())
	return p
}

// phases counts Phases.
type phases struct {
	upload, readback atomic.Int64 // nanoseconds
	compute          occupied
}

// count adds the time since begin to one of the host's phases.
func count(phase *atomic.Int64, begin time.Time) { phase.Add(int64(time.Since(begin))) }

// occupied adds up the time during which there is at least one of something.
type occupied struct {
	mu    sync.Mutex
	there int
	since time.Time // there is one
	until time.Time // the last one went
	sum   time.Duration
}

// enter counts one that came at a time, leave one that went.
func (o *occupied) enter(at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.there == 0 {
		o.since = at
		if at.Before(o.until) { // it came before the last one had gone, and is counted only now
			o.since = o.until
		}
	}
	o.there++
}

func (o *occupied) leave(at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.there--; o.there == 0 {
		o.sum += at.Sub(o.since)
		o.until = at
	}
}

// total returns the time until now.
func (o *occupied) total(now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.there > 0 {
		return o.sum + now.Sub(o.since)
	}
	return o.sum
}
