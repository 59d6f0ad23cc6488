package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/weights"
)

func TestNearest(t *testing.T) {
	flags := []string{"topk", "batch-size", "img-size", "checkpoint", "device", "crop-pct"}
	for word, want := range map[string]string{"top-k": "topk", "batchsize": "batch-size", "image-size": "img-size", "check": "checkpoint", "devise": "device", "x": "", "frobnicate": "", "CROP_PCT": "crop-pct"} {
		if got := nearest(word, flags); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}

func TestFlagValues(t *testing.T) {
	var (
		n    = 7
		word = "text"
		sh   share
		seed seedValue
		list batchList
	)
	for _, c := range []struct {
		flag      pflag.Value
		good, bad []string
	}{
		{&number{&n, 1, 100}, []string{"1", "100", "7"}, []string{"0", "101", "-1", "1.5", "", "x", "99999999999999999999"}},
		{&choice{&word, []string{"text", "json"}}, []string{"json", "TEXT"}, []string{"", "jso", "xml"}},
		{&sh, []string{"1", "0.882", "1e-3"}, []string{"0", "-1", "1.01", "NaN", "Inf", "x", ""}},
		{&seed, []string{"0", "18446744073709551615", "0x10"}, []string{"-1", "18446744073709551616", "x"}},
		{&list, []string{"1", "1,8, 64"}, []string{"", "0", "1,,2", "1,x", "65537"}},
	} {
		for _, s := range c.good {
			if err := c.flag.Set(s); err != nil {
				t.Errorf("%T %q: %v", c.flag, s, err)
			}
		}
		before := c.flag.String()
		for _, s := range c.bad {
			if err := c.flag.Set(s); err == nil || c.flag.String() != before {
				t.Errorf("%T %q: %v, value %s; want an error and the value unchanged", c.flag, s, err, c.flag)
			}
		}
	}
	if !slices.Equal(list, batchList{1, 8, 64}) || word != "text" || seed != 16 {
		t.Error(list, word, seed)
	}
}

func TestExitCode(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wrap := func(err error) error { return fmt.Errorf("so: %w", err) }
	for _, c := range []struct {
		ctx   context.Context
		begun bool
		err   error
		want  int
	}{
		{t.Context(), true, nil, 0},
		{ended, true, nil, 0}, // it was done before the interrupt came
		{t.Context(), true, wrap(errPipe), 0},
		{t.Context(), true, errors.New("disk full"), 1},
		{t.Context(), true, partf("some failed"), 1},
		{t.Context(), false, errors.New("unknown command"), 2},
		{t.Context(), true, wrap(usagef("no")), 2},
		{t.Context(), true, wrap(&models.UnknownError{}), 2},
		{t.Context(), true, wrap(&models.MismatchError{}), 2},
		{t.Context(), true, wrap(&weights.FormatError{}), 2},
		{t.Context(), true, setup(fs.ErrNotExist), 2},
		{t.Context(), true, setup(wrap(gpu.ErrFeature)), 4},
		{t.Context(), true, &failure{exitCheck, errors.New("verify")}, 3},
		{t.Context(), true, wrap(gpu.ErrNoLoader), 4},
		{t.Context(), true, wrap(gpu.ErrNoDriver), 4},
		{t.Context(), true, wrap(gpu.ErrNoDevice), 4},
		{t.Context(), true, wrap(gpu.ErrDeviceLost), 4},
		{t.Context(), true, wrap(gpu.ErrOutOfMemory), 4},
		{ended, true, wrap(context.Canceled), 130},
		{ended, true, setup(wrap(context.Canceled)), 130},
		{ended, true, partf("some failed"), 130},
	} {
		a := &app{begun: c.begun}
		if got := a.exitCode(c.ctx, c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestQuantile(t *testing.T) {
	v := []float64{1, 2, 3, 4, 10}
	for q, want := range map[float64]float64{0: 1, 0.1: 1.4, 0.5: 3, 0.9: 7.6, 1: 10} {
		if got := quantile(v, q); math.Abs(got-want) > 1e-12 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := quantile([]float64{5}, 0.9); got != 5 {
		t.Errorf("quantile of one value is %v", got)
	}
}

func TestParseVmHWM(t *testing.T) {
	for status, want := range map[string]int64{"Name:\tx\nVmPeak:\t  99 kB\nVmHWM:\t   1234 kB\nVmRSS:\t 5 kB\n": 1234 << 10, "": 0, "VmHWM:\n": 0, "VmHWM: x kB": 0, "VmHWM: 3 MB": 0} {
		if got := parseVmHWM(status); got != want {
			t.Errorf("%q: %d, want %d", status, got, want)
		}
	}
}

// TestResizeHead: a head of any size repeats or drops whole classes.
func TestResizeHead(t *testing.T) {
	for _, classes := range []int{1, 2, 3, 7} {
		sd := weights.NewStateDict()
		sd.Set("classifier.weight", weights.FromFloat32s([]int{3, 2}, []float32{1, 2, 3, 4, 5, 6}))
		sd.Set("classifier.bias", weights.FromFloat32s([]int{3}, []float32{7, 8, 9}))
		resizeHead(sd, classes)
		w, b := sd.Get("classifier.weight"), sd.Get("classifier.bias")
		if !slices.Equal(w.Shape, []int{classes, 2}) || !slices.Equal(b.Shape, []int{classes}) {
			t.Fatalf("%d classes: shapes %v, %v", classes, w.Shape, b.Shape)
		}
		for c := range classes {
			if w.Float32s()[2*c] != float32(1+2*(c%3)) || b.Float32s()[c] != float32(7+c%3) {
				t.Errorf("%d classes: class %d is %v, %v", classes, c, w.Float32s()[2*c:2*c+2], b.Float32s()[c])
			}
		}
	}
}

// TestNoise: the same for the same seed, and on the grid that bytes have.
func TestNoise(t *testing.T) {
	a, b, c := noise(1, 1000), noise(1, 1000), noise(2, 1000)
	if !slices.Equal(a, b) || slices.Equal(a, c) {
		t.Error("the seed does not decide")
	}
	for _, v := range a {
		u := (float64(v)*0.5 + 0.5) * 255
		if v < -1 || v > 1 || math.Abs(u-math.Round(u)) > 1e-4 {
			t.Fatalf("%v is no normalised byte", v)
		}
	}
}

func TestSplitNames(t *testing.T) {
	for text, want := range map[string]string{
		"vulkan":                             `["vulkan"]`,
		"vulkan:0,cpu":                       `["vulkan:0" "cpu"]`,
		"llvmpipe (LLVM 15.0.6, 256 bits),b": `["llvmpipe (LLVM 15.0.6, 256 bits)" "b"]`,
		"a,":                                 `["a" ""]`,
		"":                                   `[""]`,
	} {
		if got := fmt.Sprintf("%q", splitNames(text)); got != want {
			t.Errorf("%q is split into %s, want %s", text, got, want)
		}
	}
}

// TestJobFlags looks for the flags that the Kubernetes Job uses.
func TestJobFlags(t *testing.T) {
	job, err := os.ReadFile("../../deploy/job.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(strings.ReplaceAll(string(job), "\\\n", ""), "vkinfer classify ")
	line, _, _ = strings.Cut(line, "\n")
	cmd, _, err := newRoot(&app{}).Find([]string{"classify"})
	if err != nil {
		t.Fatal(err)
	}
	flags := regexp.MustCompile(`--([\w-]+)`).FindAllStringSubmatch(line, -1)
	if len(flags) < 5 {
		t.Fatalf("only %d flags found in %q", len(flags), line)
	}
	for _, f := range flags {
		if cmd.Flags().Lookup(f[1]) == nil {
			t.Errorf("classify has no --%s", f[1])
		}
	}
}
