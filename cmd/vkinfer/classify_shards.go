package main

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/console"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/pictures"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/results"
)

// shard is a flag that takes I/N: every Nth item from the Ith on. The zero value takes all.
type shard struct{ i, n int }

func (s *shard) String() string {
	if s.n == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.i, s.n)
}
func (s *shard) Type() string { return "I/N" }

func (s *shard) Set(text string) error {
	left, right, ok := strings.Cut(text, "/")
	what := "want I/N with I from 0 to N-1, such as 0/16"
	if left == "auto" {
		left = os.Getenv("JOB_COMPLETION_INDEX")
		what = fmt.Sprintf("want auto/N, and JOB_COMPLETION_INDEX from 0 to N-1; it is %q", left)
	}
	i, err1 := strconv.Atoi(left)
	n, err2 := strconv.Atoi(right)
	if !ok || err1 != nil || err2 != nil || i < 0 || n < 1 || i >= n {
		return fmt.Errorf("%s", what)
	}
	*s = shard{i, n}
	return nil
}

// bySource and the other are what shards may be taken of: pictures, or the arguments and lines that name them.
const bySource = "source"

var shardBys = []string{"picture", bySource}

// size returns how many of a number of items are the shard's; a negative number, which stands for unknown, stays so.
func (s shard) size(all int) int {
	if s.n <= 1 || all < 0 {
		return all
	}
	return (all - s.i + s.n - 1) / s.n
}

// of returns the shard's part of a source.
func (s shard) of(source iter.Seq[pictures.Item]) iter.Seq[pictures.Item] {
	if s.n <= 1 {
		return source
	}
	return func(yield func(pictures.Item) bool) {
		at := 0
		for it := range source {
			if at%s.n != s.i {
				it.Drop()
			} else if !yield(it) {
				return
			}
			at++
		}
	}
}

// skip returns what follows the items that the file has rows of; should they not be the source's first ones, it stores an
// error and the source is empty.
func skip(source iter.Seq[pictures.Item], file *results.File, err *error) iter.Seq[pictures.Item] {
	return func(yield func(pictures.Item) bool) {
		at := 0
		for it := range source {
			if at < file.Rows {
				it.Drop()
				name, e := file.NextName()
				if e == nil && name != it.Path {
					e = fmt.Errorf("row %d is of %q, and the pictures given have %q there; want those of the interrupted run, or another --results-file", at+1, name, it.Path)
				}
				if e != nil {
					*err = usagef("--resume: %s: %w", file.Part, e)
					return
				}
				at++
				continue
			}
			if !yield(it) {
				return
			}
		}
		if at < file.Rows {
			*err = usagef("--resume: %s has %d rows, and there are only %d pictures; want those of the interrupted run", file.Part, file.Rows, at)
		}
	}
}

// checkFile checks the flags about a file of results. It reports whether there is nothing left to do.
func (c *classifier) checkFile() (complete bool, err error) {
	if c.file == "" {
		if c.resume {
			return false, usagef("--resume continues a file, want --results-file FILE too")
		}
		return false, nil
	}
	if c.file == "-" {
		return false, usagef("--results-file -: want a file; results go to standard output without it")
	}
	if err := c.needOutput("--results-file", c.file, "FILE"); err != nil {
		return false, err
	}
	format := strings.TrimPrefix(filepath.Ext(c.file), ".")
	if c.format != results.Formats[0] {
		format = c.format
	}
	if !slices.Contains(results.Resumable, format) {
		return false, usagef("--results-file %s: want a name that ends in .jsonl or .csv, or -o with one of these", c.file)
	}
	c.format = format
	return c.complete(), nil
}

// complete reports whether --resume has nothing left to do.
func (c *classifier) complete() bool {
	if !c.resume {
		return false
	}
	_, err := os.Stat(c.file)
	if err == nil {
		c.log.Info(c.file + ": is complete")
	}
	return err == nil
}

// lockFile keeps other processes from writing the file of results until unlock is called.
func (c *classifier) lockFile() (unlock func(), complete bool, err error) {
	if c.file == "" {
		return func() {}, false, nil
	}
	lock, err := results.LockFile(c.file)
	if err != nil {
		return nil, false, usagef("--results-file %w", err)
	}
	if lock.Unsupported != nil {
		c.log.Warn(fmt.Sprintf("%s: its file system has no locks (%v), so that nothing keeps another process from writing it too", console.Printable(c.file), lock.Unsupported))
	}
	if c.complete() { // by another process, just now
		lock.Unlock()
		return nil, true, nil
	}
	return lock.Unlock, false, nil
}

// settings are what rows of one file must have in common.
func (c *classifier) settings(nets []*vkinfer.Classifier) map[string]string {
	var devices, drivers []string
	for _, cl := range nets {
		devices, drivers = append(devices, cl.Device().Name), append(drivers, cl.Device().Driver)
	}
	cl := nets[0]
	d := cl.Device()
	s := map[string]string{"model": cl.Model(), "checkpoint": c.net.checkpoint, "device": strings.Join(devices, ", "), "driver": strings.Join(drivers, ", "), "precision": d.Precision,
		"input": fmt.Sprint(cl.InputShape()), "transform": fmt.Sprintf("%+v", cl.Transform()), "topk": fmt.Sprint(c.topK), "shard": c.shard.String() + " by " + c.shardBy, "class map": c.classMap}
	for _, name := range []string{"checkpoint", "class map"} {
		if info, err := os.Stat(s[name]); err == nil {
			s[name] += fmt.Sprintf(" of %d bytes, %s", info.Size(), info.ModTime().UTC().Format("2006-01-02T15:04:05Z"))
		}
	}
	return s
}
