package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/console"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/pictures"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/results"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/stages"
)

// classifier is the subcommand classify.
type classifier struct {
	*app
	net      netFlags
	topK     int
	workers  int
	cropPct  share
	fast     bool
	classMap string
	format   string
	null     bool
	shard    shard
	shardBy  string
	file     string
	resume   bool
	stages   bool
	metrics  metricsFlag
}

func classifyCommand(a *app) *cobra.Command {
	c := &classifier{app: a}
	cmd := &cobra.Command{
		Use:     "classify MODEL PICTURE...",
		GroupID: groupUse,
		Short:   "Classify pictures",
		Long: `Classify pictures: JPEG, PNG, GIF, BMP, TIFF or WebP files, folders of them (searched with their sub-folders),
archives that are named (.tar, .tar.gz, .tgz, .zip; WebDataset's shards), whose pictures are ARCHIVE/MEMBER, arrays that are named (.npy,
uint8 [N,size,size,3], resized and cropped already), whose pictures are ARRAY/NUMBER, quoted patterns of these
('train-*.tar'), or "-" for a list of paths of all but patterns on standard input, one per line.

Each picture is prepared as the published evaluation of the model does: resized so that its shorter side is
size/crop, bicubic, cut to the centre, normalised; --fast-decode gives up exactness for speed. The results come in
the order of the pictures. One that cannot be read is reported, as a row (json, jsonl, csv) and on standard error;
the others are classified all the same, and the exit status is 1 then.

With --results-file the rows go to FILE.part as they come, and FILE appears when it is complete. After a crash or an
interrupt --resume goes on behind the last complete row: nothing is lost, nothing comes twice. Only one
process at a time writes FILE: another one ends at once, with exit status 2. --shard I/N takes every
Nth picture, from the one numbered I from 0, so that N machines share a list; 'vkinfer merge' puts their files together
again. --shard auto/N takes I from JOB_COMPLETION_INDEX, which Kubernetes sets for indexed jobs. --shard-by source takes
every Nth of the arguments and lines of the list instead, so that no archive is read by more than one machine.

Several devices (--device) share the pictures: each takes the next batch when it is free. Should one fail the others
take over what it had.

The columns of csv are filename, index_0.., label_0.., prob_0.. (without numbers for --topk 1), and error.`,
		Example: `  vkinfer classify efficientnet_b1_pruned --checkpoint b1.pth photo.jpg
  vkinfer classify efficientnet_b1_pruned -o csv --topk 1 photos/ > photos.csv
  vkinfer classify efficientnet_b1_pruned --shard 3/16 --results-file part3.jsonl --resume photos/
  find . -name '*.jpg' | vkinfer classify efficientnet_b3_pruned --checkpoint b3.safetensors -o jsonl -`,
		Args:              c.args,
		ValidArgsFunction: completeModel,
		RunE:              a.action(func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0], args[1:]) }),
	}
	c.net.addCheckpoint(cmd, "the ones that 'vkinfer fetch' got")
	c.net.addDevices(cmd)
	c.addQuirks(cmd)
	c.net.addPrecision(cmd)
	c.net.addImgSize(cmd)
	c.net.addBatch(cmd, 8, "pictures that run through the network at once")
	f := cmd.Flags()
	numberFlag(cmd, &c.topK, "topk", "k", 5, 1, 1<<31-1, "classes to print per picture, the most likely first")
	numberFlag(cmd, &c.workers, "workers", "j", runtime.GOMAXPROCS(0), 1, 1024, "pictures that are decoded at once")
	f.Var(&c.cropPct, "crop-pct", "share of the resized picture that the centre crop keeps (default the model's own)")
	addFastDecode(cmd, &c.fast)
	c.net.addResize(cmd)
	f.StringVar(&c.classMap, "class-map", "", "`FILE` with the names of the classes, one per line (default ImageNet's for 1000 classes)")
	f.BoolVarP(&c.null, "null", "0", false, "paths in a list on standard input end with a zero byte (find -print0)")
	choiceFlag(cmd, &c.format, "output", "o", "form of the results", results.Formats...)
	f.StringVar(&c.file, "results-file", "", "`FILE` for the results instead of standard output, .jsonl or .csv")
	f.BoolVar(&c.resume, "resume", false, "continue an interrupted --results-file; one that is complete is left as it is")
	f.BoolVar(&c.stages, "stages", false, "tell on standard error at the end how busy each stage was, what waited before it, and which one is the bottleneck")
	c.metrics.add(cmd)
	choiceFlag(cmd, &c.shardBy, "shard-by", "", "what --shard counts", shardBys...)
	f.Var(&c.shard, "shard", "take only every Nth picture, beginning with number I from 0: I/N, or auto/N")
	return cmd
}

// args complains about a forgotten model before forgotten pictures.
func (c *classifier) args(cmd *cobra.Command, given []string) error {
	if len(given) > 0 {
		if _, err := model(given[0]); err != nil {
			return err
		}
	}
	return args(-1, "MODEL", "PICTURE")(cmd, given)
}

func (c *classifier) run(ctx context.Context, name string, args []string) (err error) {
	spec, err := model(name)
	if err != nil {
		return err
	}
	if err := c.checkStdin(args); err != nil {
		return err
	}
	if args, err = pictures.Glob(args); err != nil {
		return usagef("%w", err)
	}
	if c.shardBy == bySource && c.shard.n == 0 {
		return usagef("--shard-by source without --shard, want --shard I/N too")
	}
	if err := c.metrics.check(c.app); err != nil {
		return err
	}
	if complete, err := c.checkFile(); err != nil || complete {
		return err
	}
	unlock, complete, err := c.lockFile()
	if err != nil || complete {
		return err
	}
	defer unlock()
	names, err := c.labels(c.classMap)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	list := pictures.List{Args: args, Stdin: c.in, Null: c.null, Skipped: c.skipped}
	if c.shardBy == bySource && c.shard.n > 1 {
		list.Take = func(i int) bool { return i%c.shard.n == c.shard.i }
	}
	items := make(chan pictures.Item, 64)
	go list.Send(ctx, items)
	first, ok := <-items // before the device is opened: there may be nothing to do
	if err := ctx.Err(); err != nil {
		return err
	}
	var head []pictures.Item
	switch {
	case ok:
		head = append(head, first)
	case list.Take == nil:
		return usagef("no pictures: nothing to classify")
	default:
		c.log.Warn("no pictures: nothing to classify in this shard")
	}
	sd, err := c.stateDict(ctx, spec, c.net.checkpoint)
	if err != nil {
		return err
	}
	size := spec.Transform.Size
	if c.net.imgSize > 0 {
		size = c.net.imgSize
	}
	c.net.batch = max(1, min(c.net.batch, list.AtMost(), maxJobTensor/(4*3*size*size)))
	devices, err := c.selectDevices(c.net.device)
	if err != nil {
		return err
	}
	nets, err := c.openAll(ctx, spec, sd, devices, &c.net, vkinfer.Options{CropPct: float64(c.cropPct), FastDecode: c.fast, Labels: names, TopK: c.topK, Workers: c.workers})
	if err != nil {
		return err
	}
	for _, cl := range nets {
		defer c.closeNet(&err, cl)
	}
	return c.stream(ctx, nets, list, source(ctx, head, items))
}

// checkStdin refuses to read standard input for two things.
func (c *classifier) checkStdin(args []string) error {
	uses := 0
	for _, s := range append(slices.Clone(args), c.net.checkpoint, c.classMap) {
		if s == "-" {
			uses++
		}
	}
	if uses > 1 {
		return usagef("standard input (-) can be named once only, for the pictures, --checkpoint or --class-map")
	}
	return nil
}

func (c *classifier) skipped(folder string, others int) {
	c.log.Warn(fmt.Sprintf("%s: no pictures in it, and %d files of other kinds", console.Printable(folder), others))
}

// stream classifies the pictures and writes the results in order.
func (c *classifier) stream(ctx context.Context, nets []*vkinfer.Classifier, list pictures.List, pics iter.Seq[pictures.Item]) (err error) {
	k := min(c.topK, nets[0].Classes())
	if list.Take == nil {
		pics = c.shard.of(pics)
	}
	out := bufio.NewWriter(c.out)
	w := results.New(c.format, out, k)
	done, failed := 0, 0
	var file *results.File
	if c.file != "" {
		if file, err = results.OpenFile(c.file, c.format, k, c.settings(nets), c.resume); err != nil {
			return usagef("--results-file %w", err)
		}
		defer file.Close()
		w, done, failed = file, file.Rows, file.Failed
		if done > 0 {
			c.log.Info(fmt.Sprintf("%s: going on after %d pictures", c.file, done))
		}
	}
	var skipErr error
	m, err := c.metrics.open(c.app, "classify", []string{nets[0].Model()}, []string{nets[0].Device().Precision})
	if err != nil {
		return err
	}
	defer closeMetrics(&err, m)
	stats := m.Stats()
	if file != nil {
		pics = skip(pics, file, &skipErr)
	}
	bar := c.progress(ctx, list)
	defer bar.Stop()
	bar.Add(done)
	for r, e := range nets[0].Stream(ctx, classifiable(pics), vkinfer.StreamOptions{Further: nets[1:], Lost: c.lost, Stats: stats}) {
		if err = e; err != nil {
			break
		}
		row := results.From(r.Name, r.Result)
		if row.Error != "" {
			failed++
			c.log.Error(console.Printable(r.Name) + ": " + row.Error)
		}
		done++
		if err = w.Write(row); err == nil {
			err = out.Flush()
		}
		if err != nil {
			break
		}
		bar.Add(1)
	}
	if c.stages {
		bar.Stop()
		fmt.Fprint(c.console, stages.Text(stats.Report(), streamSettings(nets, c.workers, "writing the results")))
	}
	if err == nil {
		err = skipErr
	}
	if file != nil {
		if err == nil {
			err = file.Commit()
		}
	} else {
		if e := w.Close(); err == nil {
			err = e
		}
		if e := out.Flush(); err == nil {
			err = e
		}
	}
	switch {
	case err != nil:
		if done > 0 && !errors.Is(err, errPipe) {
			err = fmt.Errorf("after %d pictures: %w", done, err)
		}
		return err
	case failed > 0:
		return partf("%d of %d pictures failed", failed, done)
	}
	return nil
}

// source returns pictures that were taken from a list already, and then those that it sends.
func source(ctx context.Context, head []pictures.Item, items <-chan pictures.Item) iter.Seq[pictures.Item] {
	return func(yield func(pictures.Item) bool) {
		for _, it := range head {
			if !yield(it) {
				return
			}
		}
		for {
			select {
			case it, ok := <-items:
				if !ok || !yield(it) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// classifiable makes pictures items of the classifier.
func classifiable(pics iter.Seq[pictures.Item]) iter.Seq[vkinfer.Item] {
	return func(yield func(vkinfer.Item) bool) {
		for it := range pics {
			out := vkinfer.Item{Name: it.Path, Err: plain(it.Err), Read: it.Read, Height: it.Height, Width: it.Width}
			if out.Read == nil {
				out.Read = func() ([]byte, error) {
					data, err := pictures.Read(it.Path, maxPicture)
					return data, plain(err)
				}
			}
			if !yield(out) {
				return
			}
		}
	}
}

// progress shows a bar unless the results themselves are seen on the terminal.
func (c *classifier) progress(ctx context.Context, list pictures.List) *console.Progress {
	if c.outTTY || !c.console.ShowsProgress() {
		return &console.Progress{}
	}
	bar := c.console.Progress("classify", -1, false)
	go func() {
		n := list.Count(ctx)
		if list.Take == nil {
			n = c.shard.size(n)
		}
		bar.SetTotal(int64(n))
	}()
	return bar
}

const (
	// maxPicture is the largest file taken for a picture.
	maxPicture = 1 << 28
	// maxJobTensor bounds the bytes of a batch's input tensor.
	maxJobTensor = 1 << 29
)

// plain strips "open FILE:" from an error that is printed after the file's name.
func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
