package pictures

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sync/semaphore"
)

// IsArchive reports whether a file's name is that of an archive whose members are taken: .tar, .tar.gz, .tgz or .zip.
func IsArchive(name string) bool { return archiveKind(name) != "" }

func archiveKind(name string) string {
	name = strings.ToLower(name)
	for suffix, kind := range map[string]string{".tar": "tar", ".tar.gz": "tar.gz", ".tgz": "tar.gz", ".zip": "zip"} {
		if strings.HasSuffix(name, suffix) {
			return kind
		}
	}
	return ""
}

const (
	// maxMember is the largest member taken for a picture.
	maxMember = 1 << 28
	// maxHeld bounds the bytes of members that were read and are not yet taken.
	maxHeld = maxMember
)

// held counts bytes of members that wait to be taken.
type held struct{ *semaphore.Weighted }

// archive sends the pictures of an archive in its order, each under the archive's path, a slash, and its name there. A
// damaged member, or a damaged archive, is an item with an error; what comes before it is sent.
func (l List) archive(ctx context.Context, file string, send func(Item) error) error {
	f, err := os.Open(file)
	if err != nil {
		return send(Item{Path: file, Err: err})
	}
	defer f.Close()
	a := &archive{ctx: ctx, path: file, held: held{semaphore.NewWeighted(maxHeld)}}
	a.send = send
	if l.Labels {
		a.labels = &labels{send: send}
		a.send = a.labels.add
	}
	switch kind := archiveKind(file); kind {
	case "zip":
		err = a.zip(f)
	case "tar.gz":
		var z *gzip.Reader
		if z, err = gzip.NewReader(bufio.NewReaderSize(f, 1<<18)); err == nil {
			err = a.tar(z)
		}
	default:
		err = a.tar(bufio.NewReaderSize(f, 1<<18))
	}
	if a.labels != nil && err == nil {
		err = a.labels.flush()
	}
	var stop stopped
	if errors.As(err, &stop) {
		return stop.error
	}
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the archive is truncated")
		}
		if a.labels != nil {
			if err := a.labels.flush(); err != nil {
				return err.(stopped).error
			}
		}
		return send(Item{Path: file, Err: fmt.Errorf("archive, after %d pictures: %w", a.found, err)})
	}
	if a.found == 0 && l.Skipped != nil {
		l.Skipped(file, a.others)
	}
	return nil
}

// stopped wraps an error of send: nobody wants more.
type stopped struct{ error }

type archive struct {
	ctx           context.Context
	path          string
	send          func(Item) error
	held          held
	labels        *labels // nil where they are not wanted
	found, others int
}

// tar sends the regular files of a tar stream that are pictures.
func (a *archive) tar(r io.Reader) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeReg && a.labels.wants(h.Name) {
			if err := a.labels.read(a.name(h.Name), t); err != nil {
				return err
			}
			continue
		}
		if h.Typeflag != tar.TypeReg || !IsPicture(h.Name) {
			if h.Typeflag != tar.TypeDir {
				a.others++
			}
			continue
		}
		if err := a.member(h.Name, h.Size, t, true); err != nil {
			return err
		}
	}
}

// zip sends the files of a zip archive that are pictures.
func (a *archive) zip(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(f, info.Size())
	if err != nil {
		return err
	}
	for _, m := range z.File {
		if m.Mode().IsRegular() && a.labels.wants(m.Name) {
			r, err := m.Open()
			if err == nil {
				err = a.labels.read(a.name(m.Name), r)
				r.Close()
			}
			if err != nil {
				return err
			}
			continue
		}
		if !m.Mode().IsRegular() || !IsPicture(m.Name) {
			if !m.Mode().IsDir() {
				a.others++
			}
			continue
		}
		r, err := m.Open()
		if err != nil {
			a.found++
			if err := a.send(Item{Path: a.name(m.Name), Err: err}); err != nil {
				return stopped{err}
			}
			continue
		}
		err = a.member(m.Name, int64(min(m.UncompressedSize64, maxMember+1)), r, false)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *archive) name(member string) string { return a.path + "/" + path.Clean(member) }

// member sends one picture, whose bytes come from r. Where members follow each other in a stream, an error of reading is
// the archive's.
func (a *archive) member(name string, size int64, r io.Reader, stream bool) error {
	if a.labels != nil { // a picture that waits for its label holds memory that this one may need
		if err := a.labels.flush(); err != nil {
			return err
		}
	}
	it := Item{Path: a.name(name)}
	a.found++
	if size > maxMember {
		it.Err = fmt.Errorf("the member has %d bytes, want at most %d", size, maxMember)
	} else {
		weight := max(size, 1)
		if err := a.held.Acquire(a.ctx, weight); err != nil {
			return stopped{errStop}
		}
		data, err := ReadFrom(r, size)
		switch {
		case err == nil && int64(len(data)) < size:
			err = io.ErrUnexpectedEOF
		case err != nil && !stream && !errors.Is(err, io.ErrUnexpectedEOF):
			err = fmt.Errorf("damaged member: %w", err)
		}
		if err != nil {
			a.held.Release(weight)
			if stream {
				a.found--
				return err
			}
			it.Err = err
		} else {
			it.Read = func() ([]byte, error) {
				a.held.Release(weight)
				return data, nil
			}
		}
	}
	if err := a.send(it); err != nil {
		return stopped{err}
	}
	return nil
}
