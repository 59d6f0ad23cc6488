package doctor

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// System is the machine that is looked at. Tests make theirs of folders.
type System struct {
	Root   string // put before the names of files, "" for the machine itself
	GOOS   string
	Arch   string              // of this program, as Go names it
	Getenv func(string) string // of this process
	// Child starts this program as a probe ("loader", "driver FILE", "devices", "smoke N") with some more
	// variables, and returns what it printed. An error says how it ended: its own, a crash, or a time limit.
	Child func(ctx context.Context, limit time.Duration, env []string, args ...string) ([]byte, error)
}

// Loader is what the probe "loader" prints.
type Loader struct {
	File    string  `json:"file"`
	Version string  `json:"version"`
	Layers  []Layer `json:"layers"`
}

// Layer is an installed layer.
type Layer struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Version     string `json:"version"`
}

func (s *System) path(name string) string {
	if s.Root == "" {
		return name
	}
	return filepath.Join(s.Root, name)
}

func (s *System) exists(name string) bool {
	_, err := os.Stat(s.path(name))
	return err == nil
}

// glob is filepath.Glob on the machine looked at.
func (s *System) glob(pattern string) []string {
	found, _ := filepath.Glob(s.path(pattern)) // the patterns are well formed
	for i := range found {
		found[i] = s.name(found[i])
	}
	return found
}

// name is path's reverse.
func (s *System) name(path string) string {
	if s.Root == "" {
		return path
	}
	return "/" + strings.TrimPrefix(strings.TrimPrefix(path, s.Root), "/")
}

func (s *System) readDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(s.path(name)) }

// list splits a variable that holds a list of paths.
func (s *System) list(variable string) (out []string) {
	sep := ":"
	if s.GOOS == "windows" {
		sep = ";"
	}
	for p := range strings.SplitSeq(s.Getenv(variable), sep) {
		if p != "" {
			out = append(out, p)
		}
	}
	return out
}

// or returns the list of a variable, or other.
func (s *System) or(variable string, other ...string) []string {
	if l := s.list(variable); l != nil {
		return l
	}
	return other
}

// container names the kind of container this is, "" for none that shows.
func (s *System) container() string {
	switch {
	case s.exists("/.dockerenv"):
		return "docker"
	case s.exists("/run/.containerenv"):
		return "podman"
	case s.Getenv("KUBERNETES_SERVICE_HOST") != "":
		return "kubernetes"
	case s.Getenv("container") != "":
		return s.Getenv("container")
	}
	return ""
}
