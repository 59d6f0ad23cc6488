package main

import (
	"archive/zip"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/results"
	"github.com/vkinfer/vkinfer/weights"
)

// prepared FILE.npy SIZE PICTURE... puts what vkinfer preprocess --uint8 makes of each picture into one array, uint8 [N,SIZE,SIZE,3].
func prepared(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: prepared file size pictures")
	}
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	var all []byte
	for _, picture := range args[2:] {
		one := ts.MkAbs("one.npy")
		ts.Check(ts.Exec("vkinfer", "preprocess", "efficientnet_b1_pruned", "--img-size", args[1], "--uint8", picture, "-o", one))
		t, err := weights.ReadNPY(one)
		ts.Check(err)
		all = append(all, t.Data...)
	}
	ts.Check(weights.WriteNPY(ts.MkAbs(args[0]), weights.FromUint8s([]int{len(args) - 2, size, size, 3}, all)))
}

// samerows A B N wants N rows in each of two files of JSON lines, the same but for the names of the pictures.
func sameRows(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: samerows a b n")
	}
	var all [2][]results.Row
	for i := range all {
		for line := range strings.Lines(ts.ReadFile(args[i])) {
			var r results.Row
			ts.Check(json.Unmarshal([]byte(line), &r))
			r.Filename = ""
			all[i] = append(all[i], r)
		}
		if strconv.Itoa(len(all[i])) != args[2] {
			ts.Fatalf("%s has %d rows, want %s", args[i], len(all[i]), args[2])
		}
	}
	for i, r := range all[0] {
		if !reflect.DeepEqual(r, all[1][i]) {
			ts.Fatalf("row %d of %s is %+v, of %s %+v", i, filepath.Base(args[0]), r, filepath.Base(args[1]), all[1][i])
		}
	}
}

// zipped FILE.zip DIR puts a folder into an archive.
func zipped(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: zipped file dir")
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	w := zip.NewWriter(f)
	ts.Check(w.AddFS(os.DirFS(ts.MkAbs(args[1]))))
	ts.Check(w.Close())
}
