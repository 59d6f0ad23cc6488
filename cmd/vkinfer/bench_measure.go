package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/vkinfer/vkinfer"
)

// batch measures one batch size and fills in the row.
func (b *bencher) batch(ctx context.Context, c *vkinfer.Classifier, input []float32, n int, r *benchRow) error {
	flops := 2 * float64(r.MACs) / 1e9
	r.Batch = n
	if err := b.measureResident(ctx, c, input, n, r); err != nil {
		return err
	}
	var err error
	crops := noiseBytes(uint64(b.net.seed), len(input))
	r.transfer, err = b.repeat(func() error {
		_, err := c.RunPictures(ctx, crops, n)
		return err
	})
	if err != nil {
		return err
	}
	r.Runs = len(r.transfer)
	r.MsPerImage, r.P10, r.P90 = spread(r.transfer, n)
	r.ImagesPerSecond = 1e3 / r.MsPerImage
	r.GFLOPS = flops * r.ImagesPerSecond
	if b.picture == nil {
		if b.picture, err = madeUpPicture(uint64(b.net.seed)); err != nil {
			return err
		}
	}
	batch := slices.Repeat([][]byte{b.picture}, n)
	r.end, err = b.repeat(func() error { return b.classifyAll(ctx, c, batch) })
	if err != nil {
		return err
	}
	r.Pictures, r.EndRuns = 1, len(r.end)
	r.EndMs, r.EndP10, r.EndP90 = spread(r.end, n)
	r.EndRate = 1e3 / r.EndMs
	return nil
}

// noiseBytes makes up n bytes of pictures.
func noiseBytes(seed uint64, n int) []uint8 {
	rng := rand.New(rand.NewPCG(seed, 0x7069637475726573))
	out := make([]uint8, n)
	for i := range out {
		out[i] = uint8(rng.UintN(256))
	}
	return out
}

// repeat runs f until it was run often and long enough and returns the times in milliseconds.
func (b *bencher) repeat(f func() error) ([]float64, error) {
	for range b.warmup {
		if err := f(); err != nil {
			return nil, err
		}
	}
	var times []float64
	begin := time.Now()
	for len(times) < b.repetitions || time.Since(begin) < b.minTime && len(times) < maxRuns {
		start := time.Now()
		if err := f(); err != nil {
			return nil, err
		}
		times = append(times, ms(time.Since(start)))
	}
	return times, nil
}

// spread returns the median and the tenth and ninetieth percentile, divided by n.
func spread(times []float64, n int) (median, p10, p90 float64) {
	sorted := slices.Sorted(slices.Values(times))
	return quantile(sorted, 0.5) / float64(n), quantile(sorted, 0.1) / float64(n), quantile(sorted, 0.9) / float64(n)
}

// A submit of resident passes takes about submitTime, far below what drivers end, unless one pass takes longer.
const (
	submitTime = 100 * time.Millisecond
	maxPasses  = 256
)

// measureResident times batches that stay in device memory. That the last one's logits are those of Run shows
// that what was timed is the network.
func (b *bencher) measureResident(ctx context.Context, c *vkinfer.Classifier, input []float32, n int, r *benchRow) error {
	if most := c.Device().MaxBatch; n > most {
		b.log.Warn(fmt.Sprintf("a batch of %d runs in parts of %d; resident is one part", n, most))
		n, input = most, input[:len(input)/n*most]
	}
	once, _, err := c.RunResident(ctx, input, n, 1, 1+b.warmup)
	if err != nil {
		return err
	}
	pass := max(slices.Min(once), time.Microsecond)
	passes := max(1, min(maxPasses, int(submitTime/pass)))
	submits := max(b.repetitions, min(maxRuns, int(b.minTime/(pass*time.Duration(passes)))))
	times, got, err := c.RunResident(ctx, input, n, passes, submits)
	if err != nil {
		return err
	}
	want, err := c.Run(ctx, input, n)
	if err != nil {
		return err
	}
	if err := sameBits(got, want); err != nil {
		return &failure{exitCheck, fmt.Errorf("bench: %s on %s, batch %d: resident runs: %w", c.Model(), c.Device().Name, n, err)}
	}
	for _, t := range times {
		r.resident = append(r.resident, ms(t)/float64(passes))
	}
	r.ResidentRuns, r.ResidentPasses = len(times), passes
	r.ResidentMs, r.ResidentP10, r.ResidentP90 = spread(r.resident, n)
	r.ResidentRate = 1e3 / r.ResidentMs
	r.ResidentGFLOPS = 2 * float64(r.MACs) / 1e9 * r.ResidentRate
	r.setInfer(n, r.ResidentRate)
	return nil
}

// sameBits compares logits.
func sameBits(got, want []float32) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d logits, want %d", len(got), len(want))
	}
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			return fmt.Errorf("logit %d is %v, want that of Run, %v", i, got[i], want[i])
		}
	}
	return nil
}

// classifyAll classifies a batch of pictures, which must all be good.
func (b *bencher) classifyAll(ctx context.Context, c *vkinfer.Classifier, batch [][]byte) error {
	results, err := c.ClassifyBatch(ctx, batch)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Err != nil {
			return fmt.Errorf("bench: the made-up picture: %w", r.Err)
		}
	}
	return nil
}

// madeUpPicture is a JPEG of 640x480 that takes about as long to decode as a photograph: soft shapes, edges and
// some noise.
func madeUpPicture(seed uint64) ([]byte, error) {
	rng := rand.New(rand.NewPCG(seed, 0x6a706567))
	img := image.NewRGBA(image.Rect(0, 0, 640, 480))
	for y := range 480 {
		for x := range 640 {
			fx, fy := float64(x)/64, float64(y)/64
			r := 120 + 70*math.Sin(fx+0.7*fy) + 40*math.Cos(3*fy)
			g := 120 + 60*math.Sin(1.3*fx*fy/4) + 50*math.Cos(fx)
			v := 110 + 80*math.Cos(0.8*fx-fy)
			if (x/80+y/60)%3 == 0 {
				r, v = v, r
			}
			grain := 12 * (rng.Float64() - 0.5)
			img.SetRGBA(x, y, color.RGBA{level(r + grain), level(g + grain), level(v + grain), 255})
		}
	}
	var out bytes.Buffer
	err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 90})
	return out.Bytes(), err
}

func level(v float64) uint8 { return uint8(max(0, min(255, v))) }
