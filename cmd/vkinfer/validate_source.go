package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/accuracy"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/console"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/pictures"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// list sends what sources hold, labels with it, the same in the same order at every call.
func list(ctx context.Context, sources ...string) <-chan pictures.Item {
	items := make(chan pictures.Item, 64)
	go pictures.List{Args: sources, Labels: true}.Send(ctx, items)
	return items
}

// loose reports whether a picture lies in no class's folder.
func (v *validator) loose(it pictures.Item) bool {
	dir := filepath.Clean(filepath.Dir(it.Path))
	return v.realLabels == "" && slices.ContainsFunc(v.dirs, func(d string) bool { return filepath.Clean(d) == dir })
}

// find counts the pictures and finds the folders that they lie in.
func (v *validator) find(ctx context.Context) error {
	for _, dir := range v.dirs {
		info, err := os.Stat(dir)
		switch {
		case err != nil:
			return usagef("%s: %w", dir, plain(err))
		case !info.IsDir() && !pictures.IsArchive(dir):
			return usagef("%s: is a file, want a folder that has a folder with pictures for each class, or an archive (.tar, .tar.gz, .tgz, .zip)", dir)
		case !info.IsDir() && !info.Mode().IsRegular():
			return usagef("%s: is no file that can be read twice, want an archive or a folder", dir)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v.folders = map[string]bool{}
	all, loose := 0, 0
	var labelled, bare string // a source whose pictures have labels of their own, and one where none has
	for _, dir := range v.dirs {
		own, without := false, false
		for it := range list(ctx, dir) {
			it.Drop()
			if it.Err != nil && (it.Path == dir || !pictures.IsArchive(dir)) {
				return usagef("%s: %w", it.Path, plain(it.Err))
			}
			all++
			own, without = own || it.Class != nil, without || it.Class == nil && it.Err == nil
			if v.loose(it) {
				loose++
			} else {
				v.folders[accuracy.Folder(it.Path)] = true
			}
		}
		if own {
			labelled = dir
		} else if without {
			bare = dir
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	what := console.Printable(strings.Join(v.dirs, ", "))
	if v.labelled = labelled != "" && v.realLabels == ""; v.labelled {
		if bare != "" {
			return usagef("%s has labels of its own (KEY.cls or KEY.json), %s has none, only folders, and nothing says that both number the classes alike; want one kind, so run validate once for each, or give --real-labels",
				console.Printable(labelled), console.Printable(bare))
		}
		v.total = all
		return nil
	}
	if v.total = all - loose; v.total == 0 {
		return usagef("%s: no pictures in folders below it (%d in itself), want a folder with pictures for each class, or an archive with KEY.cls beside KEY.jpg", what, loose)
	}
	if loose > 0 {
		v.log.Warn(fmt.Sprintf("%s: %d pictures lie in no class's folder and are left out", what, loose))
	}
	return nil
}

// match finds the class of each folder.
func (v *validator) match(classes int, classMap []string) (err error) {
	v.limit = classes
	if v.labelled {
		return nil
	}
	if v.realLabels != "" {
		f, err := os.Open(v.realLabels)
		if err != nil {
			return usagef("ReaL labels: %w", err)
		}
		defer f.Close()
		if v.real, err = accuracy.ReadReal(bufio.NewReader(f), classes); err != nil {
			return usagef("%s: %w", v.realLabels, err)
		}
		return nil
	}
	folders := slices.Collect(maps.Keys(v.folders))
	if v.classes, err = accuracy.Classes(folders, classes, classMap, models.WNIDs()); err != nil {
		return usagef("%w", err)
	}
	return nil
}

// right returns the classes that are right for a picture.
func (v *validator) right(it pictures.Item) ([]int, error) {
	switch {
	case it.Err != nil:
		return nil, plain(it.Err)
	case v.real != nil:
		return v.real.Right(it.Path)
	case !v.labelled:
		class, ok := v.classes[accuracy.Folder(it.Path)]
		if !ok {
			return nil, errors.New("its folder came while the pictures were read")
		}
		return []int{class}, nil
	case it.Class == nil:
		return nil, errors.New(`no label, want a member KEY.cls with the number of the class next to it in the archive, or KEY.json with it as "label"`)
	case *it.Class < 0 || *it.Class >= v.limit:
		return nil, fmt.Errorf("label %d, want 0 to %d, the classes of the network", *it.Class, v.limit-1)
	}
	return []int{*it.Class}, nil
}

// target is what is known of a picture beside its result.
type target struct {
	right  []int // its classes
	source int   // the number of its folder or archive
	at     int   // its own number there, from 0
}

// targets are those of the pictures whose results are to come, in this order.
type targets struct {
	mu   sync.Mutex
	list []target
}

func (q *targets) push(t target) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, t)
}

func (q *targets) pop() (t target) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t, q.list = q.list[0], q.list[1:]
	return t
}

// items are the pictures as a source of the classifier.
func (v *validator) items(ctx context.Context) iter.Seq[vkinfer.Item] {
	labelled := func(yield func(pictures.Item) bool) {
		for i, dir := range v.dirs {
			t := target{source: i, at: -1}
			for it := range list(ctx, dir) {
				t.at++
				if !v.labelled && v.loose(it) {
					it.Drop()
					continue
				}
				var err error
				if t.right, err = v.right(it); err != nil {
					it.Drop()
					it.Read, it.Err = nil, err
				}
				v.targets.push(t)
				if !yield(it) {
					return
				}
			}
		}
	}
	return classifiable(labelled)
}
