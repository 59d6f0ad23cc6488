package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// maxAnswer bounds what is kept of what a probe prints.
const maxAnswer = 4 << 20

// Child returns System.Child for this very program with those arguments before a probe's own. Whatever happens
// to the child is an error here and no more.
func Child(before ...string) func(context.Context, time.Duration, []string, ...string) ([]byte, error) {
	return func(ctx context.Context, limit time.Duration, env []string, args ...string) ([]byte, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		within, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		cmd := exec.CommandContext(within, self)
		cmd.Args = append(append(program(), before...), args...)
		cmd.Env = append(os.Environ(), env...)
		cmd.WaitDelay = time.Second // a grandchild may hold the pipes
		out, errOut := &limited{}, &limited{}
		cmd.Stdout, cmd.Stderr = out, errOut
		err = cmd.Run()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case within.Err() != nil:
			return nil, fmt.Errorf("it hung: no answer within %v", limit)
		case err == nil:
			return out.Bytes(), nil
		}
		return nil, died(err, errOut.String())
	}
}

// program is the command line that started this process, without arguments. It may begin with a dynamic linker.
func program() []string {
	b, _ := os.ReadFile("/proc/self/cmdline")
	if all := strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00"); len(all) > len(os.Args) {
		return all[:len(all)-len(os.Args)+1]
	}
	return os.Args[:1:1]
}

// died says in a line how a probe ended: by what it said last, or by its crash.
func died(err error, said string) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	for _, l := range lines {
		if strings.HasPrefix(l, "vkinfer: ") && exit.Exited() {
			l, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimPrefix(l, "vkinfer: "), "gpu: "), "; wanted ") // the way out is said beside it
			return errors.New(l)
		}
	}
	for _, l := range lines { // what Go's runtime says of signals in foreign code
		if at := strings.Index(l, "SIG"); at >= 0 {
			return fmt.Errorf("it crashed: %s", strings.Trim(l[at:], "[] "))
		}
	}
	if !exit.Exited() {
		return fmt.Errorf("it crashed: %v", exit)
	}
	last := lines[len(lines)-1]
	return fmt.Errorf("it ended the process (%v): %s", exit, last[:min(len(last), 200)])
}

// limited keeps the first bytes written to it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(b []byte) (int, error) {
	l.Buffer.Write(b[:min(len(b), max(0, maxAnswer-l.Len()))])
	return len(b), nil
}
