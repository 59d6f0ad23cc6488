package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/tests/conformance"
	"github.com/vkinfer/vkinfer/weights"
)

// verifier is the subcommand verify.
type verifier struct {
	*app
	net        netFlags
	replays    int
	format     string
	validation bool
}

func verifyCommand(a *app) *cobra.Command {
	v := &verifier{app: a}
	cmd := &cobra.Command{
		Use:     "verify MODEL",
		GroupID: groupCheck,
		Short:   "Compare a device with the CPU reference, value by value",
		Long: `Run the network on a device and in float64 arithmetic on the CPU, and compare every value that the device stores:
the largest error and where it is, the relative L2 error, and a verdict. Then run it several times more: the bits
must be the same each time. The exit status is 3 when anything fails.

The input is seeded noise; without --checkpoint so are the weights.`,
		Example: `  vkinfer verify efficientnet_b1_pruned
  vkinfer verify efficientnet_b3_pruned --checkpoint b3.pth --device vulkan:1 --batch-size 7 -o json`,
		Args:              args(1, "MODEL"),
		ValidArgsFunction: completeModel,
		RunE:              a.action(func(cmd *cobra.Command, args []string) error { return v.run(cmd.Context(), args[0]) }),
	}
	v.net.addCheckpoint(cmd, "made-up ones")
	cmd.Flags().StringVar(&v.net.device, "device", "vulkan", "`DEVICE` to verify: vulkan (the best one), vulkan:N, or a part of its name")
	v.addQuirks(cmd)
	v.net.addPrecision(cmd)
	v.net.addImgSize(cmd)
	v.net.addBatch(cmd, 2, "images in the batch")
	v.net.addSeed(cmd, "which noise, and which made-up weights")
	numberFlag(cmd, &v.replays, "replays", "", 5, 0, 1<<20, "further runs, which must all give the same bits")
	cmd.Flags().BoolVar(&v.validation, "validation", false, "switch the Vulkan validation layers on; what they complain about is a failure")
	choiceFlag(cmd, &v.format, "output", "o", "form of the report", "text", "json")
	return cmd
}

func (v *verifier) run(ctx context.Context, name string) error {
	spec, err := model(name)
	if err != nil {
		return err
	}
	if strings.EqualFold(v.net.device, "cpu") {
		return usagef("verify: --device cpu is what devices are compared with; want a Vulkan device")
	}
	var sd *weights.StateDict
	if v.net.checkpoint == "" {
		sd = v.synthetic(spec, v.net.seed)
	} else if sd, err = v.stateDict(ctx, spec, v.net.checkpoint); err != nil {
		return err
	}
	size := spec.Transform.Size
	if v.net.imgSize > 0 {
		size = v.net.imgSize
	}
	if err := checkBatch(v.net.batch, 3*size*size); err != nil {
		return err
	}
	g, err := spec.Build(sd, size, size)
	if err != nil {
		return setup(err)
	}
	rep, complaints, err := v.compare(ctx, g)
	if err != nil {
		return err
	}
	out := newVerifyJSON(rep, complaints)
	if v.format == "json" {
		err = table.JSON(v.out, out)
	} else {
		err = v.text(rep, complaints, size)
	}
	if err != nil {
		return err
	}
	if !out.OK {
		return &failure{exitCheck, fmt.Errorf("verify: %s on %s: %d of %d values failed; %s; %d messages of the validation layers",
			rep.Model, rep.Device, rep.Failed, len(rep.Rows), replays(rep), len(complaints))}
	}
	return nil
}

// compare runs the network on the device and the reference. It returns also what the validation layers had
// to say.
func (v *verifier) compare(ctx context.Context, g *graph.Graph) (*conformance.Report, []string, error) {
	dev, err := gpu.Open(gpu.Options{Device: v.net.device, Validation: v.validation, NoQuirks: v.noQuirks})
	if err != nil {
		return nil, nil, err
	}
	input := noise(uint64(v.net.seed), v.net.batch*g.InputShape().NumElements())
	rep, err := conformance.Network(ctx, g, dev, input, v.net.batch, v.replays, func(stage string) { v.log.Info(g.Model + ": " + stage) })
	if e := dev.Close(); err == nil {
		err = e
	}
	complaints := []string{}
	for _, m := range dev.Messages() { // after Close: objects never destroyed are told then
		complaints = append(complaints, m.String())
	}
	return rep, complaints, err
}

// verifyJSON is a report for programs.
type verifyJSON struct {
	*conformance.Report
	Rows       []verifyRow `json:"rows"`
	Complaints []string    `json:"validation_messages"`
	OK         bool        `json:"ok"`
	Build      buildJSON   `json:"vkinfer"`
}

// verifyRow is a row whose figures may be no numbers, which JSON cannot say: those are null.
type verifyRow struct {
	conformance.Row
	MaxError finite `json:"max_error"`
	Got      finite `json:"got"`
	Want     finite `json:"want"`
	RelL2    finite `json:"rel_l2"`
	Centred  finite `json:"centred"`
	Gate     finite `json:"gate"`
}

type finite float64

func (f finite) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

func newVerifyJSON(rep *conformance.Report, complaints []string) verifyJSON {
	out := verifyJSON{Report: rep, Rows: []verifyRow{}, Complaints: complaints, OK: rep.OK() && len(complaints) == 0, Build: build()}
	for _, r := range rep.Rows {
		out.Rows = append(out.Rows, verifyRow{r, finite(r.MaxError), finite(r.Got), finite(r.Want), finite(r.RelL2), finite(r.Centred), finite(r.Gate)})
	}
	return out
}

// noise returns n values of seeded noise as normalised pictures have them: multiples of 1/127.5 from -1 to 1.
func noise(seed uint64, n int) []float32 {
	rng := rand.New(rand.NewPCG(seed, 0x7669647265736f6c))
	out := make([]float32, n)
	for i := range out {
		out[i] = (float32(rng.UintN(256))/255 - 0.5) / 0.5
	}
	return out
}

func (v *verifier) text(rep *conformance.Report, complaints []string, size int) error {
	_, err := fmt.Fprintf(v.out, "%s, %s, batch %d of %dx%d, on %s (%s)\n\n", rep.Model, rep.Precision, rep.Batch, size, size, rep.Device, rep.Driver)
	if err != nil {
		return err
	}
	t := table.Table{Titles: []string{"node", "kernel", "shape", "max error", "at", "got", "want", "relative L2", "verdict"},
		Right: []bool{3: true, 5: true, 6: true, 7: true, 8: false}}
	var worst conformance.Row
	for _, r := range rep.Rows {
		t.Add(r.Node, r.Kernel, join(r.Dims[:], "x"), fmt.Sprintf("%.2e", r.MaxError), join(r.Worst[:], ","), fmt.Sprintf("%.7g", r.Got),
			fmt.Sprintf("%.7g", r.Want), fmt.Sprintf("%.2e", r.RelL2), r.Verdict)
		if r.Gate > 0 && (worst.Gate == 0 || r.RelL2/r.Gate > worst.RelL2/worst.Gate) {
			worst = r
		}
	}
	if err := t.Text(v.out); err != nil {
		return err
	}
	for _, m := range complaints {
		if _, err := fmt.Fprintf(v.out, "\n%s\n", m); err != nil {
			return err
		}
	}
	verdict := "ok"
	if !rep.OK() || len(complaints) > 0 {
		verdict = "FAILED"
	}
	_, err = fmt.Fprintf(v.out, "\n%s: %d of %d values within their bounds (nearest to its own: %s, relative L2 %.2e of at most %.1e); %s\n",
		verdict, len(rep.Rows)-rep.Failed, len(rep.Rows), worst.Node, worst.RelL2, worst.Gate, replays(rep))
	return err
}

// replays says what came of the further runs.
func replays(rep *conformance.Report) string {
	if rep.Distinct > 1 {
		return fmt.Sprintf("%d different results in %d runs", rep.Distinct, rep.Replays)
	}
	return fmt.Sprintf("the same bits in %d further runs", rep.Replays)
}

func join(v []int, by string) string {
	s := make([]string, len(v))
	for i, n := range v {
		s[i] = fmt.Sprint(n)
	}
	return strings.Join(s, by)
}
