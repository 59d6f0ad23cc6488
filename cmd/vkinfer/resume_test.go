package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/pictures"

	"github.com/vkinfer/vkinfer"
	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/results"
)

// TestShardDrops: pictures of other shards are let go, as an archive reads no further while too many of its are held.
func TestShardDrops(t *testing.T) {
	read := make([]int, 10)
	all := func(yield func(pictures.Item) bool) {
		for i := range read {
			if !yield(pictures.Item{Path: fmt.Sprint(i), Read: func() ([]byte, error) { read[i]++; return nil, nil }}) {
				return
			}
		}
	}
	var got []string
	s := shard{1, 3}
	for it := range s.of(all) {
		got = append(got, it.Path)
	}
	for n := range 20 {
		for i := range 3 {
			part := 0
			for at := range n {
				if at%3 == i {
					part++
				}
			}
			if got := (shard{i, 3}).size(n); got != part {
				t.Errorf("shard %d/3 of %d has %d, want %d", i, n, got, part)
			}
		}
	}
	if fmt.Sprint(got) != "[1 4 7]" || fmt.Sprint(read) != "[1 0 1 1 0 1 1 0 1 1]" {
		t.Errorf("%v, dropped %v", got, read)
	}
}

// TestKilled kills a run at ten moments and resumes it each time: at the end the file is that of a run in peace.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	if err := writePictures(dir); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, "a.png"))
	if err != nil {
		t.Fatal(err)
	}
	n := 150
	if testing.Short() {
		n = 40
	}
	many := filepath.Join(dir, "many")
	os.Mkdir(many, 0o777)
	for i := range n {
		data := bytes.Clone(good)
		if i%9 == 4 {
			data = data[:100]
		}
		if err := os.WriteFile(filepath.Join(many, fmt.Sprintf("%04d.png", i)), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	command := func(file string, more ...string) *exec.Cmd {
		args := append([]string{"classify", "efficientnet_b1_pruned", "--checkpoint", madeUpWeights(t), "--device", "cpu", "--img-size", "32",
			"-q", "--results-file", file, many}, more...)
		return exec.Command("vkinfer", args...)
	}
	for _, ext := range []string{"csv", "jsonl"} {
		peace := filepath.Join(dir, "peace."+ext)
		start := time.Now()
		cmd := command(peace)
		if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != exitPart {
			t.Fatalf("%v, want status %d: %s", err, exitPart, out)
		}
		took := time.Since(start)
		want, err := os.ReadFile(peace)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "killed."+ext)
		rng := rand.New(rand.NewPCG(7, uint64(len(ext))))
		killed, rows := 0, 0
		for tries := 0; killed < 10 && tries < 50; tries++ {
			cmd := command(file, "--resume")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Duration(rng.Int64N(int64(took/5)))+took/50, func() { cmd.Process.Kill() })
			cmd.Wait()
			if _, err := os.Stat(file); err == nil {
				os.Remove(file) // it was faster: once more
				continue
			}
			killed++
			part, _ := os.ReadFile(file + ".part")
			rows = bytes.Count(part, []byte("\n"))
		}
		t.Logf("%s: killed %d times, the last time after %d lines of %d", ext, killed, rows, bytes.Count(want, []byte("\n")))
		if killed < 10 {
			t.Errorf("killed only %d times, want 10", killed)
		}
		command(file, "--resume").Run()
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: after %d kills the file differs from that of a run in peace (%d and %d bytes, %v)", ext, killed, len(got), len(want), err)
		}
	}
	// Pictures that are not those of the interrupted run.
	file := filepath.Join(dir, "other.jsonl")
	cmd := command(file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if info, err := os.Stat(file + ".part"); err == nil && info.Size() > 3000 {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if err := os.Remove(filepath.Join(many, "0001.png")); err != nil {
		t.Fatal(err)
	}
	out, _ := command(file, "--resume").CombinedOutput()
	if !bytes.Contains(out, []byte(`0001.png", and the pictures given have`)) {
		t.Errorf("other pictures: %s", out)
	}
}

// TestResumeDecodedOtherwise: rows of pictures that were decoded exactly are not continued with --fast-decode.
func TestResumeDecodedOtherwise(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.jsonl")
	open := func(fast bool) (*results.File, error) {
		cl, err := vkinfer.Open("efficientnet_b1_pruned", vkinfer.Options{Checkpoint: madeUpWeights(t), Device: "cpu", ImgSize: 32, FastDecode: fast})
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		return results.OpenFile(path, "jsonl", 1, (&classifier{topK: 1}).settings([]*vkinfer.Classifier{cl}), true)
	}
	for i := range 2 { // the second time it goes on
		f, err := open(false)
		if err != nil || f.Rows != i {
			t.Fatalf("%d rows, %v", f.Rows, err)
		}
		if err := f.Write(results.Row{Filename: "a.jpg", Error: "none"}); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if _, err := open(true); err == nil || !strings.Contains(err.Error(), "FastDecode:false") || !strings.Contains(err.Error(), "FastDecode:true") {
		t.Errorf("error %v, want one that names the two settings", err)
	}
}

// TestTwoWriters: while one process writes a file of results another one that is to write it ends at once; a killed one
// keeps nobody out.
func TestTwoWriters(t *testing.T) {
	dir := t.TempDir()
	if err := writePictures(dir); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "rows.jsonl")
	command := func(more ...string) *exec.Cmd {
		return exec.Command("vkinfer", append([]string{"classify", "efficientnet_b1_pruned", "--checkpoint", madeUpWeights(t), "--device", "cpu", "--img-size", "32",
			"-q", "-b", "1", "--results-file", file}, more...)...)
	}
	first := command("-") // waits for more of the list until it is killed
	list, err := first.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	defer first.Process.Kill()
	if _, err := fmt.Fprintln(list, filepath.Join(dir, "a.png")); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for part := []byte(nil); !bytes.Contains(part, []byte("\n")); part, _ = os.ReadFile(file + ".part") {
		if time.Now().After(deadline) {
			t.Fatal("no row")
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, resume := range []string{"--resume=false", "--resume"} {
		second := command(filepath.Join(dir, "a.png"), resume)
		if out, _ := second.CombinedOutput(); second.ProcessState.ExitCode() != exitUsage || !bytes.Contains(out, []byte("another process writes it")) {
			t.Errorf("a second process, %s: status %d, %s", resume, second.ProcessState.ExitCode(), out)
		}
	}
	first.Process.Kill()
	first.Wait()
	if out, err := command(filepath.Join(dir, "a.png"), "--resume").CombinedOutput(); err != nil {
		t.Errorf("after a kill: %v: %s", err, out)
	}
	left, err := filepath.Glob(file + "?*")
	if rows, e := os.ReadFile(file); err != nil || e != nil || bytes.Count(rows, []byte("\n")) != 1 || len(left) > 0 {
		t.Errorf("%q beside %q, %v, %v", rows, left, err, e)
	}
}
