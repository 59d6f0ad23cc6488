package main

import (
	"bytes"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/weights"
)

func synthCommand(a *app) *cobra.Command {
	var (
		output  string
		f       netFlags
		classes int
	)
	cmd := &cobra.Command{
		Use:     "synth MODEL -o FILE.safetensors",
		GroupID: groupWeights,
		Short:   "Make up weights, so that everything can be tried without a download",
		Long: `Make up weights for a model: well-conditioned random numbers, the same for the same seed on every machine. The
network then computes as it would with trained ones, but its classes mean nothing.`,
		Example: `  vkinfer synth efficientnet_b1_pruned -o b1.safetensors --seed 1
  vkinfer classify efficientnet_b1_pruned --checkpoint b1.safetensors photo.jpg`,
		Args:              args(1, "MODEL"),
		ValidArgsFunction: completeModel,
		RunE: a.action(func(cmd *cobra.Command, args []string) error {
			spec, err := model(args[0])
			if err != nil {
				return err
			}
			if err := a.needOutput("-o", output, "weights.safetensors"); err != nil {
				return err
			}
			sd := spec.Synth(uint64(f.seed))
			if classes > 0 {
				resizeHead(sd, classes)
			}
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			return a.writeSafetensors(output, sd, map[string]string{"format": "pt", "made_by": fmt.Sprintf("vkinfer synth %s --seed %d", spec.Name, f.seed)})
		}),
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write, - for standard output")
	numberFlag(cmd, &classes, "classes", "", 0, 1, 1<<20, "classes of the network (default 1000)")
	f.addSeed(cmd, "which weights")
	return cmd
}

// resizeHead repeats or drops rows of the classifier until it has that many.
func resizeHead(sd *weights.StateDict, classes int) {
	for _, name := range []string{"classifier.weight", "classifier.bias"} {
		t := sd.Get(name)
		row := len(t.Data) / t.Shape[0]
		data := bytes.Repeat(t.Data, (classes+t.Shape[0]-1)/t.Shape[0])[:classes*row]
		sd.Set(name, &weights.Tensor{DType: t.DType, Shape: append([]int{classes}, t.Shape[1:]...), Data: data})
	}
}

// synthetic returns made-up weights for subcommands that can do without real ones.
func (a *app) synthetic(spec *models.Spec, seed seedValue) *weights.StateDict {
	a.log.Debug(fmt.Sprintf("no --checkpoint, making up weights, seed %d", seed))
	return spec.Synth(uint64(seed))
}
