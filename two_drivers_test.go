package vkinfer

import (
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// TestTwoDrivers has devices of two drivers share one stream: every picture has one result, that of one device alone, and
// both devices made some. VKINFER_TWO_DRIVERS=1 (scripts/with-driver.sh both) wants two, else it is skipped without them.
func TestTwoDrivers(t *testing.T) {
	devices, err := gpu.Devices()
	drivers := map[string]string{}
	for _, d := range devices {
		if d.Fit {
			drivers[d.Driver] = fmt.Sprintf("vulkan:%d", d.Index)
		}
	}
	if len(drivers) < 2 {
		why := fmt.Sprintf("devices of two drivers are needed, there are %v (%v)", devices, err)
		if os.Getenv("VKINFER_TWO_DRIVERS") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	spec, err := models.Lookup("efficientnet_b1_pruned")
	if err != nil {
		t.Fatal(err)
	}
	weights := spec.Synth(1)
	var nets []*Classifier
	for _, device := range drivers {
		c, err := Open(spec.Name, Options{StateDict: weights, Device: device, ImgSize: 40, MaxBatch: 2, Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		nets = append(nets, c)
	}
	const n = 60
	files := grays(t)
	var alone []Result
	for r, err := range nets[0].Stream(t.Context(), graySource(&files, n, nil), StreamOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		alone = append(alone, r.Result)
	}
	var stats StreamStats
	i := 0
	for r, err := range nets[0].Stream(t.Context(), graySource(&files, n, nil), StreamOptions{Further: nets[1:], Stats: &stats,
		Lost: func(c *Classifier, err error) { t.Errorf("%s was lost: %v", c.Device().Name, err) }}) {
		if err != nil {
			t.Fatal(err)
		}
		want := alone[i]
		if r.Index != int64(i) || (r.Err == nil) != (want.Err == nil) {
			t.Fatalf("picture %d came as %d: %v, alone %v", i, r.Index, r.Err, want.Err)
		}
		if r.Err == nil {
			if g, w := r.Predictions[0], want.Predictions[0]; g.Class != w.Class || math.Abs(g.Probability-w.Probability) > 1e-4 {
				t.Errorf("picture %d: %+v, alone %+v", i, g, w)
			}
		}
		i++
	}
	if i != n {
		t.Errorf("%d results for %d pictures", i, n)
	}
	for _, d := range stats.Report().Devices {
		t.Logf("%s: %d pictures in %d batches", d.Device, d.Pictures, d.Batches)
		if d.Pictures == 0 {
			t.Errorf("%s made nothing", d.Device)
		}
	}
}
