package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/preprocess"
)

// Resized gives a network of square input pictures that the CPU resized and cropped, and such that the device does: the
// logits must be the same bits.
func Resized(ctx context.Context, s Subject) (Check, error) {
	c := Check{Name: "pictures resized by the device", Runs: 2, Verdict: "ok"}
	in := s.Graph.InputShape()
	fused, err := s.fused()
	if err != nil {
		return c, err
	}
	tr := preprocess.Transform{Size: in.W, CropPct: 0.875, Mean: [3]float32{0.5, 0.5, 0.5}, Std: [3]float32{0.5, 0.5, 0.5}}
	scale, offset := tr.Affine()
	opts := s.Candidate.Options
	opts.Pictures = &netplan.Normalization{Scale: scale, Offset: offset}
	opts.Resize = &netplan.Resizing{Bytes: preprocess.PackedPictureBytes(tr.Size) * 3, Rows: 3 * tr.Size}
	plan, err := netplan.Lower(fused, s.Device.Caps(), opts)
	if err != nil {
		return c, err
	}
	if s.Alter != nil {
		s.Alter(plan)
	}
	exec, err := gpu.NewExecutor(s.Device, plan, gpu.ExecutorOptions{MaxBatch: s.N, Poison: true})
	if err != nil {
		return c, err
	}
	defer exec.Close()
	rng := rand.New(rand.NewPCG(uint64(in.W), 1))
	var pictures []uint8
	var parts [][]byte
	for i := range s.N {
		size := [][2]int{{in.W, 2 * in.W}, {3 * in.W / 2, in.W + 1}, {in.W/3 + 1, in.W/2 + 1}}[i%3]
		img := &preprocess.RGB{W: size[0], H: size[1], Pix: make([]uint8, 3*size[0]*size[1])}
		for j := range img.Pix {
			img.Pix[j] = uint8(rng.IntN(256))
		}
		part := preprocess.Whole(img)
		packed := tr.PackPart(part, opts.Resize.Bytes, opts.Resize.Rows)
		if packed == nil {
			return c, fmt.Errorf("conformance: a picture of %v pixels takes more than %d bytes", size, opts.Resize.Bytes)
		}
		pictures, parts = append(pictures, tr.ApplyPart(part)...), append(parts, packed)
	}
	want, err := exec.RunPictures(ctx, pictures, s.N)
	if err != nil {
		return c, err
	}
	got, err := exec.RunParts(ctx, parts)
	if err != nil {
		return c, err
	}
	if d := differ("resized by the device", got, want); d != "" {
		c.Verdict = d
	}
	return c, nil
}
