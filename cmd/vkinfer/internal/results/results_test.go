package results_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/results"
)

// rows are two pictures with an unreadable one between them, whose names and labels need quoting somewhere.
func rows() []results.Row {
	good := vkinfer.Result{Predictions: []vkinfer.Prediction{
		{Class: 7, Label: `cat, "big"`, Probability: 0.75, Logit: 3.5}, {Class: 12, Label: "<dog>", Probability: 1.0 / 3, Logit: -1e-9}}}
	return []results.Row{
		results.From("a b.png", good),
		results.From("bad\n.png", vkinfer.Result{Err: errors.New("damaged, \"quoted\"")}),
		results.From("c.png", good),
	}
}

func write(t *testing.T, format string, k int, rows []results.Row) string {
	t.Helper()
	var sb strings.Builder
	w := results.New(format, &sb, k)
	for _, r := range rows {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return sb.String()
}

func TestForms(t *testing.T) {
	for format, want := range map[string]string{
		"text": "a b.png\n   75.00 %     7  cat, \"big\"\n   33.33 %    12  <dog>\nc.png\n   75.00 %     7  cat, \"big\"\n   33.33 %    12  <dog>\n",
		"csv": "filename,index_0,index_1,label_0,label_1,prob_0,prob_1,error\n" +
			"a b.png,7,12,\"cat, \"\"big\"\"\",<dog>,0.75,0.33333334,\n" +
			"\"bad\n.png\",,,,,,,\"damaged, \"\"quoted\"\"\"\n" +
			"c.png,7,12,\"cat, \"\"big\"\"\",<dog>,0.75,0.33333334,\n",
		"jsonl": `{"filename":"a b.png","predictions":[{"index":7,"label":"cat, \"big\"","prob":0.75,"logit":3.5},{"index":12,"label":"<dog>","prob":0.33333334,"logit":-1e-9}]}` + "\n" +
			`{"filename":"bad\n.png","error":"damaged, \"quoted\""}` + "\n" +
			`{"filename":"c.png","predictions":[{"index":7,"label":"cat, \"big\"","prob":0.75,"logit":3.5},{"index":12,"label":"<dog>","prob":0.33333334,"logit":-1e-9}]}` + "\n",
	} {
		if got := write(t, format, 2, rows()); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", format, got, want)
		}
	}
	for n := range 4 {
		var back []results.Row
		text := write(t, "json", 2, rows()[:n])
		if err := json.Unmarshal([]byte(text), &back); err != nil || len(back) != n {
			t.Errorf("json of %d rows: %d rows, %v:\n%s", n, len(back), err, text)
		}
	}
	if got, want := write(t, "csv", 1, nil), "filename,index,label,prob,error\n"; got != want {
		t.Errorf("csv of nothing: %q, want %q", got, want)
	}
	for _, format := range results.Formats {
		if write(t, format, 2, rows()) == "" {
			t.Errorf("%s: nothing", format)
		}
	}
}

// TestTextIsHarmless: a name cannot send a terminal commands.
func TestTextIsHarmless(t *testing.T) {
	r := rows()[0]
	r.Filename, r.Predictions[0].Label = "\x1b[2J.png", "\x1b]0;x\a"
	if got := write(t, "text", 2, []results.Row{r}); strings.ContainsAny(got, "\x1b\a") {
		t.Errorf("%q", got)
	}
}

// TestNotFinite: what JSON cannot say is an error of the picture.
func TestNotFinite(t *testing.T) {
	for _, p := range []vkinfer.Prediction{{Logit: float32(math.Inf(1)), Probability: 1}, {Probability: math.NaN()}} {
		r := results.From("x", vkinfer.Result{Predictions: []vkinfer.Prediction{p}})
		if r.Error == "" || r.Predictions != nil {
			t.Errorf("%+v makes %+v, want an error", p, r)
		}
		write(t, "json", 1, []results.Row{r})
	}
}

// failing refuses everything after n bytes.
type failing struct{ n int }

func (f *failing) Write(b []byte) (int, error) {
	if f.n -= len(b); f.n < 0 {
		return 0, errors.New("full")
	}
	return len(b), nil
}

func TestWriteErrors(t *testing.T) {
	for _, format := range results.Formats {
		size := len(write(t, format, 2, rows()))
		for n := range size {
			w := results.New(format, &failing{n}, 2)
			var err error
			for _, r := range rows() {
				if e := w.Write(r); e != nil {
					err = e
				}
			}
			if e := w.Close(); e != nil {
				err = e
			}
			if err == nil {
				t.Fatalf("%s: no error though only %d of %d bytes could be written", format, n, size)
			}
		}
	}
}
