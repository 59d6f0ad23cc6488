package conformance

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan/graph"
)

// Check is the verdict on a property that whole runs must have.
type Check struct {
	Name    string `json:"name"`
	Runs    int    `json:"runs"`
	Verdict string `json:"verdict"` // "ok" or what is wrong
}

// OK reports whether the device has the property.
func (c Check) OK() bool { return c.Verdict == "ok" }

// Invariances checks that things which must not matter do not, to the last bit: an image's logits are the
// same alone, in every slot, among other neighbours, in a batch split anyhow, in an arena laid out otherwise,
// on another executor, on the device opened again and, of square inputs, from pictures that the device resizes; and exchanging or doubling the rows of the classifier
// exchanges or doubles the logits. It takes at least 2 images. progress, if not nil, is told of each kind of
// change. The checks made before an error are returned beside it.
func Invariances(ctx context.Context, s Subject, progress func(string)) ([]Check, error) {
	per := s.Graph.InputShape().NumElements()
	if s.N < 2 || len(s.Input) != s.N*per {
		return nil, fmt.Errorf("conformance: %d floats for %d images of %v, want at least 2 images", len(s.Input), s.N, s.Graph.InputShape())
	}
	if progress == nil {
		progress = func(string) {}
	}
	fused, err := s.fused()
	if err != nil {
		return nil, err
	}
	v := &invariances{Subject: s, ctx: ctx, graph: fused, per: per, classes: s.Graph.OutputShape().C}
	exec, err := s.executor(s.Device, fused, layout{}, s.N)
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	if v.want, err = exec.Run(ctx, s.Input, s.N); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		name string
		run  func(*gpu.Executor) error
	}{{"order of images", v.images}, {"splits of the batch", v.splits}, {"places in the arena", v.placements},
		{"rows of the classifier", v.classifiers}, {"executors and devices", v.reopened}, {"who resizes pictures", v.resized}} {
		progress(step.name)
		if err := step.run(exec); err != nil {
			return v.checks, err
		}
	}
	return v.checks, nil
}

type invariances struct {
	Subject
	ctx          context.Context
	graph        *graph.Graph // fused
	want         []float32
	per, classes int
	checks       []Check
}

// note adds a check; differs says where bits differ, "" where they do not.
func (v *invariances) note(name string, runs int, differs string) {
	c := Check{Name: name, Runs: runs, Verdict: "ok"}
	if differs != "" {
		c.Verdict = differs
	}
	v.checks = append(v.checks, c)
}

// differ compares bits.
func differ(what string, got, want []float32) string {
	count, first := 0, -1
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			if count++; first < 0 {
				first = i
			}
		}
	}
	if count == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %d of %d values have other bits; the first, %d, is %v and was %v", what, count, len(want), first, got[first], want[first])
}

func (v *invariances) image(i int) []float32  { return v.Input[i*v.per:][:v.per] }
func (v *invariances) logits(i int) []float32 { return v.want[i*v.classes:][:v.classes] }

// images runs every image alone, and the batch in other orders, with the images' own order as the measure.
func (v *invariances) images(exec *gpu.Executor) error {
	differs := ""
	for i := range v.N {
		got, err := exec.Run(v.ctx, v.image(i), 1)
		if err != nil {
			return err
		}
		if differs == "" {
			differs = differ(fmt.Sprintf("image %d alone", i), got, v.logits(i))
		}
	}
	v.note("every image alone", v.N, differs)
	orders := map[string]func(i int) int{
		"images in reverse order":           func(i int) int { return v.N - 1 - i },
		"images moved by one slot":          func(i int) int { return (i + 1) % v.N },
		"the first image in all slots":      func(int) int { return 0 },
		"every image twice, half the batch": func(i int) int { return i / 2 },
	}
	for _, name := range sortedKeys(orders) {
		var batch, want []float32
		for i := range v.N {
			batch, want = append(batch, v.image(orders[name](i))...), append(want, v.logits(orders[name](i))...)
		}
		got, err := exec.Run(v.ctx, batch, v.N)
		if err != nil {
			return err
		}
		v.note(name, 1, differ(name, got, want))
	}
	return nil
}

// splits runs the batch in pieces of every size.
func (v *invariances) splits(*gpu.Executor) error {
	differs, runs := "", 0
	for size := 1; size < v.N; size++ {
		exec, err := v.executor(v.Device, v.graph, layout{}, size)
		if err != nil {
			return err
		}
		got, err := exec.Run(v.ctx, v.Input, v.N)
		exec.Close()
		if err != nil {
			return err
		}
		runs++
		if differs == "" {
			differs = differ(fmt.Sprintf("in submits of %d", size), got, v.want)
		}
	}
	v.note("batch split into smaller ones", runs, differs)
	return nil
}

// placements lays the arena out in other ways.
func (v *invariances) placements(*gpu.Executor) error {
	for _, p := range []struct {
		name string
		layout
	}{
		{"every tensor in its own place", layout{keepAll: true}},
		{"tensors a little apart", layout{guard: 4096}},
	} {
		exec, err := v.executor(v.Device, v.graph, p.layout, v.N)
		if err != nil {
			return err
		}
		got, err := exec.Run(v.ctx, v.Input, v.N)
		exec.Close()
		if err != nil {
			return err
		}
		v.note(p.name, 1, differ(p.name, got, v.want))
	}
	return nil
}

// classifiers changes the classifier's rows.
func (v *invariances) classifiers(*gpu.Executor) error {
	for _, c := range []struct {
		name string
		row  func(class int) (from int, factor float64)
	}{
		{"classes in reverse order", func(i int) (int, float64) { return v.classes - 1 - i, 1 }},
		{"classifier doubled", func(i int) (int, float64) { return i, 2 }},
	} {
		changed, err := withClassifier(v.graph, c.row)
		if err != nil {
			return err
		}
		exec, err := v.executor(v.Device, changed, layout{}, v.N)
		if err != nil {
			return err
		}
		got, err := exec.Run(v.ctx, v.Input, v.N)
		exec.Close()
		if err != nil {
			return err
		}
		want := make([]float32, len(v.want))
		for i := range want {
			from, factor := c.row(i % v.classes)
			want[i] = float32(factor) * v.logits(i / v.classes)[from]
		}
		v.note(c.name, 1, differ(c.name, got, want))
	}
	return nil
}

// withClassifier returns g with the rows of its last layer replaced: row i is factor times the old row from.
func withClassifier(g *graph.Graph, row func(class int) (from int, factor float64)) (*graph.Graph, error) {
	op, ok := g.Node(g.Output).Op.(*graph.Linear)
	if !ok {
		return nil, fmt.Errorf("conformance: %s ends with %s, want a linear layer", g.Model, g.Node(g.Output).Op.Kind())
	}
	change := func(p *graph.Param) *graph.Param {
		q := *p
		q.Data = make([]float64, len(p.Data))
		per := len(p.Data) / p.Shape[0]
		for i := range p.Shape[0] {
			from, factor := row(i)
			for j := range per {
				q.Data[i*per+j] = factor * p.Data[from*per+j]
			}
		}
		return &q
	}
	out := *g
	out.Nodes = slices.Clone(g.Nodes)
	last := *g.Node(g.Output)
	last.Op = &graph.Linear{Weight: change(op.Weight), Bias: change(op.Bias)}
	out.Nodes[g.Output] = &last
	return &out, nil
}

// reopened runs on a second executor beside the first, and on the device opened a second time.
func (v *invariances) reopened(first *gpu.Executor) error {
	second, err := v.executor(v.Device, v.graph, layout{}, v.N)
	if err != nil {
		return err
	}
	defer second.Close()
	got, err := second.Run(v.ctx, v.Input, v.N)
	if err != nil {
		return err
	}
	differs := differ("second executor", got, v.want)
	if got, err = first.Run(v.ctx, v.Input, v.N); err != nil {
		return err
	}
	if differs == "" {
		differs = differ("first executor again", got, v.want)
	}
	v.note("two executors", 2, differs)
	dev, err := reopen(v.Device, false)
	if err != nil {
		return err
	}
	defer dev.Close()
	exec, err := v.executor(dev, v.graph, layout{}, v.N)
	if err != nil {
		return err
	}
	if got, err = exec.Run(v.ctx, v.Input, v.N); err != nil {
		return err
	}
	differs = differ("device opened again", got, v.want)
	if said := closeAndListen(dev); differs == "" {
		differs = said
	}
	v.note("device opened again", 1, differs)
	return nil
}

// closeAndListen closes a device and returns what the validation layers, if they are on, said of it.
func closeAndListen(dev *gpu.Device) string {
	dev.Close()
	for _, m := range dev.Messages() {
		return fmt.Sprintf("validation: %v", m)
	}
	return ""
}

// reopen opens the same device once more.
func reopen(dev *gpu.Device, staging bool) (*gpu.Device, error) {
	return gpu.Open(gpu.Options{Device: fmt.Sprintf("vulkan:%d", dev.Info().Index), ForceStaging: staging,
		NoQuirks: dev.Options().NoQuirks, Validation: dev.Options().Validation})
}

// LogitsHash runs the network and returns a hash of the logits' bits, by which runs of different processes can
// be compared.
func LogitsHash(ctx context.Context, s Subject) (string, error) {
	r, err := Replay(ctx, s, 1, nil)
	if err != nil {
		return "", err
	}
	return r.Logits, nil
}

// Processes compares the logits' hash with those that further processes print: child starts one and returns
// what it printed. What a process fails with is the check's verdict.
func Processes(ctx context.Context, hash string, runs int, child func(context.Context) (string, error)) (Check, error) {
	c := Check{Name: "further processes", Verdict: "ok"}
	for c.Runs < runs {
		got, err := child(ctx)
		if ctx.Err() != nil {
			return c, ctx.Err()
		}
		c.Runs++
		switch {
		case c.Verdict != "ok":
		case err != nil:
			c.Verdict = fmt.Sprintf("process %d: %v", c.Runs, err)
		case got != hash:
			c.Verdict = fmt.Sprintf("process %d got other logits: their hash is %.16s, here it is %.16s", c.Runs, got, hash)
		}
	}
	return c, nil
}

// resized is Resized for square inputs, and nothing for others.
func (v *invariances) resized(*gpu.Executor) error {
	if in := v.Graph.InputShape(); in.H != in.W {
		return nil
	}
	c, err := Resized(v.ctx, v.Subject)
	if err == nil {
		v.checks = append(v.checks, c)
	}
	return err
}
