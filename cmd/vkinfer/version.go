package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
)

// buildJSON says which program this is.
type buildJSON struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified"` // built from a changed tree
	Date     string `json:"commit_date,omitempty"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// build reads what the Go toolchain put into the program.
func build() buildJSON {
	b := buildJSON{Version: "(unknown)", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = cmp.Or(info.Main.Version, "(devel)")
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (b buildJSON) String() string {
	s := "vkinfer " + b.Version
	if b.Commit != "" {
		s += " (" + b.Commit[:min(len(b.Commit), 12)]
		if b.Date != "" {
			s += ", " + b.Date
		}
		if b.Modified {
			s += ", modified"
		}
		s += ")"
	}
	return fmt.Sprintf("%s %s %s/%s", s, b.Go, b.OS, b.Arch)
}

func versionCommand(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print which program this is",
		Long:    "Print the program's version, the commit it was built from and the Go version that built it.",
		Example: "  vkinfer version -o json",
		Args:    args(0),
		RunE: a.action(func(*cobra.Command, []string) error {
			b := build()
			if format == "json" {
				return table.JSON(a.out, b)
			}
			_, err := fmt.Fprintln(a.out, b)
			return err
		}),
	}
	choiceFlag(cmd, &format, "output", "o", "form of the answer", "text", "json")
	return cmd
}
