package metrics

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// read parses a file as Prometheus does, and returns the values by name and labels, such as a{b="c",d="e"}.
func read(t *testing.T, path string) map[string]float64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(f)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for name, family := range families {
		for _, m := range family.Metric {
			key := name
			for i, l := range m.Label {
				key += fmt.Sprintf("%s%s=%q", map[bool]string{true: "{", false: ","}[i == 0], l.GetName(), l.GetValue())
			}
			if len(m.Label) > 0 {
				key += "}"
			}
			values[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

// classifier is the smallest there is: made-up weights on the reference implementation.
func classifier(t *testing.T) *vkinfer.Classifier {
	t.Helper()
	spec, err := models.Lookup("efficientnet_b1_pruned")
	if err != nil {
		t.Fatal(err)
	}
	c, err := vkinfer.Open(spec.Name, vkinfer.Options{StateDict: spec.Synth(1), Device: "cpu", ImgSize: 32, MaxBatch: 2, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestFile is on a clock that moves only while everything waits.
func TestFile(t *testing.T) {
	c := classifier(t)
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "vkinfer.prom")
		f, err := Create(path, Info{"classify", "a \"model\"\n", "float32", "v1", ""}, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		const loop = `vkinfer_pictures_total{stage="loop"}`
		if v := read(t, path); v["vkinfer_running"] != 1 || v[loop] != 0 || v[`vkinfer_run_info{command="classify",commit="",model="a \"model\"\n",precision="float32",version="v1"}`] != 1 {
			t.Errorf("at the beginning: %v", v)
		}
		good := vkinfer.Item{Name: "good", Height: 32, Width: 32, Read: func() ([]byte, error) { return make([]byte, 3*32*32), nil }}
		bad := vkinfer.Item{Name: "bad", Read: func() ([]byte, error) { return []byte("no picture"), nil }}
		for run := 1.0; run <= 2; run++ {
			source := func(yield func(vkinfer.Item) bool) { _ = yield(good) && yield(bad) && yield(good) }
			for _, err := range c.Stream(t.Context(), source, vkinfer.StreamOptions{Stats: f.Stats(), Idle: time.Hour}) {
				if err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(Every + time.Millisecond)
			synctest.Wait()
			v := read(t, path)
			for name, want := range map[string]float64{loop: 3 * run, `vkinfer_pictures_total{stage="decode"}`: run, `vkinfer_pictures_total{stage="compute"}`: 2 * run,
				"vkinfer_errors_total": run, `vkinfer_batches_total{device="cpu",index="0"}`: run, `vkinfer_device_pictures_total{device="cpu",index="0"}`: 2 * run,
				"vkinfer_read_bytes_total": (2*3*32*32 + 10) * run, "vkinfer_upload_bytes_total": 2 * 3 * 32 * 32 * run, `vkinfer_queue_depth{queue="batch"}`: 0,
				`vkinfer_queue_looks_total{queue="workers"}`: 3 * run, `vkinfer_stage_lanes{stage="decode"}`: 1, "vkinfer_running": 1} {
				if got, ok := v[name]; got != want || !ok {
					t.Errorf("after %v streams %s is %v, want %v", run, name, got, want)
				}
			}
		}
		if problems, err := testutil.GatherAndLint(f.registry); err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if v := read(t, path); v["vkinfer_running"] != 0 || v[loop] != 6 {
			t.Errorf("at the end: %v", v)
		}
		if left, err := os.ReadDir(filepath.Dir(path)); len(left) != 1 || err != nil {
			t.Errorf("%v, %v, want nothing but the file", left, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%v, %v: a collector of another user could not read it", info.Mode(), err)
		}
		if err := f.Close(); err != nil {
			t.Error("closed again: ", err)
		}
	})
}

func TestFileFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "sub")
		if _, err := Create(filepath.Join(dir, "m.prom"), Info{}, nil); err == nil {
			t.Error("a file in no folder")
		}
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		told := 0
		f, err := Create(filepath.Join(dir, "m.prom"), Info{}, func(error) { told++ })
		if err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3*Every + time.Millisecond)
		synctest.Wait()
		if told != 1 {
			t.Errorf("told %d times", told)
		}
		if f.Close() == nil {
			t.Error("closed without the file")
		}
	})
	var none *File
	if none.Stats() == nil || none.Close() != nil {
		t.Error("no file: no counters, or an error")
	}
}

// TestDevices: what a driver calls its device cannot make the file unreadable, and devices of earlier streams stay.
func TestDevices(t *testing.T) {
	c := newCollector(Info{})
	c.devices = c.withDevices(vkinfer.StreamReport{Devices: []vkinfer.DeviceStats{{Device: "bad \xff name", Batches: 3}, {Device: "b", Batches: 1}}})
	c.devices = c.withDevices(vkinfer.StreamReport{Devices: []vkinfer.DeviceStats{{Device: "b", Batches: 5}, {Device: "b", Batches: 7}}})
	path := filepath.Join(t.TempDir(), "m.prom")
	f := &File{path: path, registry: newRegistry(c), collector: c}
	if err := f.write(); err != nil {
		t.Fatal(err)
	}
	v := read(t, path)
	for name, want := range map[string]float64{`{device="bad ? name",index="0"}`: 3, `{device="b",index="0"}`: 5, `{device="b",index="1"}`: 8} {
		if v["vkinfer_batches_total"+name] != want {
			t.Errorf("%s: %v, want %v", name, v["vkinfer_batches_total"+name], want)
		}
	}
}
