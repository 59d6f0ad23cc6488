package main

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/shaders"
	"github.com/vkinfer/vkinfer/tests/conformance"
)

var root = filepath.Join("..", "..")

// TestTableIsNotStale: every fault can be put in where the table says, and says what should notice it.
func TestTableIsNotStale(t *testing.T) {
	names := map[string]bool{}
	for _, m := range append(slices.Concat(kernels, planner), lookup) {
		text, err := m.apply(root)
		if err != nil {
			t.Error(err)
			continue
		}
		was, err := os.ReadFile(filepath.Join(root, m.file))
		if err != nil {
			t.Fatal(err)
		}
		if text == string(was) {
			t.Errorf("%s changes nothing", m.name)
		}
		if names[m.name] {
			t.Errorf("%s is there twice", m.name)
		}
		names[m.name] = true
		if m.by == "" && m.name != "" {
			t.Errorf("%s: no layer is named", m.name)
		}
		for by := range strings.FieldsSeq(m.by) {
			if !slices.Contains(layers, by) {
				t.Errorf("%s: there is no layer %s", m.name, by)
			}
		}
		if dir := path.Dir(m.file); dir != "shaders" && unitTests[dir] == "" {
			t.Errorf("%s: no tests are named for package %s", m.name, dir)
		}
		for c := range strings.SplitSeq(m.cases, ",") {
			if c == "" {
				continue
			}
			if _, err := conformance.FindCase(c); err != nil {
				t.Errorf("%s: %v", m.name, err)
			}
		}
	}
	if len(kernels) < 25 || len(planner) < 20 {
		t.Errorf("only %d faults of kernels and %d of the planner", len(kernels), len(planner))
	}
}

// TestEveryKernelHasFaults: a new source comes with faults.
func TestEveryKernelHasFaults(t *testing.T) {
	for _, v := range shaders.Variants {
		if strings.HasPrefix(v.Name, "roof_") {
			continue // these measure devices and compute nothing of a network
		}
		if !slices.ContainsFunc(kernels, func(m mutation) bool { return m.file == "shaders/"+v.Source }) {
			t.Errorf("no fault is put into shaders/%s, from which %s is compiled", v.Source, v.Name)
		}
	}
}

func TestStaleFaults(t *testing.T) {
	for _, old := range []string{"no such text", "uint"} {
		m := mutation{name: "stale", file: "shaders/se.comp", edits: swap(old, "x")}
		if _, err := m.apply(root); err == nil || !strings.Contains(err.Error(), "stale") {
			t.Errorf("%q: got %v, want an error", old, err)
		}
	}
}

// TestVerdicts: what is not noticed, or noticed by others than the table says, fails.
func TestVerdicts(t *testing.T) {
	fault := mutation{name: "f", edits: swap("a", "b"), by: "exact real"}
	caught := func(layers ...string) (list []found) {
		for _, l := range layers {
			list = append(list, found{Layer: l, Caught: true})
		}
		return list
	}
	for _, c := range []struct {
		o    outcome
		want string
	}{
		{outcome{mutation: fault, layers: caught("exact", "real", "golden")}, ""},
		{outcome{mutation: fault, layers: caught("exact")}, "not noticed by real"},
		{outcome{mutation: fault, layers: []found{{Layer: "exact"}, {Layer: "real"}}}, "NOT NOTICED"},
		{outcome{mutation: fault, err: errors.New("no")}, "ERROR: no"},
		{outcome{mutation: mutation{name: "control"}}, ""},
		{outcome{mutation: mutation{name: "control"}, layers: caught("network")}, "FALSE ALARM: "},
	} {
		if got := c.o.verdict(); got != c.want || c.o.failed() != (c.want != "") {
			t.Errorf("%+v: %q, want %q", c.o, got, c.want)
		}
	}
	skipped := outcome{mutation: fault, skipped: "no driver"}
	skipped.on = "swiftshader"
	t.Setenv("VKINFER_REQUIRE_DRIVERS", "")
	if skipped.failed() {
		t.Error("a driver that is not there fails the run")
	}
	t.Setenv("VKINFER_REQUIRE_DRIVERS", "trixie,swiftshader")
	if !skipped.failed() {
		t.Error("a driver that is required and not there does not fail the run")
	}
	var sb strings.Builder
	if write(&sb, "md", []outcome{{mutation: fault, layers: []found{{Layer: "exact", Caught: true}, {Layer: "real", Caught: true, Above: 1234}}}}) != true ||
		!strings.Contains(sb.String(), "| f |  |  |  |  | bits | 1.2e+03× |") || !strings.Contains(sb.String(), "1 of 1 faults noticed, 0 rows failed") {
		t.Errorf("the table:\n%s", sb.String())
	}
}
