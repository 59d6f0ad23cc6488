package tests

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/tests/conformance"
)

// TestOps runs every layer shape of the networks by itself: in exact-integer mode at every batch size, where a pixel of
// another image or a tail that is not written shows in the bits, and in real-number mode, which judges the arithmetic, alone
// and among three. Kernels that the planner would not choose on this device run every twelfth case, and every twenty-fourth
// where they differ from those that it would in how they read alone. With -short only every
// fifth case runs, with VKINFER_CONFORMANCE=full no map is cut and nothing left out. vkinfer verify runs all kernels and batch sizes in both modes.
func TestOps(t *testing.T) {
	dev := device(t)
	cases, err := conformance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	cases = append(cases, conformance.Further()...)
	full := os.Getenv("VKINFER_CONFORMANCE") == "full"
	for i, c := range cases {
		if testing.Short() && i%5 != 0 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel() // one case's reference is computed while another is on the device
			start := time.Now()
			opts := conformance.OpOptions{Cases: []conformance.Case{c}, Candidates: conformance.CandidatesFor(dev.Caps())}
			if full {
				opts.Full, opts.Batches = true, conformance.Batches()
			} else {
				opts.Candidates = slices.DeleteFunc(opts.Candidates, func(c conformance.Candidate) bool {
					switch {
					case c.Options.Kernels == netplan.KernelsLane || c.Options.Kernels == netplan.KernelsTexel:
						return i%24 != 12
					case c.Options.Packed || c.Options.Kernels != "":
						return i%12 != 0
					}
					return false
				})
			}
			var rows []conformance.OpRow
			for _, mode := range conformance.Modes() {
				opts := opts
				opts.Modes = []conformance.Mode{mode}
				if mode == conformance.Real && !full {
					opts.Batches = []int{1, 3}
				}
				made, err := conformance.Ops(t.Context(), dev, opts)
				if err != nil {
					t.Fatal(err)
				}
				rows = append(rows, made...)
			}
			values := 0
			for _, r := range rows {
				values += r.Elements
				if !r.OK() {
					t.Errorf("%s %s %s: %s", r.Mode, r.Kernel, r.Value, r.Verdict)
					t.Logf("%s\n%s", r.Failure.Repro, r.Failure.TileMap)
				}
				if r.Mode == conformance.Real && r.Kernel != "" && r.Ratio == 0 && r.Elements > 1000 {
					t.Errorf("%s: no error at all in %d values of real numbers: were they compared?", r.Value, r.Elements)
				}
			}
			if values == 0 {
				t.Error("nothing was compared")
			}
			t.Logf("%d values in %v", values, time.Since(start).Round(time.Millisecond))
		})
	}
}
