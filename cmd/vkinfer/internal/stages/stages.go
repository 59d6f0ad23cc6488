// Package stages tells people what the stages of a stream did, and which of them the others waited for.
package stages

import (
	"fmt"
	"strings"
	"time"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
)

// Figures are what can be said of a stage in a stream that took some time.
type Figures struct {
	Pictures   int64   `json:"pictures"`
	Lanes      int     `json:"lanes"`
	BusySec    float64 `json:"busy_s"`             // of all lanes together
	Busy       float64 `json:"busy"`               // share of its lanes' time
	MsPicture  float64 `json:"ms_per_picture"`     // of one lane
	LaneRate   float64 `json:"lane_per_second"`    // pictures that one lane does while it is busy
	Rate       float64 `json:"per_second"`         // pictures that all lanes could do
	Bytes      int64   `json:"bytes"`              // read: of files; decode: of pixels; upload: of prepared pictures
	MBPerSec   float64 `json:"mb_per_second"`      // Bytes over the time that the stream took
	LaneMBRate float64 `json:"lane_mb_per_second"` // Bytes over the time that lanes were busy
}

// Of returns the figures of a stage.
func Of(s vkinfer.StageStats, wall time.Duration) Figures {
	f := Figures{Pictures: s.Pictures, Lanes: s.Lanes, BusySec: s.Busy.Seconds(), Busy: s.Load(wall), Bytes: s.Bytes}
	if s.Pictures > 0 {
		f.MsPicture = 1e3 * s.Busy.Seconds() / float64(s.Pictures)
	}
	if s.Busy > 0 {
		f.LaneRate = float64(s.Pictures) / s.Busy.Seconds()
		f.Rate = f.LaneRate * float64(s.Lanes)
		f.LaneMBRate = float64(s.Bytes) / 1e6 / s.Busy.Seconds()
	}
	if wall > 0 {
		f.MBPerSec = float64(s.Bytes) / 1e6 / wall.Seconds()
	}
	return f
}

// Table has a row for each stage.
func Table(r vkinfer.StreamReport) *table.Table {
	t := &table.Table{Titles: []string{"stage", "pictures", "lanes", "ms/picture", "1 lane, /s", "all lanes, /s", "busy", "bytes", "MB/s"},
		Right: []bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true, 7: true, 8: true}}
	for _, s := range r.Stages {
		f := Of(s, r.Wall)
		bytes, speed := "", ""
		if f.Bytes > 0 {
			bytes, speed = table.Bytes(f.Bytes), rate(f.MBPerSec)
		}
		t.Add(s.Stage, f.Pictures, f.Lanes, fmt.Sprintf("%.3f", f.MsPicture), rate(f.LaneRate), rate(f.Rate),
			fmt.Sprintf("%.0f %%", 100*f.Busy), bytes, speed)
	}
	return t
}

func rate(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

// queues says what waits in each of the queues, and for what.
var queues = map[string]string{
	"workers": "pictures for the workers",
	"batch":   "prepared pictures for a batch",
	"device":  "batches for a device",
	"loop":    "results to be taken",
	"order":   "results for an earlier one",
}

// QueueTable has a row for each queue.
func QueueTable(r vkinfer.StreamReport) *table.Table {
	t := &table.Table{Titles: []string{"waiting", "mean", "most"}, Right: []bool{1: true, 2: true}}
	for _, q := range r.Queues {
		t.Add(queues[q.Queue], fmt.Sprintf("%.1f", q.Mean()), q.Most)
	}
	return t
}

// Devices has a line for each of several devices, nothing for one.
func Devices(r vkinfer.StreamReport) []string {
	var lines []string
	for _, d := range r.Devices {
		compute := vkinfer.StageStats{Lanes: d.ComputeLanes, Busy: d.Compute}
		lines = append(lines, fmt.Sprintf("%d pictures, %.1f/s, in %d batches on %s, which had work %.0f %% of the time",
			d.Pictures, perSecond(d.Pictures, r.Wall), d.Batches, d.Device, 100*compute.Load(r.Wall)))
	}
	if len(lines) == 1 {
		return nil
	}
	return lines
}

func perSecond(n int64, wall time.Duration) float64 {
	if wall <= 0 {
		return 0
	}
	return float64(n) / wall.Seconds()
}

// Text is all of it, for a terminal.
func Text(r vkinfer.StreamReport, set Settings) string {
	var b strings.Builder
	Table(r).Text(&b)
	b.WriteByte('\n')
	QueueTable(r).Text(&b)
	b.WriteByte('\n')
	for _, line := range Devices(r) {
		b.WriteString(line + "\n")
	}
	done := r.Stage("loop").Pictures
	fmt.Fprintf(&b, "%d pictures in %.2f s: %.1f/s, in %d batches\n%s\n", done, r.Wall.Seconds(), perSecond(done, r.Wall), r.Batches, Find(r, set))
	return b.String()
}
