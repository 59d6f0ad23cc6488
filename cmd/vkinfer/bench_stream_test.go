package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/stages"
	"github.com/vkinfer/vkinfer/gpu"
)

// madeStreamRow is of two runs of five pictures, one of which fails; they take one second and three.
func madeStreamRow(precision string) streamRow {
	report := func(wall time.Duration) vkinfer.StreamReport {
		return vkinfer.StreamReport{Wall: wall, Batches: 2, Failed: 1,
			Stages: []vkinfer.StageStats{{Stage: "read", Lanes: 2, Pictures: 5, Bytes: 500_000, Busy: wall}, {Stage: "compute", Lanes: 1, Pictures: 4, Busy: wall}, {Stage: "loop", Lanes: 1, Pictures: 5}},
			Queues: []vkinfer.QueueStats{{Queue: "batch", Most: 3, Looks: 5, Sum: 10}},
			Devices: []vkinfer.DeviceStats{{Device: "a", Batches: 1, Pictures: 3, Lanes: 2, ComputeLanes: 1, Busy: wall, Phases: gpu.Phases{Compute: wall}},
				{Device: "b", Batches: 1, Pictures: 1, Lanes: 2, ComputeLanes: 1}}}
	}
	row := streamRow{benchHead: benchHead{Model: "m", Height: 8, Width: 9, Device: "a + b", Driver: "d 1", Precision: precision}, Batch: 2, Workers: 3, times: []float64{1000, 3000}}
	row.add([]vkinfer.StreamReport{report(time.Second), report(3 * time.Second)})
	row.Bottleneck = stages.Find(row.report, stages.Settings{Batch: 2})
	return row
}

func TestStreamRow(t *testing.T) {
	r := madeStreamRow("float32")
	if r.Runs != 2 || r.Pictures != 5 || r.Failed != 1 || r.MsPerImage != 500 || r.ImagesPerSecond != 2 || r.P10 >= r.MsPerImage || r.P90 <= r.MsPerImage {
		t.Errorf("%+v", r)
	}
	if f := r.Stages[0].value; f.Pictures != 10 || f.Busy != 0.5 || f.MBPerSec != 0.25 {
		t.Errorf("read: %+v", f)
	}
	if q := r.Queues[0].value; q.Mean != 2 || q.Most != 3 {
		t.Errorf("queue: %+v", q)
	}
	if d := r.Devices; len(d) != 2 || d[0].Pictures != 6 || d[0].PerSecond != 1.5 || d[0].ComputeSec != 4 {
		t.Errorf("devices: %+v", d)
	}
}

func TestStreamForms(t *testing.T) {
	form := func(format string, rows ...streamRow) string {
		t.Helper()
		var out bytes.Buffer
		w := &streamWriter{w: &out, format: format}
		for _, r := range rows {
			if err := w.add(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	one, two := madeStreamRow("float32"), madeStreamRow("amp")

	var list []map[string]any
	if err := json.Unmarshal([]byte(form("json", one, two)), &list); err != nil || len(list) != 2 || list[1]["stages"].(map[string]any)["compute"].(map[string]any)["pictures"] != 8. {
		t.Errorf("json: %v, %v", err, list)
	}
	if got := form("json"); got != "[]\n" {
		t.Errorf("json of nothing: %q", got)
	}
	if got := form("jsonl", one, two); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"bottleneck":{"stage":"compute"`) || !strings.Contains(got, `"stages":{"read":{"pictures":10,`) {
		t.Errorf("jsonl: %s", got)
	}
	records, err := csv.NewReader(strings.NewReader(form("csv", one, two))).ReadAll()
	if err != nil || len(records) != 3 {
		t.Fatalf("csv: %v, %v", err, records)
	}
	columns := map[string]string{}
	for i, name := range records[0] {
		columns[name] = records[2][i]
	}
	for name, want := range map[string]string{"model": "m", "precision": "amp", "images_per_second": "2", "bottleneck_stage": "compute", "stages_read_mb_per_second": "0.25", "queues_batch_mean": "2"} {
		if columns[name] != want {
			t.Errorf("csv: %s is %q, want %q", name, columns[name], want)
		}
	}
	if _, ok := columns["devices"]; ok {
		t.Error("csv: a list in a cell")
	}
	var timm map[string]any
	if text, ok := strings.CutPrefix(form("timm", one), "--result\n"); !ok || json.Unmarshal([]byte(text), &timm) != nil || timm["end_to_end_samples_per_sec"] != 2. || timm["end_to_end_step_time"] != 1000. || timm["end_to_end_batch_size"] != 2. {
		t.Errorf("timm: %v", timm)
	}
	want := `(?m)^device: a \+ b\ndriver: d 1\nBenchmarkStream/model=m/size=8x9/precision=float32/batch=2/workers=3 \s+4\s+250000000 ns/op\s+4 images/s\n.* 750000000 ns/op.*\nBenchmarkStream.*amp`
	if got := form("benchstat", one, two); !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("benchstat:\n%s", got)
	}
	md := form("md", one)
	for _, want := range []string{"| m 8x9 | a + b  | float32   |         |     2 |       3 |        5 |             500.0 |", "| read    |       10 |     2 |", "| prepared pictures for a batch |  2.0 |    3 |",
		"- the bottleneck is compute (", "- 6 pictures, 1.5/s, in 2 batches on a, which had work 100 % of the time\n", "- 1 of 5 pictures failed, "} {
		if !strings.Contains(md, want) {
			t.Errorf("md: no %q in\n%s", want, md)
		}
	}
	if got := form("md"); got != "" {
		t.Errorf("md of nothing: %q", got)
	}
	if _, err := json.Marshal(object[func()]{{"no JSON", func() {}}}); err == nil {
		t.Error("an object of what has no JSON")
	}
}
