package models

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// ImageNetClasses is the length of the ImageNet-1k class list.
const ImageNetClasses = 1000

// Bounds on a class map: far above any real one, small enough that a file of the wrong kind is refused early.
const (
	maxLabelBytes = 4096
	maxLabels     = 1 << 20
)

// labelsTxt holds one line per ImageNet-1k class in index order: WordNet synset id, tab, name.
//
// The order of the synsets is that of the published checkpoints (the ids sorted, as timm's
// imagenet_synsets.txt lists them); a name is the synset's first lemma in WordNet 3.0. Four classes share
// theirs with another (two cranes, two maillots) and say in parentheses which one they are, after
// WordNet's definition, so that every name stands for one class.
//
//go:embed labels.txt
var labelsTxt string

// imagenet is labelsTxt in columns.
var imagenet = sync.OnceValue(func() (c struct{ wnids, names []string }) {
	for line := range strings.Lines(labelsTxt) {
		wnid, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		c.wnids = append(c.wnids, wnid)
		c.names = append(c.names, name)
	}
	return c
})

// Labels returns the names of the ImageNet-1k classes in index order when classes is ImageNetClasses, and
// nil for any other count: nothing is known then but what a class map says (see ReadLabels). The slice is
// the caller's to change.
func Labels(classes int) []string {
	if classes != ImageNetClasses {
		return nil
	}
	return slices.Clone(imagenet().names)
}

// WNIDs returns the WordNet synset ids ("n01440764") of the ImageNet-1k classes in index order: the names
// that the folders of an ImageNet tree have. The slice is the caller's to change.
func WNIDs() []string { return slices.Clone(imagenet().wnids) }

// ReadLabels reads a class map: one class or folder name per line, in index order, in UTF-8. A byte order
// mark, CRLF line ends, blanks around a name and blank lines at the end are tolerated. The count is the
// caller's to compare with the classifier's.
//
// An error is either r's own, wrapped, or says which line is wrong: a blank line before the last name (the
// names after it would all shift by one), a name that is not text, a line over 4096 bytes, more than 2^20
// names, or no name at all.
func ReadLabels(r io.Reader) ([]string, error) {
	scan := bufio.NewScanner(r)
	// A byte order mark, "\r" and "\n" beside the longest label, and one byte to know a longer one by.
	scan.Buffer(nil, maxLabelBytes+6)
	tooLong := func(line int) error {
		return fmt.Errorf("models: class map: line %d is longer than %d bytes: want one class name per line", line, maxLabelBytes)
	}
	var labels []string
	blank, line := 0, 0
	for scan.Scan() {
		line++
		text := scan.Text()
		if line == 1 {
			text = strings.TrimPrefix(text, "\ufeff")
		}
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return nil, fmt.Errorf("models: class map: line %d is not text: want UTF-8, one class name per line", line)
		}
		text = strings.TrimSpace(text)
		switch {
		case text == "":
			if blank == 0 {
				blank = line
			}
		case blank != 0:
			return nil, fmt.Errorf("models: class map: line %d is blank but line %d is not: want one class name per line, in index order", blank, line)
		case len(text) > maxLabelBytes:
			return nil, tooLong(line)
		case len(labels) == maxLabels:
			return nil, fmt.Errorf("models: class map: more than %d lines: want one class name per line", maxLabels)
		default:
			labels = append(labels, text)
		}
	}
	switch err := scan.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, tooLong(line + 1)
	case err != nil:
		return nil, fmt.Errorf("models: class map: %w", err)
	case len(labels) == 0:
		return nil, errors.New("models: class map: no class names in it: want one per line, in index order")
	}
	return labels, nil
}
