package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/tests/conformance"
)

// verifier is the subcommand verify.
type verifier struct {
	*app
	net        netFlags
	only, skip stageList
	op         string
	mode       string
	kernels    string
	full       bool
	batches    batchList
	replays    int
	images     string
	samples    int
	baseline   string
	factor     growth
	reports    []string
	format     string
	validation bool
	hash       bool // print the logits' hash and nothing else: what the check of further processes starts

	specs  []*models.Spec
	stages []string
	before *conformance.Report // of --baseline
}

// alterPlan changes every plan before it runs; tests set it, to show that verify sees faults.
var alterPlan func(*netplan.Plan)

// all stands for every mode, precision or candidate.
const all = "all"

func verifyCommand(a *app) *cobra.Command {
	v := &verifier{app: a, factor: 2}
	cmd := &cobra.Command{
		Use:     "verify [MODEL...]",
		GroupID: groupCheck,
		Short:   "Check whether a device computes what it should",
		Long: `Check whether a device computes what it should, for one network, several, or all of them:

  ops          every layer shape by itself, in exact integers, where not a bit may differ, and in real numbers,
               within a bound derived for every element; at several batch sizes, with every kind of kernels
  network      the network node by node, against float64 arithmetic on the CPU
  replays      the same input again and again: how many different results there are
  invariances  what must not matter: neighbours, slots, splits of the batch, places in memory, executors
  processes    other processes must get the same logits
  images       with --images: the classes of pictures
  switches     staging, memory layouts, fusion, kernels and precisions, in every combination

All but images are made unless --only or --skip says otherwise. Inputs are seeded noise; without --checkpoint so
are the weights. On devices that are CPUs the large maps of ops are cut to at most 17 pixels, unless --full is given.

A failure comes with the command that makes just that check again. The report goes to standard output, and with
--report as a page (.html, which needs nothing else) or data (.json, for --baseline) into files. The exit status
is 3 when anything fails, or is worse than in the baseline.`,
		Example: `  vkinfer verify
  vkinfer verify efficientnet_b1_pruned --skip ops --report report.html
  vkinfer verify efficientnet_b3_pruned --checkpoint b3.pth --device vulkan:1 --images photos/
  vkinfer verify -o json > before.json; vkinfer verify --baseline before.json
  vkinfer verify --op depthwise-c61-k5-s1-30x30-silu-se10 --mode exact --batch-size 1,3`,
		Args: args(-1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return modelNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: a.action(func(cmd *cobra.Command, args []string) error { return v.run(cmd.Context(), args) }),
	}
	v.addFlags(cmd)
	return cmd
}

func (v *verifier) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Var(&v.only, "only", "make these checks only, separated by commas")
	f.Var(&v.skip, "skip", "leave these checks out, separated by commas")
	cmd.MarkFlagsMutuallyExclusive("only", "skip")
	for _, name := range []string{"only", "skip"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(conformance.Stages(), cobra.ShellCompDirectiveNoFileComp))
	}
	v.net.addCheckpoint(cmd, "made-up ones")
	f.StringVar(&v.net.device, "device", "vulkan", "`DEVICE` to verify: vulkan (the best one), vulkan:N, or a part of its name")
	v.addQuirks(cmd)
	precisions, kernels := []string{all}, []string{all}
	for _, c := range conformance.Candidates() {
		precisions, kernels = append(precisions, c.Precision), append(kernels, c.Name)
	}
	slices.Sort(precisions[1:])
	slices.Sort(kernels[1:])
	choiceFlag(cmd, &v.net.precision, "precision", "", "check this arithmetic only", slices.Compact(precisions)...)
	choiceFlag(cmd, &v.kernels, "kernels", "", "check these kernels only, of those that the planner may choose for a layer", slices.Compact(kernels)...)
	v.net.addImgSize(cmd)
	f.VarP(&v.batches, "batch-size", "b", "images in the batch of whole networks (default 2); with --op the layer's batches, separated by commas")
	v.net.addSeed(cmd, "which noise, and which made-up weights")
	f.StringVar(&v.op, "op", "", "check only the layer of this `NAME`, as reports print it")
	cmd.RegisterFlagCompletionFunc("op", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return caseNames(), cobra.ShellCompDirectiveNoFileComp
	})
	choiceFlag(cmd, &v.mode, "mode", "", "numbers of the layers that ops checks", all, string(conformance.Exact), string(conformance.Real))
	f.BoolVar(&v.full, "full", false, "cut no map of a layer and leave out no batch, on devices that are CPUs too; takes long there")
	numberFlag(cmd, &v.replays, "replays", "", 25, 1, 1<<20, "runs of the same input")
	f.StringVar(&v.images, "images", "", "picture, or folder `DIR` of pictures, whose classes are compared")
	cmd.MarkFlagDirname("images")
	numberFlag(cmd, &v.samples, "num-samples", "", 0, 1, math.MaxInt32, "compare only the first N pictures (default all)")
	f.StringVar(&v.baseline, "baseline", "", "compare with an earlier report: a `FILE` that -o json or --report x.json wrote")
	cmd.MarkFlagFilename("baseline", "json")
	f.Var(&v.factor, "baseline-factor", "by how much an error may grow since the baseline")
	f.StringSliceVar(&v.reports, "report", nil, "also write the report to `FILE`.html or FILE.json; may be repeated")
	cmd.MarkFlagFilename("report", "html", "json")
	choiceFlag(cmd, &v.format, "output", "o", "form of the report; text has every row with --verbose", "text", "json", "html")
	f.BoolVar(&v.validation, "validation", false, "switch the Vulkan validation layers on; what they complain about is a failure")
	f.BoolVar(&v.hash, "logits-hash", false, "print the SHA-256 of the logits")
	f.MarkHidden("logits-hash")
}

// run checks the command line before anything else, so that nothing is run for hours in vain.
func (v *verifier) run(ctx context.Context, names []string) error {
	if strings.EqualFold(v.net.device, "cpu") {
		return usagef("verify: --device cpu is what devices are compared with; want a Vulkan device")
	}
	if err := v.chooseModels(names); err != nil {
		return err
	}
	if err := v.chooseStages(); err != nil {
		return err
	}
	if err := v.checkBatches(); err != nil {
		return err
	}
	for _, path := range v.reports {
		if ext := strings.ToLower(filepath.Ext(path)); ext != ".html" && ext != ".htm" && ext != ".json" {
			return usagef("--report %s: want a name that ends in .html or .json", path)
		}
		if err := v.needOutput("--report", path, "report.html"); err != nil {
			return err
		}
	}
	if v.images != "" {
		if _, err := os.Stat(v.images); err != nil {
			return usagef("--images: %w", err)
		}
	}
	if err := v.readBaseline(); err != nil {
		return err
	}
	defer v.removeTemp()
	if v.hash {
		return v.printHash(ctx)
	}
	return v.verify(ctx)
}

// chooseModels looks the models up; none named means all of them.
func (v *verifier) chooseModels(names []string) error {
	if v.op != "" {
		if _, err := conformance.FindCase(v.op); err != nil {
			hint := ""
			if near := nearest(v.op, caseNames()); near != "" {
				hint = ", did you mean " + near + "?"
			}
			return usagef("--op: no layer %q%s; 'vkinfer verify -o json --only ops' lists them", v.op, hint)
		}
	}
	if len(names) == 0 && v.net.checkpoint == "" {
		names = modelNames()
	}
	for _, name := range names {
		spec, err := model(name)
		if err != nil {
			return err
		}
		if !slices.Contains(v.specs, spec) {
			v.specs = append(v.specs, spec)
		}
	}
	if v.net.checkpoint != "" && len(v.specs) != 1 {
		return usagef("verify: --checkpoint is for one model, but there are %d; name it before the flags", len(v.specs))
	}
	return nil
}

func caseNames() []string {
	cases, err := conformance.Cases()
	if err != nil {
		return nil
	}
	var names []string
	for _, c := range cases {
		names = append(names, c.Name)
	}
	return names
}

// chooseStages decides which checks are made.
func (v *verifier) chooseStages() error {
	if v.op != "" {
		if len(v.only) > 0 && !slices.Equal(v.only, stageList{"ops"}) || slices.Contains(v.skip, "ops") {
			return usagef("verify: --op is one of the checks ops, want no --only or --skip beside it")
		}
		v.stages = []string{"ops"}
		return nil
	}
	for _, s := range conformance.Stages() {
		switch {
		case len(v.only) > 0 && !slices.Contains(v.only, s), slices.Contains(v.skip, s):
		case s == "images" && v.images == "":
			if len(v.only) > 0 {
				return usagef("verify: --only images needs pictures, want --images DIR")
			}
		default:
			v.stages = append(v.stages, s)
		}
	}
	if len(v.stages) == 0 {
		return usagef("verify: --skip leaves no check to make")
	}
	if v.images != "" && !slices.Contains(v.stages, "images") {
		return usagef("verify: --images is given, but the checks images are left out")
	}
	return nil
}

// checkBatches sets the batch of the networks, or the batches of the layer.
func (v *verifier) checkBatches() error {
	most := slices.Max(conformance.Batches())
	switch {
	case v.op != "":
		if len(v.batches) > 0 && slices.Max(v.batches) > most {
			return usagef("--batch-size %v: want at most %d with --op", &v.batches, most)
		}
		return nil
	case len(v.batches) > 1:
		return usagef("--batch-size %v: want one number, or --op beside it", &v.batches)
	case len(v.batches) == 1:
		v.net.batch = v.batches[0]
	default:
		v.net.batch = 2
	}
	for _, spec := range v.specs {
		size := v.size(spec)
		if err := checkBatch(v.net.batch, 3*size*size); err != nil {
			return err
		}
	}
	return nil
}

// size is the side of a network's input.
func (v *verifier) size(spec *models.Spec) int {
	if v.net.imgSize > 0 {
		return v.net.imgSize
	}
	return spec.Transform.Size
}

// candidates lists the ways to run networks that were asked for.
func (v *verifier) candidates() []conformance.Candidate {
	var out []conformance.Candidate
	for _, c := range conformance.Candidates() {
		if (v.net.precision == all || v.net.precision == c.Precision) && (v.kernels == all || v.kernels == c.Name) {
			out = append(out, c)
		}
	}
	return out
}

// settings are those of the report.
func (v *verifier) settings() conformance.Settings {
	s := conformance.Settings{Stages: v.stages, Op: v.op, Modes: v.modes(), Full: v.full, Seed: uint64(v.net.seed)}
	for _, spec := range v.specs {
		s.Models = append(s.Models, spec.Name)
	}
	if v.net.precision != all {
		s.Precision = v.net.precision
	}
	if v.kernels != all {
		s.Kernels = v.kernels
	}
	return s
}

func (v *verifier) modes() []conformance.Mode {
	if v.mode == all {
		return conformance.Modes()
	}
	return []conformance.Mode{conformance.Mode(v.mode)}
}

// readBaseline reads the report to compare with.
func (v *verifier) readBaseline() error {
	if v.baseline == "" {
		return nil
	}
	f, err := os.Open(v.baseline)
	if err != nil {
		return usagef("--baseline: %w", err)
	}
	defer f.Close()
	if v.before, err = conformance.ReadReport(f, v.baseline); err == nil {
		err = conformance.Comparable(v.settings(), v.before)
	}
	if err != nil {
		return usagef("--baseline: %w", err)
	}
	return nil
}

// stageList is a flag that takes a comma-separated list of checks.
type stageList []string

func (l *stageList) String() string { return strings.Join(*l, ",") }
func (l *stageList) Type() string   { return "CHECK,..." }

func (l *stageList) Set(s string) error {
	for _, name := range strings.Split(s, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(conformance.Stages(), name) {
			hint := ""
			if near := nearest(name, conformance.Stages()); near != "" {
				hint = ", did you mean " + near + "?"
			}
			return fmt.Errorf("want some of %s%s", strings.Join(conformance.Stages(), ", "), hint)
		}
		if !slices.Contains(*l, name) {
			*l = append(*l, name)
		}
	}
	return nil
}

// growth is a flag that takes a factor of at least 1.
type growth float64

func (g *growth) String() string { return fmt.Sprint(float64(*g)) }
func (g *growth) Type() string   { return "FACTOR" }

func (g *growth) Set(s string) error {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 1) || math.IsInf(f, 0) {
		return fmt.Errorf("want a number of at least 1, such as 2")
	}
	*g = growth(f)
	return nil
}
