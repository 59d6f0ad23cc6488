package netplan

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"strings"
	"text/tabwriter"
)

// String prints the count as a formula of the batch n.
func (g Groups) String() string {
	switch {
	case g.Times > 1 && g.PerImage != 0:
		once := g
		once.Times = 0
		return fmt.Sprintf("%d·%v", g.Times, once)
	case g.PerImage == 0:
		return fmt.Sprint(g.For(0))
	case g.Fixed == 0 && g.Tile == 1 && g.PerImage == 1:
		return "n"
	case g.Fixed == 0 && g.Tile == 1:
		return fmt.Sprintf("%dn", g.PerImage)
	case g.Fixed == 0:
		return fmt.Sprintf("⌈%dn/%d⌉", g.PerImage, g.Tile)
	}
	return fmt.Sprintf("⌈(%d+%dn)/%d⌉", g.Fixed, g.PerImage, g.Tile)
}

// WriteText prints the plan: a summary, a line per dispatch, a line per tensor. Golden plan files have
// this form.
func (p *Plan) WriteText(w io.Writer) error {
	h := fnv.New64a()
	h.Write(p.Weights)
	fmt.Fprintf(w, "plan %s %s, %s kernels, input %v classes %d\n", p.Model, p.Precision, p.Kernels, p.Input, p.Classes)
	fmt.Fprintf(w, "dispatches %d, per image: %d multiply-adds, %d bytes moved, %d arena bytes\n", len(p.Dispatches), p.MACs, p.Bytes, p.ArenaBytes)
	fmt.Fprintf(w, "every map once and without padding: %d bytes; the plan moves %.1f %% over the least\n", p.Least, 100*p.OverLeast())
	if p.Pictures != nil {
		bytes, least := p.PictureBytes()
		fmt.Fprintf(w, "from 8-bit pictures: %d bytes moved, %.1f %% over the least\n", bytes, 100*(float64(bytes)/float64(least)-1))
	}
	fmt.Fprintf(w, "weights %d bytes, hash %016x; largest batch %d\n\n", len(p.Weights), h.Sum64(), p.MaxBatch)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "#\tnode\tkernel\tspec\tpush\tgroups\tbarrier\tbind\tmultiply-adds\tbytes\tleast")
	if p.Resize != nil {
		writeDispatch(tw, "-2", &p.Resize.Dispatches[0])
		writeDispatch(tw, "-1", &p.Resize.Dispatches[1])
	}
	if p.Pictures != nil {
		writeDispatch(tw, "0'", &p.Pictures.Dispatch)
	}
	for i := range p.Dispatches {
		writeDispatch(tw, fmt.Sprint(i), &p.Dispatches[i])
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	fmt.Fprintln(tw, "tensor\tname\tyields\tshape\tlayout\toffset\tbytes\tlives")
	for i, t := range p.Tensors {
		layout := t.Layout.String()
		if t.DType != Float32 {
			layout += " " + t.DType.String()
		}
		if t.Mean != nil {
			layout += " centred"
		}
		fmt.Fprintf(tw, "t%d\t%s\t%s\t%v\t%v\t%d\t%d\t%d..%d\n", i, t.Name, t.Yields, t.Shape, layout, t.Offset, t.Stride, t.First, t.Last)
	}
	return tw.Flush()
}

// writeDispatch prints a line; that of the dispatch which reads pictures is numbered 0'.
func writeDispatch(w io.Writer, name string, d *Dispatch) {
	bind := make([]string, len(d.Bind))
	for j, b := range d.Bind {
		switch {
		case b.Tensor < 0:
			bind[j] = fmt.Sprintf("w+%d:%d", b.Offset, b.Size)
		case b.Write:
			bind[j] = fmt.Sprintf(">t%d", b.Tensor)
		default:
			bind[j] = fmt.Sprintf("t%d", b.Tensor)
		}
	}
	barrier := "-"
	if d.Barrier {
		barrier = "yes"
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\tn,%s\t%v,%v,%v\t%s\t%s\t%d\t%d\t%d\n", name, d.Node, d.Kernel, words(d.Spec), words(d.Push[1:]),
		d.Groups[0], d.Groups[1], d.Groups[2], barrier, strings.Join(bind, " "), d.MACs, d.Bytes, d.Least)
}

func words(v []uint32) string { return strings.Trim(strings.ReplaceAll(fmt.Sprint(v), " ", ","), "[]") }

// planJSON is the plan's form for programs.
type planJSON struct {
	Model         string         `json:"model"`
	Precision     string         `json:"precision"`
	Kernels1x1    string         `json:"kernels_1x1"` // "lane", "texel" or "shared"
	Input         [3]int         `json:"input"`       // C, H, W
	Classes       int            `json:"classes"`
	MACsPerImage  int64          `json:"macs_per_image"`
	BytesPerImage int64          `json:"bytes_per_image"`
	PictureBytes  int64          `json:"bytes_per_image_from_pictures,omitempty"` // with 8-bit pictures for input
	LeastBytes    int64          `json:"least_bytes_per_image"`                   // every map once, without padding
	OverLeast     float64        `json:"over_least"`                              // bytes_per_image / least_bytes_per_image - 1
	ArenaBytes    int64          `json:"arena_bytes"`                             // per image
	WeightsBytes  int            `json:"weights_bytes"`
	MaxBatch      int            `json:"max_batch"`
	Dispatches    int            `json:"dispatches"`
	Kernels       []dispatchJSON `json:"kernels"`
}

type dispatchJSON struct {
	Node    string    `json:"node"`
	Kernel  string    `json:"kernel"`
	Spec    []uint32  `json:"spec"`
	Push    []uint32  `json:"push"`
	Groups  [3]string `json:"groups"`
	Barrier bool      `json:"barrier"`
	MACs    int64     `json:"macs"`
	Bytes   int64     `json:"bytes"`
	Least   int64     `json:"least_bytes"`
}

// WriteJSON prints the plan for programs; byte and multiply-add figures are per image.
func (p *Plan) WriteJSON(w io.Writer) error {
	out := planJSON{Model: p.Model, Precision: p.Precision, Kernels1x1: p.Kernels, Input: [3]int{p.Input.C, p.Input.H, p.Input.W}, Classes: p.Classes,
		MACsPerImage: p.MACs, BytesPerImage: p.Bytes, LeastBytes: p.Least, OverLeast: p.OverLeast(), ArenaBytes: p.ArenaBytes, WeightsBytes: len(p.Weights),
		MaxBatch: p.MaxBatch, Dispatches: len(p.Dispatches)}
	if p.Pictures != nil {
		out.PictureBytes, _ = p.PictureBytes()
	}
	for _, d := range p.Dispatches {
		out.Kernels = append(out.Kernels, dispatchJSON{Node: d.Node, Kernel: d.Kernel, Spec: d.Spec, Push: d.Push,
			Groups:  [3]string{d.Groups[0].String(), d.Groups[1].String(), d.Groups[2].String()},
			Barrier: d.Barrier, MACs: d.MACs, Bytes: d.Bytes, Least: d.Least})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

// WriteDOT prints the dispatches and what flows between them in Graphviz's language.
func (p *Plan) WriteDOT(w io.Writer) error {
	var sb strings.Builder
	fmt.Fprintf(&sb, "digraph %q {\n  rankdir=TB;\n  node [shape=box, fontname=\"sans-serif\", fontsize=10];\n  input [shape=ellipse];\n  output [shape=ellipse];\n", p.Model)
	writer := map[int]string{}
	for _, t := range p.InputTensors() {
		writer[t] = "input"
	}
	for i, d := range p.Dispatches {
		id := fmt.Sprintf("d%d", i)
		fmt.Fprintf(&sb, "  %s [label=%q];\n", id, fmt.Sprintf("%d %s\n%s\n%.2f M multiply-adds, %.2f MB", i, d.Node, d.Kernel, float64(d.MACs)/1e6, float64(d.Bytes)/1e6))
		seen := map[int]bool{}
		for _, b := range d.Bind {
			if b.Tensor >= 0 && !b.Write && !seen[b.Tensor] {
				seen[b.Tensor] = true
				fmt.Fprintf(&sb, "  %s -> %s [label=%q, fontsize=9];\n", writer[b.Tensor], id, p.Tensors[b.Tensor].Shape.String())
			}
		}
		for _, b := range d.Bind {
			if b.Tensor >= 0 && b.Write {
				writer[b.Tensor] = id
			}
		}
	}
	fmt.Fprintf(&sb, "  %s -> output;\n}\n", writer[p.OutputTensor])
	_, err := io.WriteString(w, sb.String())
	return err
}
