package gpu

import (
	"sync"
	"time"
)

// pace is how fast a device runs a plan, as far as its runs have shown.
type pace struct {
	mu   sync.Mutex
	rate float64 // multiply-adds per second of the fastest run; 0 before the first
}

// firstRate is what is believed of a device before its first run: a slow one, so that even its first submit is
// short.
const firstRate = 20e9

// note takes down a run. Where several are in flight one's time has the waiting for others in it, and the
// fastest counts.
func (p *pace) note(macs int64, took time.Duration) {
	if macs == 0 || took <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = max(p.rate, float64(macs)/took.Seconds())
}

// parts returns into how many submits so many multiply-adds must be divided so that each takes at most budget; 1
// where the budget is 0.
func (p *pace) parts(macs int64, budget time.Duration) int {
	if budget <= 0 {
		return 1
	}
	p.mu.Lock()
	rate := p.rate
	p.mu.Unlock()
	if rate == 0 {
		rate = firstRate
	}
	return 1 + int(float64(macs)/(rate*budget.Seconds()))
}
