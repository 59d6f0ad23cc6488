package shaders

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestReflections compares the committed reflection with what the committed SPIR-V says.
func TestReflections(t *testing.T) {
	files, err := filepath.Glob("spv/*.spv")
	if err != nil || len(files) != len(Variants) || len(reflections) != len(Variants) {
		t.Fatalf("%d modules and %d reflections for %d variants (%v); run make generate", len(files), len(reflections), len(Variants), err)
	}
	for _, v := range Variants {
		k, ok := Lookup(v.Name)
		if !ok {
			t.Errorf("%s: not compiled; run make generate", v.Name)
			continue
		}
		r, err := Reflect(k.Code)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		if !reflect.DeepEqual(r, k.Reflection) {
			t.Errorf("%s: zkernels.go says %+v, SPIR-V %+v; run make generate", v.Name, k.Reflection, r)
		}
		writes := 0
		for _, b := range k.Bindings {
			if b.Write {
				writes++
			}
		}
		if writes == 0 {
			t.Errorf("%s: writes nothing", v.Name)
		}
		for i := range 3 {
			if len(k.Spec) < 3 || k.Spec[i].ID != uint32(i) {
				t.Fatalf("%s: constants 0, 1 and 2 must be the workgroup's size", v.Name)
			}
		}
		if k.PushBytes == 0 || k.PushBytes > 128 {
			t.Errorf("%s: %d bytes of push constants, want 4 to 128 (every device's minimum)", v.Name, k.PushBytes)
		}
	}
}

func TestLookupUnknown(t *testing.T) {
	if _, ok := Lookup("conv1x1_f99"); ok {
		t.Error("Lookup found a kernel that does not exist")
	}
}

func TestReflectRefusesDamage(t *testing.T) {
	code, err := os.ReadFile("spv/conv1x1_f32.spv")
	if err != nil {
		t.Fatal(err)
	}
	bad := append([]byte(nil), code...)
	bad[22], bad[23] = 0xff, 0xff // the first instruction's length
	for name, c := range map[string][]byte{"empty": nil, "text": []byte(strings.Repeat("text", 8)), "odd": code[:len(code)-1], "length": bad} {
		if _, err := Reflect(c); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}

// TestSourcesAreUsed keeps every .comp in the kernel table.
func TestSourcesAreUsed(t *testing.T) {
	files, err := filepath.Glob("*.comp")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, v := range Variants {
		used[v.Source] = true
	}
	for _, f := range files {
		if !used[f] {
			t.Errorf("%s: no row of Variants compiles it", f)
		}
	}
}
