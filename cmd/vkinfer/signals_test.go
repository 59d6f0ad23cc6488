//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vkinfer/vkinfer/tests/conformance"
)

// start runs the program on a long list of pictures and returns when it has printed its first line.
func start(t *testing.T, format string, flags ...string) (cmd *exec.Cmd, out io.ReadCloser, first string, stderr *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	if err := writePictures(dir); err != nil {
		t.Fatal(err)
	}
	list := strings.Repeat(filepath.Join(dir, "a.png")+"\n", 5000)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd = exec.CommandContext(ctx, "vkinfer", append([]string{"classify", "efficientnet_b1_pruned", "--checkpoint", madeUpWeights(t), "--device", "cpu",
		"--img-size", "32", "-b", "4", "-o", format, "-"}, flags...)...)
	cmd.Stdin = strings.NewReader(list)
	stderr = &bytes.Buffer{}
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	var line []byte
	for len(line) == 0 || line[len(line)-1] != '}' { // the first result
		if _, err := out.Read(b); err != nil {
			t.Fatalf("%v; %s", err, stderr)
		}
		line = append(line, b[0])
	}
	return cmd, out, string(line), stderr
}

// TestInterrupted: what was done is printed whole, the exit status is 130, and metrics say that it has ended.
func TestInterrupted(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		metrics := filepath.Join(t.TempDir(), "m.prom")
		cmd, out, first, stderr := start(t, "json", "--metrics", metrics)
		begin := time.Now()
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(out)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 130 {
			t.Errorf("%v: exit status %d, want 130; %s", sig, code, stderr)
		}
		if took := time.Since(begin); took > grace {
			t.Errorf("%v: ended after %v, want less than %v", sig, took, grace)
		}
		var rows []struct{ Filename string }
		if err := json.Unmarshal([]byte(first+string(rest)), &rows); err != nil {
			t.Errorf("%v: what was printed is no whole JSON: %v", sig, err)
		}
		if text, err := os.ReadFile(metrics); err != nil || !bytes.Contains(text, []byte("\nvkinfer_running 0\n")) {
			t.Errorf("%v: %v, metrics:\n%s", sig, err, text)
		}
		if len(rows) == 0 || len(rows) > 4000 {
			t.Errorf("%v: %d rows, want some of 5000", sig, len(rows))
		}
		if got := stderr.String(); got != "vkinfer: interrupted\n" {
			t.Errorf("%v: standard error is %q", sig, got)
		}
	}
}

// TestVerifyInterrupted: the report has what was found until then, and says that it is not all.
func TestVerifyInterrupted(t *testing.T) {
	if ok, err := device(); !ok {
		t.Skip(err)
	}
	cmd := exec.Command("vkinfer", "verify", "efficientnet_b1_pruned", "--img-size", "40", "--only", "replays,switches", "--replays", "1000000", "-o", "json", "-v")
	var out bytes.Buffer
	cmd.Stdout = &out
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() && !strings.Contains(lines.Text(), ": replays") {
	}
	time.Sleep(2 * time.Second)
	begin := time.Now()
	cmd.Process.Signal(os.Interrupt)
	rest, err := io.ReadAll(said)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || time.Since(begin) > grace {
		t.Errorf("exit status %d after %v, want 130 at once; %s", code, time.Since(begin), rest)
	}
	rep, err := conformance.ReadReport(&out, "standard output")
	if err != nil {
		t.Fatal(err)
	}
	if rep.Passed || rep.Ended != "interrupted" || len(rep.Networks) != 1 || len(rep.Switches) != 0 {
		t.Errorf("passed %v, ended %q, %d networks", rep.Passed, rep.Ended, len(rep.Networks))
	}
}

// TestInterruptedWhileWaiting: a list on standard input that never comes does not hold the program up.
func TestInterruptedWhileWaiting(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	cmd := exec.Command("vkinfer", "classify", "efficientnet_b1_pruned", "--checkpoint", madeUpWeights(t), "--device", "cpu", "-")
	cmd.Stdin = r
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	begin := time.Now()
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || time.Since(begin) > grace {
		t.Errorf("exit status %d after %v, want 130 at once; %s", code, time.Since(begin), &stderr)
	}
}

// TestBrokenPipe: when whoever reads the results has gone away the program ends, quietly.
func TestBrokenPipe(t *testing.T) {
	cmd, out, first, stderr := start(t, "jsonl")
	if !strings.HasPrefix(first, `{"filename"`) {
		t.Errorf("first line is %q", first)
	}
	out.Close()
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 0 || stderr.Len() > 0 {
		t.Errorf("exit status %d and %q, want 0 and nothing", code, stderr)
	}
}

// TestFullDisk: results that cannot be written are an error.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	for _, args := range [][]string{{"models"}, {"plan", "efficientnet_b1_pruned"}, {"info", "efficientnet_b1_pruned"}, {"version", "-o", "json"},
		{"synth", "efficientnet_b1_pruned", "-o", "-"}, {"info", madeUpWeights(t)}} {
		cmd := exec.Command("vkinfer", args...)
		cmd.Stdout = full
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("%q: exit status %d and %q, want 1 and no space left", args, code, &stderr)
		}
	}
}

// TestListAsItComes: a slow list is worked on as it comes; a batch does not wait until it is full.
func TestListAsItComes(t *testing.T) {
	dir := t.TempDir()
	if err := writePictures(dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("vkinfer", "classify", "efficientnet_b1_pruned", "--checkpoint", madeUpWeights(t), "--device", "cpu", "--img-size", "32", "-o", "jsonl", "-")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 3 {
		io.WriteString(in, filepath.Join(dir, "a.png")+"\n")
		if !lines.Scan() { // the test's own time limit ends a wait for ever
			t.Fatal("no result while the list is open")
		}
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
