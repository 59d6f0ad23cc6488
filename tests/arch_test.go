// Package tests holds the tests that no single package owns: the import policy, and the networks end to end.
package tests

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/vkinfer/vkinfer"

// A rule says what the packages at and below dir may import. Within the module a rule's imports name
// directories and stand for themselves alone, not for what lies below them, unless they end in "/...".
// Outside the module and the standard library an import is allowed by any module path it starts with.
type rule struct {
	dir      string
	internal []string
	external []string
}

// policy is the whole import graph. The longest dir that holds a package decides; a package that no row
// holds is an error, so that a new one is placed here when it is born. Imports of test files are free
// within the module (an oracle is what a test compares with), but for the program and its libraries.
//
// What the table says, in words: weights and shaders know nothing of the rest but how files are written; the graph knows weights; the
// CPU reference knows the graph alone, so that it shares only that with what it judges; the planner knows
// no device and no model; the device code knows no model and no reference. So everything but gpu, the
// facade and the program tests without cgo and without Vulkan.
var policy = []rule{
	{dir: "weights/float16"},
	{dir: "internal/atomicfile"},
	{dir: "weights", internal: []string{"weights/float16", "internal/atomicfile"}, external: []string{"github.com/nlpodyssey/gopickle"}},
	{dir: "shaders", internal: []string{"shaders/..."}},
	{dir: "netplan/graph", internal: []string{"weights"}},
	{dir: "netplan/preprocess", internal: []string{"netplan/preprocess/..."}, external: []string{"golang.org/x/image"}},
	{dir: "netplan/models", internal: []string{"weights", "netplan/graph", "netplan/preprocess"}},
	{dir: "netplan", internal: []string{"netplan/graph", "shaders"}},
	{dir: "cpuref", internal: []string{"netplan/graph"}, external: []string{"golang.org/x/sync"}},
	{dir: "gpu", internal: []string{"gpu/...", "netplan", "netplan/graph", "shaders", "weights/float16", "internal/atomicfile"},
		external: []string{"github.com/vulkan-go/vulkan", "github.com/go-gl/glfw", "golang.org/x/sync", "golang.org/x/sys"}},
	{dir: ".", internal: []string{"weights", "netplan", "netplan/graph", "netplan/models", "netplan/preprocess", "cpuref", "gpu", "shaders"},
		external: []string{"golang.org/x/sync"}},
	{dir: "cmd", internal: []string{"/..."}, external: []string{"/"}},
	{dir: "tests", internal: []string{".", "weights", "netplan", "netplan/graph", "netplan/models", "netplan/preprocess", "cpuref", "gpu", "shaders", "tests/...", "weights/float16"}},
}

// onlyIn names the imports that a single place may have, test files included. A place ending in .go is a
// file, others are directories with all below.
var onlyIn = map[string]string{
	"C":                              "gpu",
	"github.com/vulkan-go/vulkan":    "gpu",
	"github.com/go-gl/glfw":          "gpu",
	"github.com/nlpodyssey/gopickle": "weights/pth.go",
	"github.com/spf13/cobra":         "cmd",
	"github.com/prometheus":          "cmd/vkinfer/internal/metrics", // 2.9 MB of the program; it checks and writes the text format
	"log":                            "cmd",                          // libraries never log; code generators and examples may
	"log/slog":                       "cmd",
}

// testOnly lists what test files may import beside what their package may.
var testOnly = []string{"github.com/google/go-cmp", "github.com/rogpeppe/go-internal", "pgregory.net/rapid"}

// A sourceFile is one Go file of the module, build tags disregarded; name is slash-separated from the root.
type sourceFile struct {
	name    string
	program bool // of package main
	imports []string
}

// goFiles parses the imports of every Go file of the module, testdata aside.
func goFiles(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	walk(t, func(name, full string) {
		if path.Ext(name) != ".go" || strings.Contains(name, "testdata/") {
			return
		}
		ast, err := parser.ParseFile(token.NewFileSet(), full, nil, parser.ImportsOnly)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		f := sourceFile{name: name, program: ast.Name.Name == "main"}
		for _, spec := range ast.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Errorf("%s: import %s: %v", name, spec.Path.Value, err)
			}
			f.imports = append(f.imports, imp)
		}
		files = append(files, f)
	})
	return files
}

// walk calls visit for every regular file below the module's root that is not a build output.
func walk(t *testing.T, visit func(name, full string)) {
	t.Helper()
	root := filepath.Join("..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("the module's root is not the directory above this one: %v", err)
	}
	err := filepath.WalkDir(root, func(full string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, full)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		switch {
		case d.IsDir() && (name == "bin" || name == "build" || name != "." && strings.HasPrefix(path.Base(name), ".") && name != ".ci"):
			return filepath.SkipDir
		case d.Type().IsRegular() && name != ".git": // a worktree has a file there
			visit(name, full)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// below reports whether dir is parent or lies under it.
func below(dir, parent string) bool {
	return dir == parent || strings.HasPrefix(dir, parent+"/")
}

// covers reports whether a pattern of a rule's internal list stands for dir.
func covers(pattern, dir string) bool {
	if parent, ok := strings.CutSuffix(pattern, "/..."); ok {
		return parent == "" || below(dir, parent)
	}
	return pattern == dir
}

// ruleFor returns the row of the table that holds dir: that of its longest prefix; "." holds only itself.
func ruleFor(table []rule, dir string) (rule, bool) {
	var best rule
	found := false
	for _, r := range table {
		if below(dir, r.dir) && (!found || len(r.dir) > len(best.dir)) {
			best, found = r, true
		}
	}
	return best, found
}

// violations checks files against the table and the places, and says what is wrong, one line each.
func violations(files []sourceFile, table []rule, places map[string]string) []string {
	var bad []string
	for _, f := range files {
		dir := path.Dir(f.name)
		r, ok := ruleFor(table, dir)
		if !ok {
			bad = append(bad, fmt.Sprintf("%s: no row of the policy holds %s", f.name, dir))
			continue
		}
		for _, imp := range f.imports {
			if why := refusal(f, imp, r, places); why != "" {
				bad = append(bad, fmt.Sprintf("%s imports %s: %s", f.name, imp, why))
			}
		}
	}
	return bad
}

// refusal says why the file may not import imp, or nothing.
func refusal(f sourceFile, imp string, r rule, places map[string]string) string {
	file := f.name
	for lib, place := range places {
		if below(imp, "log") && (f.program || strings.HasSuffix(file, "_test.go")) {
			continue
		}
		if below(imp, lib) && file != place && (strings.HasSuffix(place, ".go") || !below(path.Dir(file), place)) {
			return "only " + place + " may"
		}
	}
	test := strings.HasSuffix(file, "_test.go")
	if imp == module || strings.HasPrefix(imp, module+"/") {
		dir := strings.TrimPrefix(strings.TrimPrefix(imp, module), "/")
		if dir == "" {
			dir = "."
		}
		switch {
		case below(dir, "cmd") && !below(path.Dir(file), "cmd"):
			return "the program is no library"
		case test, slices.ContainsFunc(r.internal, func(p string) bool { return covers(p, dir) }):
			return ""
		}
		return fmt.Sprintf("%s may import of this module only %q", r.dir, r.internal)
	}
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	allowed := r.external
	if test {
		allowed = slices.Concat(r.external, testOnly)
	}
	if slices.ContainsFunc(allowed, func(p string) bool { return p == "/" || below(imp, p) }) {
		return ""
	}
	return fmt.Sprintf("%s may import of other modules only %q", r.dir, allowed)
}

func TestImportPolicy(t *testing.T) {
	files := goFiles(t)
	if len(files) < 20 {
		t.Fatalf("only %d Go files found: the walk is broken", len(files))
	}
	for _, line := range violations(files, policy, onlyIn) {
		t.Error(line)
	}
}

// TestImportPolicyCanFail shows made-up files to the check: each must be refused, or allowed, as stated.
func TestImportPolicyCanFail(t *testing.T) {
	in := func(dir string) string { return module + "/" + dir }
	for _, c := range []struct {
		file, imp string
		want      string // part of the refusal; "" when allowed
	}{
		{"weights/open.go", "encoding/binary", ""},
		{"weights/open.go", in("netplan/graph"), "weights may import of this module only [\"weights/float16\" \"internal/atomicfile\"]"},
		{"weights/npy.go", in("internal/atomicfile"), ""},
		{"internal/atomicfile/atomicfile.go", "os", ""},
		{"internal/atomicfile/atomicfile.go", in("weights"), "internal/atomicfile may import"},
		{"internal/other/x.go", "fmt", "no row of the policy holds internal/other"},
		{"weights/pth.go", "github.com/nlpodyssey/gopickle/pickle", ""},
		{"weights/zip.go", "github.com/nlpodyssey/gopickle/pickle", "only weights/pth.go may"},
		{"weights/pth_test.go", "github.com/nlpodyssey/gopickle/pickle", "only weights/pth.go may"},
		{"shaders/kernels.go", in("netplan"), "shaders may import"},
		{"netplan/graph/graph.go", in("weights"), ""},
		{"netplan/graph/graph.go", in("netplan/models"), "netplan/graph may import"},
		{"netplan/preprocess/jpeg.go", in("netplan/graph"), "netplan/preprocess may import"},
		{"netplan/preprocess/jpeg.go", "golang.org/x/image/webp", ""},
		{"netplan/models/build.go", in("netplan"), "netplan/models may import"},
		{"netplan/lower.go", in("netplan/models"), "netplan may import"},
		{"netplan/lower.go", in("weights"), "netplan may import"},
		{"netplan/lower.go", in("gpu"), "netplan may import"},
		{"netplan/lower.go", in("shaders"), ""},
		{"netplan/lower_test.go", in("netplan/models"), ""},
		{"netplan/lower_test.go", "pgregory.net/rapid", ""},
		{"netplan/lower.go", "pgregory.net/rapid", "of other modules only"},
		{"cpuref/conv.go", in("netplan/graph"), ""},
		{"cpuref/conv.go", in("netplan"), "cpuref may import"},
		{"cpuref/conv.go", in("shaders"), "cpuref may import"},
		{"gpu/executor.go", in("netplan"), ""},
		{"gpu/executor.go", in("netplan/models"), "gpu may import"},
		{"gpu/executor.go", in("cpuref"), "gpu may import"},
		{"gpu/executor_test.go", in("cpuref"), ""},
		{"gpu/shim.go", "C", ""},
		{"cpuref/fast.go", "C", "only gpu may"},
		{"cmd/vkinfer/main.go", "C", "only gpu may"},
		{"vkinfer.go", "github.com/vulkan-go/vulkan", "only gpu may"},
		{"vkinfer.go", in("gpu"), ""},
		{"vkinfer.go", in("cmd/vkinfer/internal/report"), "no library"},
		{"vkinfer_test.go", in("cmd/vkinfer/internal/report"), "no library"},
		{"vkinfer.go", in("tests/oracle"), ". may import"},
		{"gpu/executor.go", "log", "only cmd may"},
		{"cmd/vkinfer/main.go", "log/slog", ""},
		{"cmd/vkinfer/main.go", module, ""},
		{"cmd/vkinfer/main.go", "github.com/spf13/cobra", ""},
		{"tests/conformance/run.go", in("gpu"), ""},
		{"tests/conformance/run.go", "example.com/surprise", "of other modules only"},
		{"surprise/x.go", "fmt", "no row of the policy holds surprise"},
	} {
		got := violations([]sourceFile{{name: c.file, imports: []string{c.imp}}}, policy, onlyIn)
		switch {
		case c.want == "" && len(got) != 0:
			t.Errorf("%s importing %s is refused: %s", c.file, c.imp, got)
		case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
			t.Errorf("%s importing %s: %q, want one line with %q", c.file, c.imp, got, c.want)
		}
	}
	if got := violations([]sourceFile{{name: "gpu/example_test.go", imports: []string{"log"}}}, policy, onlyIn); len(got) != 0 {
		t.Errorf("an example importing log: %q, want it allowed", got)
	}
	generator := []sourceFile{{name: "shaders/gen.go", program: true, imports: []string{"log", in("gpu")}}}
	if got := violations(generator, policy, onlyIn); len(got) != 1 || !strings.Contains(got[0], "shaders may import") {
		t.Errorf("a generator importing log and gpu: %q, want one line, about gpu", got)
	}
}

// foreign finds what ties the sources to one place: hosts of package registries (what a machine installs
// from is its own configuration) and absolute paths of the machine that built them. The brackets keep the
// patterns from finding themselves.
var foreign = regexp.MustCompile(strings.Join([]string{
	`proxy[.]golang[.]org`, `sum[.]golang[.]org`,
	`pypi[.]org`, `files[.]pythonhosted`, `registry[.]npmjs`, `crates[.]io`,
	`deb[.]debian[.]org`, `archive[.]ubuntu[.]com`, `security[.]debian[.]org`, `snapshot[.]debian[.]org`,
	`(?:^|[^\w.~$})*])/(?:home|root|work|farm|Users)/\w\w`, // one letter is a made-up name
	`[A-Z]:\\Users\\`,
}, "|"))

func TestNothingNamesAMachine(t *testing.T) {
	seen := 0
	walk(t, func(name, full string) {
		data, err := os.ReadFile(full)
		if err != nil {
			t.Error(err)
			return
		}
		seen++
		for i, line := range strings.Split(string(data), "\n") {
			if m := foreign.FindString(line); m != "" {
				t.Errorf("%s:%d: %q", name, i+1, m)
			}
		}
	})
	if seen < 20 {
		t.Fatalf("only %d files read: the walk is broken", seen)
	}
}

func TestForeignNamesAreFound(t *testing.T) {
	for line, want := range map[string]bool{
		"https://proxy" + ".golang.org/x":                     true,
		"URIs: http://deb" + ".debian.org/debian":             true,
		"/" + "home/someone/src/x.comp":                       true,
		"/home/x, a name for tests":                           false,
		`#include "/` + `root/src/x.glsl"`:                    true,
		"see https://example.com/root/file":                   false,
		"$(CURDIR)/" + "work/x, ./" + "work/x, ~/" + "work/x": false,
		"/usr/share/vulkan/icd.d/lvp_icd.json":                false,
		"github.com/vkinfer/vkinfer/netplan/graph":            false,
	} {
		if got := foreign.MatchString(line); got != want {
			t.Errorf("%q: found %v, want %v", line, got, want)
		}
	}
}
