package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/accuracy"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/console"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/pictures"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/results"
	"github.com/vkinfer/vkinfer/internal/atomicfile"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// validator is the subcommand validate.
type validator struct {
	*app
	net         netFlags
	precisions  []string
	workers     int
	cropPct     share
	fast        bool
	classMap    string
	realLabels  string
	logFreq     int
	resultsFile string
	predictions string
	sheet       string
	minTop1     percentage
	format      string
	metrics     metricsFlag

	spec     *models.Spec
	dirs     []string // folders and archives
	total    int      // pictures
	labelled bool     // the archives hold labels, as WebDataset's do
	folders  map[string]bool
	classes  map[string]int // by folder
	limit    int            // how many classes the network has
	real     accuracy.Real
	targets  targets
	outcome  outcome
}

// outcome is what validate found.
type outcome struct {
	meters  []accuracy.Meter // by precision
	failed  int              // pictures that could not be read
	left    int              // pictures without an accepted class
	differ  []disagreement
	seconds float64
}

// disagreement is a picture whose best class is not the same in all precisions.
type disagreement struct {
	Filename string   `json:"filename"`
	Targets  []int    `json:"targets"` // its right classes
	Answers  []answer `json:"answers"` // by precision

	target target
}

// answer is what one precision said.
type answer struct {
	Precision string  `json:"precision"`
	Index     int     `json:"index"`
	Label     string  `json:"label"`
	Prob      float32 `json:"prob"`
	Margin    float32 `json:"margin"` // from the best logit to the second
}

// verdictRow is a line of --predictions.
type verdictRow struct {
	Filename    string                          `json:"filename"`
	Targets     []int                           `json:"targets,omitempty"`
	Predictions map[string][]results.Prediction `json:"predictions,omitempty"` // by precision
	Error       string                          `json:"error,omitempty"`
}

func validateCommand(a *app) *cobra.Command {
	v := &validator{app: a}
	cmd := &cobra.Command{
		Use:     "validate MODEL DIR...",
		GroupID: groupCheck,
		Short:   "Measure the accuracy over a folder of labelled pictures",
		Long: `Measure the accuracy over a tree that has a folder for each class, as ImageNet's validation set is usually
unpacked. Pictures are prepared as the published evaluation of the model does (with --fast-decode nearly so, and
the results say decode: fast), and the results are those of timm's
validate script: Acc@1 and Acc@5 in percent, a line "--result" with one JSON object at the end, and the same columns
in --results-file.

The folder that a picture lies in names its class. With --class-map, line N+1 of the file is the name of the folder
of class N. Without it folders named by WordNet ids (n01440764) are ImageNet's classes, and otherwise there must be
one for each class of the network; they are numbered in their natural order, as timm does. --real-labels counts by the
reassessed labels of ImageNet (ReaL) instead, and leaves out the pictures without any.

DIR may be an archive (.tar, .tar.gz, .tgz, .zip) of such a tree, and there may be several, or a quoted pattern
('val-*.tar'). Archives in WebDataset's layout bring their labels: KEY.cls, the number of the class in digits, or KEY.json
with it as "label", next to KEY.jpg. A picture there without a label is told as one that cannot be read. Such archives do not go
together with trees, as nothing says that both number the classes alike. Archives are read twice, first for what they
hold, and those with pictures for --sheet once more.

With several precisions, --precision float32,amp, every picture is prepared once and runs in each. The pictures whose
best class differs are listed, and shown by --sheet.

A picture that cannot be read is told and left out, and the exit status is 1 then. With --min-top1 it is 3 if Acc@1
of any precision is lower.`,
		Example: `  vkinfer validate efficientnet_b1_pruned imagenet/val
  vkinfer validate efficientnet_b1_pruned 'val-*.tar'
  vkinfer validate efficientnet_b1_pruned --precision float32,amp --sheet differ.html imagenet/val
  vkinfer validate efficientnet_b3_pruned --checkpoint my.pth --class-map classes.txt --min-top1 78 pictures/`,
		Args:              v.args,
		ValidArgsFunction: completeModel,
		RunE:              a.action(func(cmd *cobra.Command, args []string) error { return v.run(cmd.Context(), args[0], args[1:]) }),
	}
	v.net.addCheckpoint(cmd, "the ones that 'vkinfer fetch' got")
	v.net.addDevices(cmd)
	v.addQuirks(cmd)
	choicesFlag(cmd, &v.precisions, "precision", "arithmetic of the network; several, separated by commas, are compared", precisions...)
	v.net.addImgSize(cmd)
	v.net.addBatch(cmd, 8, "pictures that run through the network at once")
	f := cmd.Flags()
	numberFlag(cmd, &v.workers, "workers", "j", runtime.GOMAXPROCS(0), 1, 1024, "pictures that are decoded at once")
	f.Var(&v.cropPct, "crop-pct", "share of the resized picture that the centre crop keeps (default the model's own)")
	addFastDecode(cmd, &v.fast)
	v.net.addResize(cmd)
	f.StringVar(&v.classMap, "class-map", "", "`FILE` with the folder of each class, one name per line, in index order")
	f.StringVar(&v.realLabels, "real-labels", "", "`FILE` real.json with the reassessed labels of ImageNet's validation set")
	numberFlag(cmd, &v.logFreq, "log-freq", "", 10, 1, 1<<31-1, "batches between two lines of the log (where no progress bar is shown)")
	f.StringVar(&v.resultsFile, "results-file", "", "CSV `FILE` with the results, in timm's columns")
	f.StringVar(&v.predictions, "predictions", "", "JSON lines `FILE` with the classes of every picture, its five most likely in each precision")
	f.StringVar(&v.sheet, "sheet", "", "HTML `FILE` with the pictures whose best class differs between precisions")
	f.Var(&v.minTop1, "min-top1", "exit with status 3 if Acc@1 is below this many percent")
	choiceFlag(cmd, &v.format, "output", "o", "form of the results", "text", "json", "csv")
	v.metrics.add(cmd)
	return cmd
}

// args complains about a forgotten model before a forgotten folder.
func (v *validator) args(cmd *cobra.Command, given []string) error {
	if len(given) > 0 {
		if _, err := model(given[0]); err != nil {
			return err
		}
	}
	return args(-1, "MODEL", "DIR")(cmd, given)
}

func (v *validator) run(ctx context.Context, name string, dirs []string) (err error) {
	if v.spec, err = model(name); err != nil {
		return err
	}
	if v.dirs, err = pictures.Glob(dirs); err != nil {
		return usagef("%w", err)
	}
	if v.sheet != "" && len(v.precisions) < 2 {
		return usagef("--sheet shows where precisions differ, want several, such as --precision float32,amp")
	}
	for flag, path := range map[string]string{"--results-file": v.resultsFile, "--predictions": v.predictions, "--sheet": v.sheet} {
		if path == "-" {
			return usagef("%s -: standard output is taken by the results, want a file", flag)
		}
		if path != "" {
			if err := v.needOutput(flag, path, "FILE"); err != nil {
				return err
			}
		}
	}
	if err := v.metrics.check(v.app); err != nil {
		return err
	}
	if v.classMap == "-" && v.net.checkpoint == "-" {
		return usagef("standard input (-) can be named once only, for --checkpoint or --class-map")
	}
	names, err := v.labels(v.classMap)
	if err != nil {
		return err
	}
	if err := v.find(ctx); err != nil {
		return err
	}
	sd, err := v.stateDict(ctx, v.spec, v.net.checkpoint)
	if err != nil {
		return err
	}
	devices, err := v.selectDevices(v.net.device)
	if err != nil {
		return err
	}
	if len(devices) > 1 && len(v.precisions) > 1 {
		return usagef("--device %s with --precision %s: several devices share the pictures of one precision, want one device or one precision", v.net.device, strings.Join(v.precisions, ","))
	}
	var nets []*vkinfer.Classifier
	for i, precision := range v.precisions {
		v.net.precision = precision
		v.net.batch = max(1, min(v.net.batch, v.total))
		list, err := v.openAll(ctx, v.spec, sd, devices, &v.net, vkinfer.Options{CropPct: float64(v.cropPct), FastDecode: v.fast, Labels: names, TopK: 5, Workers: v.workers})
		if err != nil {
			return err
		}
		for _, cl := range list {
			defer v.closeNet(&err, cl)
		}
		nets = append(nets, list...)
		if cl := list[0]; i == 0 { // before further work: the folders must fit the classes
			if err := v.match(cl.Classes(), names); err != nil {
				return err
			}
		}
	}
	start := time.Now()
	if err := v.measure(ctx, nets); err != nil {
		return err
	}
	v.outcome.seconds = time.Since(start).Seconds()
	return v.report(ctx, nets[0])
}

// measure runs all pictures through the networks.
func (v *validator) measure(ctx context.Context, nets []*vkinfer.Classifier) (err error) {
	v.outcome.meters = make([]accuracy.Meter, len(v.precisions))
	var rows *atomicfile.File
	if v.predictions != "" {
		if rows, err = atomicfile.Create(v.predictions, 0o666); err != nil {
			return usagef("--predictions %w", err)
		}
		defer rows.Abandon()
	}
	m, err := v.metrics.open(v.app, "validate", []string{v.spec.Name}, v.precisions)
	if err != nil {
		return err
	}
	defer closeMetrics(&err, m)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of the list, whoever leaves the loop
	bar := v.console.Progress("validate", int64(v.total), false)
	defer bar.Stop()
	start, done := time.Now(), 0
	opts := vkinfer.StreamOptions{Further: nets[1:], Lost: v.lost, Stats: m.Stats()}
	if len(v.precisions) > 1 {
		opts.Further, opts.Beside = nil, nets[1:]
	}
	for r, err := range nets[0].Stream(ctx, v.items(ctx), opts) {
		if err != nil {
			return fmt.Errorf("after %d of %d pictures: %w", done, v.total, err)
		}
		row := v.judge(r)
		if rows != nil {
			line, err := json.Marshal(row)
			if err == nil {
				_, err = rows.Write(append(line, '\n'))
			}
			if err != nil {
				return err
			}
		}
		done++
		bar.Add(1)
		if done%(v.logFreq*v.net.batch) == 0 && !v.console.ShowsProgress() && !v.quiet {
			m := v.outcome.meters[0]
			v.log.Info(fmt.Sprintf("Test: [%d/%d]  %.1f img/s  Acc@1: %.3f  Acc@5: %.3f", done, v.total,
				float64(done)/time.Since(start).Seconds(), m.Acc1(), m.Acc5()))
		}
	}
	if rows != nil {
		return rows.Commit()
	}
	return nil
}

// judge counts one picture.
func (v *validator) judge(r vkinfer.StreamResult) verdictRow {
	row := verdictRow{Filename: r.Name, Predictions: map[string][]results.Prediction{}}
	target := v.targets.pop()
	all := append([]vkinfer.Result{r.Result}, r.Beside...)
	for i, one := range all {
		made := results.From(r.Name, one)
		if made.Error != "" {
			row.Error = made.Error
			break
		}
		row.Predictions[v.precisions[i]] = made.Predictions
	}
	if row.Error != "" {
		row.Predictions = nil
		v.outcome.failed++
		v.log.Error(console.Printable(r.Name) + ": " + row.Error)
		return row
	}
	row.Targets = target.right
	if len(row.Targets) == 0 {
		v.outcome.left++
		return row
	}
	d := disagreement{Filename: r.Name, Targets: row.Targets, target: target}
	same := true
	for i, precision := range v.precisions {
		ps := row.Predictions[precision]
		ranked := make([]int, len(ps))
		for k, p := range ps {
			ranked[k] = p.Index
		}
		v.outcome.meters[i].Add(ranked, row.Targets)
		a := answer{Precision: precision, Index: ps[0].Index, Label: ps[0].Label, Prob: ps[0].Prob}
		if len(ps) > 1 {
			a.Margin = ps[0].Logit - ps[1].Logit
		}
		d.Answers = append(d.Answers, a)
		same = same && a.Index == d.Answers[0].Index
	}
	if !same {
		v.outcome.differ = append(v.outcome.differ, d)
	}
	return row
}
