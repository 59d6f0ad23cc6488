package tests

import (
	"bytes"
	"errors"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// read returns a file of the module.
func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// only returns the single submatch of a pattern in a text.
func only(t *testing.T, pattern, text string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
	if len(m) != 1 {
		t.Fatalf("%d matches of %s, want 1", len(m), pattern)
	}
	return m[0][1]
}

// TestContainerfile checks what the Containerfile takes from the rest of the sources.
func TestContainerfile(t *testing.T) {
	file := strings.ReplaceAll(read(t, "deploy/Containerfile"), "\\\n", "")
	ignored := strings.Fields(read(t, ".dockerignore"))
	for _, m := range regexp.MustCompile(`(?m)^COPY ([^-].*) \S+$`).FindAllStringSubmatch(file, -1) {
		for _, name := range strings.Fields(m[1]) {
			if _, err := os.Stat(filepath.Join("..", name)); err != nil {
				t.Errorf("COPY: %v", err)
			}
			for _, i := range ignored {
				if name == i {
					t.Errorf("COPY %s, which .dockerignore leaves out", name)
				}
			}
		}
	}
	image, module := only(t, `(?m)^FROM golang:([0-9.]+)-`, file), only(t, `(?m)^go (\S+)$`, read(t, "go.mod"))
	// golang:1.26 is the newest 1.26.x.
	if version.Compare("go"+image, version.Lang("go"+module)) < 0 {
		t.Errorf("golang:%s is older than go.mod's %s", image, module)
	}
	script, target := only(t, `(?m)^RUN (scripts/\S+) build && make \w+$`, file), only(t, `(?m)&& make (\w+)$`, file)
	if info, err := os.Stat(filepath.Join("..", script)); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("%s: %v, want a program", script, err)
	}
	makefile := read(t, "Makefile")
	only(t, `(?m)^(`+target+`):`, makefile)
	if built := only(t, `(?m)^COPY --from=build /src/(\S+)`, file); !strings.Contains(makefile, "go build -buildvcs=$(BUILDVCS) -o "+built+" ") {
		t.Errorf("make %s does not build %s", target, built)
	}
	deps := read(t, script)
	for _, name := range []string{only(t, `install -y --no-install-recommends (\S+)`, file), only(t, `--build-arg DRIVERS=([\w-]+)`, file)} {
		if !strings.Contains(deps, "printf '"+name+`\t`) && !strings.Contains(deps, `printf "`+name+`\t`) {
			t.Errorf("%s does not install %s", script, name)
		}
	}
}

// TestJob runs the script of the Kubernetes Job with a stand-in for vkinfer, as pod 7.
func TestJob(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err) // a container has one, so has whoever builds it
	}
	job := read(t, "deploy/job.yaml")
	if completions, n := only(t, `completions: (\d+)`, job), only(t, `--shard auto/(\d+)`, job); completions != n {
		t.Errorf("%s completions and %s shards", completions, n)
	}
	user := only(t, `runAsUser: (\d+)`, job) + ":" + only(t, `runAsGroup: (\d+)`, job)
	if want := only(t, `(?m)^USER (\S+)$`, read(t, "deploy/Containerfile")); user != want {
		t.Errorf("user %s, and %s in the image", user, want)
	}
	script := only(t, `(?s)args:\n +- \|\n(.*?)\n +env:`, job)
	for _, c := range []struct {
		name, vkinfer string
		status        int
		output        bool // the shard's file is there
	}{
		{"fine", `touch "$part"`, 0, true},
		{"a picture failed", `touch "$part"; exit 1`, 0, true},
		{"incomplete", `exit 1`, 1, false},
		{"usage", `exit 2`, 2, false},
		{"no device", `exit 4`, 4, false},
		{"terminated", `trap 'touch "$part".saved; exit 130' TERM; touch "$ready"; n=0; while [ $((n += 1)) -lt 500 ]; do sleep 0.01; done`, 130, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{
				"data/list.txt": "a.tar\n",
				"out/.keep":     "",
				// It wants what the job gives it: the list, and where its rows shall go.
				"bin/vkinfer": "#!/bin/sh\nread line && [ \"$line\" = a.tar ] || exit 99\nwhile [ $# -gt 0 ]; do\n" +
					"[ \"$1\" = --results-file ] && part=$2\nshift\ndone\n" + c.vkinfer + "\n",
			} {
				full := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(full, []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			part, ready := filepath.Join(dir, "out", "part-00007.jsonl"), filepath.Join(dir, "ready")
			cmd := exec.Command(sh, "-c", strings.NewReplacer("/out/", dir+"/out/", "/data/", dir+"/data/").Replace(script))
			cmd.Env = append(os.Environ(), "JOB_COMPLETION_INDEX=7", "ready="+ready, "PATH="+filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
			var said bytes.Buffer
			cmd.Stderr = &said
			cmd.WaitDelay = time.Second // a stand-in that was left behind holds it open
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			giveUp := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
			defer giveUp.Stop()
			if c.name == "terminated" {
				for range 6000 {
					if _, err := os.Stat(ready); err == nil {
						break
					}
					time.Sleep(10 * time.Millisecond)
				}
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != c.status {
				t.Errorf("exit status %d, want %d; it said %q", got, c.status, said.String())
			}
			if _, err := os.Stat(part); (err == nil) != c.output {
				t.Errorf("%s: %v, want it there: %v", part, err, c.output)
			}
			if _, err := os.Stat(part + ".saved"); (err == nil) != (c.name == "terminated") {
				t.Errorf("vkinfer was told to end: %v", err)
			}
		})
	}
}
