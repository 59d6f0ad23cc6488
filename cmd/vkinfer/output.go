package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// outputFile is a file that appears when it is complete, and not before.
type outputFile struct {
	*bufio.Writer
	f      *os.File
	target string
}

func createOutput(path string) (*outputFile, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, err
	}
	return &outputFile{bufio.NewWriter(f), f, path}, nil
}

// commit puts the file in its place.
func (o *outputFile) commit() error {
	err := o.Flush()
	if e := o.f.Chmod(0o644); err == nil {
		err = e
	}
	if e := o.f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(o.f.Name(), o.target)
	}
	if err != nil {
		os.Remove(o.f.Name())
		return fmt.Errorf("%s: %w", o.target, err)
	}
	o.f = nil
	return nil
}

// abandon removes what was not committed.
func (o *outputFile) abandon() {
	if o.f != nil {
		o.f.Close()
		os.Remove(o.f.Name())
	}
}

// writeOutput writes a whole file at once.
func writeOutput(path string, b *bytes.Buffer) error {
	o, err := createOutput(path)
	if err != nil {
		return err
	}
	defer o.abandon()
	if _, err := o.Write(b.Bytes()); err != nil {
		return err
	}
	return o.commit()
}
