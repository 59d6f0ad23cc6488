// Package accuracy compares rankings with the classes that pictures really have: the counts that timm's and
// torchvision's evaluation scripts make, over a tree with a folder per class.
package accuracy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Meter counts how often the right class is first, and among the first five.
type Meter struct {
	Images     int
	Top1, Top5 int // right ones
}

// Add counts a picture: ranked are its classes, the most likely first, right those that are accepted for it.
func (m *Meter) Add(ranked []int, right []int) {
	m.Images++
	for place, class := range ranked[:min(5, len(ranked))] {
		if slices.Contains(right, class) {
			m.Top5++
			if place == 0 {
				m.Top1++
			}
			return
		}
	}
}

// Acc1 returns the share of pictures whose first class is right, in percent; 0 without pictures.
func (m *Meter) Acc1() float64 { return percent(m.Top1, m.Images) }

// Acc5 returns the share of pictures that have the right class among the first five, in percent.
func (m *Meter) Acc5() float64 { return percent(m.Top5, m.Images) }

func percent(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// Folder returns the name of the folder that a picture lies in, which names its class.
func Folder(path string) string { return filepath.Base(filepath.Dir(path)) }

// Classes says which class each folder stands for. classes is how many the network has, wnids are ImageNet's synset
// names in index order. A classMap, if there is one, holds a folder's name for each class, and every folder must be in it.
// Else folders that are all named by wnids stand for these, if the network has as many classes; and else there must be
// a folder for every class, and they are numbered in their natural order, as timm does.
func Classes(folders []string, classes int, classMap, wnids []string) (map[string]int, error) {
	folders = slices.Clone(folders)
	slices.SortFunc(folders, natural)
	folders = slices.Compact(folders)
	if classMap != nil {
		if len(classMap) != classes {
			return nil, fmt.Errorf("the class map has %d lines, the network has %d classes; want a line per class", len(classMap), classes)
		}
		return named(folders, classMap, "the class map")
	}
	if len(wnids) == classes {
		if m, err := named(folders, wnids, "ImageNet"); err == nil {
			return m, nil
		}
	}
	if len(folders) != classes {
		return nil, fmt.Errorf("%d folders with pictures (%s) for a network of %d classes; want a folder per class, or a class map that names the folder of each",
			len(folders), some(folders), classes)
	}
	m := map[string]int{}
	for i, f := range folders {
		m[f] = i
	}
	return m, nil
}

// named looks the folders up in names.
func named(folders, names []string, what string) (map[string]int, error) {
	index := map[string]int{}
	for i, n := range names {
		if first, ok := index[n]; ok {
			return nil, fmt.Errorf("%s names %q for the classes %d and %d; want every folder once", what, n, first, i)
		}
		index[n] = i
	}
	m := map[string]int{}
	var unknown []string
	for _, f := range folders {
		if i, ok := index[f]; ok {
			m[f] = i
		} else {
			unknown = append(unknown, f)
		}
	}
	if unknown != nil {
		return nil, fmt.Errorf("%s does not name %d of %d folders (%s); want each of them in it", what, len(unknown), len(folders), some(unknown))
	}
	return m, nil
}

// some lists the first few names.
func some(names []string) string {
	if len(names) > 4 {
		return strings.Join(names[:3], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}

// natural orders names as people do, numbers in them by their value, letters without their case.
func natural(a, b string) int {
	x, y := strings.ToLower(a), strings.ToLower(b)
	for x != "" && y != "" {
		var nx, ny string
		nx, x = token(x)
		ny, y = token(y)
		c := strings.Compare(nx, ny)
		if isDigit(nx[0]) && isDigit(ny[0]) {
			vx, vy := strings.TrimLeft(nx, "0"), strings.TrimLeft(ny, "0")
			c = cmp.Or(cmp.Compare(len(vx), len(vy)), strings.Compare(vx, vy))
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(a, b))
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// token cuts a run of digits, or of other characters, off the beginning of s, which is not empty.
func token(s string) (head, rest string) {
	digits := isDigit(s[0])
	i := strings.IndexFunc(s, func(r rune) bool { return (r < unicode.MaxASCII && isDigit(byte(r))) != digits })
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i:]
}

// Real are the reassessed labels of ImageNet's validation set (Beyer et al., arXiv 2006.07159): the classes that are
// accepted for each picture, none where people did not agree.
type Real [][]int

// ReadReal reads real.json: a list of lists of classes below classes, in the order of the pictures' numbers.
func ReadReal(r io.Reader, classes int) (Real, error) {
	var real Real
	d := json.NewDecoder(r)
	if err := d.Decode(&real); err != nil {
		return nil, fmt.Errorf("ReaL labels: %w; want real.json, a list of lists of class indices", err)
	}
	if len(real) == 0 {
		return nil, fmt.Errorf("ReaL labels: none, want a list of class indices for each picture")
	}
	for i, list := range real {
		for _, c := range list {
			if c < 0 || c >= classes {
				return nil, fmt.Errorf("ReaL labels: picture %d has class %d, want 0 to %d", i+1, c, classes-1)
			}
		}
	}
	return real, nil
}

// Right returns the classes accepted for a picture by its name, ILSVRC2012_val_00000001.JPEG being the first.
func (r Real) Right(path string) ([]int, error) {
	name := filepath.Base(path)
	digits, ok := strings.CutPrefix(strings.TrimSuffix(name, filepath.Ext(name)), "ILSVRC2012_val_")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || n > len(r) {
		return nil, fmt.Errorf("no ReaL label for this name, want ILSVRC2012_val_00000001 to ILSVRC2012_val_%08d", len(r))
	}
	return r[n-1], nil
}
