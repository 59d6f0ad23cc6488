package models

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestLabelsAreImageNet(t *testing.T) {
	labels, wnids := Labels(ImageNetClasses), WNIDs()
	if len(labels) != ImageNetClasses || len(wnids) != ImageNetClasses {
		t.Fatalf("%d labels and %d synset ids, want %d of each", len(labels), len(wnids), ImageNetClasses)
	}
	for index, want := range map[int][2]string{
		0:   {"n01440764", "tench"},
		134: {"n02012849", "crane (bird)"},
		281: {"n02123045", "tabby"},
		517: {"n03126707", "crane (machine)"},
		698: {"n03877845", "palace"},
		967: {"n07920052", "espresso"},
		985: {"n11939491", "daisy"},
		999: {"n15075141", "toilet tissue"},
	} {
		if got := [2]string{wnids[index], labels[index]}; got != want {
			t.Errorf("class %d is %q, want %q", index, got, want)
		}
	}
	// The published order is that of the sorted ids, which a swapped or lost line would break.
	if !slices.IsSorted(wnids) {
		t.Error("the synset ids are not in order")
	}
	id := regexp.MustCompile(`^n\d{8}$`)
	seen := map[string]int{}
	for i, label := range labels {
		if !id.MatchString(wnids[i]) {
			t.Errorf("class %d: synset id %q, want n and 8 digits", i, wnids[i])
		}
		if label == "" || label != strings.TrimSpace(label) || strings.ContainsAny(label, ",\t") {
			t.Errorf("class %d: name %q, want one plain name", i, label)
		}
		if j, twice := seen[label]; twice {
			t.Errorf("classes %d and %d are both called %q", j, i, label)
		}
		seen[label] = i
	}
}

func TestLabelsOfOtherCounts(t *testing.T) {
	for _, classes := range []int{-1, 0, 13, 999, 1001, 21843} {
		if got := Labels(classes); got != nil {
			t.Errorf("Labels(%d) has %d names, want nil", classes, len(got))
		}
	}
}

func TestLabelsAreCopies(t *testing.T) {
	Labels(ImageNetClasses)[0], WNIDs()[0] = "changed", "changed"
	if Labels(ImageNetClasses)[0] != "tench" || WNIDs()[0] != "n01440764" {
		t.Error("changing a returned slice changed the list")
	}
}

func TestReadLabels(t *testing.T) {
	long := strings.Repeat("x", maxLabelBytes)
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"plain":              {"cat\ndog\n", []string{"cat", "dog"}},
		"no final newline":   {"cat\ndog", []string{"cat", "dog"}},
		"CRLF":               {"cat\r\ndog\r\n", []string{"cat", "dog"}},
		"byte order mark":    {"\ufeffcat\ndog\n", []string{"cat", "dog"}},
		"blank end":          {"cat\ndog\n\n \r\n\n", []string{"cat", "dog"}},
		"blanks around":      {"  cat \n\tdog\n", []string{"cat", "dog"}},
		"inner blanks":       {"great white shark\n", []string{"great white shark"}},
		"not only ASCII":     {"Kätzchen\n犬\n", []string{"Kätzchen", "犬"}},
		"mark in the middle": {"cat\n\ufeffdog\n", []string{"cat", "\ufeffdog"}},
		"longest":            {"\ufeff" + long + "\r\ndog\n", []string{long, "dog"}},
	} {
		got, err := ReadLabels(strings.NewReader(c.in))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %.60q, %v, want %.60q", name, got, err, c.want)
		}
	}
}

func TestReadLabelsReadsItsOwnList(t *testing.T) {
	want := Labels(ImageNetClasses)
	got, err := ReadLabels(strings.NewReader(strings.Join(want, "\r\n") + "\r\n"))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d names, %v, want the %d written", len(got), err, len(want))
	}
}

func TestReadLabelsRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"nothing":     {"", "no class names"},
		"blank lines": {"\n\r\n", "no class names"},
		"gap":         {"cat\n\n\ndog\n", "line 2 is blank but line 4 is not"},
		"blank start": {"\ncat\n", "line 1 is blank but line 2 is not"},
		"huge line":   {"cat\n" + strings.Repeat("x", 1<<20), "line 2 is longer than 4096 bytes"},
		"long line":   {strings.Repeat("x", maxLabelBytes+1) + "\n", "line 1 is longer than 4096 bytes"},
		"too many":    {strings.Repeat("x\n", maxLabels+1), "more than 1048576 lines"},
		"UTF-16":      {"\xff\xfec\x00a\x00t\x00\n\x00", "line 1 is not text"},
		"zero bytes":  {"cat\nd\x00g\n", "line 2 is not text"},
	} {
		got, err := ReadLabels(strings.NewReader(c.in))
		if got != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d names, error %v, want an error with %q", name, len(got), err, c.want)
		}
	}
}

func TestReadLabelsKeepsTheReadersError(t *testing.T) {
	broken := errors.New("disk on fire")
	_, err := ReadLabels(iotest.ErrReader(broken))
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want it to wrap %v", err, broken)
	}
}

func FuzzReadLabels(f *testing.F) {
	f.Add("cat\r\ndog\n\n")
	f.Add("\ufeff\n")
	f.Fuzz(func(t *testing.T, in string) {
		labels, err := ReadLabels(strings.NewReader(in))
		if (err == nil) != (len(labels) > 0) {
			t.Fatalf("%d names and error %v", len(labels), err)
		}
		// What was read reads back as itself, but for a mark that only the first line may lose.
		if err == nil && !strings.HasPrefix(labels[0], "\ufeff") {
			again, err := ReadLabels(strings.NewReader(strings.Join(labels, "\n")))
			if err != nil || !slices.Equal(again, labels) {
				t.Fatalf("%q read back as %q, %v", labels, again, err)
			}
		}
	})
}
