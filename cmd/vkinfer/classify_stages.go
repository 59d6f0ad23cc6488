package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
)

// stageTable tells what the stages of a stream did, and which one the others waited for.
func stageTable(stats *vkinfer.StreamStats, wall time.Duration) string {
	var b strings.Builder
	all := stats.Stages()
	done := all[len(all)-1].Pictures
	fmt.Fprintf(&b, "%-8s %9s %6s %14s %12s %8s\n", "stage", "pictures", "lanes", "ms/picture", "1 lane, /s", "busy")
	host := 0.0 // read, decode and resize share their lanes
	for _, s := range all {
		each, rate := 0.0, 0.0
		if s.Pictures > 0 && s.Busy > 0 {
			each = float64(s.Busy.Microseconds()) / 1e3 / float64(s.Pictures)
			rate = float64(s.Pictures) / s.Busy.Seconds()
		}
		load := s.Load(wall)
		fmt.Fprintf(&b, "%-8s %9d %6d %14.3f %12.1f %6.0f %%", s.Stage, s.Pictures, s.Lanes, each, rate, 100*load)
		if s.Bytes > 0 {
			fmt.Fprintf(&b, "  %s", table.Bytes(s.Bytes))
		}
		b.WriteByte('\n')
		if s.Stage == "read" || s.Stage == "decode" || s.Stage == "resize" {
			host += load
		}
	}
	if devices := stats.Devices(); len(devices) > 1 {
		for _, d := range devices {
			rate := 0.0
			if wall > 0 {
				rate = float64(d.Pictures) / wall.Seconds()
			}
			fmt.Fprintf(&b, "  %9d pictures, %.1f/s, in %d batches on %s\n", d.Pictures, rate, d.Batches, d.Device)
		}
	}
	device, loop := all[3].Load(wall), all[4].Load(wall)
	bottleneck := "reading, decoding and resizing (-j)"
	switch most := max(host, device, loop); {
	case most == device:
		bottleneck = "the device"
	case most == loop:
		bottleneck = "writing the results"
	}
	fmt.Fprintf(&b, "%d pictures in %.2f s: %.1f/s, in %d batches; the bottleneck is %s\n", done, wall.Seconds(), float64(done)/wall.Seconds(), stats.Batches(), bottleneck)
	return b.String()
}
