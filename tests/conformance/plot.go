package conformance

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// point is an error as a part of its bound.
type point struct {
	group string // points of a group lie side by side under its name
	label string
	ratio float64
	mark  string // "circle", "square" or "diamond"
}

// Sizes of a plot, in SVG units.
const (
	plotWidth, plotHeight    = 960.0, 300.0
	plotLeft, plotTop        = 56.0, 12.0
	plotRight, plotBottom    = 8.0, 44.0
	plotLowest, plotHighest  = -7.0, 1.0 // decades of the ratio
	plotMinimum, plotMaximum = 1e-7, 10.0
)

// plot draws errors over their bounds on a logarithmic scale as an SVG element: black on white, told apart by
// shape, so that it prints. Errors of zero lie on the lower edge, those that are no numbers on the upper one.
func plot(points []point) template.HTML {
	if len(points) == 0 {
		return ""
	}
	y := func(ratio float64) float64 {
		switch {
		case math.IsNaN(ratio):
			ratio = plotMaximum
		default:
			ratio = max(plotMinimum, min(plotMaximum, ratio))
		}
		return plotTop + (plotHighest-math.Log10(ratio))/(plotHighest-plotLowest)*(plotHeight-plotTop-plotBottom)
	}
	step := (plotWidth - plotLeft - plotRight) / float64(len(points))
	var sb strings.Builder
	fmt.Fprintf(&sb, `<svg viewBox="0 0 %g %g" role="img" aria-label="errors as parts of their bounds">`, plotWidth, plotHeight)
	for d := plotLowest; d <= plotHighest; d++ {
		at := y(math.Pow(10, d))
		fmt.Fprintf(&sb, `<line x1="%g" x2="%g" y1="%.1f" y2="%.1f" class="grid"/><text x="%g" y="%.1f" class="tick">%s</text>`,
			plotLeft, plotWidth-plotRight, at, at, plotLeft-6, at+4, decade(d))
	}
	fmt.Fprintf(&sb, `<line x1="%g" x2="%g" y1="%.1f" y2="%.1f" class="bound"/>`, plotLeft, plotWidth-plotRight, y(1), y(1))
	start := 0
	for i, p := range points {
		x := plotLeft + (float64(i)+0.5)*step
		drawPoint(&sb, p, x, y(p.ratio))
		if i+1 == len(points) || points[i+1].group != p.group {
			end := plotLeft + float64(i+1)*step
			begin := plotLeft + float64(start)*step
			fmt.Fprintf(&sb, `<line x1="%.1f" x2="%.1f" y1="%g" y2="%g" class="grid"/>`, end, end, plotTop, plotHeight-plotBottom)
			if end-begin > 14 {
				fmt.Fprintf(&sb, `<text transform="translate(%.1f %g) rotate(%d)" class="group">%s</text>`, (begin+end)/2, plotHeight-plotBottom+14,
					map[bool]int{true: 0, false: 12}[end-begin > 90], html.EscapeString(p.group))
			}
			start = i + 1
		}
	}
	sb.WriteString("</svg>")
	return template.HTML(sb.String()) // labels are escaped above
}

func decade(d float64) string {
	switch d {
	case 0:
		return "bound"
	case 1:
		return "10"
	}
	return fmt.Sprintf("10<tspan dy=\"-4\" font-size=\"8\">%.0f</tspan>", d)
}

func drawPoint(sb *strings.Builder, p point, x, y float64) {
	class := "ok"
	if !(p.ratio <= 1) {
		class = "bad"
	}
	title := fmt.Sprintf("<title>%s: %.2g of its bound</title>", html.EscapeString(p.label), p.ratio)
	switch p.mark {
	case "square":
		fmt.Fprintf(sb, `<rect x="%.1f" y="%.1f" width="4.4" height="4.4" class="%s">%s</rect>`, x-2.2, y-2.2, class, title)
	case "diamond":
		fmt.Fprintf(sb, `<path d="M%.1f %.1fl3.2 3.2l-3.2 3.2l-3.2-3.2z" class="%s">%s</path>`, x, y-3.2, class, title)
	default:
		fmt.Fprintf(sb, `<circle cx="%.1f" cy="%.1f" r="2.2" class="%s">%s</circle>`, x, y, class, title)
	}
}
