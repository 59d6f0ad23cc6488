package pictures

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vkinfer/vkinfer/weights"
)

// IsArray reports whether a file's name is that of an array of prepared pictures, .npy.
func IsArray(name string) bool { return strings.EqualFold(filepath.Ext(name), ".npy") }

// array sends the pictures of a uint8 array [N,H,W,3], each under the file's path, a slash, and its number from 0. They
// are read as they are wanted.
func (l List) array(ctx context.Context, file string, send func(Item) error) error {
	rows, err := weights.OpenNPYRows(file)
	if err == nil {
		if s := rows.Shape(); len(s) != 3 || s[2] != 3 {
			rows.Close()
			err = fmt.Errorf("has pictures of shape %v, want uint8 [N, height, width, 3]", s)
		}
	}
	if err != nil {
		return send(Item{Path: file, Err: err})
	}
	if rows.Len() == 0 && l.Skipped != nil {
		l.Skipped(file, 0)
	}
	var left atomic.Int64 // pictures that may still be asked for, and this loop; the last one closes the file
	left.Store(int64(rows.Len()) + 1)
	done := func() {
		if left.Add(-1) == 0 {
			rows.Close()
		}
	}
	defer done()
	shape := rows.Shape()
	for i := range rows.Len() {
		it := Item{Path: fmt.Sprintf("%s/%d", file, i), Height: shape[0], Width: shape[1], Read: sync.OnceValues(func() ([]byte, error) {
			defer done()
			return rows.Row(i)
		})}
		if err := send(it); err != nil {
			rows.Close() // nobody wants more
			return err
		}
	}
	return nil
}
