package pictures

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Glob returns paths with what they match, in the order of names, in place of patterns as filepath.Match has them. What a
// file or folder has for a name is no pattern, and only a pattern whose last part begins with a dot matches such names. A
// pattern that matches nothing is an error; a path that is none stays, whether it is there or not.
func Glob(paths []string) ([]string, error) {
	var list []string
	for _, p := range paths {
		pattern := strings.ContainsAny(p, "*?[{")
		if pattern {
			_, err := os.Lstat(p)
			pattern = err != nil
		}
		if !pattern {
			list = append(list, p)
			continue
		}
		names, err := filepath.Glob(p)
		if err != nil {
			return nil, fmt.Errorf("%s: nothing has this name, and it is no pattern either: %w; want * and ? for any characters, [a-z] for one of a range", p, err)
		}
		found := false
		for _, name := range names {
			if strings.HasPrefix(filepath.Base(name), ".") && !strings.HasPrefix(filepath.Base(p), ".") {
				continue
			}
			list, found = append(list, name), true
		}
		if !found {
			return nil, fmt.Errorf("%s: nothing has this name or matches it as a pattern, want at least one; *, ? and [a-z] are known, braces ({0..9}) are the shell's and want no quotes", p)
		}
	}
	return list, nil
}
