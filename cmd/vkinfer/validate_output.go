package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/png"
	"io"
	"strconv"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/console"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/pictures"
	"github.com/vkinfer/vkinfer/internal/atomicfile"
	"github.com/vkinfer/vkinfer/netplan/preprocess"
)

// validateResult is what timm's validate script prints and puts in its table, under its names and rounded as it does, and
// a few more.
type validateResult struct {
	Model         string  `json:"model"`
	Top1          float64 `json:"top1"`
	Top1Err       float64 `json:"top1_err"`
	Top5          float64 `json:"top5"`
	Top5Err       float64 `json:"top5_err"`
	ParamCount    float64 `json:"param_count"` // millions
	ImgSize       int     `json:"img_size"`
	CropPct       float64 `json:"crop_pct"`
	Interpolation string  `json:"interpolation"`

	Decode    string `json:"decode"` // exact, or fast
	Precision string `json:"precision"`
	Labels    string `json:"labels"` // folders, real, or members of archives
	Images    int    `json:"images"` // those counted
	Failed    int    `json:"failed"`
	Device    string `json:"device"`
}

var validateColumns = []string{"model", "top1", "top1_err", "top5", "top5_err", "param_count", "img_size", "crop_pct", "interpolation", "decode", "precision", "labels", "images", "failed", "device"}

func (r *validateResult) row() []string {
	f := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	return []string{r.Model, f(r.Top1), f(r.Top1Err), f(r.Top5), f(r.Top5Err), f(r.ParamCount), strconv.Itoa(r.ImgSize), f(r.CropPct), r.Interpolation,
		r.Decode, r.Precision, r.Labels, strconv.Itoa(r.Images), strconv.Itoa(r.Failed), r.Device}
}

// report writes the results and says how it went.
func (v *validator) report(ctx context.Context, cl *vkinfer.Classifier) error {
	o := &v.outcome
	var list []validateResult
	for i, m := range o.meters {
		r := validateResult{Model: v.spec.Name, Top1: round(m.Acc1(), 4), Top1Err: round(100-m.Acc1(), 4), Top5: round(m.Acc5(), 4), Top5Err: round(100-m.Acc5(), 4),
			ParamCount: round(float64(v.spec.NumParams())/1e6, 2), ImgSize: cl.InputShape().H, CropPct: cl.Transform().CropPct, Interpolation: "bicubic",
			Decode: decoding(v.fast), Precision: v.precisions[i], Labels: "folders", Images: m.Images, Failed: o.failed, Device: cl.Device().Name}
		if v.real != nil {
			r.Labels = "real"
		}
		if v.labelled {
			r.Labels = "members"
		}
		list = append(list, r)
	}
	if o.meters[0].Images == 0 {
		return partf("none of %d pictures could be counted (%d failed, %d have no label)", v.total, o.failed, o.left)
	}
	if err := v.print(list); err != nil {
		return err
	}
	if v.resultsFile != "" {
		if err := atomicfile.Write(v.resultsFile, 0o666, func(w io.Writer) error { return writeTable(w, list) }); err != nil {
			return err
		}
	}
	if v.sheet != "" {
		if err := v.writeSheet(ctx, cl); err != nil {
			return err
		}
	}
	for _, r := range list {
		if r.Top1 < float64(v.minTop1) {
			return &failure{exitCheck, fmt.Errorf("%s: Acc@1 is %.3f, want at least %v (--min-top1)", r.Precision, r.Top1, float64(v.minTop1))}
		}
	}
	if o.failed > 0 {
		return partf("%d of %d pictures failed and were left out", o.failed, v.total)
	}
	return nil
}

// maxListed is how many pictures that differ the text names.
const maxListed = 20

// print writes the results to standard output.
func (v *validator) print(list []validateResult) error {
	var b bytes.Buffer
	switch v.format {
	case "csv":
		if err := writeTable(&b, list); err != nil {
			return err
		}
	case "json":
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(struct {
			Results      []validateResult `json:"results"`
			Unlabelled   int              `json:"unlabelled"`
			Seconds      float64          `json:"seconds"`
			Disagreement []disagreement   `json:"disagreements"`
		}{list, v.outcome.left, round(v.outcome.seconds, 3), append([]disagreement{}, v.outcome.differ...)}); err != nil {
			return err
		}
	default:
		v.text(&b, list)
	}
	_, err := v.out.Write(b.Bytes())
	return err
}

func (v *validator) text(w io.Writer, list []validateResult) {
	for _, r := range list {
		name := ""
		if len(list) > 1 {
			name = r.Precision + " "
		}
		fmt.Fprintf(w, " * %sAcc@1 %.3f (%.3f) Acc@5 %.3f (%.3f)\n", name, r.Top1, r.Top1Err, r.Top5, r.Top5Err)
	}
	fmt.Fprintf(w, "   %d images, %.1f img/s on %s\n", list[0].Images, float64(v.total)/v.outcome.seconds, list[0].Device)
	if v.outcome.left > 0 {
		fmt.Fprintf(w, "   %d more have no ReaL label and are not counted\n", v.outcome.left)
	}
	if len(list) > 1 {
		fmt.Fprintf(w, "   %d pictures have another best class in another precision\n", len(v.outcome.differ))
	}
	for i, d := range v.outcome.differ {
		if i == maxListed {
			fmt.Fprintf(w, "     ... and %d more (-o json, --sheet)\n", len(v.outcome.differ)-i)
			break
		}
		fmt.Fprintf(w, "     %s (%s)\n", console.Printable(d.Filename), indices(d.Targets))
		for _, a := range d.Answers {
			fmt.Fprintf(w, "       %-8s %4d  %6.2f %%, %.2g before the second  %s\n", a.Precision, a.Index, 100*a.Prob, a.Margin, console.Printable(a.Label))
		}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	fmt.Fprintln(w, "--result")
	if len(list) == 1 {
		e.Encode(list[0])
	} else {
		e.Encode(list)
	}
}

func indices(list []int) string {
	s := ""
	for i, c := range list {
		if i > 0 {
			s += " "
		}
		s += strconv.Itoa(c)
	}
	return s
}

func writeTable(w io.Writer, list []validateResult) error {
	c := csv.NewWriter(w)
	c.Write(validateColumns)
	for _, r := range list {
		c.Write(r.row())
	}
	c.Flush()
	return c.Error()
}

// maxShown is how many pictures a sheet shows.
const maxShown = 500

// sheetPicture is a row of the sheet.
type sheetPicture struct {
	disagreement
	Names []string     // of the right classes
	Data  template.URL // the picture as the network sees it
	Error string
}

// writeSheet writes a page with the pictures whose best class differs.
func (v *validator) writeSheet(ctx context.Context, cl *vkinfer.Classifier) error {
	page := struct {
		Model, Device  string
		Images, Differ int
		Pictures       []sheetPicture
		LeftOut, Size  int
	}{Model: v.spec.Name, Device: cl.Device().Name, Images: v.outcome.meters[0].Images, Differ: len(v.outcome.differ), Size: cl.InputShape().H}
	shown := v.outcome.differ[:min(len(v.outcome.differ), maxShown)]
	page.LeftOut = len(v.outcome.differ) - len(shown)
	page.Pictures = make([]sheetPicture, len(shown))
	members := make([]map[int]*sheetPicture, len(v.dirs)) // of archives, by their number there
	for i, d := range shown {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := &page.Pictures[i]
		p.disagreement = d
		for _, c := range d.Targets {
			p.Names = append(p.Names, cl.Label(c))
		}
		if from := d.target; pictures.IsArchive(v.dirs[from.source]) {
			if members[from.source] == nil {
				members[from.source] = map[int]*sheetPicture{}
			}
			members[from.source][from.at] = p
			continue
		}
		p.show(cl.Transform(), func() ([]byte, error) { return pictures.Read(d.Filename, maxPicture) })
	}
	for i, wanted := range members {
		if wanted == nil {
			continue
		}
		if err := showMembers(ctx, cl.Transform(), v.dirs[i], wanted); err != nil {
			return err
		}
	}
	return atomicfile.Write(v.sheet, 0o666, func(w io.Writer) error { return sheetTemplate.Execute(w, page) })
}

// showMembers reads an archive again and puts the wanted of its pictures, by their numbers, into the page. It holds one
// at a time.
func showMembers(ctx context.Context, tr preprocess.Transform, archive string, wanted map[int]*sheetPicture) error {
	within, cancel := context.WithCancel(ctx)
	defer cancel() // of the list, once the last one was seen
	at := -1
	for it := range list(within, archive) {
		at++
		p := wanted[at]
		switch {
		case p == nil:
			it.Drop()
			continue
		case it.Path != p.Filename:
			it.Drop()
			p.Error = errChanged.Error()
		case it.Err != nil:
			p.Error = it.Err.Error()
		case it.Read == nil: // a folder with an archive's name
			p.show(tr, func() ([]byte, error) { return pictures.Read(it.Path, maxPicture) })
		default:
			p.show(tr, it.Read)
		}
		if delete(wanted, at); len(wanted) == 0 {
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, p := range wanted {
		p.Error = errChanged.Error()
	}
	return nil
}

// errChanged is what the sheet says of a picture that is not what it was.
var errChanged = errors.New("the picture has changed")

// show reads a picture and puts it into the page as the network sees it, or says what is wrong with it.
func (p *sheetPicture) show(tr preprocess.Transform, read func() ([]byte, error)) {
	data, err := read()
	uri := ""
	if err == nil {
		uri, err = thumbnail(tr, data)
	}
	if err != nil {
		p.Error = plain(err).Error()
	}
	p.Data = template.URL(uri)
}

// thumbnail returns a picture after the transform as a data URI.
func thumbnail(tr preprocess.Transform, data []byte) (string, error) {
	u8, err := tr.Picture(data, preprocess.Limits{})
	if err != nil {
		return "", err
	}
	if len(u8) != tr.Size*tr.Size*3 {
		return "", errChanged
	}
	img := image.NewNRGBA(image.Rect(0, 0, tr.Size, tr.Size))
	for i := range tr.Size * tr.Size {
		copy(img.Pix[4*i:], u8[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return "", err
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()), nil
}

var sheetTemplate = template.Must(template.New("sheet").Funcs(template.FuncMap{
	"percent": func(p float32) string { return fmt.Sprintf("%.2f %%", 100*p) },
	"digits":  func(p float32) string { return fmt.Sprintf("%.2g", p) },
}).Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Model}}: pictures whose best class differs between precisions</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color: #222; background: #fff }
figure { display: flex; gap: 1.2em; margin: 0 0 1.2em; padding-bottom: 1.2em; border-bottom: 1px solid #ddd; break-inside: avoid }
img, p.e { width: 180px; flex: none; margin: 0 } img { height: 180px } figcaption { min-width: 0 } b, p.e { overflow-wrap: anywhere }
table { border-collapse: collapse; margin-top: .5em } td, th { padding: .15em .9em .15em 0; text-align: left; vertical-align: top } td.n, th.n { text-align: right } td.n { font-variant-numeric: tabular-nums }
.right { color: #06691e; font-weight: 600 } p.e { color: #a00 }
</style></head><body>
<h1>{{.Model}}: where precisions differ</h1>
<p>{{.Differ}} of {{.Images}} pictures have another best class in another precision, on {{.Device}}. They are shown as the network sees them,
{{.Size}} × {{.Size}} pixels. The margin is the best logit's distance to the second.</p>
{{range .Pictures}}{{$right := .Targets}}<figure>{{if .Error}}<p class="e">{{.Error}}</p>{{else}}<img src="{{.Data}}" alt="">{{end}}
<figcaption><b>{{.Filename}}</b><br>right: {{range $i, $n := .Names}}{{if $i}}; {{end}}{{index $right $i}} {{$n}}{{end}}
<table><tr><th>precision</th><th>best class</th><th class="n">probability</th><th class="n">margin</th></tr>
{{range .Answers}}{{$a := .}}<tr{{range $right}}{{if eq . $a.Index}} class="right"{{end}}{{end}}><td>{{.Precision}}</td><td>{{.Index}} {{.Label}}</td><td class="n">{{percent .Prob}}</td><td class="n">{{digits .Margin}}</td></tr>
{{end}}</table></figcaption></figure>
{{end}}{{if .LeftOut}}<p>{{.LeftOut}} more are not shown.</p>{{end}}
</body></html>
`))
