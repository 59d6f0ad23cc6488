package vkinfer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"
)

// Item is a picture on its way into Stream.
type Item struct {
	Name string
	Read func() ([]byte, error) // returns the bytes of its file; called once, by any goroutine
	Err  error                  // set if it is known already that the picture cannot be had; Read is not called then
}

// StreamOptions are the settings of Stream. The zero value is the default.
type StreamOptions struct {
	Unordered bool          // results come as they are ready, instead of in the order of the source
	Idle      time.Duration // how long an incomplete batch waits for the next picture, 0 for 50 ms
	// Beside are other classifiers, with the same input and transform, that get the same pictures: another precision, a
	// device or weights to compare with. They are the caller's to close.
	Beside []*Classifier
	Stats  *StreamStats // counts what the stages do, unless nil
}

// StreamResult is what became of one Item.
type StreamResult struct {
	Index int64  // its place in the source, from 0
	Name  string // the Item's
	Result
	Beside []Result // those of StreamOptions.Beside, nil where Err is set
}

// Stream classifies the pictures of a source of any length. Reading, decoding, the device and the caller's loop
// work at the same time; what they hold between them is bounded (InFlight), so that memory does not grow with
// the source, and a slow loop slows the rest down. Predictions are those of Classify, bit for bit.
//
// A picture that cannot be read has its result's Err set and does not disturb the others. The iteration ends with an
// error beside an empty result if something stopped everything: the device or the context. The loop may be
// left at any time; a source that waits for something (standard input) is then left to itself.
func (c *Classifier) Stream(ctx context.Context, source iter.Seq[Item], opts StreamOptions) iter.Seq2[StreamResult, error] {
	return func(yield func(StreamResult, error) bool) {
		if err := c.takesPictures(); err != nil {
			yield(StreamResult{}, err)
			return
		}
		for _, b := range opts.Beside {
			if b.transform != c.transform || b.input != c.input {
				yield(StreamResult{}, fmt.Errorf("vkinfer: %s and %s beside it prepare pictures differently (%+v, %+v), want the same", c.spec.Name, b.spec.Name, c.transform, b.transform))
				return
			}
		}
		if opts.Idle <= 0 {
			opts.Idle = 50 * time.Millisecond
		}
		s := newStream(ctx, c, opts)
		defer s.stop()
		s.start(source)
		s.deliver(yield)
	}
}

// runners is how many batches are given to the device at once: one computes while the next is copied.
const runners = 2

// InFlight is the largest number of pictures that Stream holds at once.
func (c *Classifier) InFlight() int { return (runners+2)*c.Device().MaxBatch + 2*c.workers }

// stream is one run of Stream. Every picture holds a place in window from the source to the caller's loop, so that no
// channel of that capacity ever blocks its sender.
type stream struct {
	c        *Classifier
	opts     StreamOptions
	batch    int
	ctx      context.Context
	cancel   context.CancelCauseFunc
	window   chan struct{}
	items    chan *streamed
	prepared chan *streamed
	batches  chan []*streamed
	results  chan *streamed
	running  sync.WaitGroup // the runners
}

// streamed is a picture between two stages.
type streamed struct {
	item    Item
	result  StreamResult
	picture []uint8
}

// errLeft ends a stream whose caller has left the loop.
var errLeft = errors.New("vkinfer: the loop over the stream was left")

func newStream(ctx context.Context, c *Classifier, opts StreamOptions) *stream {
	n := c.InFlight()
	s := &stream{c: c, opts: opts, batch: c.Device().MaxBatch, window: make(chan struct{}, n), items: make(chan *streamed),
		prepared: make(chan *streamed, n), batches: make(chan []*streamed), results: make(chan *streamed, n)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	return s
}

// stop ends everything and waits for the device.
func (s *stream) stop() {
	s.cancel(errLeft)
	s.running.Wait()
}

// start sets the stages going. Each ends when the one before it does, or with the context.
func (s *stream) start(source iter.Seq[Item]) {
	s.opts.Stats.begin(s.c.workers)
	go s.feed(source)
	var workers sync.WaitGroup
	for range s.c.workers {
		workers.Go(s.prepare)
	}
	go func() {
		workers.Wait()
		close(s.prepared)
	}()
	go s.assemble()
	for range runners {
		s.running.Go(s.run)
	}
	go func() {
		workers.Wait()
		s.running.Wait()
		close(s.results)
	}()
}

// feed takes pictures from the source as places become free.
func (s *stream) feed(source iter.Seq[Item]) {
	defer close(s.items)
	index := int64(0)
	for item := range source {
		next := &streamed{item: item, result: StreamResult{Index: index, Name: item.Name}}
		index++
		select {
		case s.window <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
		select {
		case s.items <- next:
		case <-s.ctx.Done():
			return
		}
	}
}

// prepare reads, decodes, resizes and crops one picture after the other.
func (s *stream) prepare() {
	for {
		select {
		case p, ok := <-s.items:
			if !ok {
				return
			}
			if p.picture, p.result.Err = s.c.read(p.item, s.opts.Stats); p.result.Err != nil {
				s.results <- p
			} else {
				s.prepared <- p
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// read reads an item's file, decodes it and applies the transform.
func (c *Classifier) read(item Item, stats *StreamStats) ([]uint8, error) {
	if item.Err != nil {
		return nil, item.Err
	}
	if item.Read == nil {
		return nil, fmt.Errorf("vkinfer: item %q: no Read, want a function that returns the picture's bytes", item.Name)
	}
	at := time.Now()
	data, err := item.Read()
	at = stats.count(stageRead, at, 1, len(data))
	if err != nil {
		return nil, err
	}
	part, err := c.transform.DecodePart(data, c.limits)
	if err != nil {
		stats.count(stageDecode, at, 1, 0)
		return nil, err
	}
	at = stats.count(stageDecode, at, 1, part.Bytes())
	picture := c.transform.ApplyPart(part)
	stats.count(stageResize, at, 1, 0)
	return picture, nil
}

// assemble makes batches of what is prepared, in whatever order that is. An incomplete one goes when nothing has
// come for a while: the source may be slow, and in an ordered stream all places may be taken by results that
// wait for one of this batch.
func (s *stream) assemble() {
	defer close(s.batches)
	var pending []*streamed
	timer := time.NewTimer(s.opts.Idle)
	defer timer.Stop()
	send := func() {
		if len(pending) == 0 {
			return
		}
		select {
		case s.batches <- pending:
		case <-s.ctx.Done():
		}
		pending = nil
	}
	for {
		var late <-chan time.Time
		if len(pending) > 0 {
			timer.Reset(s.opts.Idle)
			late = timer.C
		}
		select {
		case p, ok := <-s.prepared:
			if !ok {
				send()
				return
			}
			if pending = append(pending, p); len(pending) == s.batch {
				send()
			}
		case <-late:
			send()
		case <-s.ctx.Done():
			return
		}
	}
}

// run puts batches through the network.
func (s *stream) run() {
	size := s.c.input.NumElements()
	var pictures []uint8
	for batch := range s.batches {
		pictures = pictures[:0]
		for _, p := range batch {
			pictures = append(pictures, p.picture[:size]...)
			p.picture = nil
		}
		at := time.Now()
		for k := -1; k < len(s.opts.Beside); k++ {
			c := s.c
			if k >= 0 {
				c = s.opts.Beside[k]
			}
			logits, err := c.engine.runPictures(s.ctx, pictures, len(batch))
			if err != nil {
				s.cancel(err)
				return
			}
			for i, p := range batch {
				r := c.rank(logits[i*c.classes : (i+1)*c.classes])
				if k < 0 {
					p.result.Result = r
				} else {
					p.result.Beside = append(p.result.Beside, r)
				}
			}
		}
		s.opts.Stats.count(stageDevice, at, len(batch), 0)
		for _, p := range batch {
			s.results <- p
		}
	}
}

// deliver hands the results to the caller's loop.
func (s *stream) deliver(yield func(StreamResult, error) bool) {
	hand := func(r StreamResult) bool {
		at := time.Now()
		goOn := yield(r, nil)
		s.opts.Stats.count(stageLoop, at, 1, 0)
		return goOn
	}
	early := map[int64]*streamed{} // results whose turn has not come
	next := int64(0)
	// give hands out p, and then whatever waited for it; it reports whether the loop goes on.
	give := func(p *streamed) bool {
		if s.opts.Unordered {
			<-s.window
			return hand(p.result)
		}
		early[p.result.Index] = p
		for early[next] != nil {
			p := early[next]
			delete(early, next)
			next++
			<-s.window
			if !hand(p.result) {
				return false
			}
		}
		return true
	}
	for {
		select {
		case p, ok := <-s.results:
			if !ok {
				if err := s.ctx.Err(); err != nil {
					yield(StreamResult{}, context.Cause(s.ctx))
				}
				return
			}
			if !give(p) {
				return
			}
		case <-s.ctx.Done():
			s.running.Wait()
			for { // what was finished all the same
				select {
				case p, ok := <-s.results:
					if ok && !give(p) {
						return
					}
					if ok {
						continue
					}
				default:
				}
				break
			}
			yield(StreamResult{}, context.Cause(s.ctx))
			return
		}
	}
}
