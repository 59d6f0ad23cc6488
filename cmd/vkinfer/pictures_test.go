package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/results"
	"github.com/vkinfer/vkinfer/tests/oracle"
)

// TestPictures classifies the photographs and awkward files of the oracle data with its real checkpoint, on
// the device if there is one, and compares the ranking with PyTorch's.
func TestPictures(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short: a minute on a CPU")
	}
	dir := oracle.Dir(t)
	var index struct {
		Pictures map[string]struct {
			Models map[string]struct{ Top5 []int }
			Error  string `json:"pil_error"`
		}
	}
	oracle.JSON(t, "pictures/index.json", &index)
	where := "cpu"
	if ok, _ := device(); ok {
		where = "vulkan"
	}
	cmd := exec.Command("vkinfer", "classify", "efficientnet_b1_pruned", "--device", where, "--checkpoint",
		filepath.Join(dir, "checkpoints", "efficientnet_b1_pruned.pth"), "-o", "json", filepath.Join(dir, "pictures"))
	out, err := cmd.Output()
	if err == nil || cmd.ProcessState.ExitCode() != exitPart {
		t.Fatalf("exit status %d, %v; want 1: some of the pictures are bad", cmd.ProcessState.ExitCode(), err)
	}
	var rows []results.Row
	if err := json.Unmarshal(out, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(index.Pictures) {
		t.Errorf("%d rows for %d pictures", len(rows), len(index.Pictures))
	}
	for _, r := range rows {
		want := index.Pictures[filepath.Base(r.Filename)]
		if (r.Error != "") != (want.Error != "") {
			t.Errorf("%s: error %q; PIL's was %q", r.Filename, r.Error, want.Error)
			continue
		}
		var got []int
		for _, p := range r.Predictions {
			got = append(got, p.Index)
		}
		if !slices.Equal(got, want.Models["b1"].Top5) {
			t.Errorf("%s: classes %v, want %v", r.Filename, got, want.Models["b1"].Top5)
		}
	}
}
