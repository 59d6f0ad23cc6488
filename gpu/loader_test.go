package gpu

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const subprocess = "VKINFER_TEST_SUBPROCESS"

func errString(err error) string { return fmt.Sprint(err) }

// child reports whether this process was started by inSubprocess for this test.
func child(t *testing.T) bool { return os.Getenv(subprocess) == t.Name() }

// inSubprocess runs f in a process of its own with a changed environment: the loader is opened once per
// process. f's error fails the test.
func inSubprocess(t *testing.T, env []string, f func() error) {
	t.Helper()
	if child(t) {
		if err := f(); err != nil {
			fmt.Println("SUBPROCESS:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	self := self()
	cmd := exec.Command(self[0], append(self[1:], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.count=1",
		fmt.Sprintf("-test.short=%v", testing.Short()))...)
	cmd.Env = append(append(os.Environ(), env...), subprocess+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// self is the command that started this process, without arguments: the program, or what starts it, such as
// another dynamic linker (go test -exec).
func self() []string {
	b, _ := os.ReadFile("/proc/self/cmdline")
	if all := strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00"); len(all) > len(os.Args) {
		return all[:len(all)-len(os.Args)+1]
	}
	return os.Args[:1:1]
}

func wantError(err, is error, parts ...string) error {
	if !errors.Is(err, is) {
		return fmt.Errorf("got %v; want %q", err, is)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			return fmt.Errorf("got %v; want it to say %q", err, p)
		}
	}
	return nil
}

// both asks Open and Devices.
func both(check func(error) error) error {
	_, err := Open(Options{})
	_, err2 := Devices()
	return errors.Join(check(err), check(err2))
}

func TestNoLoader(t *testing.T) {
	inSubprocess(t, []string{"VKINFER_LIBVULKAN=/nonexistent"}, func() error {
		for range 2 { // a failure is not remembered
			if err := both(func(err error) error { return wantError(err, ErrNoLoader, "/nonexistent", "apt install libvulkan1") }); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestLoaderThatIsNone(t *testing.T) {
	inSubprocess(t, []string{"VKINFER_LIBVULKAN=libm.so.6"}, func() error {
		return both(func(err error) error { return wantError(err, ErrNoLoader, "vkGetInstanceProcAddr") })
	})
}

func TestNoDriver(t *testing.T) {
	if err := openLoader(); err != nil && !child(t) {
		skipWithoutDevice(t, err)
	}
	inSubprocess(t, []string{"VK_DRIVER_FILES=/nonexistent", "VK_ICD_FILENAMES=/nonexistent", "VKINFER_VALIDATION="}, func() error {
		return both(func(err error) error {
			return wantError(err, ErrNoDriver, "apt install mesa-vulkan-drivers", "VK_DRIVER_FILES")
		})
	})
}

// TestNoJSON: an ICD file that is none. Loaders have no word of their own for it.
func TestNoJSON(t *testing.T) {
	if err := openLoader(); err != nil && !child(t) {
		skipWithoutDevice(t, err)
	}
	file := ""
	if !child(t) {
		file = filepath.Join(t.TempDir(), "icd.json")
		if err := os.WriteFile(file, []byte("no JSON"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	inSubprocess(t, []string{"VK_DRIVER_FILES=" + file, "VK_ICD_FILENAMES=" + file, "VKINFER_VALIDATION="}, func() error {
		return both(func(err error) error {
			if errors.Is(err, ErrNoDriver) {
				return nil
			}
			return wantError(err, ErrOutOfMemory, "ICD file is damaged")
		})
	})
}

// TestLoaderIsRetried opens the loader after a failure in the same process.
func TestLoaderIsRetried(t *testing.T) {
	if !child(t) {
		openLoud(t, Options{}).Close() // skip without a device
	}
	inSubprocess(t, []string{"VKINFER_LIBVULKAN=/nonexistent"}, func() error {
		if _, err := Open(Options{}); !errors.Is(err, ErrNoLoader) {
			return fmt.Errorf("got %v", err)
		}
		os.Unsetenv("VKINFER_LIBVULKAN")
		d, err := Open(Options{Device: os.Getenv("VKINFER_DEVICE")})
		if err != nil {
			return err
		}
		return d.Close()
	})
}
