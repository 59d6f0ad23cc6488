package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Manifest is a driver's ICD file: a small JSON file that names the driver's library.
type Manifest struct {
	File     string `json:"file"`
	From     string `json:"from"` // the folder or variable that led to it
	Library  string `json:"library,omitempty"`
	API      string `json:"api_version,omitempty"`
	Disabled string `json:"disabled,omitempty"` // the variable that has the loader skip it
	Error    string `json:"error,omitempty"`
	Devices  int    `json:"devices"`
}

// Folder is a place where the loader looks for manifests.
type Folder struct {
	Path   string
	From   string // the variable it comes from, "" for a standard place
	Exists bool
}

// maxManifest bounds what is read of a manifest.
const maxManifest = 1 << 20

// folders lists where the loader looks, in its order (Vulkan loader, "Driver Discovery on Linux").
func (s *System) folders() []Folder {
	var out []Folder
	add := func(from string, dirs ...string) {
		for _, d := range dirs {
			d = path.Join(d, "vulkan", "icd.d")
			if !slices.ContainsFunc(out, func(f Folder) bool { return f.Path == d }) {
				out = append(out, Folder{Path: d, From: from, Exists: s.exists(d)})
			}
		}
	}
	home := s.Getenv("HOME")
	inHome := func(variable, dir string) {
		if l := s.list(variable); l != nil {
			add(variable, l...)
		} else if home != "" {
			add("", path.Join(home, dir))
		}
	}
	from := func(variable string) string {
		if s.Getenv(variable) == "" {
			return ""
		}
		return variable
	}
	inHome("XDG_CONFIG_HOME", ".config")
	add(from("XDG_CONFIG_DIRS"), s.or("XDG_CONFIG_DIRS", "/etc/xdg")...)
	add("", "/etc")
	inHome("XDG_DATA_HOME", ".local/share")
	add(from("XDG_DATA_DIRS"), s.or("XDG_DATA_DIRS", "/usr/local/share", "/usr/share")...)
	return out
}

// chosen returns the variable that overrides the folders, "" if there is none.
func (s *System) chosen() string {
	for _, v := range []string{"VK_DRIVER_FILES", "VK_ICD_FILENAMES"} {
		if s.Getenv(v) != "" {
			return v
		}
	}
	return ""
}

// manifests finds and reads the manifests that the loader would.
func (s *System) manifests() []Manifest {
	var out []Manifest
	named := func(variable string) {
		for _, p := range s.list(variable) {
			if info, err := os.Stat(s.path(p)); err == nil && info.IsDir() {
				out = append(out, s.inFolder(p, variable)...)
				continue
			}
			out = append(out, s.readManifest(p, variable))
		}
	}
	if v := s.chosen(); v != "" {
		named(v)
		return s.disable(out)
	}
	named("VK_ADD_DRIVER_FILES")
	for _, f := range s.folders() {
		out = append(out, s.inFolder(f.Path, f.Path)...)
	}
	return s.disable(out)
}

func (s *System) inFolder(dir, from string) (out []Manifest) {
	entries, err := s.readDir(dir)
	if err != nil {
		if os.IsPermission(err) {
			out = append(out, Manifest{File: dir, From: from, Error: "the folder cannot be read: permission denied"})
		}
		return out
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") {
			out = append(out, s.readManifest(path.Join(dir, e.Name()), from))
		}
	}
	return out
}

// readManifest reads a manifest. What is wrong with it is in its Error.
func (s *System) readManifest(file, from string) Manifest {
	m := Manifest{File: file, From: from}
	data, err := readLimited(s.path(file), maxManifest)
	if err != nil {
		m.Error = "it cannot be read: " + reason(err)
		return m
	}
	var j struct {
		Version string `json:"file_format_version"`
		ICD     *struct {
			Library string `json:"library_path"`
			API     string `json:"api_version"`
			Bits    string `json:"library_arch"`
		}
	}
	if err := json.Unmarshal(data, &j); err != nil {
		m.Error = "it is no JSON: " + err.Error()
		return m
	}
	switch {
	case j.Version == "":
		m.Error = `it has no "file_format_version"`
	case j.ICD == nil:
		m.Error = `it has no "ICD"`
	case j.ICD.Library == "":
		m.Error = `it has no "library_path"`
	case j.ICD.API == "":
		m.Error = `it has no "api_version"`
	case j.ICD.Bits == "32":
		m.Error = "its driver is for programs of 32 bits, and this is one of 64"
	}
	if j.ICD != nil {
		m.Library, m.API = j.ICD.Library, j.ICD.API
	}
	if strings.Contains(m.Library, "/") && !path.IsAbs(m.Library) { // relative to the manifest
		m.Library = path.Join(path.Dir(file), m.Library)
	}
	return m
}

// disable marks what VK_LOADER_DRIVERS_SELECT and VK_LOADER_DRIVERS_DISABLE have the loader skip.
func (s *System) disable(list []Manifest) []Manifest {
	match := func(variable, file string) bool {
		for p := range strings.SplitSeq(s.Getenv(variable), ",") {
			p = strings.TrimSpace(p)
			if ok, _ := path.Match(strings.ToLower(p), strings.ToLower(path.Base(file))); ok || p == "~all~" {
				return true
			}
		}
		return false
	}
	for i := range list {
		switch sel, dis := "VK_LOADER_DRIVERS_SELECT", "VK_LOADER_DRIVERS_DISABLE"; {
		case s.Getenv(sel) != "" && !match(sel, list[i].File):
			list[i].Disabled = sel
		case s.Getenv(dis) != "" && match(dis, list[i].File):
			list[i].Disabled = dis
		}
	}
	return list
}

func readLimited(file string, limit int64) ([]byte, error) {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() { // a pipe would block
		return nil, fmt.Errorf("it is no file")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return data, err
}

// reason is an error of the file system without the file's name, which stands beside it.
func reason(err error) string {
	if e, ok := err.(*os.PathError); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// absolute says how a manifest is named on a command line from anywhere.
func absolute(file string) string {
	if a, err := filepath.Abs(file); err == nil {
		return a
	}
	return file
}
