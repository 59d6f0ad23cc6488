package netplan

import (
	"fmt"
	"math"
	"slices"

	"github.com/vkinfer/vkinfer/netplan/graph"
)

// rowsFor returns ROWS of shaders/conv1x1_tile.glsl for images of so many pixels: eight, but for small maps as many as make
// an image one vector of eight lanes, which is what CPUs compute at once. 10×10 pixels in thirteen lanes of eight rows would
// keep sixteen busy.
func rowsFor(pixels int) int {
	const rows, vector, most = 8, 8, 16
	if pixels > vector*most {
		return rows
	}
	return max(rows, ceilDiv(pixels, vector))
}

// conv1x1: shaders/conv1x1.comp, or conv1x1_shared.comp.
func (l *lowering) conv1x1(n *graph.Node, op *graph.Conv, in *graph.Node) error {
	out := l.tensor(n, NHWC8)
	l.tensorOf[n.ID] = out
	pixels, k4, n4 := n.Shape.H*n.Shape.W, pad8(in.Shape.C)/4, pad8(n.Shape.C)/4
	x := l.input(n, 0)
	gate, residual := x, x
	if op.Gate {
		gate = l.input(n, 1)
	}
	if op.Residual {
		residual = l.input(n, len(n.Inputs)-1)
	}
	d := Dispatch{
		Push: []uint32{0, uint32(pixels), uint32(k4), uint32(n4)},
		Bind: []Binding{x, l.packMatrix(op.Weight), l.packVector(l.centredBias(n, op)), {Tensor: out}, gate, residual},
	}
	features := []uint32{actCode(op.Act), specBool(op.Gate), specBool(op.Residual)}
	var loops int
	if l.plan.Kernels == KernelsShared {
		t := sharedTileFor(n4)
		d.Kernel, loops = l.kernel("conv1x1_shared"), t.loops(k4)
		d.Spec = slices.Concat([]uint32{sharedLanes, 1, 1}, features, t.spec())
		d.Groups = [3]Groups{{PerImage: pixels, Tile: t.tileRows(), Times: ceilDiv(n4, t.tileCols4())}, one, one}
	} else {
		rows := rowsFor(pixels)
		tiles := ceilDiv(pixels, rows)
		lanes := lanesFor(tiles, 32, 64)
		cols4 := min(n4, 4) // groups of four columns that a lane computes
		d.Kernel, loops = l.kernel("conv1x1"), k4
		d.Spec = slices.Concat([]uint32{uint32(lanes), 1, 1}, features, []uint32{uint32(cols4), uint32(rows)}, l.subgroup())
		d.Groups = [3]Groups{{PerImage: tiles, Tile: lanes}, fixed(ceilDiv(n4, cols4)), one}
	}
	if err := l.loops(loops); err != nil {
		return err
	}
	return l.dispatch(n, d)
}

// subgroup returns the constant SUBGROUP of kernels that have it.
func (l *lowering) subgroup() []uint32 {
	if l.plan.Kernels != KernelsTexel {
		return nil
	}
	return []uint32{uint32(l.caps.SubgroupSize)}
}

// convPool: shaders/conv1x1_pool.comp, or conv1x1_pool_shared.comp.
func (l *lowering) convPool(n *graph.Node, op *graph.Conv, in *graph.Node) error {
	if op.Gate || op.Residual {
		return fmt.Errorf("no kernel for a pooled convolution with a gate or a residual")
	}
	out := l.tensor(n, Vector)
	l.tensorOf[n.ID] = out
	pixels, k4, n4 := in.Shape.H*in.Shape.W, pad8(in.Shape.C)/4, pad8(n.Shape.C)/4
	d := Dispatch{
		Push: []uint32{0, uint32(pixels), uint32(k4), uint32(n4)},
		Bind: []Binding{l.input(n, 0), l.packMatrix(op.Weight), l.packVector(l.centredBias(n, op)), {Tensor: out}},
	}
	var loops int
	if l.plan.Kernels == KernelsShared {
		t := pooledTileFor(pixels)
		turns := ceilDiv(pixels, t.tileRows())
		d.Kernel, loops = l.kernel("conv1x1_pool_shared"), turns*(t.loops(k4)+1)+sharedLanes/t.colLanes
		d.Spec = slices.Concat([]uint32{sharedLanes, 1, 1, actCode(op.Act)}, t.spec())
		d.Groups = [3]Groups{fixed(ceilDiv(n4, t.tileCols4())), perImage, one}
	} else {
		const cols4 = 4 // groups of four columns that a workgroup computes
		rows := rowsFor(pixels)
		lanes := lanesFor(ceilDiv(pixels, rows), 8, 64)
		d.Kernel, loops = l.kernel("conv1x1_pool"), ceilDiv(pixels, rows*lanes)*(k4+rows+1)+lanes
		d.Spec = append([]uint32{uint32(lanes), 1, 1, actCode(op.Act), cols4, uint32(rows)}, l.subgroup()...)
		d.Groups = [3]Groups{fixed(ceilDiv(n4, cols4)), perImage, one}
	}
	if err := l.loops(loops); err != nil {
		return err
	}
	return l.dispatch(n, d)
}

// sharedLanes is LANES in shaders/conv1x1_shared.glsl.
const sharedLanes = 128

// sharedTile is how a workgroup divides its tile among its lanes: shaders/conv1x1_shared.glsl.
type sharedTile struct {
	colLanes int // lanes side by side
	rows     int // of a lane
	cols4    int // groups of four columns of a lane
	slab4    int // groups of four input channels that pass through shared memory at once
}

func (t sharedTile) tileRows() int  { return sharedLanes / t.colLanes * t.rows }
func (t sharedTile) tileCols4() int { return t.colLanes * t.cols4 }

// sharedBytes is what a slab takes of shared memory.
func (t sharedTile) sharedBytes() int {
	return 16 * (t.tileRows()*(t.slab4|1) + 4*t.slab4*t.tileCols4())
}

// spec returns the specialization constants COL_LANES, ROWS, COLS4 and SLAB4.
func (t sharedTile) spec() []uint32 {
	return []uint32{uint32(t.colLanes), uint32(t.rows), uint32(t.cols4), uint32(t.slab4)}
}

// loops returns the turns of all loops over 4·k4 input channels.
func (t sharedTile) loops(k4 int) int { return ceilDiv(k4, t.slab4) * (1 + t.slab4) }

// sharedShapes are the ways to divide a tile, of one to three groups of columns per lane each: few columns leave lanes
// for more rows, and the memory that those take shortens the slab.
var sharedShapes = []sharedTile{
	{colLanes: 8, rows: 8, slab4: 4},
	{colLanes: 4, rows: 8, slab4: 2},
	{colLanes: 2, rows: 4, slab4: 2},
	{colLanes: 1, rows: 4, slab4: 1},
}

// sharedTileFor returns the tile for 4·n4 columns: that which computes the fewest columns for nothing, where every
// further tile across, which fetches the rows once more, counts like 16 columns, and three groups of columns a lane, which
// take a fifth more registers than two, like a tenth more.
func sharedTileFor(n4 int) sharedTile {
	const again = 4
	var best sharedTile
	least := math.MaxInt
	for _, t := range sharedShapes {
		for t.cols4 = 3; t.cols4 > 0; t.cols4-- {
			cost := 10 * ceilDiv(n4, t.tileCols4()) * (t.tileCols4() + again)
			if t.cols4 == 3 {
				cost += cost / 10
			}
			if cost < least {
				best, least = t, cost
			}
		}
	}
	return best
}

// pooledTileFor returns the tile of the head for images of so many pixels: of 64 or 128 rows, whichever leaves fewer
// of them empty.
func pooledTileFor(pixels int) sharedTile {
	large, small := sharedTile{colLanes: 8, rows: 8, cols4: 2, slab4: 4}, sharedTile{colLanes: 8, rows: 4, cols4: 2, slab4: 4}
	if ceilDiv(pixels, small.tileRows())*small.tileRows() < ceilDiv(pixels, large.tileRows())*large.tileRows() {
		return small
	}
	return large
}
