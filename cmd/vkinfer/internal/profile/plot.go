package profile

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// Sizes of the plots, in SVG units.
const (
	plotWidth                      = 1000.0
	plotLeft, plotRight            = 64.0, 16.0
	plotTop, plotBottom            = 14.0, 46.0
	rooflineHeight, timelineHeight = 460.0, 270.0
	timelineBottom                 = 24.0
)

// hues is the number of colours that the page's style has; kernels beyond share the last.
const hues = 8

// colours gives every kernel the number of its colour, in the order of the sums: the longest first.
func (r *Report) colours() map[string]int {
	out := map[string]int{}
	for i, k := range r.Kernels {
		out[k.Kernel] = min(i, hues-1)
	}
	return out
}

// scale maps values to places along an axis, logarithmically or from zero.
type scale struct {
	from, to   float64 // values
	start, end float64 // places
	log        bool
}

func (s scale) at(v float64) float64 {
	share := (v - s.from) / (s.to - s.from)
	if s.log {
		share = math.Log(v/s.from) / math.Log(s.to/s.from)
	}
	return s.start + max(0, min(1, share))*(s.end-s.start)
}

// widen gives a range of positive values room at its ends, which become 1, 2 or 5 times a power of ten.
func widen(lo, hi float64) (float64, float64) {
	return 1 / nice(1.2/lo), nice(1.3 * hi)
}

// roofline draws what each launch reached over its operations per byte, both logarithmic, under the roofs. The
// area of a mark grows with the launch's share of the time.
func (r *Report) roofline() template.HTML {
	const height = rooflineHeight
	if r.Roofs.Copy <= 0 || r.Roofs.Float32 <= 0 {
		return ""
	}
	ridge := r.Roofs.Float32 / r.Roofs.Copy
	x0, x1, y0, y1 := ridge, ridge, r.Roofs.Float32, max(r.Roofs.Float32, r.Roofs.Float16)
	for _, p := range r.Rows {
		if p.Flops > 0 && p.Bytes > 0 && p.Us > 0 {
			at := float64(p.Flops) / float64(p.Bytes)
			x0, x1, y0, y1 = min(x0, at), max(x1, at), min(y0, p.GFLOPS), max(y1, p.GFLOPS)
		}
	}
	x0, x1 = widen(x0, x1)
	y0, y1 = widen(y0, y1)
	x := scale{x0, x1, plotLeft, plotWidth - plotRight, true}
	y := scale{y0, y1, height - plotBottom, plotTop, true}
	var sb strings.Builder
	fmt.Fprintf(&sb, `<svg viewBox="0 0 %g %g" role="img" aria-label="roofline plot">`, plotWidth, height)
	for v := firstDecade(x0); v <= x1*1.001; v *= 10 {
		fmt.Fprintf(&sb, `<line class="grid" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/><text class="tick mid" x="%.1f" y="%g">%s</text>`,
			x.at(v), x.at(v), plotTop, height-plotBottom, x.at(v), height-plotBottom+16, decade(v))
	}
	for v := firstDecade(y0); v <= y1*1.001; v *= 10 {
		fmt.Fprintf(&sb, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="tick end" x="%g" y="%.1f">%s</text>`,
			plotLeft, plotWidth-plotRight, y.at(v), y.at(v), plotLeft-6, y.at(v)+4, decade(v))
	}
	labels := r.roofLines(&sb, x, y)
	fmt.Fprintf(&sb, `<text class="axis mid" x="%g" y="%g">operations per byte</text>`, (plotLeft+plotWidth-plotRight)/2, height-8)
	fmt.Fprintf(&sb, `<text class="axis mid" transform="translate(14 %g) rotate(-90)">GFLOP/s</text>`, (plotTop+height-plotBottom)/2)
	colours := r.colours()
	for _, p := range r.Sorted(true) { // small marks over large ones
		if p.Flops == 0 || p.Bytes == 0 || p.Us == 0 {
			continue
		}
		fmt.Fprintf(&sb, `<circle class="mark k%d" cx="%.1f" cy="%.1f" r="%.1f"><title>%s</title></circle>`, colours[p.Kernel],
			x.at(float64(p.Flops)/float64(p.Bytes)), y.at(p.GFLOPS), 2.5+28*math.Sqrt(p.Share/math.Pi), hint(&p))
	}
	sb.WriteString(labels + "</svg>")
	return template.HTML(sb.String()) // names are escaped in hint
}

// roofLines draws the slope of copying and the ceilings of computing, and returns their labels, which belong
// over all else.
func (r *Report) roofLines(sb *strings.Builder, x, y scale) string {
	var labels strings.Builder
	ceiling := func(class, name string, flops float64) {
		ridge := flops / r.Roofs.Copy
		left := max(x.from, ridge)
		fmt.Fprintf(sb, `<line class="roof %s" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, class, x.at(left), x.at(x.to), y.at(flops), y.at(flops))
		fmt.Fprintf(&labels, `<text class="label end" x="%.1f" y="%.1f">%s %s GFLOP/s</text>`, x.at(x.to)-4, y.at(flops)-6, name, number(flops))
	}
	top := r.Roofs.Float32
	ceiling("", "float32", r.Roofs.Float32)
	if r.Roofs.Float16 > 0 {
		ceiling("faint", "float16", r.Roofs.Float16)
		top = max(top, r.Roofs.Float16)
	}
	// The slope leaves the plot at the left or at the lower edge.
	from := max(x.from, y.from/r.Roofs.Copy)
	to := min(x.to, top/r.Roofs.Copy)
	if from >= to {
		return labels.String()
	}
	ax, ay, bx, by := x.at(from), y.at(from*r.Roofs.Copy), x.at(to), y.at(to*r.Roofs.Copy)
	fmt.Fprintf(sb, `<line class="roof" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, ax, bx, ay, by)
	angle := math.Atan2(by-ay, bx-ax) * 180 / math.Pi
	fmt.Fprintf(&labels, `<text class="label mid" transform="translate(%.1f %.1f) rotate(%.1f)" dy="-7">copy %s GB/s</text>`, ax+(bx-ax)*0.45, ay+(by-ay)*0.45, angle, number(r.Roofs.Copy))
	return labels.String()
}

// timeline draws a bar per launch in the network's order, and across it a line where its bound is.
func (r *Report) timeline() template.HTML {
	const height = timelineHeight
	top := 0.0
	for _, p := range r.Rows {
		top = max(top, p.Us)
	}
	if top == 0 {
		return ""
	}
	step := nice(top / 6)
	x := scale{0, float64(len(r.Rows)), plotLeft, plotWidth - plotRight, false}
	y := scale{0, math.Ceil(top/step) * step, height - timelineBottom, plotTop, false}
	var sb strings.Builder
	fmt.Fprintf(&sb, `<svg viewBox="0 0 %g %g" role="img" aria-label="time of every dispatch">`, plotWidth, height)
	for v := 0.0; v <= y.to*1.001; v += step {
		fmt.Fprintf(&sb, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="tick end" x="%g" y="%.1f">%s</text>`,
			plotLeft, plotWidth-plotRight, y.at(v), y.at(v), plotLeft-6, y.at(v)+4, number(v))
	}
	fmt.Fprintf(&sb, `<text class="axis mid" transform="translate(14 %g) rotate(-90)">µs</text>`, (plotTop+height-timelineBottom)/2)
	colours := r.colours()
	begin := 0
	for i := range r.Rows {
		p := &r.Rows[i]
		left, width := x.at(float64(i)), x.at(1)-x.at(0)
		fmt.Fprintf(&sb, `<g><title>%s</title><rect class="bar k%d" x="%.2f" width="%.2f" y="%.1f" height="%.1f"/>`, hint(p), colours[p.Kernel],
			left+width*0.08, width*0.84, y.at(p.Us), max(y.at(0)-y.at(p.Us), 0.5))
		fmt.Fprintf(&sb, `<line class="bound" x1="%.2f" x2="%.2f" y1="%.1f" y2="%.1f"/></g>`, left, left+width, y.at(p.Bound), y.at(p.Bound))
		if i+1 < len(r.Rows) && r.Rows[i+1].Stage == p.Stage {
			continue
		}
		r.stageMark(&sb, p.Stage, x.at(float64(begin)), x.at(float64(i+1)), height)
		begin = i + 1
	}
	sb.WriteString("</svg>")
	return template.HTML(sb.String())
}

// stageMark writes a stage's name under its bars, if there is room, and a line after them.
func (r *Report) stageMark(sb *strings.Builder, stage string, left, right, height float64) {
	fmt.Fprintf(sb, `<line class="grid" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/>`, right, right, plotTop, height-timelineBottom+8)
	short := strings.TrimPrefix(stage, "blocks.")
	if right-left < float64(7*len(short)+4) {
		return
	}
	if right-left > float64(7*len(stage)+4) {
		short = stage
	}
	fmt.Fprintf(sb, `<text class="tick mid" x="%.1f" y="%g">%s</text>`, (left+right)/2, height-timelineBottom+16, html.EscapeString(short))
}

// hint is the text that appears over a mark.
func hint(p *Row) string {
	return html.EscapeString(fmt.Sprintf("%d %s\n%s\n%s µs, %.1f %% of the time\n%s GFLOP/s, %s GB/s\n%s x over its bound (%s)",
		p.Index, p.Node, p.Kernel, number(p.Us), 100*p.Share, number(p.GFLOPS), number(p.GBs), number(p.Over), p.BoundBy))
}

// firstDecade is the least power of ten that is at least v.
func firstDecade(v float64) float64 { return math.Pow(10, math.Ceil(math.Log10(v*0.999))) }

func decade(v float64) string {
	e := math.Round(math.Log10(v))
	if e >= -3 && e <= 4 {
		return fmt.Sprintf("%g", math.Pow(10, e))
	}
	return fmt.Sprintf(`10<tspan dy="-4" font-size="8">%.0f</tspan>`, e)
}

// nice rounds a step up to 1, 2 or 5 times a power of ten.
func nice(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*p*1.0001 {
			return m * p
		}
	}
	return 10 * p
}
