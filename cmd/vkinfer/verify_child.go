package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/console"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/tests/conformance"
	"github.com/vkinfer/vkinfer/weights"
)

// furtherProcesses is how many other processes must get the same logits.
const furtherProcesses = 2

// command returns the command line that makes this run's checks again, or those of one model, with one
// candidate unless that is nil. Flags that only choose the report's form are not in it.
func (v *verifier) command(model string, cand *conformance.Candidate) string {
	return shellLine(append([]string{"vkinfer"}, v.commandArgs(model, cand)...))
}

func (v *verifier) commandArgs(model string, cand *conformance.Candidate) []string {
	args := []string{"verify"}
	add := func(on bool, words ...string) {
		if on {
			args = append(args, words...)
		}
	}
	precision, kernels := v.net.precision, v.kernels
	if cand != nil {
		precision, kernels = cand.Precision, cand.Name
	}
	if model != "" {
		args = append(args, model)
	} else {
		for _, spec := range v.specs {
			args = append(args, spec.Name)
		}
		add(len(v.only) > 0, "--only", v.only.String())
		add(len(v.skip) > 0, "--skip", v.skip.String())
		add(v.op != "", "--op", v.op)
		add(v.mode != all, "--mode", v.mode)
		add(v.full, "--full")
	}
	add(v.net.checkpoint != "", "--checkpoint", v.net.checkpoint)
	add(v.net.imgSize > 0, "--img-size", fmt.Sprint(v.net.imgSize))
	args = append(args, "--seed", v.net.seed.String())
	add(v.op != "" && len(v.batches) > 0, "--batch-size", v.batches.String())
	add(v.op == "", "--batch-size", fmt.Sprint(v.net.batch))
	add(precision != all, "--precision", precision)
	add(kernels != all, "--kernels", kernels)
	add(slices.Contains(v.stages, "replays"), "--replays", fmt.Sprint(v.replays))
	add(v.images != "" && model == "", v.imageArgs()...)
	return append(args, v.deviceArgs()...)
}

// imageArgs are the flags that say which pictures are compared.
func (v *verifier) imageArgs() []string {
	args := []string{"--images", v.images}
	if v.samples > 0 {
		args = append(args, "--num-samples", fmt.Sprint(v.samples))
	}
	return args
}

// deviceArgs are the flags that say what is verified.
func (v *verifier) deviceArgs() []string {
	var args []string
	if v.net.device != "vulkan" {
		args = append(args, "--device", v.net.device)
	}
	if v.noQuirks {
		args = append(args, "--no-quirks")
	}
	if v.validation {
		args = append(args, "--validation")
	}
	return args
}

func (v *verifier) deviceFlags() string { return shellLine(v.deviceArgs()) }

var shellSafe = regexp.MustCompile(`^[A-Za-z0-9_./:=,@%+-]+$`)

// shellLine joins words into a line that a shell splits into the same words.
func shellLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if quoted[i] = w; !shellSafe.MatchString(w) {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// printHash is what a further process does.
func (v *verifier) printHash(ctx context.Context) error {
	cands := v.candidates()
	if len(v.specs) != 1 || len(cands) != 1 {
		return usagef("verify: --logits-hash is for one model and one kind of kernels, not %d and %d", len(v.specs), len(cands))
	}
	g, _, err := v.build(ctx, v.specs[0])
	if err != nil {
		return err
	}
	dev, err := v.openDevice()
	if err != nil {
		return err
	}
	hash, err := conformance.LogitsHash(ctx, conformance.Subject{Graph: g, Device: dev, Candidate: cands[0],
		Input: noise(uint64(v.net.seed), v.net.batch*g.InputShape().NumElements()), N: v.net.batch, Alter: alterPlan})
	if e := dev.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(v.out, hash)
	return err
}

// processes compares this process's logits with those of further ones.
func (r *verifyRun) processes(ctx context.Context, spec *models.Spec, sd *weights.StateDict, s conformance.Subject, n *conformance.NetworkReport, bar *console.Progress) error {
	hash := ""
	if n.Replays != nil && n.Replays.OK() {
		hash = n.Replays.Logits
	} else {
		var err error
		if hash, err = conformance.LogitsHash(ctx, s); err != nil {
			return err
		}
	}
	child := *r.verifier
	child.net.device = fmt.Sprintf("vulkan:%d", r.dev.Info().Index)
	child.validation = false // there is nobody to count its messages
	if child.net.checkpoint == "-" {
		path, err := r.tempFile("vkinfer-*.safetensors")
		if err != nil {
			return err
		}
		if err := weights.WriteSafetensors(path, sd, nil); err != nil {
			return err
		}
		child.net.checkpoint = path
	}
	args := append(child.commandArgs(spec.Name, &s.Candidate), "--logits-hash", "--quiet")
	check, err := conformance.Processes(ctx, hash, furtherProcesses, func(ctx context.Context) (string, error) {
		defer bar.Add(1)
		return startSelf(ctx, args)
	})
	if err != nil {
		return err
	}
	n.Processes = &check
	return nil
}

// startSelf runs this program and returns the line that it prints.
func startSelf(ctx context.Context, args []string) (string, error) {
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("cannot start this program again: %w", err)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Args[0] = os.Args[0]
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 2 * time.Second
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	line := strings.TrimSpace(out.String())
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		said := strings.TrimSpace(errOut.String())
		if said == "" {
			said = "it said nothing"
		}
		return "", fmt.Errorf("ended with %v: %s (%s)", exit.ProcessState, said, shellLine(append([]string{"vkinfer"}, args...)))
	case err != nil:
		return "", fmt.Errorf("cannot start this program again: %w", err)
	case len(line) != 64:
		return "", fmt.Errorf("printed %.80q, want a SHA-256", line)
	}
	return line, nil
}
