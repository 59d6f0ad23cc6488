package vkinfer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/vkinfer/vkinfer/netplan"
)

// Item is a picture on its way into Stream.
type Item struct {
	Name string
	Read func() ([]byte, error) // returns the bytes of its file; called once, by any goroutine
	// Height and Width, unless 0, say that Read returns pixels instead, uint8 [Height,Width,3] RGB, resized and cropped
	// already. They must be of the network's input size.
	Height, Width int
	Err           error // set if it is known already that the picture cannot be had; Read is not called then
}

// StreamOptions are the settings of Stream. The zero value is the default.
type StreamOptions struct {
	Unordered bool          // results come as they are ready, instead of in the order of the source
	Idle      time.Duration // how long an incomplete batch waits for the next picture, 0 for 50 ms
	// Beside are other classifiers, with the same input and transform, that get the same pictures: another precision, a
	// device or weights to compare with. They are the caller's to close.
	Beside []*Classifier
	// Further are classifiers of the same network and transform on other devices. Each device takes the next batch as
	// soon as it is free, so that faster ones get more. One that fails leaves its batches to the others, and Lost is
	// told; with the last one the stream ends. Which device answers is a matter of chance: results are the same bits
	// where the devices and their drivers are. They are the caller's to close.
	Further []*Classifier
	Lost    func(c *Classifier, err error) // called by any goroutine; may be nil
	Stats   *StreamStats                   // counts what the stages do, unless nil
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
		if err := c.checkStream(opts); err != nil {
			yield(StreamResult{}, err)
			return
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

// checkStream refuses classifiers that cannot share pictures.
func (c *Classifier) checkStream(opts StreamOptions) error {
	if len(opts.Beside) > 0 && len(opts.Further) > 0 {
		return errors.New("vkinfer: Beside and Further classifiers in one stream, want one kind")
	}
	for _, other := range slices.Concat(opts.Beside, opts.Further) {
		if other.transform != c.transform || other.input != c.input {
			return fmt.Errorf("vkinfer: %s and %s in one stream prepare pictures differently (%+v, %+v), want the same", c.spec.Name, other.spec.Name, c.transform, other.transform)
		}
	}
	for i, f := range opts.Further {
		if f == c || slices.Contains(opts.Further[:i], f) {
			return errors.New("vkinfer: the same classifier twice in one stream, want one for each device")
		}
		if f.spec.Name != c.spec.Name || f.classes != c.classes || f.topK != c.topK {
			return fmt.Errorf("vkinfer: %s (top %d of %d classes) and a further %s (top %d of %d), want the same", c.spec.Name, c.topK, c.classes, f.spec.Name, f.topK, f.classes)
		}
	}
	return nil
}

// runners is how many batches are given to a device at once: one computes while the next is copied.
const runners = 2

// ahead is by how much more results than pictures are held in an ordered stream: about as often the fastest worker or
// device may be through with a picture or batch before the slowest is, without having to wait for it.
const ahead = 16

// InFlight is the largest number of pictures that Stream holds at once, with so many further classifiers. An ordered
// stream may hold 16 times as many results.
func (c *Classifier) InFlight(further int) int {
	return (runners*(1+further)+2)*c.Device().MaxBatch + 2*c.workers
}

// stream is one run of Stream. Every picture holds a place in window from the source to the caller's loop, and one in
// places until its result is known, so that no channel of that capacity ever blocks its sender.
type stream struct {
	c        *Classifier
	opts     StreamOptions
	batch    int
	ctx      context.Context
	cancel   context.CancelCauseFunc
	resizing netplan.Resizing // in which form pictures are given to the devices
	window   chan struct{}
	places   chan struct{}
	items    chan *streamed
	prepared chan *streamed
	batches  chan []*streamed
	results  chan *streamed
	running  sync.WaitGroup // the runners

	mu   sync.Mutex
	nets []*Classifier // whose devices work
	at   int           // which of them takes the next batch that another left
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
	n := c.InFlight(len(opts.Further))
	window := n
	if !opts.Unordered {
		window *= ahead
	}
	s := &stream{c: c, opts: opts, batch: c.Device().MaxBatch, window: make(chan struct{}, window), places: make(chan struct{}, n),
		items: make(chan *streamed, c.workers), prepared: make(chan *streamed, n), batches: make(chan []*streamed), results: make(chan *streamed, window),
		nets: append([]*Classifier{c}, opts.Further...), resizing: commonResizing(c, slices.Concat(opts.Beside, opts.Further)...)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	return s
}

// stop ends everything and waits for the device.
func (s *stream) stop() {
	s.cancel(errLeft)
	s.running.Wait()
	s.opts.Stats.finish()
}

// start sets the stages going. Each ends when the one before it does, or with the context.
func (s *stream) start(source iter.Seq[Item]) {
	nets := slices.Clone(s.nets)
	s.opts.Stats.begin(s.c, s.opts)
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
	for _, net := range nets {
		for range runners {
			s.running.Go(func() { s.run(net) })
		}
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
	at := time.Now()
	for item := range source {
		s.opts.Stats.count(stageSource, at, 1, 0)
		next := &streamed{item: item, result: StreamResult{Index: index, Name: item.Name}}
		index++
		for _, c := range []chan struct{}{s.window, s.places} {
			select {
			case c <- struct{}{}:
			case <-s.ctx.Done():
				return
			}
		}
		select {
		case s.items <- next:
		case <-s.ctx.Done():
			return
		}
		at = time.Now()
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
			s.opts.Stats.look(queueWorkers, len(s.items))
			if p.picture, p.result.Err = s.c.read(p.item, s.resizing, s.opts.Stats); p.result.Err != nil {
				s.finish(p)
			} else {
				s.prepared <- p
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// finish hands on a picture whose result is known.
func (s *stream) finish(p *streamed) {
	p.item = Item{}
	<-s.places
	s.results <- p
}

// read reads an item's file, decodes it and prepares it for devices that take r.
func (c *Classifier) read(item Item, r netplan.Resizing, stats *StreamStats) ([]uint8, error) {
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
	if item.Height != 0 || item.Width != 0 {
		if item.Height != c.input.H || item.Width != c.input.W || len(data) != c.input.NumElements() {
			return nil, fmt.Errorf("vkinfer: a prepared picture of %d×%d pixels and %d bytes, want %d×%d and %d", item.Height, item.Width, len(data), c.input.H, c.input.W, c.input.NumElements())
		}
		return c.preparedPicture(data, r), nil
	}
	part, err := c.transform.DecodePart(data, c.limits)
	if err != nil {
		stats.count(stageDecode, at, 1, 0)
		return nil, err
	}
	at = stats.count(stageDecode, at, 1, part.Bytes())
	picture := c.prepared(part, r)
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
			s.opts.Stats.look(queueDevice, 0)
		default:
			s.opts.Stats.look(queueDevice, 1)
			select {
			case s.batches <- pending:
			case <-s.ctx.Done():
			}
			s.opts.Stats.taken(queueDevice)
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
			s.opts.Stats.look(queueBatch, len(s.prepared))
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

// run puts batches through net, and when that fails through another.
func (s *stream) run(net *Classifier) {
	var buffer []uint8
	for batch := range s.batches {
		start := time.Now()
		var list [][]byte
		bytes := 0
		for _, p := range batch {
			list, bytes = append(list, p.picture), bytes+len(p.picture)
			p.picture = nil
		}
		if s.resizing.Bytes == 0 { // once for all networks that run them
			list = [][]byte{gather(list, &buffer)}
		}
		gathered := time.Now()
		for err := s.through(net, list, batch); err != nil; err = s.through(net, list, batch) {
			if s.ctx.Err() != nil {
				return
			}
			if net = s.replace(net, err); net == nil {
				s.cancel(err)
				return
			}
		}
		s.opts.Stats.countDevice(1+slices.Index(s.opts.Further, net), start, gathered, len(batch), bytes)
		for _, p := range batch {
			s.finish(p)
		}
	}
}

// through runs a batch on one device, and on those beside it: parts of pictures, or all pictures in one list.
func (s *stream) through(net *Classifier, list [][]byte, batch []*streamed) error {
	for k, c := range append([]*Classifier{net}, s.opts.Beside...) {
		var logits []float32
		var err error
		if s.resizing.Bytes > 0 {
			logits, err = c.engine.runParts(s.ctx, list)
		} else {
			logits, err = c.engine.runPictures(s.ctx, list[0], len(batch))
		}
		if err != nil {
			return err
		}
		for i, p := range batch {
			r := c.rank(logits[i*c.classes : (i+1)*c.classes])
			if k == 0 {
				p.result.Result, p.result.Beside = r, nil
			} else {
				p.result.Beside = append(p.result.Beside, r)
			}
		}
	}
	return nil
}

// replace takes a device that failed out of the stream, and returns one that works, or nil.
func (s *stream) replace(net *Classifier, err error) *Classifier {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.nets, net); i >= 0 {
		s.nets = slices.Delete(s.nets, i, i+1)
		if s.opts.Lost != nil && len(s.nets) > 0 {
			s.opts.Lost(net, err)
		}
	}
	if len(s.nets) == 0 {
		return nil
	}
	s.at++
	return s.nets[s.at%len(s.nets)]
}

// deliver hands the results to the caller's loop.
func (s *stream) deliver(yield func(StreamResult, error) bool) {
	hand := func(r StreamResult) bool {
		if r.Err != nil {
			s.opts.Stats.countFailed()
		}
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
		defer func() { s.opts.Stats.look(queueOrder, len(early)) }()
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
			s.opts.Stats.look(queueLoop, len(s.results))
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
