package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/console"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/pictures"
	"github.com/vkinfer/vkinfer/netplan/preprocess"
	"github.com/vkinfer/vkinfer/weights"
)

func preprocessCommand(a *app) *cobra.Command {
	var (
		f      netFlags
		crop   share
		output string
		bytes  bool
		fast   bool
	)
	cmd := &cobra.Command{
		Use:     "preprocess MODEL PICTURE -o FILE.npy",
		GroupID: groupUse,
		Short:   "Write the input tensor that a picture becomes",
		Long: `Write what a picture becomes before it enters the network: the normalised tensor, float32 [1,3,S,S], or with
--uint8 the resized and cropped picture, uint8 [S,S,3]. PICTURE may be - for standard input.`,
		Example: `  vkinfer preprocess efficientnet_b1_pruned photo.jpg -o x.npy
  vkinfer run efficientnet_b1_pruned --checkpoint b1.pth --input x.npy --output y.npy`,
		Args:              args(2, "MODEL", "PICTURE"),
		ValidArgsFunction: completeModel,
		RunE: a.action(func(cmd *cobra.Command, args []string) error {
			spec, err := model(args[0])
			if err != nil {
				return err
			}
			if err := a.needOutput("-o", output, "x.npy"); err != nil {
				return err
			}
			tr := spec.Transform
			if f.imgSize > 0 {
				tr.Size = f.imgSize
			}
			if crop > 0 {
				tr.CropPct = float64(crop)
			}
			tr.FastDecode = fast
			if err := tr.Check(); err != nil {
				return setup(err)
			}
			t, err := a.prepare(cmd.Context(), tr, args[1], bytes)
			if err != nil {
				return err
			}
			return a.writeNPY(output, t)
		}),
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write, - for standard output")
	cmd.Flags().BoolVar(&bytes, "uint8", false, "write the resized and cropped picture instead, HWC bytes")
	cmd.Flags().Var(&crop, "crop-pct", "share of the resized picture that the centre crop keeps (default the model's own)")
	addFastDecode(cmd, &fast)
	f.addImgSize(cmd)
	return cmd
}

// prepare reads the picture at path and transforms it.
func (a *app) prepare(ctx context.Context, tr preprocess.Transform, path string, bytes bool) (*weights.Tensor, error) {
	var data []byte
	var err error
	if path == "-" {
		data, err = pictures.ReadFrom(a.in, maxPicture)
		path = "standard input"
	} else {
		data, err = pictures.Read(path, maxPicture)
	}
	if err != nil {
		return nil, partf("%s: %w", console.Printable(path), plain(err))
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	u8, err := tr.Picture(data, preprocess.Limits{})
	if err != nil {
		return nil, partf("%s: %w", console.Printable(path), err)
	}
	if bytes {
		return weights.FromUint8s([]int{tr.Size, tr.Size, 3}, u8), nil
	}
	x := make([]float32, len(u8))
	tr.Tensor(u8, x)
	return weights.FromFloat32s([]int{1, 3, tr.Size, tr.Size}, x), nil
}
