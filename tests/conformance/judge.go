package conformance

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// Figure is a number of a report. In JSON one that is not finite is null.
type Figure float64

// MarshalJSON implements json.Marshaler.
func (f Figure) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

// UnmarshalJSON implements json.Unmarshaler: null is NaN.
func (f *Figure) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*f = Figure(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(f))
}

// Failure is where a value went wrong, for a driver's bug report.
type Failure struct {
	Batch   int    `json:"batch"`
	What    string `json:"what"`              // one line
	Index   [4]int `json:"index"`             // of the worst element: image of the batch, channel, row, column
	Got     Figure `json:"got"`               // there
	Want    Figure `json:"want"`              // there
	Bound   Figure `json:"bound"`             // on the difference there
	Bad     int    `json:"bad"`               // elements beyond their bounds
	Of      int    `json:"of"`                // elements compared
	Pattern string `json:"pattern,omitempty"` // what the bad elements have in common
	TileMap string `json:"tile_map,omitempty"`
	Repro   string `json:"repro,omitempty"` // the command that runs exactly this again
}

// measure accumulates comparisons of one value.
type measure struct {
	maxError, bound, ratio float64 // the largest error; the largest share of its bound, and that bound
	errors2, values2       float64 // sums of squares
	elements               int
}

// add compares a batch of images of shape s with what they must be; want returns image i. The batch fails
// if any element is beyond its bound: the failure says where, and what the bad elements have in common.
func (m *measure) add(s graph.Shape, got []float32, n int, want func(i int) bounded) *Failure {
	per := s.NumElements()
	if len(got) != n*per {
		return &Failure{Batch: n, What: fmt.Sprintf("%d values, want %d", len(got), n*per)}
	}
	var bad []int
	worst, worstShare := 0, -1.0
	for i := range n {
		w := want(i)
		for j, v := range w.value {
			g := float64(got[i*per+j])
			e := math.Abs(g - v)
			m.errors2, m.values2 = m.errors2+e*e, m.values2+v*v
			share := share(e, w.bound[j])
			if beyond(share, worstShare) {
				worst, worstShare = i*per+j, share
			}
			if beyond(share, m.ratio) {
				m.ratio, m.bound = share, w.bound[j]
			}
			m.maxError = worse(m.maxError, e)
			if !(e <= w.bound[j]) {
				bad = append(bad, i*per+j)
			}
		}
	}
	m.elements += len(got)
	if len(bad) == 0 {
		return nil
	}
	w := want(worst / per)
	f := &Failure{Batch: n, Index: place(worst, s), Got: Figure(got[worst]), Want: Figure(w.value[worst%per]), Bound: Figure(w.bound[worst%per]),
		Bad: len(bad), Of: len(got)}
	f.Pattern, f.TileMap = pattern(s, n, bad)
	f.What = fmt.Sprintf("%d of %d values are off: %v, want %v within %.2g, at image %d, channel %d, row %d, column %d; %s",
		f.Bad, f.Of, got[worst], w.value[worst%per], w.bound[worst%per], f.Index[0], f.Index[1], f.Index[2], f.Index[3], f.Pattern)
	return f
}

// beyond reports whether a is worse than b; NaN is the worst of all.
func beyond(a, b float64) bool { return a > b || math.IsNaN(a) && !math.IsNaN(b) }

// share is an error as a part of its bound; of a bound of zero any error is infinitely much.
func share(e, bound float64) float64 {
	if e == 0 {
		return 0
	}
	return e / bound
}

// nmse is the normalised mean squared error of all that was added.
func (m *measure) nmse() float64 {
	if m.errors2 == 0 {
		return 0
	}
	return m.errors2 / m.values2
}

// tile is a shape of errors that kernels leave when something goes wrong: so many rows of the matrix of
// pixels and channels that the map is to them, by so many channels.
type tile struct {
	rows, channels int // 0 for all
	name           string
}

// pattern says which tiles the bad elements of n images of shape s fill, and draws them. Rows are pixels, of
// one image after the other. The largest kind of tile whose touched ones are at least nine tenths bad is
// named.
func pattern(s graph.Shape, n int, bad []int) (text, drawing string) {
	rows, pixels := n*s.H*s.W, s.H*s.W
	if len(bad) == rows*s.C {
		return "all of it", ""
	}
	mark := make([]bool, rows*s.C) // by row, channel
	for _, i := range bad {
		at := place(i, s)
		mark[(at[0]*pixels+at[2]*s.W+at[3])*s.C+at[1]] = true
	}
	kinds := []tile{{pixels, 0, "whole images"}, {64, 0, "bands of 64 rows"}, {32, 0, "bands of 32 rows"}, {s.W, 0, "rows of the map"},
		{0, 8, "bands of 8 channels"}, {0, 4, "bands of 4 channels"}, {0, 1, "whole channels"}, {16, 16, "16x16 tiles"}, {8, 8, "8x8 tiles"},
		{4, 8, "4x8 tiles"}, {1, 0, "whole pixels"}, {1, 4, "groups of 4 channels"}}
	text = "scattered"
	for _, k := range kinds {
		touched, full, total := countTiles(k, rows, s.C, mark)
		if full == 0 || float64(full) < 0.9*float64(touched) || touched == total && total > 1 && full < total {
			continue
		}
		text = fmt.Sprintf("%s: %d of %d", k.name, touched, total)
		break
	}
	return text, draw(rows, s.C, mark)
}

// countTiles counts the tiles of a kind: those with any bad element, those at least nine tenths bad, and all.
func countTiles(k tile, rows, channels int, mark []bool) (touched, full, total int) {
	tr, tc := k.rows, k.channels
	if tr == 0 {
		tr = rows
	}
	if tc == 0 {
		tc = channels
	}
	for r0 := 0; r0 < rows; r0 += tr {
		for c0 := 0; c0 < channels; c0 += tc {
			bad, size := 0, 0
			for r := r0; r < min(r0+tr, rows); r++ {
				for c := c0; c < min(c0+tc, channels); c++ {
					size++
					if mark[r*channels+c] {
						bad++
					}
				}
			}
			total++
			if bad > 0 {
				touched++
			}
			if 10*bad >= 9*size {
				full++
			}
		}
	}
	return touched, full, total
}

// draw prints the matrix of rows and channels on at most 16 lines of 64 marks: "." where all is well, "#"
// where all is bad, "+" where some is.
func draw(rows, channels int, mark []bool) string {
	tr, tc := (rows+15)/16, (channels+63)/64
	var sb strings.Builder
	fmt.Fprintf(&sb, "rows 0..%d down, channels 0..%d across; a mark is %dx%d\n", rows-1, channels-1, tr, tc)
	for r0 := 0; r0 < rows; r0 += tr {
		for c0 := 0; c0 < channels; c0 += tc {
			any, all := false, true
			for r := r0; r < min(r0+tr, rows); r++ {
				for c := c0; c < min(c0+tc, channels); c++ {
					any, all = any || mark[r*channels+c], all && mark[r*channels+c]
				}
			}
			switch {
			case all:
				sb.WriteByte('#')
			case any:
				sb.WriteByte('+')
			default:
				sb.WriteByte('.')
			}
		}
		sb.WriteByte('\n')
	}
	return sb.String()
}
