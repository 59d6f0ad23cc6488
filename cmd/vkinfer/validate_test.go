package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/accuracy"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/results"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/weights"
)

// torn FILE SIZE PICTURE makes weights of three classes with which float32 and amp disagree about a picture: with the
// mean of both precisions' logits taken off the biases, one's logits are the other's with the other sign.
func torn(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: torn file size picture")
	}
	file, model := ts.MkAbs(args[0]), "efficientnet_b1_pruned"
	ts.Check(ts.Exec("vkinfer", "synth", model, "--classes", "3", "-o", file))
	var mean [3]float64
	for _, precision := range []string{"float32", "amp"} {
		ts.Check(ts.Exec("vkinfer", "classify", model, "--checkpoint", file, "--img-size", args[1], "--precision", precision, "-o", "json", args[2]))
		var rows []results.Row
		ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &rows))
		for _, p := range rows[0].Predictions {
			mean[p.Index] += float64(p.Logit) / 2
		}
	}
	sd, err := weights.Open(file)
	ts.Check(err)
	bias := sd.Get("classifier.bias").Float32s()
	for i := range bias {
		bias[i] -= float32(mean[i])
	}
	sd.Set("classifier.bias", weights.FromFloat32s([]int{3}, bias))
	ts.Check(weights.WriteSafetensors(file, sd, nil))
}

// sheetSetup returns a folder of pictures and a small network on the CPU.
func sheetSetup(t *testing.T) (string, *models.Spec, *vkinfer.Classifier) {
	t.Helper()
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
	t.Cleanup(func() { cl.Close() })
	return dir, spec, cl
}

// TestSheet writes the page of disagreements, to $VKINFER_SHEET if that is set, so that one can look at it.
func TestSheet(t *testing.T) {
	dir, spec, cl := sheetSetup(t)
	v := &validator{app: &app{}, spec: spec, dirs: []string{dir}, sheet: filepath.Join(dir, "sheet.html"), precisions: []string{"float32", "amp"}}
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

// TestSheetArchives wants pictures on the page that lie in archives, each what has its number there, whatever its name.
func TestSheetArchives(t *testing.T) {
	dir, spec, cl := sheetSetup(t)
	var uri []string // of a.png and b.jpg
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := os.WriteFile(filepath.Join(dir, "x.cls"), []byte("1"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, m := range [][2]string{{"c/x.png", "a.png"}, {"c/x.cls", "x.cls"}, {"c/x.png", "b.jpg"}, {"c/y.jpg", "broken.jpg"}, {"c/z.jpg", "b.jpg"}} {
		data, err := os.ReadFile(filepath.Join(dir, m[1]))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteHeader(&tar.Header{Name: m[0], Size: int64(len(data)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		w.Write(data)
		if made, err := thumbnail(cl.Transform(), data); err == nil {
			uri = append(uri, made)
		}
	}
	w.Close()
	v := &validator{app: &app{}, spec: spec, sheet: filepath.Join(dir, "sheet.html"), precisions: []string{"float32", "amp"}}
	v.outcome.meters = make([]accuracy.Meter, 2)
	for i, name := range []string{"s.tar", "s.tar.gz", "s.tar"} {
		path, data := filepath.Join(dir, name), b.Bytes()
		if strings.HasSuffix(name, ".gz") {
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			z.Write(data)
			z.Close()
			data = packed.Bytes()
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		v.dirs = append(v.dirs, path)
		v.outcome.differ = append(v.outcome.differ, disagreement{Filename: path + "/c/x.png", target: target{source: i, at: 1}})
	}
	add := func(name string, source, at int) {
		v.outcome.differ = append(v.outcome.differ, disagreement{Filename: v.dirs[source] + name, target: target{source: source, at: at}})
	}
	add("/c/x.png", 0, 0)
	add("/c/y.jpg", 0, 2)
	add("/c/y.jpg", 0, 3) // has another name now
	add("/c/more.jpg", 1, 9)
	if err := v.writeSheet(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(v.sheet)
	if err != nil {
		t.Fatal(err)
	}
	text := html.UnescapeString(string(page))
	for want, n := range map[string]int{uri[0]: 1, uri[1]: 3, "data:image/png;base64,": 4, `<p class="e">`: 3, "the picture has changed": 2} {
		if got := strings.Count(text, want); got != n {
			t.Errorf("%d times %.60q in the page, want %d", got, want, n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.writeSheet(ctx, cl); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}
