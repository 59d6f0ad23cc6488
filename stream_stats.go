package vkinfer

import (
	"sync/atomic"
	"time"
)

// StreamStats counts what the stages of a Stream do. It may be read at any time, and belongs to one Stream.
type StreamStats struct {
	start   atomic.Int64 // unix nanoseconds
	stages  [numStages]stageCount
	lanes   [numStages]atomic.Int64
	batches atomic.Int64
	devices []deviceCount // one for each device
}

type deviceCount struct {
	name string
	stageCount
	batches atomic.Int64
}

// DeviceStats is what one of a stream's devices did so far.
type DeviceStats struct {
	Device   string
	Batches  int64
	Pictures int64
	Busy     time.Duration // of all lanes together, waiting for its turn included
}

const (
	stageRead = iota
	stageDecode
	stageResize
	stageDevice
	stageLoop
	numStages
)

type stageCount struct{ pictures, nanoseconds, bytes atomic.Int64 }

// StageStats is what one stage did so far.
type StageStats struct {
	Stage    string        // read, decode, resize, device, or loop: what the caller does with results
	Lanes    int           // how many goroutines can be in it at once; read, decode and resize share theirs
	Pictures int64         // that left it
	Bytes    int64         // read: of files; decode: of pixels
	Busy     time.Duration // of all lanes together; on the device a lane's includes waiting for its turn
}

// Load returns the share of its lanes' time that a stage was busy, in a stream that took wall.
func (s StageStats) Load(wall time.Duration) float64 {
	if wall <= 0 || s.Lanes == 0 {
		return 0
	}
	return float64(s.Busy) / float64(wall) / float64(s.Lanes)
}

// Stages returns the stages in their order.
func (s *StreamStats) Stages() []StageStats {
	out := make([]StageStats, numStages)
	for i, name := range []string{"read", "decode", "resize", "device", "loop"} {
		c := &s.stages[i]
		out[i] = StageStats{name, int(s.lanes[i].Load()), c.pictures.Load(), c.bytes.Load(), time.Duration(c.nanoseconds.Load())}
	}
	return out
}

// Wall returns the time since the stream began.
func (s *StreamStats) Wall() time.Duration {
	if at := s.start.Load(); at != 0 {
		return time.Since(time.Unix(0, at))
	}
	return 0
}

// Batches returns how many batches the device was given.
func (s *StreamStats) Batches() int64 { return s.batches.Load() }

// Devices returns what each device of the stream did: its Classifier's, then those of Further.
func (s *StreamStats) Devices() []DeviceStats {
	if s.start.Load() == 0 {
		return nil
	}
	var out []DeviceStats
	for i := range s.devices {
		d := &s.devices[i]
		out = append(out, DeviceStats{d.name, d.batches.Load(), d.pictures.Load(), time.Duration(d.nanoseconds.Load())})
	}
	return out
}

// begin sets the clock and the lanes. A nil StreamStats counts nothing.
func (s *StreamStats) begin(workers int, nets []*Classifier) {
	if s == nil {
		return
	}
	s.devices = make([]deviceCount, len(nets))
	for i, c := range nets {
		s.devices[i].name = c.Device().Name
	}
	for i, n := range [numStages]int{workers, workers, workers, runners * len(nets), 1} {
		s.lanes[i].Store(int64(n))
	}
	s.start.Store(time.Now().UnixNano()) // last: before it nobody looks at devices
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

// countDevice counts a batch that was on a device since start.
func (s *StreamStats) countDevice(device int, start time.Time, pictures int) {
	if s == nil {
		return
	}
	took := s.count(stageDevice, start, pictures, 0).Sub(start)
	s.batches.Add(1)
	d := &s.devices[device]
	d.batches.Add(1)
	d.pictures.Add(int64(pictures))
	d.nanoseconds.Add(int64(took))
}
