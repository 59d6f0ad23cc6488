// Package results writes classification results: text for people, JSON, JSON lines, and CSV with the
// columns of timm's inference script.
package results

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/console"
)

// Row is what became of one picture.
type Row struct {
	Filename    string       `json:"filename"`
	Predictions []Prediction `json:"predictions,omitempty"`
	Error       string       `json:"error,omitempty"`
}

// Prediction is one class of a picture's ranking.
type Prediction struct {
	Index int     `json:"index"`
	Label string  `json:"label"`
	Prob  float32 `json:"prob"`
	Logit float32 `json:"logit"`
}

// From makes a row of a result of the classifier.
func From(filename string, r vkinfer.Result) Row {
	row := Row{Filename: filename}
	if r.Err != nil {
		row.Error = r.Err.Error()
		return row
	}
	row.Predictions = make([]Prediction, len(r.Predictions))
	for i, p := range r.Predictions {
		row.Predictions[i] = Prediction{p.Class, p.Label, float32(p.Probability), p.Logit}
		if f := p.Probability + float64(p.Logit); math.IsNaN(f) || math.IsInf(f, 0) {
			return Row{Filename: filename, Error: fmt.Sprintf("logit %d is %v, so nothing can be ranked; run verify with this checkpoint", p.Class, p.Logit)}
		}
	}
	return row
}

// Writer writes rows in one of the Formats. Close must be called to complete the output; it does not
// close the underlying writer.
type Writer interface {
	Write(Row) error
	Close() error
}

// Formats lists the names that New takes.
var Formats = []string{"text", "json", "jsonl", "csv"}

// New returns a Writer of that format. k is the number of predictions a row has.
func New(format string, w io.Writer, k int) Writer {
	switch format {
	case "json":
		return &jsonWriter{w: w}
	case "jsonl":
		return lines{encoder(w)}
	case "csv":
		return &csvWriter{w: csv.NewWriter(w), k: k}
	}
	return &text{w: w}
}

// Continue returns a Writer that goes on where rows, of one of the Resumable formats, have been written before.
func Continue(format string, w io.Writer, k int) Writer {
	if format == "csv" {
		return &csvWriter{w: csv.NewWriter(w), k: k, begun: true}
	}
	return New(format, w, k)
}

// text is a block per picture. Errors are not results: they have been told elsewhere.
type text struct{ w io.Writer }

func (t *text) Write(r Row) error {
	if r.Error != "" {
		return nil
	}
	b := []byte(console.Printable(r.Filename) + "\n")
	for _, p := range r.Predictions {
		b = fmt.Appendf(b, "  %6.2f %%  %4d  %s\n", 100*p.Prob, p.Index, console.Printable(p.Label))
	}
	_, err := t.w.Write(b)
	return err
}

func (*text) Close() error { return nil }

func encoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

type lines struct{ *json.Encoder }

func (l lines) Write(r Row) error { return l.Encode(r) }
func (lines) Close() error        { return nil }

// jsonWriter writes an array, an element per line.
type jsonWriter struct {
	w     io.Writer
	begun bool
}

func (j *jsonWriter) Write(r Row) error {
	if err := j.separate(",\n"); err != nil {
		return err
	}
	return encoder(trimmer{j.w}).Encode(r)
}

func (j *jsonWriter) separate(by string) error {
	if !j.begun {
		j.begun = true
		by = "[\n"
	}
	_, err := io.WriteString(j.w, by)
	return err
}

func (j *jsonWriter) Close() error {
	end := "\n]\n"
	if !j.begun {
		end = "[]\n"
	}
	_, err := io.WriteString(j.w, end)
	return err
}

// trimmer drops the newline at the end of what is written in one piece.
type trimmer struct{ w io.Writer }

func (t trimmer) Write(b []byte) (int, error) {
	n := len(b)
	if n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	_, err := t.w.Write(b)
	return n, err
}

// csvWriter writes the columns filename, index, label and prob, the last three numbered from 0 when there
// are several predictions, and error.
type csvWriter struct {
	w     *csv.Writer
	k     int
	begun bool
}

func (c *csvWriter) header() error {
	if c.begun {
		return nil
	}
	c.begun = true
	head := []string{"filename"}
	for _, name := range []string{"index", "label", "prob"} {
		for i := range c.k {
			if c.k > 1 {
				head = append(head, name+"_"+strconv.Itoa(i))
			} else {
				head = append(head, name)
			}
		}
	}
	return c.w.Write(append(head, "error"))
}

func (c *csvWriter) Write(r Row) error {
	if err := c.header(); err != nil {
		return err
	}
	row := make([]string, 2+3*c.k)
	row[0], row[len(row)-1] = r.Filename, r.Error
	for i, p := range r.Predictions {
		row[1+i] = strconv.Itoa(p.Index)
		row[1+c.k+i] = p.Label
		row[1+2*c.k+i] = strconv.FormatFloat(float64(p.Prob), 'g', -1, 32)
	}
	if err := c.w.Write(row); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

func (c *csvWriter) Close() error {
	if err := c.header(); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}
