package stages

import (
	"strings"
	"testing"
	"time"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/gpu"
)

// made is the report of a stream of ten seconds whose stages were busy for the given shares of their lanes' time, and
// whose device's lanes had a batch for that share.
func made(device float64, busy map[string]float64) vkinfer.StreamReport {
	const wall = 10 * time.Second
	part := func(share float64, lanes int) time.Duration {
		return time.Duration(share * float64(wall) * float64(lanes))
	}
	r := vkinfer.StreamReport{Wall: wall, Batches: 25}
	for _, name := range []string{"source", "read", "decode", "resize", "upload", "compute", "readback", "loop"} {
		lanes := map[string]int{"read": 4, "decode": 4, "resize": 4, "upload": 2, "readback": 2}[name]
		s := vkinfer.StageStats{Stage: name, Lanes: max(lanes, 1), Pictures: 200}
		s.Busy = part(busy[name], s.Lanes)
		if name == "read" {
			s.Bytes = 50_000_000
		}
		r.Stages = append(r.Stages, s)
	}
	for _, name := range []string{"workers", "batch", "device", "loop", "order"} {
		r.Queues = append(r.Queues, vkinfer.QueueStats{Queue: name, Most: 7, Looks: 200, Sum: 300})
	}
	r.Devices = []vkinfer.DeviceStats{{Device: "a GPU", Batches: 25, Pictures: 200, Lanes: 2, ComputeLanes: 1, Busy: part(device, 2), Phases: gpu.Phases{Compute: part(busy["compute"], 1)}}}
	return r
}

func TestBottleneck(t *testing.T) {
	set := Settings{Workers: 4, Cores: 16, Batch: 8}
	for _, test := range []struct {
		device float64
		busy   map[string]float64
		set    Settings
		stage  string
		words  string // of what and advice
		not    string
	}{
		{0.2, map[string]float64{"source": 0.98, "decode": 0.3}, set, "source", "--shard-by source", ""},
		{0.2, map[string]float64{"read": 0.7, "decode": 0.2, "source": 0.6}, set, "read", "faster storage", ""},
		{0.5, map[string]float64{"read": 0.1, "decode": 0.5, "resize": 0.35, "compute": 0.5}, set, "decode", "more workers (-j)", "all 16"},
		{0.5, map[string]float64{"decode": 0.9}, Settings{Workers: 16, Cores: 16}, "decode", "more cores (all 16 are used)", "more workers"},
		{0.5, map[string]float64{"decode": 0.4, "resize": 0.55}, set, "resize", ".npy arrays", ""},
		{0.99, map[string]float64{"decode": 0.6, "upload": 0.7, "compute": 0.3}, set, "upload", "larger batches (-b, now 8)", "amp"},
		{0.99, map[string]float64{"decode": 0.6, "upload": 0.05, "compute": 0.98}, set, "compute", "--precision amp", ""},
		{0.99, map[string]float64{"compute": 0.98}, Settings{AMP: true, Batch: 64}, "compute", "now 64", "amp"},
		{0.99, map[string]float64{"readback": 0.6, "compute": 0.3}, set, "readback", "reading results back", ""},
		// One batch at a time fills the device, though not the lanes.
		{0.5, map[string]float64{"decode": 0.8, "compute": 0.95}, set, "compute", "busy 95 %", ""},
		// The device's lanes had a batch all the time, though no phase fills it: they take turns.
		{0.99, map[string]float64{"decode": 0.8, "upload": 0.3, "compute": 0.5, "readback": 0.2}, set, "compute", "computing on the device", ""},
		{0.3, map[string]float64{"decode": 0.4, "compute": 0.3, "loop": 0.95}, set, "loop", "taking the results", ""},
		{0.3, map[string]float64{"loop": 0.95}, Settings{Loop: "writing the results"}, "loop", "writing the results", "taking"},
		{0.3, map[string]float64{"decode": 0.55, "compute": 0.3}, set, "none", "the busiest stage was decode", ""},
		{0, nil, set, "none", "no bottleneck: no stage did anything; more pictures tell more", ""},
	} {
		b := Find(made(test.device, test.busy), test.set)
		text := b.String()
		if b.Stage != test.stage || !strings.Contains(text, test.words) || test.not != "" && strings.Contains(text, test.not) {
			t.Errorf("%v, device %.2f: %s; want %s with %q and without %q", test.busy, test.device, text, test.stage, test.words, test.not)
		}
		if b.What == "" || b.Advice == "" || b.Stage != "none" && b.Busy < saturated {
			t.Errorf("%v: %+v", test.busy, b)
		}
	}
	cpu := made(1, map[string]float64{"compute": 0.9})
	cpu.Devices[0].Device = "cpu"
	if b := Find(cpu, set); b.Stage != "compute" || !strings.Contains(b.Advice, "--device vulkan") {
		t.Errorf("on the reference: %s", b)
	}
	if b := Find(vkinfer.StreamReport{}, set); b.Stage != "none" || b.Busy != 0 {
		t.Errorf("before the beginning: %s", b)
	}
}

func TestFigures(t *testing.T) {
	got := Of(vkinfer.StageStats{Stage: "read", Lanes: 4, Pictures: 200, Bytes: 50_000_000, Busy: 20 * time.Second}, 10*time.Second)
	want := Figures{Pictures: 200, Lanes: 4, BusySec: 20, Busy: 0.5, MsPicture: 100, LaneRate: 10, Rate: 40, Bytes: 50_000_000, MBPerSec: 5, LaneMBRate: 2.5}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := Of(vkinfer.StageStats{Lanes: 1}, 0); got != (Figures{Lanes: 1}) {
		t.Errorf("nothing: %+v", got)
	}
}

func TestText(t *testing.T) {
	r := made(0.5, map[string]float64{"read": 0.5, "decode": 0.4, "compute": 0.5})
	text := Text(r, Settings{Workers: 4, Cores: 4})
	for _, want := range []string{
		"read           200      4     100.000        10.0           40.0  50 %  50.0 MB   5.0\n",
		"prepared pictures for a batch   1.5     7\n",
		"200 pictures in 10.00 s: 20.0/s, in 25 batches\n",
		"the bottleneck is read (reading files), busy 90 % of the time: ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "a GPU") {
		t.Errorf("the only device has a line of its own:\n%s", text)
	}
	r.Devices = append(r.Devices, r.Devices[0])
	if text := Text(r, Settings{}); !strings.Contains(text, "200 pictures, 20.0/s, in 25 batches on a GPU, which had work 50 % of the time\n") {
		t.Errorf("two devices:\n%s", text)
	}
}
