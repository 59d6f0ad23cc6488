package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/weights"
)

// maxStdin bounds what is read from standard input into memory.
const maxStdin = 1 << 30

// maxTensor bounds the bytes of an input tensor that is made here.
const maxTensor = 4 << 30

// model finds the variant of that name.
func model(name string) (*models.Spec, error) {
	spec, err := models.Lookup(name)
	if err == nil {
		return spec, nil
	}
	known := "the models are " + strings.Join(modelNames(), ", ")
	var unknown *models.UnknownError
	if errors.As(err, &unknown) && unknown.Nearest != "" {
		return nil, usagef("unknown model %q, did you mean %s? (%s)", name, unknown.Nearest, known)
	}
	if _, statErr := os.Stat(name); statErr == nil {
		return nil, usagef("%q is a file, but the first argument names the model; %s", name, known)
	}
	return nil, usagef("unknown model %q; %s", name, known)
}

// stateDict reads the checkpoint at path, or from standard input for "-". For "" it takes the published
// weights if they were fetched before; it never fetches them.
func (a *app) stateDict(ctx context.Context, spec *models.Spec, path string) (*weights.StateDict, error) {
	var err error
	if path == "" {
		if path, err = cached(ctx, spec); err != nil {
			return nil, err
		}
		a.log.Debug("using the fetched weights", "file", path)
	}
	var sd *weights.StateDict
	if path == "-" {
		var data []byte
		if data, err = a.readStdin("a checkpoint"); err != nil {
			return nil, err
		}
		sd, err = weights.Read(bytes.NewReader(data), int64(len(data)), "standard input")
	} else {
		sd, err = weights.Open(path)
	}
	return sd, setup(err)
}

// cached returns the path of the published weights in the cache.
func cached(ctx context.Context, spec *models.Spec) (string, error) {
	for _, src := range weights.Published[spec.Name] {
		src.URLs = nil // look, do not fetch
		path, err := weights.Fetch(ctx, src, weights.FetchOptions{})
		if err == nil {
			return path, nil
		}
		if ctx.Err() != nil {
			return "", err
		}
	}
	return "", usagef("no --checkpoint given, and the published weights of %s are not in the cache; "+
		"get them with 'vkinfer fetch %s', or make some up with 'vkinfer synth'", spec.Name, spec.Name)
}

// readStdin reads all of standard input.
func (a *app) readStdin(what string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(a.in, maxStdin+1))
	if err != nil {
		return nil, usagef("standard input: %w", err)
	}
	if len(data) > maxStdin {
		return nil, usagef("standard input: more than %d bytes, want %s", maxStdin, what)
	}
	return data, nil
}

// labels reads a class map, nil for "".
func (a *app) labels(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	r := a.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, usagef("class map: %w", err)
		}
		defer f.Close()
		r = f
	}
	names, err := models.ReadLabels(r)
	if err != nil {
		return nil, usagef("%s: %w", path, err)
	}
	return names, nil
}

// open prepares a network on a device.
func (a *app) open(ctx context.Context, spec *models.Spec, sd *weights.StateDict, f *netFlags, opts vkinfer.Options) (*vkinfer.Classifier, error) {
	opts.StateDict, opts.Device, opts.Precision, opts.MaxBatch = sd, f.device, f.precision, f.batch
	opts.Resize = vkinfer.ResizeCPU
	if f.resize != "" { // a command that runs pictures
		opts.Resize = strings.TrimPrefix(f.resize, "auto")
	}
	opts.NoQuirks = a.noQuirks
	if opts.Height == 0 {
		opts.ImgSize = f.imgSize
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := vkinfer.Open(spec.Name, opts)
	if err != nil {
		return nil, setup(err)
	}
	d := c.Device()
	a.log.Debug("ready", "model", spec.Name, "device", d.Name, "driver", d.Driver, "precision", d.Precision, "classes", c.Classes(), "batch", d.MaxBatch)
	return c, nil
}

// checkBatch refuses a batch whose tensor alone would fill the memory.
func checkBatch(n, elements int) error {
	if most := maxTensor / (4 * elements); n > max(most, 1) {
		return usagef("a batch of %d images takes %s of input, want at most %d images", n, table.Bytes(4*int64(n)*int64(elements)), max(most, 1))
	}
	return nil
}

// closeNet closes c, keeps its error unless there is one already, and tells what the validation layers had to
// say, if they were switched on (VKINFER_VALIDATION=1).
func (a *app) closeNet(err *error, c *vkinfer.Classifier) {
	if e := c.Close(); e != nil && *err == nil {
		*err = e
	}
	for _, m := range c.Messages() {
		a.log.Warn(m)
	}
}

// needOutput complains when no output file was named, when it has no place, and about bytes on a terminal.
func (a *app) needOutput(flag, path, example string) error {
	switch {
	case path == "":
		return usagef("no output named, want %s %s, or %s - for standard output", flag, example, flag)
	case path == "-" && a.outTTY:
		return usagef("standard output is a terminal and the result is not text, want %s %s", flag, example)
	case path == "-":
		return nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return usagef("%s %s: is a folder, want a file", flag, path)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return usagef("%s %s: there is no folder %s", flag, path, filepath.Dir(path))
	}
	return nil
}

// writeNPY writes a tensor to path, "-" for standard output.
func (a *app) writeNPY(path string, t *weights.Tensor) error {
	if path != "-" {
		return weights.WriteNPY(path, t)
	}
	w := bufio.NewWriterSize(a.out, 1<<20)
	if err := weights.EncodeNPY(w, t); err != nil {
		return err
	}
	return w.Flush()
}

// readNPY reads a tensor from path, "-" for standard input.
func (a *app) readNPY(path string) (*weights.Tensor, error) {
	var t *weights.Tensor
	var err error
	if path == "-" {
		t, err = weights.DecodeNPY(bufio.NewReaderSize(a.in, 1<<20), -1, "standard input")
	} else {
		t, err = weights.ReadNPY(path)
	}
	return t, setup(err)
}
