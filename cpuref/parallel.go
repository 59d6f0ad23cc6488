package cpuref

import (
	"sync"
	"sync/atomic"
)

// planes calls f(image, channel) for every image of the batch and every one of c channels, on up to
// r.workers goroutines, and returns when all calls have. f may write only its own image and channel.
func (r runner) planes(c int, f func(i, ch int)) {
	total := int64(r.n) * int64(c)
	workers := int(min(int64(r.workers), total))
	if workers == 1 {
		for p := range int(total) {
			f(p/c, p%c)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				p := next.Add(1) - 1
				if p >= total {
					return
				}
				f(int(p)/c, int(p)%c)
			}
		})
	}
	wg.Wait()
}
