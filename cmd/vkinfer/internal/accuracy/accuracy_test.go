package accuracy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestMeter(t *testing.T) {
	var m Meter
	if m.Acc1() != 0 || m.Acc5() != 0 {
		t.Errorf("no pictures: %v %v", m.Acc1(), m.Acc5())
	}
	m.Add([]int{3, 1, 2, 0, 4, 9}, []int{3})
	m.Add([]int{3, 1, 2, 0, 4, 9}, []int{4})
	m.Add([]int{3, 1, 2, 0, 4, 9}, []int{9}) // the sixth
	m.Add([]int{3, 1}, []int{7, 1})
	m.Add([]int{3, 1}, []int{7, 1, 3})
	m.Add(nil, []int{0})
	if m.Images != 6 || m.Top1 != 2 || m.Top5 != 4 {
		t.Errorf("%+v", m)
	}
	if got := fmt.Sprintf("%.3f %.3f", m.Acc1(), m.Acc5()); got != "33.333 66.667" {
		t.Error(got)
	}
}

func TestNatural(t *testing.T) {
	want := []string{"", "0", "1", "2", "10", "010b", "a", "B", "b1", "b2x", "b10", "b10a", "c", "n01440764", "n02000000"}
	for range 100 {
		got := slices.Clone(want)
		rand.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		slices.SortFunc(got, natural)
		if !slices.Equal(got, want) {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	if natural("n1", "n01") == 0 || natural("A", "a") == 0 {
		t.Error("different names are equal")
	}
}

func TestClasses(t *testing.T) {
	wnids := []string{"n3", "n1", "n2"}
	for _, test := range []struct {
		folders, classMap []string
		classes           int
		want              string
	}{
		{[]string{"n1", "n3", "n1"}, nil, 3, "map[n1:1 n3:0]"},
		{[]string{"10", "9", "1"}, nil, 3, "map[1:0 10:2 9:1]"},
		{[]string{"n1", "n2"}, nil, 2, "map[n1:0 n2:1]"}, // not ImageNet's number of classes
		{[]string{"cat", "dog"}, []string{"dog", "cow", "cat"}, 3, "map[cat:2 dog:0]"},
		{[]string{"cat", "dog"}, []string{"dog", "cow"}, 2, "the class map does not name 1 of 2 folders (cat)"},
		{[]string{"cat"}, []string{"dog", "cow"}, 3, "the class map has 2 lines, the network has 3 classes"},
		{[]string{"cat"}, []string{"cat", "cat"}, 2, `names "cat" for the classes 0 and 1`},
		{[]string{"a", "b", "c", "d", "e"}, nil, 4, "5 folders with pictures (a, b, c, ...) for a network of 4 classes"},
	} {
		m, err := Classes(test.folders, test.classes, test.classMap, wnids)
		got := fmt.Sprint(m)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%v: %s, want %s", test.folders, got, test.want)
		}
	}
}

func TestReal(t *testing.T) {
	real, err := ReadReal(strings.NewReader("[[1],[],[2,0]]"), 3)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a/ILSVRC2012_val_00000001.JPEG": "[1]", "ILSVRC2012_val_00000002.JPEG": "[]", "ILSVRC2012_val_00000003.png": "[2 0]",
		"ILSVRC2012_val_00000004.JPEG": "no ReaL label", "ILSVRC2012_val_00000000.JPEG": "no ReaL label", "cat.jpg": "no ReaL label", "00000001.JPEG": "no ReaL label"} {
		right, err := real.Right(name)
		if got := fmt.Sprint(right, err); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for text, want := range map[string]string{"": "want real.json", "{}": "want real.json", "[]": "none", "[[0],[3]]": "picture 2 has class 3", "[[-1]]": "class -1"} {
		if _, err := ReadReal(strings.NewReader(text), 3); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
