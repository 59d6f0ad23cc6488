package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/console"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/weights"
)

// checkpointJSON is a checkpoint for programs.
type checkpointJSON struct {
	File       string            `json:"file"`
	Size       int64             `json:"size,omitempty"`
	Format     string            `json:"format"`
	Wrapper    string            `json:"wrapper,omitempty"` // the key that the tensors were found under
	Tensors    int               `json:"tensors"`
	DTypes     map[string]int    `json:"dtypes"`
	Elements   int64             `json:"elements"`
	Parameters int64             `json:"parameters"` // without BatchNorm's running statistics
	Classes    int               `json:"classes,omitempty"`
	Model      string            `json:"model,omitempty"`   // the variant it fits
	Nearest    string            `json:"nearest,omitempty"` // the variant it fits best, when it fits none
	Difference *differenceJSON   `json:"difference,omitempty"`
	Skipped    []string          `json:"skipped,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
}

// differenceJSON says how a checkpoint differs from the nearest variant.
type differenceJSON struct {
	Missing    []string       `json:"missing"`
	Unexpected []string       `json:"unexpected"`
	Misshaped  []misshapeJSON `json:"misshaped"`
}

type misshapeJSON struct {
	Name string `json:"name"`
	Got  []int  `json:"got"`
	Want []int  `json:"want"`
}

func infoCommand(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "info MODEL|CHECKPOINT",
		GroupID: groupInspect,
		Short:   "Describe a model, or what a checkpoint holds",
		Long: `Describe a model: its input and how pictures are prepared, size, published accuracy and weight files. Or describe
a checkpoint: format, tensors, and which model it fits or how it differs. - is a checkpoint on standard input.`,
		Example: `  vkinfer info efficientnet_b2_pruned
  vkinfer info model_best.pth.tar -o json`,
		Args: args(1, "MODEL or CHECKPOINT"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return modelNames(), cobra.ShellCompDirectiveDefault
		},
		RunE: a.action(func(cmd *cobra.Command, args []string) error { return a.info(cmd.Context(), args[0], format) }),
	}
	choiceFlag(cmd, &format, "output", "o", "form of the description", "text", "json")
	return cmd
}

func (a *app) info(ctx context.Context, what, format string) error {
	spec, err := models.Lookup(what)
	if err == nil {
		return a.infoModel(spec, format)
	}
	if _, statErr := os.Stat(what); what != "-" && statErr != nil {
		if strings.ContainsAny(what, `/\`) || strings.Contains(what, ".") {
			return usagef("%s: %w", console.Printable(what), plain(statErr))
		}
		_, err := model(what)
		return usagef("%w; and there is no file of that name", err)
	}
	sd, err := a.stateDict(ctx, nil, what)
	if err != nil {
		return err
	}
	c := inspect(what, sd)
	if format == "json" {
		return table.JSON(a.out, c)
	}
	return a.infoText(c)
}

func (a *app) infoModel(spec *models.Spec, format string) error {
	m, err := describe(spec)
	if err != nil {
		return err
	}
	if format == "json" {
		return table.JSON(a.out, m)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "model\t%s\n", m.Model)
	fmt.Fprintf(w, "input\t3x%dx%d, RGB\n", m.InputSize[1], m.InputSize[2])
	fmt.Fprintf(w, "transform\tshorter side to %d (size / %g), %s; centre crop %d; mean %g, std %g\n", m.Resize, m.CropPct, m.Interp, m.InputSize[1], m.Mean[0], m.Std[0])
	fmt.Fprintf(w, "parameters\t%s in %d tensors\n", table.Thousands(m.Parameters), m.Tensors)
	fmt.Fprintf(w, "multiply-adds\t%s per image\n", table.Thousands(m.MACs))
	fmt.Fprintf(w, "accuracy\ttop-1 %.3f %%, top-5 %.3f %% (published, ImageNet-1k validation)\n", m.TopOne, m.TopFive)
	fmt.Fprintf(w, "classes\t%d, %s: %s ... %s\n", m.Classes, m.Labels.Set, m.Labels.First, m.Labels.Last)
	for i, f := range m.Weights {
		title := "weights"
		if i > 0 {
			title = ""
		}
		where := "its host is gone"
		if len(f.URLs) > 0 {
			where = f.URLs[0]
		}
		fmt.Fprintf(w, "%s\t%s (%s)\n", title, f.Name, where)
	}
	return w.Flush()
}

// inspect describes a checkpoint.
func inspect(path string, sd *weights.StateDict) checkpointJSON {
	c := checkpointJSON{File: path, Format: sd.Format, Wrapper: sd.Picked, Tensors: sd.Len(), DTypes: map[string]int{}, Skipped: sd.Skipped, Metadata: sd.Metadata}
	if info, err := os.Stat(path); err == nil && path != "-" {
		c.Size = info.Size()
	}
	for _, name := range sd.Names() {
		t := sd.Get(name)
		n := int64(t.NumElements())
		c.DTypes[t.DType.String()]++
		c.Elements += n
		if t.DType.IsFloat() && !strings.HasSuffix(name, ".running_mean") && !strings.HasSuffix(name, ".running_var") {
			c.Parameters += n
		}
	}
	if t := sd.Get("classifier.bias"); t != nil && len(t.Shape) == 1 {
		c.Classes = t.Shape[0]
	}
	if s := models.Identify(sd); s != nil {
		c.Model = s.Name
		return c
	}
	var best *models.MismatchError
	for _, s := range models.All() {
		var e *models.MismatchError
		if errors.As(s.Check(sd), &e) && (best == nil || differences(e) < differences(best)) {
			best = e
		}
	}
	if best != nil {
		c.Nearest = best.Model
		c.Difference = &differenceJSON{Missing: orEmpty(best.Missing), Unexpected: orEmpty(best.Unexpected), Misshaped: []misshapeJSON{}}
		for _, m := range best.Misshaped {
			c.Difference.Misshaped = append(c.Difference.Misshaped, misshapeJSON{m.Name, m.Got, m.Want})
		}
	}
	return c
}

func differences(e *models.MismatchError) int {
	return len(e.Missing) + len(e.Unexpected) + len(e.Misshaped)
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// mostNames is how many names of one kind the text form lists.
const mostNames = 6

func (a *app) infoText(c checkpointJSON) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "file\t%s", console.Printable(c.File))
	if c.Size > 0 {
		fmt.Fprintf(w, ", %s", table.Bytes(c.Size))
	}
	fmt.Fprintf(w, "\nformat\t%s", c.Format)
	if c.Wrapper != "" {
		fmt.Fprintf(w, ", tensors under %q", c.Wrapper)
	}
	var types []string
	for name, n := range c.DTypes {
		types = append(types, fmt.Sprintf("%d %s", n, name))
	}
	slices.SortFunc(types, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	fmt.Fprintf(w, "\ntensors\t%d (%s)\n", c.Tensors, strings.Join(types, ", "))
	fmt.Fprintf(w, "parameters\t%s; %s elements with statistics and counters\n", table.Thousands(c.Parameters), table.Thousands(c.Elements))
	if c.Classes > 0 {
		fmt.Fprintf(w, "classes\t%d\n", c.Classes)
	}
	if c.Model != "" {
		fmt.Fprintf(w, "fits\t%s\n", c.Model)
	} else {
		fmt.Fprintf(w, "fits\tnone of the models; nearest is %s\n", c.Nearest)
		d := c.Difference
		printNames(w, "  missing", d.Missing)
		printNames(w, "  unexpected", d.Unexpected)
		var shapes []string
		for _, m := range d.Misshaped {
			shapes = append(shapes, fmt.Sprintf("%s %v, want %v", m.Name, m.Got, m.Want))
		}
		printNames(w, "  other shape", shapes)
	}
	printNames(w, "not tensors", c.Skipped)
	for _, key := range slices.Sorted(maps.Keys(c.Metadata)) {
		fmt.Fprintf(w, "metadata\t%s = %s\n", console.Printable(key), console.Printable(c.Metadata[key]))
	}
	return w.Flush()
}

func printNames(w *tabwriter.Writer, title string, names []string) {
	if len(names) == 0 {
		return
	}
	shown := make([]string, 0, mostNames)
	for _, n := range names[:min(len(names), mostNames)] {
		shown = append(shown, console.Printable(n))
	}
	more := ""
	if len(names) > mostNames {
		more = fmt.Sprintf(", and %d more", len(names)-mostNames)
	}
	fmt.Fprintf(w, "%s (%d)\t%s%s\n", title, len(names), strings.Join(shown, ", "), more)
}
