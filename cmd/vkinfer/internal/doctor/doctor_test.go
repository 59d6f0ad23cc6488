package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const nvidiaJSON = `{"file_format_version": "1.0.0", "ICD": {"library_path": "libGLX_nvidia.so.0", "api_version": "1.3.277"}}`

// machine makes a System of files. Probes answer from a table by their first words; what is not there fails.
func machine(t *testing.T, env, files, answers map[string]string) *System {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return &System{Root: root, GOOS: "linux", Arch: "amd64", Getenv: func(k string) string { return env[k] },
		Child: func(_ context.Context, _ time.Duration, env []string, args ...string) ([]byte, error) {
			key := strings.Join(args, " ")
			if len(env) > 0 {
				key += " alone"
			}
			if a, ok := answers[key]; ok {
				if why, bad := strings.CutPrefix(a, "!"); bad {
					return nil, errors.New(why)
				}
				return []byte(a), nil
			}
			return nil, errors.New("no answer to " + key)
		}}
}

const (
	loaderAnswer = `{"file": "/lib/libvulkan.so.1", "version": "1.3.239", "layers": []}`
	deviceAnswer = `[{"index": 0, "name": "GPU", "type": "discrete", "driver": "d", "fit": true, "features": ["float16"], "lacks": []}]`
	smokeOK      = `{"ok": true, "detail": "fine", "seconds": 1}`
)

// healthy are the answers of a machine on which all is well.
func healthy(change ...string) map[string]string {
	m := map[string]string{"loader": loaderAnswer, "driver libGLX_nvidia.so.0": "true", "devices alone": deviceAnswer, "devices": deviceAnswer, "smoke 0": smokeOK}
	for i := 0; i < len(change); i += 2 {
		m[change[i]] = change[i+1]
	}
	return m
}

func with(base map[string]string, more ...string) map[string]string {
	out := map[string]string{}
	for k, v := range base {
		out[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

// TestDiagnose: what is wrong with a machine is found, and the way out of it said.
func TestDiagnose(t *testing.T) {
	kernel := map[string]string{"/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue\n", "/dev/nvidiactl": "", "/dev/nvidia0": ""}
	standard := "/usr/share/vulkan/icd.d/nvidia_icd.json"
	cases := []struct {
		name                string
		env, files, answers map[string]string
		works, wrong        bool
		mark                Mark
		what, fix           string // of one finding
	}{
		{"healthy", nil, with(kernel, standard, nvidiaJSON, "/usr/lib64/libGLX_nvidia.so.0", ""), healthy(), true, false, OK, "NVIDIA's Vulkan driver: " + standard, ""},
		{"version", nil, kernel, healthy(), true, false, Info, "NVIDIA's kernel driver 550.54.15", ""},
		{"compute only", nil, with(kernel, "/usr/lib/x86_64-linux-gnu/libcuda.so.1", ""), healthy("devices", "[]"), false, false, Fail, "the compute part is there", "NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics"},
		{"outside the folders", nil, with(kernel, "/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.x86_64.json", nvidiaJSON, "/usr/local/nvidia/lib64/libGLX_nvidia.so.0", ""),
			healthy("devices", "[]"), false, false, Fail, "lies where the loader does not look", "export VK_DRIVER_FILES=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.x86_64.json\n"},
		{"no driver, but outside", nil, map[string]string{"/run/opengl-driver/share/vulkan/icd.d/x.json": nvidiaJSON}, healthy("devices", "[]"), false, false, Fail, "no ICD file in", "export VK_DRIVER_FILES=/run/opengl-driver/share/vulkan/icd.d/x.json"},
		{"library without manifest", nil, with(kernel, "/usr/lib64/libGLX_nvidia.so.0", ""), healthy("devices", "[]"), false, false, Fail, "but no ICD file", "/etc/vulkan/icd.d/nvidia_icd.json"},
		{"manifest without library", nil, with(kernel, standard, nvidiaJSON), healthy("driver libGLX_nvidia.so.0", "!libGLX_nvidia.so.0: cannot open shared object file: No such file"),
			true, false, Fail, standard + ": libGLX_nvidia.so.0: cannot open", "name the folder of libGLX_nvidia.so.0 in LD_LIBRARY_PATH"},
		{"a library's library", nil, with(kernel, standard, nvidiaJSON), healthy("driver libGLX_nvidia.so.0", "!libXext.so.6: cannot open shared object file: No such file"), true, false, Fail, "libXext.so.6: cannot", "apt install libxext6"},
		{"no loader", nil, nil, map[string]string{"loader": "!no Vulkan loader: libvulkan.so.1: cannot open"}, false, false, Fail, "no Vulkan loader", "apt install libvulkan1"},
		{"no driver", nil, nil, healthy("devices", "!no Vulkan driver"), false, false, Fail, "no driver: no ICD file in /etc/xdg/vulkan/icd.d, /etc/vulkan/icd.d", "apt install mesa-vulkan-drivers"},
		{"bad name", map[string]string{"VK_DRIVER_FILES": "/nowhere.json"}, nil, healthy("devices", "!no Vulkan driver"), false, false, Fail, "/nowhere.json: it cannot be read: no such file", "unset it"},
		{"no JSON", nil, map[string]string{standard: "{"}, healthy(), true, false, Fail, "it is no JSON", "reinstall"},
		{"empty manifest", nil, map[string]string{standard: "{}"}, healthy(), true, false, Fail, "file_format_version", "reinstall"},
		{"no library", nil, map[string]string{standard: `{"file_format_version": "1", "ICD": {}}`}, healthy(), true, false, Fail, "library_path", "reinstall"},
		{"32 bits", nil, map[string]string{standard: strings.Replace(nvidiaJSON, `"api`, `"library_arch": "32", "api`, 1)}, healthy(), true, false, Fail, "32 bits", ""},
		{"crash", nil, map[string]string{standard: nvidiaJSON, "/etc/vulkan/icd.d/a.json": strings.Replace(nvidiaJSON, "libGLX_nvidia.so.0", "../lib/a.so", 1)},
			healthy("driver /etc/vulkan/lib/a.so", "!it crashed: SIGSEGV", "devices", "!it crashed: SIGSEGV"), false, false, Fail, "with all drivers together: it crashed", "export VK_DRIVER_FILES=" + standard},
		{"disabled", map[string]string{"VK_LOADER_DRIVERS_DISABLE": "*NVIDIA*"}, map[string]string{standard: nvidiaJSON}, healthy(), true, false, Warn, "VK_LOADER_DRIVERS_DISABLE has the loader skip it", "unset VK_LOADER_DRIVERS_DISABLE"},
		{"overridden", map[string]string{"VK_ADD_DRIVER_FILES": "/a.json", "VK_DRIVER_FILES": "/b.json"}, nil, healthy(), true, false, Warn, "VK_ADD_DRIVER_FILES=/a.json, but VK_DRIVER_FILES overrides it", ""},
		{"old loader", map[string]string{"VK_DRIVER_FILES": standard}, map[string]string{standard: nvidiaJSON}, healthy("loader", strings.Replace(loaderAnswer, "239", "204", 1)), true, false, Warn, "older than 1.3.207", "VK_ICD_FILENAMES"},
		{"wrong results", nil, nil, healthy("smoke 0", `{"ok": false, "detail": "wrong results"}`), false, true, Fail, "wrong results", "vkinfer verify"},
		{"smoke crash", nil, nil, healthy("smoke 0", "!it crashed: SIGBUS"), false, true, Fail, "smoke test: it crashed: SIGBUS", ""},
		{"WSL", nil, map[string]string{"/dev/dxg": ""}, healthy(), true, false, Warn, "not Mesa's driver for it (dzn)", "dzn_icd"},
		{"WSL with dzn", nil, map[string]string{"/dev/dxg": "", "/usr/share/vulkan/icd.d/dzn_icd.x86_64.json": nvidiaJSON}, healthy(), true, false, OK, "Mesa's driver for it", ""},
		{"container", nil, map[string]string{"/.dockerenv": ""}, healthy(), true, false, Info, "no GPU: no /dev/dri/renderD*", "--device /dev/dri"},
	}
	for _, c := range cases {
		r := Diagnose(t.Context(), machine(t, c.env, c.files, c.answers))
		if r.Works != c.works || r.Wrong != c.wrong || (r.Reason == "") != c.works {
			t.Errorf("%s: works %v, wrong %v, reason %q", c.name, r.Works, r.Wrong, r.Reason)
		}
		if !slices.ContainsFunc(r.Findings, func(f Finding) bool {
			return f.Mark == c.mark && strings.Contains(f.What, c.what) && strings.Contains(f.Fix, c.fix)
		}) {
			t.Errorf("%s: no finding %s %q with the way out %q among:", c.name, c.mark, c.what, c.fix)
			for _, f := range r.Findings {
				t.Errorf("  %s %q %q", f.Mark, f.What, f.Fix)
			}
		}
		var b strings.Builder
		if err := r.Text(&b); err != nil || !strings.Contains(b.String(), c.what) {
			t.Errorf("%s: the text lacks it: %v", c.name, err)
		}
	}
}

// TestPermissions: a device file that may not be opened names its group.
func TestPermissions(t *testing.T) {
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("root may open everything")
	}
	s := machine(t, nil, map[string]string{"/dev/dri/renderD128": ""}, healthy())
	if err := os.Chmod(s.path("/dev/dri/renderD128"), 0); err != nil {
		t.Fatal(err)
	}
	r := Diagnose(t.Context(), s)
	if !slices.ContainsFunc(r.Findings, func(f Finding) bool {
		return f.Mark == Fail && strings.Contains(f.What, "renderD128 cannot be opened: permission denied; it is for group") && f.Fix != ""
	}) {
		t.Errorf("got %+v", r.Findings)
	}
}

func TestFoldersAndManifests(t *testing.T) {
	s := machine(t, map[string]string{"HOME": "/h", "XDG_DATA_DIRS": "/x:/y", "VK_ADD_DRIVER_FILES": "/more"}, map[string]string{
		"/h/.config/vulkan/icd.d/a.json": nvidiaJSON, "/y/vulkan/icd.d/b.json": nvidiaJSON, "/y/vulkan/icd.d/c.txt": "", "/more/d.json": nvidiaJSON,
		"/usr/share/vulkan/icd.d/not.json": nvidiaJSON}, nil)
	var got []string
	for _, m := range s.manifests() {
		got = append(got, m.File)
	}
	if want := []string{"/more/d.json", "/h/.config/vulkan/icd.d/a.json", "/y/vulkan/icd.d/b.json"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	got = nil
	for _, f := range s.folders() {
		got = append(got, f.Path)
	}
	want := []string{"/h/.config/vulkan/icd.d", "/etc/xdg/vulkan/icd.d", "/etc/vulkan/icd.d", "/h/.local/share/vulkan/icd.d", "/x/vulkan/icd.d", "/y/vulkan/icd.d"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestChild: a child that crashes, hangs, floods or complains is an error that says so.
func TestChild(t *testing.T) {
	if os.Getenv("DOCTOR_TEST_CHILD") != "" {
		switch os.Args[len(os.Args)-1] {
		case "crash":
			p, _ := os.FindProcess(os.Getpid())
			_ = p.Signal(os.Kill)
			time.Sleep(time.Minute)
		case "hang":
			time.Sleep(time.Minute)
		case "complain":
			os.Stderr.WriteString("noise of a driver\nvkinfer: gpu: no Vulkan driver: none; wanted one\n")
			os.Exit(4)
		case "answer":
			os.Stdout.WriteString("42")
			os.Exit(0)
		}
	}
	child := Child("-test.run=^TestChild$")
	for arg, want := range map[string]string{"crash": "it crashed: signal: killed", "hang": "it hung: no answer within 300ms", "complain": "no Vulkan driver: none"} {
		limit := time.Minute
		if arg == "hang" {
			limit = 300 * time.Millisecond
		}
		if _, err := child(t.Context(), limit, []string{"DOCTOR_TEST_CHILD=1"}, "--", arg); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", arg, err, want)
		}
	}
	if out, err := child(t.Context(), time.Minute, []string{"DOCTOR_TEST_CHILD=1"}, "--", "answer"); err != nil || string(out) != "42" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestCache(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, make([]byte, 100_000), 0o666); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other")
	if err := errors.Join(os.Mkdir(other, 0o777), os.WriteFile(filepath.Join(other, "file"), nil, 0o666)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir, apart string
		err        error
		mark       Mark
		what       string
	}{
		{dir, other, nil, OK, "1 files, 0.1 MB"},
		{dir, "", nil, OK, "2 files, 0.1 MB"},
		{dir, dir, nil, OK, "2 files, 0.1 MB"},
		{filepath.Join(dir, "not", "yet"), "", nil, OK, "0 files"},
		{filepath.Join(file, "below"), "", nil, Warn, "is no folder"},
		{"", "", errors.New("no HOME"), Warn, "no HOME"},
	} {
		r := &Report{}
		r.Cache("x", c.dir, c.apart, c.err)
		if f := r.Findings[0]; f.Mark != c.mark || !strings.Contains(f.What, c.what) {
			t.Errorf("%s: got %+v", c.dir, f)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".vkinfer-*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
}
