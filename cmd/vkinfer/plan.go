package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// planner is the subcommand plan.
type planner struct {
	*app
	net           netFlags
	height, width int
	stage, format string
	caps          string
}

func planCommand(a *app) *cobra.Command {
	p := &planner{app: a}
	cmd := &cobra.Command{
		Use:     "plan MODEL",
		GroupID: groupInspect,
		Short:   "Show what would run: dispatches, multiply-adds, bytes, memory",
		Long: `Show the network at a stage of its way to the device: as published (graph), with BatchNorm folded (fold), with
operations fused (fuse), and as the dispatches that run (plan). Multiply-adds, bytes moved and arena bytes are per
image; "least" are the bytes that any kernels for these dispatches must move: every map once, without padding. No
GPU is needed: without --device or --caps the plan is for what every Vulkan device promises.`,
		Example: `  vkinfer plan efficientnet_b1_pruned
  vkinfer plan efficientnet_b1_pruned -o json | jq '{macs_per_image, bytes_per_image, arena_bytes, dispatches}'
  vkinfer plan efficientnet_b3_pruned --stage fuse -o dot | dot -Tsvg > b3.svg
  vkinfer plan efficientnet_b2_pruned --device vulkan:0 --height 224 --width 320`,
		Args:              args(1, "MODEL"),
		ValidArgsFunction: completeModel,
		RunE:              a.action(func(cmd *cobra.Command, args []string) error { return p.run(cmd.Context(), args[0]) }),
	}
	f := cmd.Flags()
	choiceFlag(cmd, &p.stage, "stage", "", "stage to show", "plan", "graph", "fold", "fuse")
	choiceFlag(cmd, &p.format, "output", "o", "form of the plan", "text", "json", "dot")
	p.net.addPrecision(cmd)
	p.net.addKernels(cmd)
	p.net.addImgSize(cmd)
	numberFlag(cmd, &p.height, "height", "", 0, 1, models.MaxInputPixels, "height of the input in pixels, with --width")
	numberFlag(cmd, &p.width, "width", "", 0, 1, models.MaxInputPixels, "width of the input in pixels, with --height")
	f.StringVar(&p.net.device, "device", "", "plan for this `DEVICE`: vulkan, vulkan:N or a part of its name")
	p.addQuirks(cmd)
	f.StringVar(&p.caps, "caps", "", "plan for the device that a JSON `FILE` describes (\"caps\" of 'devices -o json'), - for standard input")
	f.StringVar(&p.net.checkpoint, "checkpoint", "", "plan with the weights of this `FILE` (default zeros, 1000 classes)")
	cmd.MarkFlagsMutuallyExclusive("device", "caps")
	cmd.MarkFlagsMutuallyExclusive("img-size", "height")
	cmd.MarkFlagsMutuallyExclusive("img-size", "width")
	cmd.MarkFlagsRequiredTogether("height", "width")
	return cmd
}

func (p *planner) run(ctx context.Context, name string) error {
	spec, err := model(name)
	if err != nil {
		return err
	}
	h, w := spec.Transform.Size, spec.Transform.Size
	if p.net.imgSize > 0 {
		h, w = p.net.imgSize, p.net.imgSize
	}
	if p.height > 0 {
		h, w = p.height, p.width
	}
	g, err := p.graph(ctx, spec, h, w)
	if err != nil {
		return setup(err)
	}
	out := bufio.NewWriter(p.out)
	if p.stage != "plan" {
		if err := writeGraph(out, g, p.stage, p.format); err != nil {
			return err
		}
		return out.Flush()
	}
	caps, err := p.deviceCaps()
	if err != nil {
		return err
	}
	scale, offset := spec.Transform.Affine()
	plan, err := netplan.Lower(g, caps, netplan.Options{Precision: p.net.precision, Kernels: p.net.kernelsOption(), Pictures: &netplan.Normalization{Scale: scale, Offset: offset}})
	if err != nil {
		return setup(err)
	}
	switch p.format {
	case "json":
		err = plan.WriteJSON(out)
	case "dot":
		err = plan.WriteDOT(out)
	default:
		err = plan.WriteText(out)
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

// graph builds the network and runs the passes up to the stage.
func (p *planner) graph(ctx context.Context, spec *models.Spec, h, w int) (*graph.Graph, error) {
	var g *graph.Graph
	var err error
	if p.net.checkpoint == "" {
		g, err = spec.BuildShape(h, w)
	} else {
		sd, e := p.stateDict(ctx, spec, p.net.checkpoint)
		if e != nil {
			return nil, e
		}
		g, err = spec.Build(sd, h, w)
	}
	if err != nil {
		return nil, err
	}
	stages := map[string][]string{"graph": nil, "fold": {"fold"}, "fuse": {"fold", "fuse"}, "plan": {"fold", "fuse"}}[p.stage]
	return netplan.RunPasses(g, stages...)
}

// deviceCaps returns what to plan for.
func (p *planner) deviceCaps() (netplan.Caps, error) {
	switch {
	case p.caps != "":
		return p.readCaps()
	case strings.EqualFold(p.net.device, "cpu"):
		return netplan.Caps{}, usagef("--device cpu runs the network unplanned; see --stage graph")
	case p.net.device != "":
		dev, err := gpu.Open(gpu.Options{Device: p.net.device, NoQuirks: p.noQuirks})
		if err != nil {
			return netplan.Caps{}, err
		}
		defer dev.Close()
		return dev.Caps(), nil
	}
	return netplan.MinimalCaps(), nil
}

func (p *planner) readCaps() (caps netplan.Caps, err error) {
	r := p.in
	if p.caps != "-" {
		f, err := os.Open(p.caps)
		if err != nil {
			return caps, usagef("--caps: %w", err)
		}
		defer f.Close()
		r = f
	}
	d := json.NewDecoder(io.LimitReader(r, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(&caps); err != nil {
		return caps, usagef("%s: %w; want the caps of one device, as 'vkinfer devices -o json' prints them", p.caps, err)
	}
	return caps, nil
}

// graphJSON is a graph for programs.
type graphJSON struct {
	Model        string     `json:"model"`
	Stage        string     `json:"stage"`
	Input        [3]int     `json:"input"` // C, H, W
	Classes      int        `json:"classes"`
	MACsPerImage int64      `json:"macs_per_image"`
	Parameters   int64      `json:"parameters"`
	Nodes        []nodeJSON `json:"nodes"`
}

type nodeJSON struct {
	Name   string   `json:"name"`
	Op     string   `json:"op"`
	Attrs  string   `json:"attrs,omitempty"`
	Inputs []string `json:"inputs"`
	Shape  [3]int   `json:"shape"`
	MACs   int64    `json:"macs"`
	Yields string   `json:"yields"` // node of the published network with the same value
}

func writeGraph(w io.Writer, g *graph.Graph, stage, format string) error {
	switch format {
	case "text":
		return g.WriteText(w)
	case "dot":
		return g.WriteDOT(w)
	}
	dims := func(s graph.Shape) [3]int { return [3]int{s.C, s.H, s.W} }
	out := graphJSON{Model: g.Model, Stage: stage, Input: dims(g.InputShape()), Classes: g.OutputShape().C, MACsPerImage: g.TotalMACs(), Parameters: g.NumParams()}
	for _, n := range g.Nodes {
		node := nodeJSON{Name: n.Name, Op: n.Op.Kind(), Attrs: graph.Attrs(n.Op), Inputs: []string{}, Shape: dims(n.Shape), MACs: g.MACs(n), Yields: n.Yields}
		for _, id := range n.Inputs {
			node.Inputs = append(node.Inputs, g.Node(id).Name)
		}
		out.Nodes = append(out.Nodes, node)
	}
	if err := table.JSON(w, out); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	return nil
}
