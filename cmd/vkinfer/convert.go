package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/weights"
)

func convertCommand(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "convert CHECKPOINT -o FILE.safetensors",
		GroupID: groupWeights,
		Short:   "Convert a checkpoint to safetensors",
		Long: `Convert any checkpoint that vkinfer reads, of any model, to safetensors: the tensors of its state dict, names and
types as they are. Optimiser states and the like are left out. CHECKPOINT may be - for standard input.`,
		Example: `  vkinfer convert model_best.pth.tar -o model_best.safetensors`,
		Args:    args(1, "CHECKPOINT"),
		RunE: a.action(func(cmd *cobra.Command, args []string) error {
			if err := a.needOutput("-o", output, "weights.safetensors"); err != nil {
				return err
			}
			sd, err := a.stateDict(cmd.Context(), nil, args[0])
			if err != nil {
				return err
			}
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if err := a.writeSafetensors(output, sd, map[string]string{"format": "pt"}); err != nil {
				return err
			}
			a.log.Info(fmt.Sprintf("%d tensors converted", sd.Len()))
			return nil
		}),
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write, - for standard output")
	return cmd
}

// writeSafetensors writes a state dict to path, "-" for standard output.
func (a *app) writeSafetensors(path string, sd *weights.StateDict, metadata map[string]string) error {
	if path != "-" {
		return weights.WriteSafetensors(path, sd, metadata)
	}
	temp, err := a.tempFile("vkinfer-*.safetensors")
	if err != nil {
		return err
	}
	defer a.removeTemp()
	if err := weights.WriteSafetensors(temp, sd, metadata); err != nil {
		return err
	}
	f, err := os.Open(temp)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(struct{ io.Writer }{a.out}, f)
	return err
}

// tempFile makes an empty file in the folder for such files and returns its path. removeTemp removes it, and
// so does an end by a second interrupt.
func (a *app) tempFile(pattern string) (string, error) {
	f, err := os.CreateTemp("", pattern)
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.temps = append(a.temps, f.Name())
	return f.Name(), f.Close()
}

// removeTemp removes all temporary files.
func (a *app) removeTemp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, path := range a.temps {
		os.Remove(path)
	}
	a.temps = nil
}
