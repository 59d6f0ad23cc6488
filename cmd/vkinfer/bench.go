package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/weights"
)

// bencher is the subcommand bench.
type bencher struct {
	*app
	net         netFlags
	batches     batchList
	devices     []string
	precisions  []string
	kernels     []string
	fast        bool
	images      []string // the pictures of a stream
	workers     int
	metrics     metricsFlag
	repetitions int
	warmup      int
	minTime     time.Duration // how long the runs of one kind and batch size take together at least
	format      string
	picture     []byte // what ClassifyBatch gets, again and again
}

// batchList is a flag that takes a comma-separated list of batch sizes.
type batchList []int

func (b *batchList) String() string { return join(*b, ",") }
func (b *batchList) Type() string   { return "N,..." }

func (b *batchList) Set(s string) error {
	var list []int
	for _, f := range strings.Split(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(f))
		if err != nil || n < 1 || n > maxBatch {
			return fmt.Errorf("want whole numbers from 1 to %d, separated by commas", maxBatch)
		}
		if !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	*b = list
	return nil
}

// streamBatch is the batch size of streams, that of classify.
const streamBatch = 8

// maxRuns ends the repetitions of very fast runs.
const maxRuns = 100_000

func benchCommand(a *app) *cobra.Command {
	b := &bencher{app: a, batches: batchList{1, 8}}
	cmd := &cobra.Command{
		Use:     "bench MODEL...",
		GroupID: groupCheck,
		Short:   "Measure time and memory",
		Long: `Measure how long a network takes, three times for each batch size:

  resident    the input is in device memory already, the results stay there; what timm calls infer
  transfer    Classifier.RunPictures: a batch of 8-bit pictures is uploaded, computed, and the logits are read back
  end to end  Classifier.ClassifyBatch: pictures in memory are decoded, resized, cropped, classified and ranked

Inputs are seeded noise, and a made-up JPEG of 640x480. After a warm-up each is run -r times, and at least for
--min-time; the median counts, p10 and p90 show the spread. Resident runs share a submit where they are short. A batch
that does not fit the device runs in parts, resident only the first of them.

With --images it measures the whole way of the pictures there instead, as 'vkinfer classify' goes it: every run is a
stream of all of them, through -j workers and the devices, which share the pictures. Beside the rates it tells for each
stage (source, read, decode, resize, upload, compute, readback, loop) how busy it was, how many pictures waited before
it, and which one is the bottleneck. Files that were read once come from the system's cache; --warmup 0 -r 1 measures
the first time. A picture that cannot be read is told and counted, and the exit status is 1 then.

"Open" is reading the weights, planning and compiling, until the first run can start. GFLOP/s counts two operations
per multiply-add of the layers as published, whatever the device computes beside them. The form timm is what timm's
benchmark prints at its end; csv and json have the same columns among others; benchstat is for Go's tool of that name.`,
		Example: `  vkinfer bench efficientnet_b1_pruned -b 1,8,64
  vkinfer bench efficientnet_b1_pruned efficientnet_b2_pruned --device vulkan:0,cpu -r 3 -o csv > bench.csv
  vkinfer bench efficientnet_b3_pruned -b 256 -o benchstat > new.txt
  vkinfer bench efficientnet_b1_pruned --images photos/ -j 16 -b 64 --device all -r 3 --warmup 1`,
		Args:        args(-1, "MODEL"),
		Annotations: map[string]string{hasCPU: "yes"},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return modelNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: a.action(func(cmd *cobra.Command, args []string) error {
			if len(b.images) > 0 && !cmd.Flags().Changed("batch-size") {
				b.batches = batchList{streamBatch}
			}
			return b.run(cmd.Context(), args)
		}),
	}
	f := cmd.Flags()
	b.net.addCheckpoint(cmd, "made-up ones")
	b.addQuirks(cmd)
	choicesFlag(cmd, &b.precisions, "precision", "arithmetics of the network, separated by commas", precisions...)
	choicesFlag(cmd, &b.kernels, "kernels", kernelsUsage+"; several, separated by commas, are compared", kernelsChoices...)
	b.net.addImgSize(cmd)
	b.net.addSeed(cmd, "which noise, and which made-up weights")
	f.StringVar(&b.net.device, "device", "vulkan", "`DEVICES` to measure, separated by commas, or all: vulkan (the best one), vulkan:N, part of a name, cpu; with --images they share the pictures")
	f.VarP(&b.batches, "batch-size", "b", fmt.Sprintf("batch sizes, separated by commas; with --images %d unless given", streamBatch))
	numberFlag(cmd, &b.workers, "workers", "j", runtime.GOMAXPROCS(0), 1, 1024, "pictures that are decoded at once")
	numberFlag(cmd, &b.repetitions, "repetitions", "r", 10, 1, maxRuns, "runs of each batch size, at least")
	numberFlag(cmd, &b.warmup, "warmup", "", 2, 0, maxRuns, "runs before the first that counts")
	f.DurationVar(&b.minTime, "min-time", time.Second, "`TIME` that the runs take together, at least, such as 10s")
	choiceFlag(cmd, &b.format, "output", "o", "form of the results", "md", "csv", "json", "jsonl", "timm", "benchstat")
	b.net.addResize(cmd)
	addFastDecode(cmd, &b.fast)
	f.StringArrayVar(&b.images, "images", nil, "measure the stream of the pictures in `DIR`: a folder, archive, array or file as 'vkinfer classify' takes them, or a quoted pattern of such; may be given several times")
	b.metrics.add(cmd)
	return cmd
}

func (b *bencher) run(ctx context.Context, names []string) error {
	if b.minTime < 0 {
		return usagef("bench: --min-time %v, want 0s or more", b.minTime)
	}
	var specs []*models.Spec
	for _, name := range names {
		spec, err := model(name)
		if err != nil {
			return err
		}
		size := spec.Transform.Size
		if b.net.imgSize > 0 {
			size = b.net.imgSize
		}
		if err := checkBatch(slices.Max(b.batches), 3*size*size); err != nil {
			return err
		}
		specs = append(specs, spec)
	}
	switch {
	case slices.Contains(b.images, "-"):
		return usagef("bench: --images -: a list on standard input cannot be read again, want a folder, files, archives or arrays")
	case (b.fast || b.net.resize != "auto") && len(b.images) == 0:
		return usagef("bench: --fast-decode and --resize are about pictures, want --images too")
	case b.metrics.path != "" && len(b.images) == 0:
		return usagef("bench: --metrics counts streams of pictures, want --images too")
	}
	if len(specs) > 1 && b.net.checkpoint != "" {
		return usagef("bench: --checkpoint is for one model, but there are %d", len(specs))
	}
	if b.net.checkpoint == "-" {
		return usagef("bench: --checkpoint - cannot be opened twice, want a file")
	}
	var err error
	if b.devices, err = b.selectDevices(b.net.device); err != nil {
		return err
	}
	var out interface{ close() error }
	if len(b.images) > 0 {
		w := &streamWriter{w: b.out, format: b.format}
		out, err = w, b.streams(ctx, specs, w)
	} else {
		w := &benchWriter{w: b.out, format: b.format}
		defer b.removeTemp()
		out, err = w, b.all(ctx, specs, w)
	}
	if e := out.close(); err == nil {
		err = e
	}
	return err
}

// all measures every model on every device; what was measured before an error stays in out.
func (b *bencher) all(ctx context.Context, specs []*models.Spec, out *benchWriter) error {
	for _, spec := range specs {
		path := b.net.checkpoint
		if path == "" {
			temp, err := b.tempFile("vkinfer-*.safetensors")
			if err != nil {
				return err
			}
			if err := weights.WriteSafetensors(temp, b.synthetic(spec, b.net.seed), nil); err != nil {
				return err
			}
			path = temp
		}
		for _, device := range b.devices {
			for _, precision := range b.precisions {
				for _, b.net.kernels = range b.kernels {
					rows, err := b.device(ctx, spec, device, precision, path)
					if e := out.add(rows); err == nil {
						err = e
					}
					if err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// benchHead says what was measured with what.
type benchHead struct {
	Date    string `json:"date"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`

	Model     string `json:"model"`
	Height    int    `json:"height"`
	Width     int    `json:"width"`
	Device    string `json:"device"` // several are joined by " + ", and so are their drivers
	Driver    string `json:"driver"`
	Precision string `json:"precision"`
	Kernels   string `json:"kernels"` // "lane", "texel" or "shared"; "" on the CPU
}

func newBenchHead(model string) benchHead {
	v := build()
	h := benchHead{Date: time.Now().UTC().Format(time.RFC3339), Version: v.Version, Commit: v.Commit, Go: v.Go, Model: model}
	if v.Modified {
		h.Commit += "+modified"
	}
	return h
}

// of fills in what runs where; several share the work.
func (h *benchHead) of(nets ...*vkinfer.Classifier) {
	var devices, drivers, kernels []string
	for _, c := range nets {
		d := c.Device()
		devices = append(devices, d.Name)
		if !slices.Contains(drivers, d.Driver) {
			drivers = append(drivers, d.Driver)
		}
		if !slices.Contains(kernels, d.Kernels) {
			kernels = append(kernels, d.Kernels)
		}
	}
	s := nets[0].InputShape()
	h.Device, h.Driver, h.Kernels = strings.Join(devices, " + "), strings.Join(drivers, " + "), strings.Join(kernels, " + ")
	h.Precision, h.Height, h.Width = nets[0].Device().Precision, s.H, s.W
}

// made says what measured, and when.
func (h *benchHead) made() string {
	return fmt.Sprintf("%s, %s, %s", strings.TrimSpace("vkinfer "+h.Version+" "+h.Commit), h.Go, h.Date)
}

// network is the part of a Go benchmark's name that says what runs.
func (h *benchHead) network() string {
	name := fmt.Sprintf("model=%s/size=%dx%d/precision=%s", h.Model, h.Height, h.Width, h.Precision)
	if h.Kernels != "" {
		name += "/kernels=" + h.Kernels
	}
	return name
}

// configuration is that of a Go benchmark.
func (h *benchHead) configuration() string {
	c := fmt.Sprintf("device: %s\ndriver: %s\n", h.Device, h.Driver)
	if h.Commit != "" {
		c += "commit: " + h.Commit + "\n"
	}
	return c
}

// benchRow is the measurement of one batch size on one device, complete in itself.
type benchRow struct {
	benchHead

	Batch           int     `json:"batch_size"`
	Timed           string  `json:"timed"`
	Runs            int     `json:"runs"`
	MsPerImage      float64 `json:"ms_per_image"` // median
	P10             float64 `json:"ms_per_image_p10"`
	P90             float64 `json:"ms_per_image_p90"`
	ImagesPerSecond float64 `json:"images_per_second"`
	GFLOPS          float64 `json:"gflops"`

	ResidentMs     float64 `json:"resident_ms_per_image"`
	ResidentP10    float64 `json:"resident_ms_per_image_p10"`
	ResidentP90    float64 `json:"resident_ms_per_image_p90"`
	ResidentRate   float64 `json:"resident_images_per_second"`
	ResidentGFLOPS float64 `json:"resident_gflops"`
	ResidentRuns   int     `json:"resident_runs"`
	ResidentPasses int     `json:"resident_passes"` // batches in each of the runs

	EndMs    float64 `json:"end_to_end_ms_per_image"`
	EndP10   float64 `json:"end_to_end_ms_per_image_p10"`
	EndP90   float64 `json:"end_to_end_ms_per_image_p90"`
	EndRate  float64 `json:"end_to_end_images_per_second"`
	EndRuns  int     `json:"end_to_end_runs"`
	Pictures int     `json:"pictures"` // different ones

	timmColumns

	OpenMs            float64 `json:"open_ms"`         // the first time
	FirstLogitsMs     float64 `json:"first_logits_ms"` // from before opening to the first result
	WarmOpenMs        float64 `json:"warm_open_ms"`    // again in the same process
	WarmFirstLogitsMs float64 `json:"warm_first_logits_ms"`

	PeakRSS      int64 `json:"peak_rss_bytes"` // 0 where the system does not tell
	ArenaBytes   int64 `json:"arena_bytes"`    // for the largest batch
	WeightsBytes int64 `json:"weights_bytes"`
	Dispatches   int   `json:"dispatches"`
	MACs         int64 `json:"macs_per_image"`
	Bytes        int64 `json:"bytes_per_image"`
	MaxBatch     int   `json:"max_batch"` // images the device ran at once; larger batches were split

	resident, transfer, end []float64 // ms of every run of a batch
}

// device measures all batch sizes on one device. It returns the rows it has also beside an error.
func (b *bencher) device(ctx context.Context, spec *models.Spec, device, precision, checkpoint string) (rows []benchRow, err error) {
	resetPeakRSS()
	largest := slices.Max(b.batches)
	opts := vkinfer.Options{Workers: b.workers, Checkpoint: checkpoint, Device: device, Precision: precision, Kernels: b.net.kernelsOption(), Resize: vkinfer.ResizeCPU, ImgSize: b.net.imgSize, MaxBatch: largest, NoQuirks: b.noQuirks}
	b.log.Info(fmt.Sprintf("%s on %s: opening", spec.Name, device))
	row := benchRow{benchHead: newBenchHead(spec.Name), Timed: "Classifier.RunPictures, with transfers"}
	c, err := b.openTwice(ctx, spec, opts, &row)
	if err != nil {
		return nil, err
	}
	defer b.closeNet(&err, c)
	d, s := c.Device(), c.InputShape()
	row.of(c)
	row.ArenaBytes, row.WeightsBytes, row.Dispatches = d.ArenaBytes, d.WeightsBytes, d.Dispatches
	row.MACs, row.Bytes, row.MaxBatch = d.MACsPerImage, d.BytesPerImage, d.MaxBatch
	if row.timmColumns, err = newTimmColumns(spec, s); err != nil {
		return nil, err
	}
	input := noise(uint64(b.net.seed), largest*s.NumElements())
	for _, n := range b.batches {
		b.log.Info(fmt.Sprintf("%s on %s: batch %d", spec.Name, d.Name, n))
		r := row
		if err := b.batch(ctx, c, input[:n*s.NumElements()], n, &r); err != nil {
			return rows, err
		}
		r.PeakRSS = peakRSS()
		rows = append(rows, r)
	}
	return rows, nil
}

// openTwice opens the network, runs it once, and does both again.
func (b *bencher) openTwice(ctx context.Context, spec *models.Spec, opts vkinfer.Options, row *benchRow) (*vkinfer.Classifier, error) {
	once := func(open, first *float64) (*vkinfer.Classifier, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		start := time.Now()
		c, err := vkinfer.Open(spec.Name, opts)
		if err != nil {
			return nil, setup(err)
		}
		*open = ms(time.Since(start))
		s := c.InputShape()
		input := noise(uint64(b.net.seed), b.batches[0]*s.NumElements())
		again := time.Now()
		if _, err := c.Run(ctx, input, b.batches[0]); err != nil {
			c.Close()
			return nil, err
		}
		*first = *open + ms(time.Since(again))
		return c, nil
	}
	c, err := once(&row.OpenMs, &row.FirstLogitsMs)
	if err != nil {
		return nil, err
	}
	if err := c.Close(); err != nil {
		return nil, err
	}
	return once(&row.WarmOpenMs, &row.WarmFirstLogitsMs)
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// quantile interpolates between the two sorted values nearest to the quantile q.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(math.Floor(at))
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
