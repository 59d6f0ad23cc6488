package vkinfer

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/vkinfer/vkinfer/gpu"
)

// StreamStats counts what the stages of a Stream do, at the cost of a few atomic operations for a picture. Report may be
// called at any time. It belongs to one Stream.
type StreamStats struct {
	stages [numStages]stageCount
	queues [numQueues]queueCount
	failed atomic.Int64
	took   atomic.Int64 // nanoseconds from the beginning to the end, 0 before the end

	begun   atomic.Bool // what follows is set, and does not change
	start   time.Time
	lanes   [numStages]int
	devices []deviceCount // one for each device
}

// StreamReport is what a Stream did up to a moment.
type StreamReport struct {
	Wall    time.Duration // since it began, or from its beginning to its end
	Ended   bool
	Stages  []StageStats  // in their order
	Queues  []QueueStats  // in their order
	Devices []DeviceStats // the Classifier's, then those of Further
	Batches int64         // given to devices
	Failed  int64         // pictures whose results are errors
}

// StageStats is what one stage did. The stages are source (the iterator that Stream takes pictures from), read, decode,
// resize, upload (batches are put together and written where the device finds them), compute (the device had work,
// copies over the bus included), readback, and loop (what the caller does with results).
type StageStats struct {
	Stage    string
	Lanes    int           // how many can be in it at once: goroutines, of compute devices; read, decode and resize share theirs
	Pictures int64         // that left it
	Bytes    int64         // read: of files; decode: of pixels; upload: of prepared pictures
	Busy     time.Duration // of all lanes together
}

// QueueStats is how many waited in one of the queues between stages, looked at whenever one was taken out: pictures for
// the workers (read, decode, resize), prepared pictures for a batch, batches for a device, results for the caller's loop,
// and in an ordered stream results whose turn has not come.
type QueueStats struct {
	Queue   string // workers, batch, device, loop or order
	Waiting int64  // when it was looked at last
	Most    int64
	Looks   int64
	Sum     int64 // of what was seen by all looks
}

// DeviceStats is what one of a stream's devices did.
type DeviceStats struct {
	Device   string
	Batches  int64
	Pictures int64
	Lanes    int           // batches that are given to it at once
	Busy     time.Duration // of all lanes together, waiting for its turn included
	// Phases says where the time went, that of classifiers Beside included. It is the classifiers' own account: whoever
	// else uses them during the stream is in it too. Where they have none Compute is what Upload leaves of Busy.
	gpu.Phases
	ComputeLanes int // how many there are that compute: classifiers, or Lanes where they have no account
}

// Mean returns how many waited on average.
func (q QueueStats) Mean() float64 { return float64(q.Sum) / float64(max(q.Looks, 1)) }

// Load returns the share of its lanes' time that a stage was busy, in a stream that took wall.
func (s StageStats) Load(wall time.Duration) float64 { return load(s.Busy, s.Lanes, wall) }

// Load returns the share of its lanes' time that a device had a batch, in a stream that took wall.
func (d DeviceStats) Load(wall time.Duration) float64 { return load(d.Busy, d.Lanes, wall) }

func load(busy time.Duration, lanes int, wall time.Duration) float64 {
	if wall <= 0 || lanes == 0 {
		return 0
	}
	return float64(busy) / float64(wall) / float64(lanes)
}

// Stage returns the stage of that name.
func (r StreamReport) Stage(name string) StageStats {
	i := slices.IndexFunc(r.Stages, func(s StageStats) bool { return s.Stage == name })
	if i < 0 {
		return StageStats{Stage: name}
	}
	return r.Stages[i]
}

// Add returns what a stream and a later one did together. Lanes and what waits now are the later one's. Devices are added
// in their order if they are the same; otherwise they are the later one's, too.
func (r StreamReport) Add(later StreamReport) StreamReport {
	sum := later
	sum.Wall, sum.Batches, sum.Failed = r.Wall+later.Wall, r.Batches+later.Batches, r.Failed+later.Failed
	sum.Stages, sum.Queues, sum.Devices = slices.Clone(later.Stages), slices.Clone(later.Queues), slices.Clone(later.Devices)
	for i := range min(len(r.Stages), len(sum.Stages)) {
		s, o := &sum.Stages[i], r.Stages[i]
		s.Pictures, s.Bytes, s.Busy = s.Pictures+o.Pictures, s.Bytes+o.Bytes, s.Busy+o.Busy
	}
	for i := range min(len(r.Queues), len(sum.Queues)) {
		q, o := &sum.Queues[i], r.Queues[i]
		q.Most, q.Looks, q.Sum = max(q.Most, o.Most), q.Looks+o.Looks, q.Sum+o.Sum
	}
	if !slices.EqualFunc(r.Devices, sum.Devices, func(a, b DeviceStats) bool { return a.Device == b.Device }) {
		return sum
	}
	for i, o := range r.Devices {
		d := &sum.Devices[i]
		d.Batches, d.Pictures, d.Busy, d.Phases = d.Batches+o.Batches, d.Pictures+o.Pictures, d.Busy+o.Busy, d.Phases.Add(o.Phases)
	}
	return sum
}

const (
	stageSource = iota
	stageRead
	stageDecode
	stageResize
	stageUpload
	stageCompute
	stageReadback
	stageLoop
	numStages
)

var stageNames = [numStages]string{"source", "read", "decode", "resize", "upload", "compute", "readback", "loop"}

const (
	queueWorkers = iota
	queueBatch
	queueDevice
	queueLoop
	queueOrder
	numQueues
)

var queueNames = [numQueues]string{"workers", "batch", "device", "loop", "order"}

type stageCount struct{ pictures, nanoseconds, bytes atomic.Int64 }

type queueCount struct{ waiting, most, looks, sum atomic.Int64 }

// deviceCount counts for a device, and knows where its engines count.
type deviceCount struct {
	name        string
	batches     atomic.Int64
	pictures    atomic.Int64
	bytes       atomic.Int64 // of prepared pictures
	nanoseconds atomic.Int64 // a lane had a batch
	gathering   atomic.Int64 // nanoseconds: a batch was put together
	engines     []phaser     // none if one of them does not count
	before      gpu.Phases   // what the engines had when the stream began
	final       atomic.Pointer[gpu.Phases]
	lanes       int
}

// phaser is an engine that knows where the time of its runs goes.
type phaser interface{ phases() gpu.Phases }

// phases returns what the engines did since the stream began, until it ended.
func (d *deviceCount) phases() gpu.Phases {
	if final := d.final.Load(); final != nil {
		return *final
	}
	gathering, sum := time.Duration(d.gathering.Load()), gpu.Phases{}
	if len(d.engines) == 0 {
		return gpu.Phases{Upload: gathering, Compute: max(0, time.Duration(d.nanoseconds.Load())-gathering)}
	}
	for _, e := range d.engines {
		sum = sum.Add(e.phases())
	}
	sum.Upload += gathering
	return sum.Sub(d.before)
}

func (d *deviceCount) report() DeviceStats {
	computes := d.lanes
	if len(d.engines) > 0 {
		computes = len(d.engines)
	}
	return DeviceStats{d.name, d.batches.Load(), d.pictures.Load(), d.lanes, time.Duration(d.nanoseconds.Load()), d.phases(), computes}
}

// Report returns what the stream did so far.
func (s *StreamStats) Report() StreamReport {
	r := StreamReport{Stages: make([]StageStats, numStages), Queues: make([]QueueStats, numQueues), Failed: s.failed.Load()}
	for i := range r.Queues {
		q := &s.queues[i]
		r.Queues[i] = QueueStats{queueNames[i], q.waiting.Load(), q.most.Load(), q.looks.Load(), q.sum.Load()}
	}
	for i, name := range stageNames {
		r.Stages[i].Stage = name
	}
	if !s.begun.Load() {
		return r
	}
	r.Wall = time.Since(s.start)
	if took := s.took.Load(); took != 0 {
		r.Wall, r.Ended = time.Duration(took), true
	}
	for i := range r.Stages {
		c := &s.stages[i]
		r.Stages[i] = StageStats{stageNames[i], s.lanes[i], c.pictures.Load(), c.bytes.Load(), time.Duration(c.nanoseconds.Load())}
	}
	for i := range s.devices {
		d := s.devices[i].report()
		r.Devices, r.Batches = append(r.Devices, d), r.Batches+d.Batches
		for stage, busy := range map[int]time.Duration{stageUpload: d.Upload, stageCompute: d.Compute, stageReadback: d.Readback} {
			t := &r.Stages[stage]
			t.Busy, t.Pictures, t.Lanes = t.Busy+busy, t.Pictures+d.Pictures, t.Lanes+d.Lanes
		}
		r.Stages[stageCompute].Lanes += d.ComputeLanes - d.Lanes
		r.Stages[stageUpload].Bytes += s.devices[i].bytes.Load()
	}
	return r
}

// begin sets the clock and the lanes. A nil StreamStats counts nothing.
func (s *StreamStats) begin(c *Classifier, opts StreamOptions) {
	if s == nil {
		return
	}
	nets := append([]*Classifier{c}, opts.Further...)
	s.devices = make([]deviceCount, len(nets))
	for i, net := range nets {
		d := &s.devices[i]
		d.name, d.lanes = net.Device().Name, runners
		for _, n := range append([]*Classifier{net}, opts.Beside...) {
			e, ok := n.engine.(phaser)
			if !ok {
				d.engines = nil
				break
			}
			if !slices.Contains(d.engines, e) {
				d.engines = append(d.engines, e)
			}
		}
		for _, e := range d.engines {
			d.before = d.before.Add(e.phases())
		}
	}
	for stage, n := range map[int]int{stageSource: 1, stageRead: c.workers, stageDecode: c.workers, stageResize: c.workers, stageLoop: 1} {
		s.lanes[stage] = n
	}
	s.start = time.Now()
	s.begun.Store(true)
}

// finish stops the clocks. The devices are at rest; of a stream that was left workers may still count what they have.
func (s *StreamStats) finish() {
	if s == nil {
		return
	}
	for i := range s.devices {
		p := s.devices[i].phases()
		s.devices[i].final.Store(&p)
	}
	for i := range s.queues {
		s.queues[i].waiting.Store(0)
	}
	s.took.Store(max(1, int64(time.Since(s.start))))
}

// count adds pictures that were in a stage since start, and returns the time it is now.
func (s *StreamStats) count(stage int, start time.Time, pictures, bytes int) time.Time {
	if s == nil {
		return start
	}
	now := time.Now()
	c := &s.stages[stage]
	c.pictures.Add(int64(pictures))
	c.bytes.Add(int64(bytes))
	c.nanoseconds.Add(int64(now.Sub(start)))
	return now
}

// look notes how many wait in a queue.
func (s *StreamStats) look(queue, waiting int) {
	if s == nil {
		return
	}
	q, n := &s.queues[queue], int64(waiting)
	q.waiting.Store(n)
	q.looks.Add(1)
	q.sum.Add(n)
	for most := q.most.Load(); n > most && !q.most.CompareAndSwap(most, n); most = q.most.Load() {
	}
}

// taken notes that nothing waits in a queue any more, which is not a look.
func (s *StreamStats) taken(queue int) {
	if s != nil {
		s.queues[queue].waiting.Store(0)
	}
}

// countDevice counts a batch that was put together from start to gathered, and on a device until now.
func (s *StreamStats) countDevice(device int, start, gathered time.Time, pictures, bytes int) {
	if s == nil {
		return
	}
	d := &s.devices[device]
	d.batches.Add(1)
	d.pictures.Add(int64(pictures))
	d.bytes.Add(int64(bytes))
	d.gathering.Add(int64(gathered.Sub(start)))
	d.nanoseconds.Add(int64(time.Since(start)))
}

// countFailed counts a picture whose result is an error.
func (s *StreamStats) countFailed() {
	if s != nil {
		s.failed.Add(1)
	}
}
