package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// limit is how long one program may run: a fault may make it hang.
const limit = 5 * time.Minute

// found is what one layer says.
type found struct {
	Layer  string  `json:"layer"`
	Caught bool    `json:"caught"`
	Above  float64 `json:"above"` // largest error by its bound; 0 where bits are compared, -1 for NaN and infinity
	What   string  `json:"what"`
}

// outcome is what came of a fault.
type outcome struct {
	mutation
	layers  []found
	skipped string // why it was not tried
	err     error  // the fault could not be put in, or the checks not be run
	took    time.Duration
}

// bench is a place where faults are tried, one at a time.
type bench struct {
	root    string // of the module
	dir     string // all that is made here
	shaders string // a copy of the module's shaders/, in a module of its own
	probe   string // the test program without faults; it reads kernels from $VKINFER_MUTANT_SPIRV
	drivers string
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := command(ctx, ".", nil, "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(out), nil
}

// command runs a program in dir, with further environment variables, and returns what it prints.
func command(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, append(os.Environ(), env...), time.Second
	var out, all bytes.Buffer
	cmd.Stdout = writers{&out, &all}
	cmd.Stderr = &all
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return out.String(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, all.Bytes())
	}
	return out.String(), nil
}

type writers [2]*bytes.Buffer

func (w writers) Write(p []byte) (int, error) {
	w[0].Write(p)
	return w[1].Write(p)
}

// lookup makes the embedded kernels files: with it one program serves all faults of kernels.
var lookup = mutation{file: "shaders/kernels.go", edits: []edit{
	{`"embed"`, "\"embed\"\n\t\"os\""},
	{`spirv.ReadFile("spv/" + name + ".spv")`, `os.ReadFile(os.Getenv("VKINFER_MUTANT_SPIRV") + "/" + name + ".spv")`},
}}

// newBench prepares a place under build/ and builds the program without faults there.
func newBench(ctx context.Context, root string, job int, o options) (*bench, error) {
	// The same place every time, so that go's build cache knows it.
	dir := filepath.Join(root, "build", "mutation", fmt.Sprint(job))
	drivers := o.drivers
	if !filepath.IsAbs(drivers) {
		drivers = filepath.Join(root, drivers)
	}
	b := &bench{root: root, dir: dir, shaders: filepath.Join(dir, "module", "shaders"), probe: filepath.Join(dir, "probe.test"), drivers: drivers}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.CopyFS(b.shaders, os.DirFS(filepath.Join(root, "shaders"))); err != nil {
		return nil, err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		if err := copyFile(filepath.Join(root, name), filepath.Join(dir, "module", name)); err != nil {
			return nil, err
		}
	}
	overlay, err := b.overlay()
	if err != nil {
		return nil, err
	}
	_, err = command(ctx, root, nil, "go", "test", "-c", "-overlay", overlay, "-o", b.probe, "./tests")
	return b, err
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o666)
}

// apply returns the file's text with the edits made. A text that is not there exactly once is an error: the
// fault is stale.
func (m mutation) apply(root string) (string, error) {
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.file)))
	if err != nil {
		return "", err
	}
	text := string(data)
	for _, e := range m.edits {
		if n := strings.Count(text, e.old); n != 1 {
			return "", fmt.Errorf("%s has %q %d times, want once: the fault %q is stale", m.file, e.old, n, m.name)
		}
		text = strings.Replace(text, e.old, e.new, 1)
	}
	return text, nil
}

// overlay writes the files that go is to read instead of the module's, and returns the list of them.
func (b *bench) overlay(faults ...mutation) (string, error) {
	replace := map[string]string{}
	for i, m := range append([]mutation{lookup}, faults...) {
		text, err := m.apply(b.root)
		if err != nil {
			return "", err
		}
		file := filepath.Join(b.dir, fmt.Sprintf("%d_%s", i, path.Base(m.file)))
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			return "", err
		}
		replace[filepath.Join(b.root, filepath.FromSlash(m.file))] = file
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(b.dir, "overlay.json")
	return file, os.WriteFile(file, data, 0o666)
}

// try puts one fault in and asks every layer.
func (b *bench) try(ctx context.Context, m mutation) outcome {
	start, out := time.Now(), outcome{mutation: m}
	switch {
	case m.edits == nil:
		out.err = b.probes(ctx, &out, b.probe)
	case strings.HasPrefix(m.file, "shaders/"):
		out.err = b.tryKernel(ctx, &out)
	default:
		out.err = b.tryGo(ctx, &out)
	}
	out.took = time.Since(start)
	return out
}

// tryKernel compiles the changed shader.
func (b *bench) tryKernel(ctx context.Context, out *outcome) (err error) {
	text, err := out.apply(b.root)
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "module", filepath.FromSlash(out.file))
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, copyFile(filepath.Join(b.root, filepath.FromSlash(out.file)), file), b.restore())
	}()
	if _, err := command(ctx, b.shaders, nil, "go", "generate", "."); err != nil {
		return fmt.Errorf("the fault does not compile: %w", err)
	}
	layer, err := b.interfaces(ctx)
	if err != nil {
		return err
	}
	out.layers = append(out.layers, layer)
	return b.probes(ctx, out, b.probe)
}

// restore puts the compiled kernels without faults back.
func (b *bench) restore() error {
	if err := os.RemoveAll(filepath.Join(b.shaders, "spv")); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(b.shaders, "spv"), os.DirFS(filepath.Join(b.root, "shaders", "spv"))); err != nil {
		return err
	}
	return copyFile(filepath.Join(b.root, "shaders", "zkernels.go"), filepath.Join(b.shaders, "zkernels.go"))
}

// interfaces looks at the compiled kernels that are not as they were.
func (b *bench) interfaces(ctx context.Context) (found, error) {
	layer := found{Layer: "interface"}
	names, err := filepath.Glob(filepath.Join(b.shaders, "spv", "*.spv"))
	if err != nil {
		return layer, err
	}
	changed := 0
	for _, name := range names {
		now, err := os.ReadFile(name)
		if err != nil {
			return layer, err
		}
		was, err := os.ReadFile(filepath.Join(b.root, "shaders", "spv", filepath.Base(name)))
		if err != nil {
			return layer, err
		}
		if bytes.Equal(now, was) {
			continue
		}
		changed++
		if _, err := exec.LookPath("spirv-val"); err == nil {
			if _, err := command(ctx, b.dir, nil, "spirv-val", "--target-env", "vulkan1.1", name); err != nil {
				layer.Caught, layer.What = true, err.Error()
			}
		}
	}
	if text, err := command(ctx, b.shaders, nil, "go", "test", "-count=1", "-run", "^TestBarriers$", "."); err != nil {
		layer.Caught, layer.What = true, firstFailure(text)
	}
	if changed == 0 {
		return layer, fmt.Errorf("no kernel's code changes: this is no fault")
	}
	now, err := os.ReadFile(filepath.Join(b.shaders, "zkernels.go"))
	if err != nil {
		return layer, err
	}
	was, err := os.ReadFile(filepath.Join(b.root, "shaders", "zkernels.go"))
	if !bytes.Equal(now, was) {
		layer.Caught, layer.What = true, "the kernel declares another interface than the table has"
	}
	return layer, err
}

// unitTests are the tests of a package that run for every fault in it: all but the slow ones.
var unitTests = map[string]string{
	"netplan":        "^(TestGoldenPlans|TestPlanBytes|TestPlanInvariants|TestMaxBatch|TestPacking|TestOverwriting|TestFragments.*|TestPassesKeepResults|TestCentred)$",
	"netplan/graph":  ".",
	"netplan/models": "^(TestPublished.*|TestStructure|TestBuild.*)$",
	"cpuref":         ".",
	"gpu":            "^(TestRunIsExact|TestRecordedBatches|TestTrace|TestTraceAddsMeans|TestGuards|TestProfile|TestMissingBarrierIsReported)$",
}

// drawing are packages whose tests draw examples, and would keep those that fail in the working tree.
var drawing = []string{"netplan", "cpuref"}

// tryGo vets, tests and builds with a Go file changed.
func (b *bench) tryGo(ctx context.Context, out *outcome) error {
	overlay, err := b.overlay(out.mutation)
	if err != nil {
		return err
	}
	dir, layer := path.Dir(out.file), found{Layer: "unit"}
	env := []string{"VKINFER_MUTANT_SPIRV=" + filepath.Join(b.root, "shaders", "spv")}
	if _, err := command(ctx, b.root, env, "go", "build", "-overlay", overlay, "./"+dir); err != nil {
		return fmt.Errorf("the fault does not compile: %w", err)
	}
	run, ok := unitTests[dir]
	if !ok {
		return fmt.Errorf("no tests are named for package %s", dir)
	}
	// go test vets, too.
	args := []string{"test", "-short", "-count=1", "-timeout", "4m", "-overlay", overlay, "-run", run, "./" + dir}
	if slices.Contains(drawing, dir) {
		args = append(args, "-rapid.nofailfile")
	}
	if text, err := command(ctx, b.root, env, "go", args...); err != nil {
		layer.Caught, layer.What = true, firstFailure(text)
	}
	out.layers = append(out.layers, layer)
	probe := filepath.Join(b.dir, "fault.test")
	if _, err := command(ctx, b.root, env, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", probe, "./tests"); err != nil {
		return err
	}
	return b.probes(ctx, out, probe)
}

// firstFailure finds the test that failed first in go test's output.
func firstFailure(text string) string {
	for line := range strings.Lines(text) {
		if _, name, ok := strings.Cut(line, "--- FAIL: "); ok {
			return strings.TrimSpace(name)
		}
	}
	return "go test fails"
}

// probes runs the layers of TestMutant.
func (b *bench) probes(ctx context.Context, out *outcome, probe string) error {
	result := filepath.Join(b.dir, "result.json")
	if err := os.RemoveAll(result); err != nil {
		return err
	}
	cases := out.cases
	if cases == "" {
		cases = usual
	}
	env := []string{"VKINFER_VALIDATION=1", "VKINFER_MUTANT_RESULT=" + result, "VKINFER_MUTANT_CASES=" + cases, "VKINFER_MUTANT_SPIRV=" + filepath.Join(b.shaders, "spv")}
	if out.amp {
		env = append(env, "VKINFER_MUTANT_PRECISION=amp")
	}
	args := []string{probe, "-test.run=^TestMutant$", "-test.timeout=4m"}
	if out.on != "" {
		args = append([]string{filepath.Join(b.root, "scripts", "with-driver.sh"), b.drivers, out.on}, args...)
	}
	text, failed := command(ctx, filepath.Join(b.root, "tests"), env, args[0], args[1:]...)
	data, err := os.ReadFile(result)
	if errors.Is(err, os.ErrNotExist) {
		if failed == nil {
			out.skipped = "no driver " + out.on
			return nil
		}
		return fmt.Errorf("the checks do not run: %w\n%s", failed, text)
	} else if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	for dec.More() {
		var f found
		if err := dec.Decode(&f); err != nil {
			return err
		}
		out.layers = append(out.layers, f)
	}
	if failed != nil {
		out.layers = append(out.layers, found{Layer: "crash", Caught: true, What: failed.Error()})
	}
	return ctx.Err()
}
