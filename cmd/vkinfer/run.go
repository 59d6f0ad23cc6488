package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/npyfile"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/weights"
)

// runner is the subcommand run.
type runner struct {
	*app
	net                  netFlags
	input, output, nodes string
}

func runCommand(a *app) *cobra.Command {
	r := &runner{app: a}
	cmd := &cobra.Command{
		Use:     "run MODEL --input X.npy --output Y.npy",
		GroupID: groupUse,
		Short:   "Run the network on a tensor",
		Long: `Run the network on a tensor: float32 [N,3,H,W], normalised already (see preprocess). Batch and size are those of
the file. The logits are written as float32 [N,classes].

With --nodes every value between that is stored in memory is written too, [N,C,H,W] each, in a file named after
the node. On the CPU that is every node of the network as published; on a device, where operations are fused, the
name is that of the last operation fused, so that files of the same name hold the same value.`,
		Example: `  vkinfer run efficientnet_b1_pruned --checkpoint b1.pth --input x.npy --output y.npy
  vkinfer run efficientnet_b1_pruned --checkpoint b1.pth --input - --output - --device cpu < x.npy > y.npy
  vkinfer run efficientnet_b1_pruned --checkpoint b1.pth --input x.npy --output y.npy --nodes nodes/`,
		Args:              args(1, "MODEL"),
		ValidArgsFunction: completeModel,
		RunE:              a.action(func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args[0]) }),
	}
	f := cmd.Flags()
	f.StringVarP(&r.input, "input", "i", "", "`FILE`.npy to read, - for standard input")
	f.StringVarP(&r.output, "output", "o", "", "`FILE`.npy to write, - for standard output")
	f.StringVar(&r.nodes, "nodes", "", "folder `DIR` to write every intermediate value to; made if it is not there")
	r.net.addCheckpoint(cmd, "the ones that 'vkinfer fetch' got")
	r.net.addDevice(cmd)
	r.addQuirks(cmd)
	r.net.addPrecision(cmd)
	r.net.addBatch(cmd, 8, "images that run through the network at once")
	cmd.MarkFlagFilename("input", "npy")
	cmd.MarkFlagFilename("output", "npy")
	cmd.MarkFlagDirname("nodes")
	return cmd
}

func (r *runner) run(ctx context.Context, name string) (err error) {
	spec, err := model(name)
	if err != nil {
		return err
	}
	if r.input == "" {
		return usagef("no input named, want --input x.npy, or --input - for standard input")
	}
	if r.input == "-" && r.net.checkpoint == "-" {
		return usagef("standard input (-) can be either --input or --checkpoint")
	}
	if err := r.needOutput("--output", r.output, "y.npy"); err != nil {
		return err
	}
	x, err := r.readNPY(r.input)
	if err != nil {
		return err
	}
	if err := checkInput(r.input, x); err != nil {
		return err
	}
	sd, err := r.stateDict(ctx, spec, r.net.checkpoint)
	if err != nil {
		return err
	}
	n := x.Shape[0]
	r.net.batch = min(r.net.batch, n)
	c, err := r.open(ctx, spec, sd, &r.net, vkinfer.Options{Height: x.Shape[2], Width: x.Shape[3], KeepAll: r.nodes != ""})
	if err != nil {
		return err
	}
	defer r.closeNet(&err, c)
	var y []float32
	if r.nodes == "" {
		y, err = c.Run(ctx, x.Float32s(), n)
	} else {
		y, err = r.trace(ctx, spec, c, x.Float32s(), n)
	}
	if err != nil {
		return err
	}
	return r.writeNPY(r.output, weights.FromFloat32s([]int{n, c.Classes()}, y))
}

// checkInput tells whether a tensor is a batch of images.
func checkInput(path string, x *weights.Tensor) error {
	const want = "want float32 [N,3,H,W], normalised, as 'vkinfer preprocess' writes it"
	switch {
	case x.DType != weights.Float32:
		return usagef("%s: holds %v, %s", path, x.DType, want)
	case len(x.Shape) != 4 || x.Shape[1] != 3:
		return usagef("%s: has the shape %v, %s", path, x.Shape, want)
	case slices.Contains(x.Shape, 0):
		return usagef("%s: has the shape %v, which holds no image; %s", path, x.Shape, want)
	}
	return nil
}

// trace runs the images in batches and writes every node's values.
func (r *runner) trace(ctx context.Context, spec *models.Spec, c *vkinfer.Classifier, x []float32, n int) (logits []float32, err error) {
	dir, err := npyfile.NewDir(r.nodes, n)
	if err != nil {
		return nil, err
	}
	defer dir.Discard()
	per := c.InputShape().NumElements()
	step := max(c.Device().MaxBatch, 1)
	for at := 0; at < n; at += step {
		m := min(step, n-at)
		part, err := c.Trace(ctx, x[at*per:(at+m)*per], m, func(v vkinfer.TracedValue) error {
			return dir.Append(v.Name, []int{v.Shape.C, v.Shape.H, v.Shape.W}, v.Data)
		})
		if err != nil {
			return nil, err
		}
		logits = append(logits, part...)
	}
	files, err := dir.Commit()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.nodes, err)
	}
	r.log.Debug(fmt.Sprintf("wrote %d nodes", files), "dir", r.nodes)
	return logits, nil
}
