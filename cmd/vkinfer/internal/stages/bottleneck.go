package stages

import (
	"fmt"

	"github.com/vkinfer/vkinfer"
)

// Settings are what a stream ran with, as far as one could change it.
type Settings struct {
	Workers int    // -j
	Cores   int    // processors that the program may use
	Batch   int    // -b
	AMP     bool   // --precision amp
	Loop    string // what the caller does with results; "" for "taking the results"
}

// Bottleneck is the stage that the others waited for.
type Bottleneck struct {
	Stage  string  `json:"stage"` // one of StreamReport.Stages, or "none"
	Busy   float64 `json:"busy"`  // share of the time of the lanes that it has or shares
	What   string  `json:"what"`
	Advice string  `json:"advice"`
}

func (b Bottleneck) String() string {
	if b.Stage == "none" {
		return fmt.Sprintf("no bottleneck: %s; %s", b.What, b.Advice)
	}
	return fmt.Sprintf("the bottleneck is %s (%s), busy %.0f %% of the time: %s", b.Stage, b.What, 100*b.Busy, b.Advice)
}

// saturated is the share of the time from which on a stage is the bottleneck. Stages wait for each other a little even
// where one is far slower than all others, above all at the beginning and the end.
const saturated = 0.6

// Find names the bottleneck of a stream. Read, decode and resize share their lanes, and so do upload, compute and readback of
// each device: their loads count together, and the one that takes most of the lanes is named.
func Find(r vkinfer.StreamReport, set Settings) Bottleneck {
	load := func(stage string) float64 { return r.Stage(stage).Load(r.Wall) }
	var best Bottleneck
	offer := func(busy float64, stage string) {
		if busy > best.Busy {
			best = Bottleneck{Stage: stage, Busy: busy}
		}
	}
	largest := func(stages ...string) string {
		most := stages[0]
		for _, s := range stages {
			if load(s) > load(most) {
				most = s
			}
		}
		return most
	}
	offer(load("source"), "source")
	offer(load("read")+load("decode")+load("resize"), largest("decode", "read", "resize"))
	offer(max(deviceLoad(r), load("compute")), largest("compute", "upload", "readback"))
	offer(load("loop"), "loop")
	if best.Busy < saturated {
		return none(best)
	}
	best.What, best.Advice = words(best.Stage, r, set)
	return best
}

// deviceLoad is the share of their time that the devices' lanes had a batch.
func deviceLoad(r vkinfer.StreamReport) float64 {
	sum, lanes := 0.0, 0
	for _, d := range r.Devices {
		sum += d.Load(r.Wall) * float64(d.Lanes)
		lanes += d.Lanes
	}
	return sum / float64(max(lanes, 1))
}

// none is said where every stage waited for others much of the time.
func none(most Bottleneck) Bottleneck {
	what := "no stage did anything"
	if most.Stage != "" {
		what = fmt.Sprintf("the busiest stage was %s, %.0f %% of the time", most.Stage, 100*most.Busy)
	}
	return Bottleneck{Stage: "none", Busy: most.Busy, What: what,
		Advice: "more pictures tell more: at the beginning and the end of a short stream every stage waits for another"}
}

// words says what a stage does, and what helps where it is the bottleneck.
func words(stage string, r vkinfer.StreamReport, set Settings) (what, advice string) {
	more := "more workers (-j)"
	if set.Workers >= set.Cores {
		more = fmt.Sprintf("more cores (all %d are used)", set.Cores)
	}
	prepared := "pictures that are resized once and kept as .npy arrays, or further machines (--shard)"
	switch stage {
	case "source":
		return "finding pictures: walking folders, the list on standard input, or reading an archive, which is one stream",
			"faster storage, uncompressed .tar instead of .tar.gz, or several processes that share the archives (--shard-by source)"
	case "read":
		return "reading files", "faster storage or network, archives (.tar) instead of small files; where it is latency, more workers than cores (-j)"
	case "decode":
		return "decoding pictures on the host", more + ", smaller pictures, " + prepared
	case "resize":
		return "resizing pictures on the host", more + ", " + prepared
	case "upload", "readback":
		what = map[string]string{"upload": "copying pictures to the device", "readback": "reading results back"}[stage]
		return what, fmt.Sprintf("larger batches (-b, now %d), or a further device (--device)", set.Batch)
	case "loop":
		if set.Loop == "" {
			set.Loop = "taking the results"
		}
		return set.Loop, "fewer classes in each row (--topk), or a faster place for the results"
	}
	for _, d := range r.Devices {
		if d.Device == "cpu" {
			return "computing in the reference implementation", "a Vulkan device (--device vulkan)"
		}
	}
	amp := ""
	if !set.AMP {
		amp = "--precision amp, "
	}
	return "computing on the device", fmt.Sprintf("larger batches (-b, now %d), %sor further devices (--device all) and machines (--shard)", set.Batch, amp)
}
