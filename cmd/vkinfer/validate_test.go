package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/accuracy"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// TestSheet writes the page of disagreements, to $VKINFER_SHEET if that is set, so that one can look at it.
func TestSheet(t *testing.T) {
	dir := t.TempDir()
	if err := writePictures(dir); err != nil {
		t.Fatal(err)
	}
	spec, err := models.Lookup("efficientnet_b1_pruned")
	if err != nil {
		t.Fatal(err)
	}
	cl, err := vkinfer.Open(spec.Name, vkinfer.Options{Checkpoint: madeUpWeights(t), Device: "cpu", ImgSize: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	v := &validator{app: &app{}, spec: spec, sheet: filepath.Join(dir, "sheet.html"), precisions: []string{"float32", "amp"}}
	if to := os.Getenv("VKINFER_SHEET"); to != "" {
		v.sheet = to
	}
	v.outcome.meters = []accuracy.Meter{{Images: 100}, {Images: 100}}
	for _, name := range []string{"a.png", "b.jpg", "broken.jpg", "<b>.png"} {
		v.outcome.differ = append(v.outcome.differ, disagreement{Filename: filepath.Join(dir, name), Targets: []int{281, 282},
			Answers: []answer{{"float32", 281, cl.Label(281), 0.31, 0.0004}, {"amp", 285, cl.Label(285), 0.3098, 0.0011}}})
	}
	if err := v.writeSheet(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(v.sheet)
	if err != nil {
		t.Fatal(err)
	}
	for text, n := range map[string]int{"data:image/png;base64,": 2, `<tr class="right">`: 4, `<p class="e">`: 2, "&lt;b&gt;.png": 1, "<b>.png": 0, "ZgotmplZ": 0, "0.0004": 4} {
		if got := bytes.Count(page, []byte(text)); got != n {
			t.Errorf("%d times %q in the page, want %d", got, text, n)
		}
	}
	if os.Getenv("VKINFER_SHEET") != "" {
		return
	}
	for range maxShown {
		v.outcome.differ = append(v.outcome.differ, disagreement{Filename: "missing.png", Targets: []int{1}})
	}
	if err := v.writeSheet(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	if page, _ := os.ReadFile(v.sheet); !strings.Contains(string(page), "4 more are not shown") {
		t.Error("the page does not say how many it leaves out")
	}
}
