package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/weights"
)

func TestMain(m *testing.M) {
	testscript.Main(cleaner{m}, map[string]func(){"vkinfer": func() { injectFault(os.Getenv("VKINFER_TEST_FAULT")); main() }})
}

// injectFault makes verify see a device that does one thing wrong, in the way of that name.
func injectFault(name string) {
	switch name {
	case "tile": // the last channels of 1x1 convolutions are never written, but by kernels with shared memory
		alterPlan = func(p *netplan.Plan) {
			for i := range p.Dispatches {
				if d := &p.Dispatches[i]; (strings.HasPrefix(d.Kernel, "conv1x1_f") || strings.HasPrefix(d.Kernel, "conv1x1_texel_")) && d.Groups[1].Fixed > d.Groups[1].Tile {
					d.Groups[1].Fixed -= d.Groups[1].Tile
				}
			}
		}
	case "process": // other processes get a slightly other constant
		if slices.Contains(os.Args, "--logits-hash") {
			alterPlan = func(p *netplan.Plan) { p.Weights[5] ^= 1 }
		}
	case "child": // other processes end at once
		if slices.Contains(os.Args, "--logits-hash") {
			fmt.Fprintln(os.Stderr, "no luck")
			os.Exit(4)
		}
	}
}

// cleaner removes what the tests share.
type cleaner struct{ m *testing.M }

func (c cleaner) Run() int {
	defer func() {
		if dir, err := shared(); err == nil {
			os.RemoveAll(dir)
		}
	}()
	return c.m.Run()
}

// shared is a folder for what several tests use.
var shared = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "vkinfer-test") })

// device reports whether there is a Vulkan device to use. Without one the tests that need it are skipped;
// VKINFER_REQUIRE_DEVICE=1 turns that into a failure.
var device = sync.OnceValues(func() (bool, error) {
	list, err := gpu.Devices()
	for _, d := range list {
		if d.Fit {
			return true, nil
		}
	}
	return false, fmt.Errorf("no Vulkan device to use: %v", err)
})

func TestDevice(t *testing.T) {
	if ok, err := device(); !ok {
		if os.Getenv("VKINFER_REQUIRE_DEVICE") == "1" {
			t.Fatalf("%v, and VKINFER_REQUIRE_DEVICE=1", err)
		}
		t.Skipf("%v: the scripts that need one are skipped", err)
	}
}

// checkpoint makes weights up, once for all tests.
var checkpoint = sync.OnceValues(func() (string, error) {
	dir, err := shared()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "b1.safetensors")
	spec, err := models.Lookup("efficientnet_b1_pruned")
	if err != nil {
		return "", err
	}
	return path, weights.WriteSafetensors(path, spec.Synth(1), nil)
})

// overflow makes weights that are fine by themselves but overflow float32 in the network's first layers.
var overflow = sync.OnceValues(func() (string, error) {
	from, err := checkpoint()
	if err != nil {
		return "", err
	}
	sd, err := weights.Open(from)
	if err != nil {
		return "", err
	}
	for _, name := range []string{"bn1.weight", "blocks.0.0.bn1.weight", "blocks.0.0.bn2.weight"} {
		t := sd.Get(name)
		v := t.Float32s()
		for i := range v {
			v[i] *= 1e25
		}
		sd.Set(name, weights.FromFloat32s(t.Shape, v))
	}
	path := filepath.Join(filepath.Dir(from), "overflow.safetensors")
	return path, weights.WriteSafetensors(path, sd, nil)
})

func madeUpWeights(t *testing.T) string {
	t.Helper()
	path, err := checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestScripts runs testdata/script. $WEIGHTS names made-up weights of efficientnet_b1_pruned, $OVERFLOW such
// as overflow float32; other.safetensors holds another network, five.npy five
// images of 40x33 pixels; the pictures of writePictures are in pics; [device] says whether a Vulkan device is there.
func TestScripts(t *testing.T) {
	path := madeUpWeights(t)
	tooLarge, err := overflow()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("WEIGHTS", path)
			e.Setenv("OVERFLOW", tooLarge)
			e.Setenv("VKINFER_CACHE", filepath.Join(e.WorkDir, "cache"))
			for _, name := range []string{"MESA_SHADER_CACHE_DIR", "VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_LAYER_PATH", "VKINFER_LIBVULKAN", "LD_LIBRARY_PATH", "XDG_DATA_DIRS"} {
				if v, ok := os.LookupEnv(name); ok {
					e.Setenv(name, v)
				}
			}
			e.Setenv("GOOS", runtime.GOOS)
			e.Setenv("GOARCH", runtime.GOARCH)
			if e.Getenv("MESA_SHADER_CACHE_DIR") == "" { // there is no home for it otherwise
				e.Setenv("MESA_SHADER_CACHE_DIR", filepath.Join(filepath.Dir(path), "shader-cache"))
			}
			other := weights.NewStateDict()
			other.Set("fc.weight", weights.FromFloat32s([]int{2}, []float32{1, 2}))
			if err := weights.WriteSafetensors(filepath.Join(e.WorkDir, "other.safetensors"), other, nil); err != nil {
				return err
			}
			batch := weights.FromFloat32s([]int{5, 3, 40, 33}, noise(3, 5*3*40*33))
			if err := weights.WriteNPY(filepath.Join(e.WorkDir, "five.npy"), batch); err != nil {
				return err
			}
			return writePictures(filepath.Join(e.WorkDir, "pics"))
		},
		Condition: func(cond string) (bool, error) {
			if cond == "device" {
				ok, _ := device()
				return ok, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status, "json": jsonValue, "lines": lines, "again": again, "prepared": prepared, "samerows": sameRows, "zipped": zipped, "torn": torn},
	})
}

// status N COMMAND ARG... runs a command that must exit with status N.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command args")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if want := args[0]; strconv.Itoa(got) != want {
		ts.Fatalf("exit status %d, want %s", got, want)
	}
}

// again N FILE runs the first command that a report in text, which is in FILE, names for a failure, through a
// shell as people do. It must exit with status N.
func again(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: again N file")
	}
	_, after, ok := strings.Cut(ts.ReadFile(args[1]), "again: ")
	if !ok {
		ts.Fatalf("%s names no command", args[1])
	}
	line, _, _ := strings.Cut(after, "\n")
	status(ts, false, []string{args[0], "sh", "-c", line})
}

// json FILE PATH WANT compares a value of a JSON file: PATH is keys and indexes joined by dots, "len" the length.
func jsonValue(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: json file path want")
	}
	var v any
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		ts.Fatalf("%s is no JSON: %v", args[0], err)
	}
	if d.More() {
		ts.Fatalf("%s holds more than one JSON value", args[0])
	}
	for _, key := range strings.Split(args[1], ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[key]
		case []any:
			if key == "len" {
				v = len(at)
				continue
			}
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(at) {
				ts.Fatalf("no element %s of %d", key, len(at))
			}
			v = at[i]
		default:
			ts.Fatalf("nothing at %s of %s", key, args[1])
		}
	}
	if got := fmt.Sprint(v); (got == args[2]) == neg {
		ts.Fatalf("%s is %s, want %s", args[1], got, args[2])
	}
}

// lines FILE N wants that many lines.
func lines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lines file n")
	}
	if got := strings.Count(ts.ReadFile(args[0]), "\n"); strconv.Itoa(got) != args[1] {
		ts.Fatalf("%s has %d lines, want %s", args[0], got, args[1])
	}
}

// writePictures makes a folder of three good pictures, a.png, b.jpg and sub/c.gif, of three bad ones,
// broken.jpg, empty.png and fake.jpg, and of files that are none.
func writePictures(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o777); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	img := image.NewRGBA(image.Rect(0, 0, 60, 45))
	for i := range img.Pix {
		img.Pix[i] = uint8(rng.Uint32())
	}
	draw := func(c color.RGBA) {
		for i := range 600 {
			img.SetRGBA(i%60, i/20, c)
		}
	}
	files := map[string][]byte{"notes.txt": []byte("no picture"), "empty.png": {}, "fake.jpg": []byte("<html>not found</html>"), ".hidden.png": {1}}
	var b bytes.Buffer
	draw(color.RGBA{200, 30, 30, 255})
	if err := png.Encode(&b, img); err != nil {
		return err
	}
	files["a.png"] = bytes.Clone(b.Bytes())
	b.Reset()
	draw(color.RGBA{20, 200, 30, 255})
	if err := jpeg.Encode(&b, img, nil); err != nil {
		return err
	}
	files["b.jpg"] = bytes.Clone(b.Bytes())
	files["broken.jpg"] = bytes.Clone(b.Bytes()[:b.Len()/2])
	b.Reset()
	draw(color.RGBA{20, 30, 220, 255})
	if err := gif.Encode(&b, img, nil); err != nil {
		return err
	}
	files["sub/c.gif"] = b.Bytes()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), data, 0o666); err != nil {
			return err
		}
	}
	return nil
}
