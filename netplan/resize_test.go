package netplan_test

import (
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// TestResize: a run of parts is the two dispatches of resizing, that of pictures behind a barrier, and the rest; the parts
// and what lies between them and the first map keep their places until it is there.
func TestResize(t *testing.T) {
	s := models.All()[0]
	opts := netplan.Options{Pictures: &netplan.Normalization{}, Resize: &netplan.DefaultResizing}
	p := lower(t, s, 240, 240, opts)
	values, pictures, parts := p.Run(netplan.EntryValues), p.Run(netplan.EntryPictures), p.Run(netplan.EntryParts)
	if len(values) != len(p.Dispatches) || len(pictures) != len(values) || len(parts) != len(values)+2 {
		t.Fatalf("%d, %d and %d dispatches of %d", len(values), len(pictures), len(parts), len(p.Dispatches))
	}
	if parts[0].Barrier || !parts[1].Barrier || !parts[2].Barrier || pictures[0].Barrier || p.Pictures.Dispatch.Barrier {
		t.Error("barriers are not where one writes what another reads")
	}
	if parts[0].Kernel != "resize" || parts[1].Kernel != "resize" || parts[2].Kernel != pictures[0].Kernel || parts[3] != values[1] {
		t.Errorf("kernels %s, %s, %s", parts[0].Kernel, parts[1].Kernel, parts[2].Kernel)
	}
	for _, d := range parts[:2] {
		for _, b := range d.Bind {
			if x := p.Tensors[b.Tensor]; x.First != -1 || x.Last != 0 || x.Stride%4 != 0 {
				t.Errorf("tensor %s lives from %d to %d, %d bytes", x.Name, x.First, x.Last, x.Stride)
			}
		}
	}
	if got := p.EntryTensors(netplan.EntryParts); len(got) != 1 || p.Tensors[got[0]].Stride < int64(netplan.DefaultResizing.Bytes) {
		t.Errorf("parts go to %v", got)
	}
	if without := lower(t, s, 240, 240, netplan.Options{Pictures: &netplan.Normalization{}}); without.Has(netplan.EntryParts) || !without.Has(netplan.EntryPictures) || !p.Has(netplan.EntryParts) {
		t.Error("plans do not know their entries")
	}
	for _, bad := range []struct {
		w    int
		opts netplan.Options
		want string
	}{
		{240, netplan.Options{Resize: &netplan.DefaultResizing}, "want Options.Pictures too"},
		{250, opts, "want a square"},
		{240, netplan.Options{Pictures: opts.Pictures, Resize: &netplan.Resizing{Bytes: 5}}, "5 bytes with 0 rows"},
	} {
		if _, err := netplan.Lower(fused(t, s, 240, bad.w), netplan.MinimalCaps(), bad.opts); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%+v: %v, want %q", bad.opts, err, bad.want)
		}
	}
}
