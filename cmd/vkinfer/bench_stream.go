package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/console"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/metrics"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/pictures"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/stages"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// streamRow is the measurement of a stream of pictures, complete in itself.
type streamRow struct {
	benchHead

	Batch           int     `json:"batch_size"`
	Workers         int     `json:"workers"`
	Cores           int     `json:"cores"` // that the program may use
	Timed           string  `json:"timed"`
	Pictures        int64   `json:"pictures"` // of each run
	Failed          int64   `json:"failed"`   // of these
	Runs            int     `json:"runs"`
	MsPerImage      float64 `json:"ms_per_image"` // median; of those that did not fail, as are the rates
	P10             float64 `json:"ms_per_image_p10"`
	P90             float64 `json:"ms_per_image_p90"`
	ImagesPerSecond float64 `json:"images_per_second"`
	PeakRSS         int64   `json:"peak_rss_bytes"` // 0 where the system does not tell

	// What follows is of all runs together.
	Bottleneck stages.Bottleneck      `json:"bottleneck"`
	Stages     object[stages.Figures] `json:"stages"`
	Queues     object[queueFigures]   `json:"queues"`
	Devices    []deviceFigures        `json:"devices"` // those that share the pictures

	timm   timmColumns
	report vkinfer.StreamReport
	times  []float64 // ms of every run
}

type queueFigures struct {
	Mean float64 `json:"mean"`
	Most int64   `json:"most"`
}

type deviceFigures struct {
	Device     string  `json:"device"`
	Batches    int64   `json:"batches"`
	Pictures   int64   `json:"pictures"`
	PerSecond  float64 `json:"images_per_second"`
	UploadSec  float64 `json:"upload_s"`
	ComputeSec float64 `json:"compute_s"`
	ReadSec    float64 `json:"readback_s"`
}

// streams measures every model, precision and batch size; what was measured before an error stays in out.
func (b *bencher) streams(ctx context.Context, specs []*models.Spec, out *streamWriter) (err error) {
	if err := b.metrics.check(b.app); err != nil {
		return err
	}
	if b.images, err = pictures.Glob(b.images); err != nil {
		return usagef("bench: --images %w", err)
	}
	if err := b.anyPicture(ctx); err != nil {
		return err
	}
	var names []string
	for _, spec := range specs {
		names = append(names, spec.Name)
	}
	m, err := b.metrics.open(b.app, "bench", names, b.precisions)
	if err != nil {
		return err
	}
	defer closeMetrics(&err, m)
	for _, spec := range specs {
		for _, b.net.precision = range b.precisions {
			for _, b.net.kernels = range b.kernels {
				for _, b.net.batch = range b.batches {
					row, err := b.stream(ctx, spec, m)
					if err != nil {
						return err
					}
					if err := out.add(row); err != nil {
						return err
					}
				}
			}
		}
	}
	if last := out.rows[len(out.rows)-1]; last.Failed > 0 {
		return partf("%d of %d pictures failed", last.Failed, last.Pictures)
	}
	return nil
}

// list is what --images names.
func (b *bencher) list() pictures.List { return pictures.List{Args: b.images} }

// anyPicture complains, before anything is opened, where there is no picture, or none of the name.
func (b *bencher) anyPicture(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	items := make(chan pictures.Item)
	go b.list().Send(ctx, items)
	first, ok := <-items
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !ok:
		return usagef("bench: --images %s: no pictures, want a folder, files, archives or arrays that hold some", strings.Join(b.images, " --images "))
	case first.Err != nil:
		return usagef("bench: --images: %s: %w", first.Path, plain(first.Err))
	}
	first.Drop()
	return nil
}

// stream measures the stream of all pictures with one batch size.
func (b *bencher) stream(ctx context.Context, spec *models.Spec, m *metrics.File) (row streamRow, err error) {
	resetPeakRSS()
	row = streamRow{benchHead: newBenchHead(spec.Name), Batch: b.net.batch, Workers: b.workers, Cores: runtime.GOMAXPROCS(0), Timed: "Classifier.Stream, from files to classes"}
	b.log.Info(fmt.Sprintf("%s on %s, %s, batch %d: opening", spec.Name, strings.Join(b.devices, ", "), b.net.precision, b.net.batch))
	sd := b.synthetic(spec, b.net.seed)
	if b.net.checkpoint != "" {
		if sd, err = b.stateDict(ctx, spec, b.net.checkpoint); err != nil {
			return row, err
		}
	}
	nets, err := b.openAll(ctx, spec, sd, b.devices, &b.net, vkinfer.Options{Workers: b.workers, Kernels: b.net.kernelsOption(), FastDecode: b.fast})
	if err != nil {
		return row, err
	}
	for _, cl := range nets {
		defer b.closeNet(&err, cl)
	}
	row.of(nets...)
	if row.timm, err = newTimmColumns(spec, nets[0].InputShape()); err != nil {
		return row, err
	}
	var reports []vkinfer.StreamReport
	row.times, err = b.repeat(func() error {
		r, err := b.pass(ctx, nets, m, len(reports) == 0)
		reports = append(reports, r)
		return err
	})
	if err != nil {
		return row, err
	}
	row.add(reports[len(reports)-len(row.times):])
	row.Bottleneck = stages.Find(row.report, streamSettings(nets, b.workers, "taking the results"))
	row.PeakRSS = peakRSS()
	return row, nil
}

// streamSettings are those that the stages of a stream are judged by.
func streamSettings(nets []*vkinfer.Classifier, workers int, loop string) stages.Settings {
	d := nets[0].Device()
	return stages.Settings{Workers: workers, Cores: runtime.GOMAXPROCS(0), Batch: d.MaxBatch, AMP: d.Precision == netplan.PrecisionAMP, Loop: loop}
}

// pass classifies all pictures once. Pictures that cannot be read are told by name if tell, and counted.
func (b *bencher) pass(ctx context.Context, nets []*vkinfer.Classifier, m *metrics.File, tell bool) (vkinfer.StreamReport, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	items := make(chan pictures.Item, 64)
	go b.list().Send(ctx, items)
	stats := m.Stats()
	failed, done := 0, 0
	var first error
	for r, err := range nets[0].Stream(ctx, classifiable(source(ctx, nil, items)), vkinfer.StreamOptions{Further: nets[1:], Lost: b.lost, Stats: stats}) {
		if err != nil {
			return stats.Report(), err
		}
		done++
		if r.Err == nil {
			continue
		}
		failed++
		err = fmt.Errorf("%s: %w", console.Printable(r.Name), r.Err)
		if first == nil {
			first = err
		}
		if tell {
			b.log.Error(err.Error())
		}
	}
	if err := ctx.Err(); err != nil {
		return stats.Report(), err
	}
	if failed == done {
		return stats.Report(), usagef("bench: --images: none of %d pictures can be classified: %w", done, first)
	}
	return stats.Report(), nil
}

// classified is how many pictures of each run did not fail.
func (row *streamRow) classified() int64 { return row.Pictures - row.Failed }

// add fills in what the runs of row.times did.
func (row *streamRow) add(reports []vkinfer.StreamReport) {
	for _, r := range reports {
		row.report = row.report.Add(r)
	}
	last := reports[len(reports)-1]
	row.Runs, row.Pictures, row.Failed = len(reports), last.Stage("loop").Pictures, last.Failed
	row.MsPerImage, row.P10, row.P90 = spread(row.times, int(row.classified()))
	row.ImagesPerSecond = 1e3 / row.MsPerImage
	for _, s := range row.report.Stages {
		row.Stages = append(row.Stages, member[stages.Figures]{s.Stage, stages.Of(s, row.report.Wall)})
	}
	for _, q := range row.report.Queues {
		row.Queues = append(row.Queues, member[queueFigures]{q.Queue, queueFigures{q.Mean(), q.Most}})
	}
	for _, d := range row.report.Devices {
		row.Devices = append(row.Devices, deviceFigures{d.Device, d.Batches, d.Pictures, float64(d.Pictures) / row.report.Wall.Seconds(),
			d.Upload.Seconds(), d.Compute.Seconds(), d.Readback.Seconds()})
	}
}
