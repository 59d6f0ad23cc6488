// Package metrics writes what streams do to a file in the Prometheus text format, for the textfile collector of a node
// exporter.
package metrics

import (
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vkinfer/vkinfer"
)

// Every is how long the file stays as it is.
const Every = 5 * time.Second

// File keeps a file of metrics up to date until it is closed. A nil File does nothing.
type File struct {
	path     string
	registry *prometheus.Registry
	*collector
	stop  chan struct{}
	ended sync.WaitGroup
}

// Info says what the metrics are of.
type Info struct {
	Command, Model, Precision string
	Version, Commit           string
}

// Create writes the file for the first time, and from then on every five seconds. It returns an error where it cannot be
// written; failed is told of one that comes later.
func Create(path string, info Info, failed func(error)) (*File, error) {
	c := newCollector(info)
	f := &File{path: path, registry: newRegistry(c), collector: c, stop: make(chan struct{})}
	if err := f.write(); err != nil {
		return nil, err
	}
	f.ended.Go(func() {
		tick := time.NewTicker(Every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := f.write(); err != nil && failed != nil {
					failed(err)
					failed = nil // once
				}
			case <-f.stop:
				return
			}
		}
	})
	return f, nil
}

// newRegistry returns one that checks what c says.
func newRegistry(c *collector) *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c) // its descriptions do not depend on anything
	return r
}

// write replaces the file at once, as its readers want it.
func (f *File) write() error { return prometheus.WriteToTextfile(f.path, f.registry) }

// Stats returns the counters for the next stream; what the one before has counted stays in the sums. Of a nil File they
// are counters of their own.
func (f *File) Stats() *vkinfer.StreamStats {
	stats := &vkinfer.StreamStats{}
	if f != nil {
		f.next(stats)
	}
	return stats
}

// Close writes the file for the last time. It may be called twice.
func (f *File) Close() error {
	if f == nil || !f.end() {
		return nil
	}
	close(f.stop)
	f.ended.Wait()
	return f.write()
}

// collector makes metrics of the reports of streams, one after the other.
type collector struct {
	info  []string
	began time.Time

	mu      sync.Mutex
	before  vkinfer.StreamReport // of the streams before the current one
	current *vkinfer.StreamStats
	ended   bool
	devices map[device]vkinfer.DeviceStats // of the streams before, whatever devices they had
}

// device is a place among a stream's devices, and what is there.
type device struct{ index, name string }

func newCollector(i Info) *collector {
	return &collector{info: []string{i.Command, i.Model, i.Precision, i.Version, i.Commit}, began: time.Now(), current: &vkinfer.StreamStats{}}
}

// next goes on to another stream.
func (c *collector) next(stats *vkinfer.StreamStats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.current.Report()
	c.before, c.devices, c.current = c.before.Add(last), c.withDevices(last), stats
}

// end notes that nothing more comes, and reports whether that is news.
func (c *collector) end() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.ended
	c.ended = true
	return !was
}

// withDevices returns the sums of all devices, those of a further stream included.
func (c *collector) withDevices(r vkinfer.StreamReport) map[device]vkinfer.DeviceStats {
	sums := map[device]vkinfer.DeviceStats{}
	maps.Copy(sums, c.devices)
	for i, d := range r.Devices {
		key := device{strconv.Itoa(i), strings.ToValidUTF8(d.Device, "?")} // a driver may call it anything
		old := sums[key]
		d.Batches, d.Pictures, d.Busy, d.Phases = d.Batches+old.Batches, d.Pictures+old.Pictures, d.Busy+old.Busy, d.Phases.Add(old.Phases)
		sums[key] = d
	}
	return sums
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("vkinfer_"+name, help, labels, nil)
}

var (
	infoDesc     = describe("run_info", "What is run; always 1.", "command", "model", "precision", "version", "commit")
	beganDesc    = describe("start_time_seconds", "When the run began, in seconds since the epoch.")
	runningDesc  = describe("running", "1 until the run has ended.")
	streamDesc   = describe("stream_seconds_total", "Time during which pictures were classified.")
	picturesDesc = describe("pictures_total", "Pictures that left a stage.", "stage")
	busyDesc     = describe("stage_seconds_total", "Time that a stage was busy, all its lanes together.", "stage")
	lanesDesc    = describe("stage_lanes", "How many pictures or batches can be in a stage at once.", "stage")
	readDesc     = describe("read_bytes_total", "Bytes of picture files that were read.")
	uploadDesc   = describe("upload_bytes_total", "Bytes of prepared pictures that were given to devices.")
	errorsDesc   = describe("errors_total", "Pictures that could not be classified.")
	batchesDesc  = describe("batches_total", "Batches that a device computed.", "index", "device")
	devPicsDesc  = describe("device_pictures_total", "Pictures that a device classified.", "index", "device")
	devBusyDesc  = describe("device_compute_seconds_total", "Time during which a device had work.", "index", "device")
	depthDesc    = describe("queue_depth", "How many wait in a queue: pictures for workers, prepared ones for a batch, batches for a device, results for the loop, or for an earlier one.", "queue")
	mostDesc     = describe("queue_depth_max", "The most that ever waited in a queue.", "queue")
	looksDesc    = describe("queue_looks_total", "How often a queue was looked at.", "queue")
	waitedDesc   = describe("queue_waiting_total", "How many waited in a queue, all looks together; over the looks it is the mean depth.", "queue")
)

// Describe is that of prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{infoDesc, beganDesc, runningDesc, streamDesc, picturesDesc, busyDesc, lanesDesc, readDesc, uploadDesc, errorsDesc,
		batchesDesc, devPicsDesc, devBusyDesc, depthDesc, mostDesc, looksDesc, waitedDesc} {
		out <- d
	}
}

// Collect is that of prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	current, ended := c.current.Report(), c.ended
	r, devices := c.before.Add(current), c.withDevices(current)
	c.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	running := 1.0
	if ended {
		running = 0
	}
	gauge(infoDesc, 1, c.info...)
	gauge(beganDesc, float64(c.began.UnixMilli())/1e3)
	gauge(runningDesc, running)
	counter(streamDesc, r.Wall.Seconds())
	for _, s := range r.Stages {
		counter(picturesDesc, float64(s.Pictures), s.Stage)
		counter(busyDesc, s.Busy.Seconds(), s.Stage)
		gauge(lanesDesc, float64(s.Lanes), s.Stage)
	}
	counter(readDesc, float64(r.Stage("read").Bytes))
	counter(uploadDesc, float64(r.Stage("upload").Bytes))
	counter(errorsDesc, float64(r.Failed))
	for key, d := range devices {
		counter(batchesDesc, float64(d.Batches), key.index, key.name)
		counter(devPicsDesc, float64(d.Pictures), key.index, key.name)
		counter(devBusyDesc, d.Compute.Seconds(), key.index, key.name)
	}
	for _, q := range r.Queues {
		gauge(depthDesc, float64(q.Waiting), q.Queue)
		gauge(mostDesc, float64(q.Most), q.Queue)
		counter(looksDesc, float64(q.Looks), q.Queue)
		counter(waitedDesc, float64(q.Sum), q.Queue)
	}
}
