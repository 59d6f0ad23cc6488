package gpu

import (
	"context"
	"errors"
	"math"
	"testing"
)

// withoutTimestamps checks that measuring is refused on a device without timestamps, and skips the rest.
func withoutTimestamps(t *testing.T, d *Device, e *Executor) {
	t.Helper()
	if d.Caps().TimestampBits == 0 {
		t.Skip("this device has no timestamps")
	}
	bits := d.info.Caps.TimestampBits
	d.info.Caps.TimestampBits = 0
	if _, err := e.Profile(t.Context(), testInput(testShape, 2, 1), 2, ProfileOptions{}); !errors.Is(err, ErrFeature) {
		t.Errorf("without timestamps Profile gives %v, want ErrFeature", err)
	}
	if _, err := d.Roofs(t.Context()); !errors.Is(err, ErrFeature) {
		t.Errorf("without timestamps Roofs gives %v, want ErrFeature", err)
	}
	d.info.Caps.TimestampBits = bits
}

func TestProfile(t *testing.T) {
	for name, opts := range configurations {
		t.Run(name, func(t *testing.T) {
			d := open(t, opts)
			e := testExecutor(t, d, slowPlan(1), ExecutorOptions{MaxBatch: 2, Guards: true})
			withoutTimestamps(t, d, e)
			x := testInput(testShape, 2, 1)
			p, err := e.Profile(t.Context(), x, 2, ProfileOptions{Warmup: 1, Runs: 3}) // the first run may compile
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Dispatches) != 2 || p.Runs != 3 {
				t.Fatalf("got %+v, want two dispatches of three runs", p)
			}
			sum := 0.0
			for _, d := range p.Dispatches {
				if !(d.P10 <= d.Ns && d.Ns <= d.P90) || d.Ns > 60e9 {
					t.Errorf("%+v: want percentiles in order and a plausible time", d)
				}
				sum += d.P10
			}
			if d := p.Dispatches[1]; d.Node != "sums" || d.Kernel != "reduce" || d.Ns <= 0 || d.WeightBytes != e.plan.Dispatches[1].Bind[1].Size {
				t.Errorf("got %+v", d)
			}
			if p.Ns < sum*0.99 || p.P90 < p.Ns {
				t.Errorf("in all %v ns (%v), the dispatches by themselves %v", p.Ns, p.P90, sum)
			}
			if _, err := e.Profile(t.Context(), testInput(testShape, 3, 1), 3, ProfileOptions{}); err == nil {
				t.Errorf("a batch above MaxBatch was profiled")
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := e.Profile(ctx, x, 2, ProfileOptions{}); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want the context's error", err)
			}
		})
	}
}

// TestRoofs looks for rates that a real machine can have, and for ones that none can: a driver that leaves
// the loops out, or copies nothing, would be far above. It takes two ways into the memory, with -short one; TestProfile has all.
func TestRoofs(t *testing.T) {
	names := []string{"staging", "direct"}
	if testing.Short() {
		names = names[:1]
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			d := open(t, configurations[name])
			if d.Caps().TimestampBits == 0 {
				t.Skip("this device has no timestamps")
			}
			if name != "direct" { // as GPUs say; only the memory that is needed may be asked for
				d.info.Caps.MaxWorkgroupCount[0] = 1<<31 - 1
			}
			r, err := d.Roofs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("copies %.2f GB/s by kernel, %.2f GB/s by vkCmdCopyBuffer (%d MiB), float32 %.2f GFLOP/s, float16 %.2f GFLOP/s",
				r.KernelCopy/1e9, r.BufferCopy/1e9, r.CopiedFrom>>20, r.Float32/1e9, r.Float16/1e9)
			for what, v := range map[string]float64{"kernel copies": r.KernelCopy, "buffer copies": r.BufferCopy} {
				if !(v > 1e7 && v < 2e13) {
					t.Errorf("%s: %.3g bytes/s, want 1e7 to 2e13", what, v)
				}
			}
			if r.Copy() != math.Max(r.KernelCopy, r.BufferCopy) {
				t.Errorf("Copy is %v of %v and %v", r.Copy(), r.KernelCopy, r.BufferCopy)
			}
			if !(r.Float32 > 1e7 && r.Float32 < 1e15) {
				t.Errorf("float32: %.3g operations/s, want 1e7 to 1e15", r.Float32)
			}
			if (r.Float16 > 0) != d.Caps().Float16 || r.Float16 > 2e15 {
				t.Errorf("float16: %.3g operations/s on a device with Float16 %v", r.Float16, d.Caps().Float16)
			}
		})
	}
}

func TestNsWraps(t *testing.T) {
	d := &Device{}
	d.info.Caps.TimestampBits, d.info.Caps.TimestampNs = 36, 2
	if got := d.ns(1<<36-3, 4); got != 14 {
		t.Errorf("across the clock's wrap %v ns, want 14", got)
	}
	d.info.Caps.TimestampBits = 64
	if got := d.ns(5, 11); got != 12 {
		t.Errorf("got %v ns, want 12", got)
	}
}
