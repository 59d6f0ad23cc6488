package weights

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vkinfer/vkinfer/tests/oracle"
)

// hostileWant is what Open must make of each file of the oracle's hostile folder: the kind of
// error and a part of its text, or "ok" and the number of tensors.
var hostileWant = map[string][2]string{
	"a_list.pth":                 {"format", "holds a list or tuple; wanted a state dict"},
	"binbytes8_64g.pth":          {"format", "needs 68719476736 more bytes and 2 are left"},
	"binunicode_4g.pth":          {"format", "needs 4294967295 more bytes and 2 are left"},
	"bytes_key.pth":              {"format", "none with a string as key"},
	"deep_nesting.pth":           {"format", "nested more than 2000 deep"},
	"empty.pth":                  {"format", "is empty (0 bytes)"},
	"evil_os_system.pth":         {"unsupported", `names the class "os.system"`},
	"extra_key.pth":              {"ok", "223"},
	"hdrlen_huge.safetensors":    {"format", "claims a header of 4611686018427387904 bytes"},
	"just_a_tensor.pth":          {"format", "holds a single tensor; wanted a state dict"},
	"legacy_numel_1e12.pth":      {"format", "cut short or damaged"},
	"legacy_numel_negative.pth":  {"format", "claims -5 elements"},
	"lfs_pointer.pth":            {"format", "is a git-lfs pointer to a file of 25595162 bytes"},
	"long1_empty.pth":            {"format", "holds a value of type int; wanted a state dict"},
	"missing_key.pth":            {"ok", "221"},
	"nan_inf.pth":                {"ok", "222"},
	"no_stop.pth":                {"format", "needs 1 more bytes and 0 are left"},
	"opcode_ff.pth":              {"format", "unknown opcode 0xff"},
	"random.pth":                 {"format", "begins with the bytes"},
	"setitems_odd.pth":           {"format", "an odd number"},
	"stack_underflow.pth":        {"format", "stack underflow"},
	"storage_2e9.pth":            {"format", "holds a storage; wanted a state dict"},
	"storage_negative.pth":       {"format", "claims -1 elements"},
	"tar.pth":                    {"unsupported", "is a tar archive"},
	"tensor_offset_past_end.pth": {"format", `tensor "w": needs element 1001 of storage "0", which has 4`},
	"tensor_size_gt_storage.pth": {"format", `tensor "w": needs element 99 of storage "0", which has 4`},
	"tensor_size_overflow.pth":   {"format", `tensor "w": has a shape`},
	"tensor_stride_negative.pth": {"format", `tensor "w": has size 2 and stride -1`},
	"trunc.safetensors":          {"format", "cut short"},
	"trunc_legacy_30.pth":        {"format", "cut short or damaged"},
	"trunc_legacy_99.pth":        {"format", "(214 of 222): cut short or damaged"},
	"trunc_legacy_minus2047.pth": {"format", "(212 of 222): cut short or damaged"},
	"trunc_proto4_30.pth":        {"format", "cut short or altered"},
	"trunc_proto4_99.pth":        {"format", "cut short or altered"},
	"trunc_zip_30.pth":           {"format", "cut short or altered"},
	"trunc_zip_99.pth":           {"format", "cut short or altered"},
	"whole_module.pth":           {"unsupported", "a whole pickled model"},
	"wrong_shape.pth":            {"ok", "222"},
	"zip_bomb_pickle.pth":        {"format", "claims 30000005 bytes"},
}

func TestHostileFiles(t *testing.T) {
	dir := filepath.Join(oracle.Dir(t), "hostile")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			want, ok := hostileWant[e.Name()]
			if !ok {
				t.Fatalf("no expectation for this file")
			}
			file := filepath.Join(dir, e.Name())
			info, _ := e.Info()
			var sd *StateDict
			var err error
			start := time.Now()
			bytes := allocated(func() { sd, err = Open(file) })
			took := time.Since(start)
			if want[0] == "ok" {
				if err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprint(sd.Len()); got != want[1] {
					t.Errorf("%s tensors, want %s", got, want[1])
				}
			} else {
				wantError(t, err, want[0], file, want[1])
			}
			if bound := allocBound(info.Size()); bytes > bound {
				t.Errorf("%d bytes allocated for a file of %d, wanted at most %d", bytes, info.Size(), bound)
			}
			if took > 2*time.Second {
				t.Errorf("took %v", took)
			}
			t.Logf("%d bytes, %d kB allocated, %v: %v", info.Size(), bytes/1000, took.Round(10*time.Microsecond), err)
		})
	}
	if len(entries) < len(hostileWant) {
		t.Errorf("%d files, expectations for %d", len(entries), len(hostileWant))
	}
}

// The hostile files that load differ from the good one in what their names say, and in nothing else.
func TestHostileFilesThatLoad(t *testing.T) {
	dir := oracle.Dir(t)
	open := func(path string) *StateDict {
		sd, err := Open(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		return sd
	}
	good := open("tiny/good/zip.pth")
	for name, want := range map[string]int{"extra_key": 1, "missing_key": 1, "nan_inf": 1, "wrong_shape": 1} {
		sd := open("hostile/" + name + ".pth")
		var differ []string
		for _, n := range slices.Concat(good.Names(), sd.Names()) {
			a, b := good.Get(n), sd.Get(n)
			if (a == nil || b == nil || !bytes.Equal(a.Data, b.Data) || !slices.Equal(a.Shape, b.Shape)) && !slices.Contains(differ, n) {
				differ = append(differ, n)
			}
		}
		if len(differ) != want {
			t.Errorf("%s differs in %q", name, differ)
		}
	}
}

// Every prefix and every single flipped bit of a small file: an error or right tensors, never a panic.
func TestCutAndFlippedFiles(t *testing.T) {
	for name, file := range seedFiles(t) {
		if _, err := read(file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for n := range len(file) {
			if _, err := read(file[:n]); err == nil {
				t.Errorf("%s cut to %d of %d bytes is accepted", name, n, len(file))
			}
		}
		step := max(1, len(file)/400)
		for i := 0; i < len(file); i += step {
			for bit := range 8 {
				flipped := bytes.Clone(file)
				flipped[i] ^= 1 << bit
				if sd, err := read(flipped); err == nil {
					for _, n := range sd.Names() {
						if err := sd.Get(n).check(); err != nil {
							t.Errorf("%s with bit %d of byte %d flipped: %s: %v", name, bit, i, n, err)
						}
					}
				}
			}
		}
	}
}
