package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// choice is a flag that takes one of a few words.
type choice struct {
	value   *string
	allowed []string
}

func (c *choice) String() string { return *c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }

func (c *choice) Set(s string) error {
	for _, a := range c.allowed {
		if strings.EqualFold(a, s) {
			*c.value = a
			return nil
		}
	}
	hint := ""
	if near := nearest(s, c.allowed); near != "" && len(c.allowed) > 1 {
		hint = ", did you mean " + near + "?"
	}
	return fmt.Errorf("want one of %s%s", strings.Join(c.allowed, ", "), hint)
}

// choiceFlag adds a flag that takes one of the words; the first is the default.
func choiceFlag(cmd *cobra.Command, value *string, name, short, usage string, allowed ...string) {
	*value = allowed[0]
	cmd.Flags().VarP(&choice{value, allowed}, name, short, usage)
	cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp))
}

// choices is a flag that takes several of a few words, separated by commas.
type choices struct {
	values  *[]string
	allowed []string
}

func (c *choices) String() string { return strings.Join(*c.values, ",") }
func (c *choices) Type() string   { return strings.Join(c.allowed, "|") + ",..." }

func (c *choices) Set(s string) error {
	var list []string
	for _, word := range strings.Split(s, ",") {
		var one string
		if err := (&choice{&one, c.allowed}).Set(strings.TrimSpace(word)); err != nil {
			return err
		}
		if !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	*c.values = list
	return nil
}

// choicesFlag adds a flag that takes some of the words; the first is the default.
func choicesFlag(cmd *cobra.Command, values *[]string, name, usage string, allowed ...string) {
	*values = allowed[:1:1]
	cmd.Flags().Var(&choices{values, allowed}, name, usage)
	cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp))
}

// number is a flag that takes an integer within bounds.
type number struct {
	value    *int
	min, max int
}

func (n *number) String() string {
	if *n.value < n.min { // a default that stands for something else
		return ""
	}
	return strconv.Itoa(*n.value)
}
func (n *number) Type() string { return "N" }

func (n *number) Set(s string) error {
	v, err := strconv.Atoi(s)
	if err != nil || v < n.min || v > n.max {
		if n.max == math.MaxInt32 {
			return fmt.Errorf("want a whole number of at least %d", n.min)
		}
		return fmt.Errorf("want a whole number from %d to %d", n.min, n.max)
	}
	*n.value = v
	return nil
}

// numberFlag adds a flag that takes an integer from lo to hi.
func numberFlag(cmd *cobra.Command, value *int, name, short string, def, lo, hi int, usage string) {
	*value = def
	cmd.Flags().VarP(&number{value, lo, hi}, name, short, usage)
}

// seedValue is a flag that takes a seed.
type seedValue uint64

func (s *seedValue) String() string { return strconv.FormatUint(uint64(*s), 10) }
func (s *seedValue) Type() string   { return "N" }

func (s *seedValue) Set(text string) error {
	v, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		return fmt.Errorf("want a whole number from 0 to %d", uint64(math.MaxUint64))
	}
	*s = seedValue(v)
	return nil
}

// share is a flag that takes a number above 0 and at most 1.
type share float64

func (s *share) String() string {
	if *s == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(*s), 'g', -1, 64)
}
func (s *share) Type() string { return "FRACTION" }

func (s *share) Set(text string) error {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v > 0 && v <= 1) {
		return fmt.Errorf("want a number above 0 and at most 1, such as 0.882")
	}
	*s = share(v)
	return nil
}

// percentage is a flag that takes a number from 0 to 100.
type percentage float64

func (p *percentage) String() string {
	if *p == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(*p), 'g', -1, 64)
}
func (p *percentage) Type() string { return "PERCENT" }

func (p *percentage) Set(text string) error {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f <= 100) {
		return fmt.Errorf("want percent, a number from 0 to 100, such as 78.2")
	}
	*p = percentage(f)
	return nil
}

// maxBatch and maxSide bound what one can ask for; devices have bounds of their own.
const (
	maxBatch = 1 << 16
	maxSide  = 1 << 13
)

// netFlags say which weights run where; each subcommand adds those that mean something to it.
type netFlags struct {
	checkpoint string
	device     string
	precision  string
	kernels    string
	resize     string
	imgSize    int // 0: the model's own
	batch      int
	seed       seedValue
}

func (f *netFlags) addCheckpoint(cmd *cobra.Command, otherwise string) {
	cmd.Flags().StringVar(&f.checkpoint, "checkpoint", "", "weights: a .pth or .safetensors `FILE`, - for standard input; without it "+otherwise)
	cmd.MarkFlagFilename("checkpoint", "pth", "pt", "bin", "tar", "safetensors")
}

// hasCPU marks the subcommands whose --device may be cpu.
const hasCPU = "cpu"

func (f *netFlags) addDevice(cmd *cobra.Command) {
	cmd.Annotations = map[string]string{hasCPU: "yes"}
	cmd.Flags().StringVar(&f.device, "device", "vulkan", "`DEVICE` to run on: vulkan (the best one), vulkan:N, a part of its name, or cpu (slow)")
	cmd.RegisterFlagCompletionFunc("device", cobra.FixedCompletions([]string{"vulkan", "vulkan:0", "cpu"}, cobra.ShellCompDirectiveNoFileComp))
}

// addDevices is addDevice for what can use several at once.
func (f *netFlags) addDevices(cmd *cobra.Command) {
	f.addDevice(cmd)
	cmd.Flags().Lookup("device").Usage += "; several separated by commas, or all (every GPU, or every software device where there is none) share the pictures"
}

// addQuirks adds the switch of the table of known faults of drivers.
func (a *app) addQuirks(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.noQuirks, "no-quirks", false, "believe what drivers say of themselves, without the corrections that 'vkinfer doctor' lists")
}

// precisions are the arithmetics that a network can run in; the first is the default.
var precisions = []string{netplan.PrecisionFloat32, netplan.PrecisionAMP}

func (f *netFlags) addPrecision(cmd *cobra.Command) {
	choiceFlag(cmd, &f.precision, "precision", "", "arithmetic of the network", precisions...)
}

var kernelsChoices = append([]string{"auto"}, netplan.Kernels...)

const kernelsUsage = "kernels: lane for CPUs, texel for CPUs whose drivers read texel buffers faster than storage buffers, shared for GPUs, auto for the device's"

func (f *netFlags) addKernels(cmd *cobra.Command) {
	choiceFlag(cmd, &f.kernels, "kernels", "", kernelsUsage, kernelsChoices...)
}

// kernelsOption is the planner's form of --kernels.
func (f *netFlags) kernelsOption() string { return strings.TrimPrefix(f.kernels, "auto") }

func (f *netFlags) addImgSize(cmd *cobra.Command) {
	numberFlag(cmd, &f.imgSize, "img-size", "", 0, 1, maxSide, "side of the network's square input in pixels (default the model's own)")
}

// addFastDecode adds --fast-decode to what prepares pictures.
func addFastDecode(cmd *cobra.Command, value *bool) {
	cmd.Flags().BoolVar(value, "fast-decode", false, "decode large JPEGs at 1/2, 1/4 or 1/8 of their size: two to three times as fast, but not exact")
}

// addResize adds --resize to what runs pictures through networks.
func (f *netFlags) addResize(cmd *cobra.Command) {
	choiceFlag(cmd, &f.resize, "resize", "", "who resizes and crops pictures, to the same bits: cpu, the workers that decode; gpu, the device; auto, what suits it", "auto", vkinfer.ResizeCPU, vkinfer.ResizeGPU)
}

// decoding is how the results name the two ways to decode.
func decoding(fast bool) string {
	if fast {
		return "fast"
	}
	return "exact"
}

func (f *netFlags) addBatch(cmd *cobra.Command, def int, usage string) {
	numberFlag(cmd, &f.batch, "batch-size", "b", def, 1, maxBatch, usage)
}

func (f *netFlags) addSeed(cmd *cobra.Command, usage string) {
	f.seed = 1
	cmd.Flags().Var(&f.seed, "seed", usage)
}

// args checks the number of arguments and names the missing or surplus ones.
func args(most int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return fmt.Errorf("%s: no %s given, want %s", cmd.Name(), names[len(args)], cmd.UseLine())
		}
		if most >= 0 && len(args) > most {
			return fmt.Errorf("%s: %q is one argument too many, want %s", cmd.Name(), args[most], cmd.UseLine())
		}
		return nil
	}
}

// completeModel completes a model's name as the first argument, and files after it.
func completeModel(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return modelNames(), cobra.ShellCompDirectiveNoFileComp
}

func modelNames() []string {
	var names []string
	for _, s := range models.All() {
		names = append(names, s.Name)
	}
	return names
}

// flagError adds what was probably meant to an unknown flag's error.
func flagError(cmd *cobra.Command, err error) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "unknown flag: --"); ok {
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if near := nearest(name, known); near != "" {
			text += ", did you mean --" + near + "?"
		}
	}
	return usagef("%s: %s", cmd.Name(), text)
}

// nearest returns the candidate most like word, "" when none is like it.
func nearest(word string, candidates []string) string {
	best, bestDist := "", len(word)/3+2
	for _, c := range candidates {
		d := distance(strings.ToLower(word), strings.ToLower(c))
		if len(word) > 1 && strings.HasPrefix(c, word) {
			d = min(d, 1)
		}
		if d < bestDist {
			best, bestDist = c, d
		}
	}
	return best
}

// distance is Levenshtein's, dashes disregarded; long words are far from everything.
func distance(a, b string) int {
	a, b = strings.ReplaceAll(a, "-", ""), strings.ReplaceAll(b, "-", "")
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = slices.Min([]int{cost, row[j] + 1, diag + 1})
		}
	}
	return row[len(b)]
}
