package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/results"
	"github.com/vkinfer/vkinfer/internal/atomicfile"
)

func mergeCommand(a *app) *cobra.Command {
	var output, by string
	cmd := &cobra.Command{
		Use:     "merge SHARD...",
		GroupID: groupUse,
		Short:   "Put the results of shards together",
		Long: `Put the results of 'vkinfer classify --shard I/N' together: the files of the shards 0/N, 1/N, ... in this order, all
.jsonl or all .csv. The result is what one run over all pictures would have written, byte for byte. Files that are
missing, incomplete or in another order are noticed by their numbers of rows wherever these tell it. Shards that were
taken with --shard-by source are put one behind the other, and their order is that of the files.`,
		Example: `  vkinfer merge -o all.jsonl part0.jsonl part1.jsonl part2.jsonl`,
		Args:    args(-1, "SHARD"),
		RunE:    a.action(func(cmd *cobra.Command, args []string) error { return a.merge(output, by, args) }),
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write, - for standard output")
	choiceFlag(cmd, &by, "shard-by", "", "what the shards were taken of", shardBys...)
	return cmd
}

func (a *app) merge(output, by string, names []string) error {
	if output == "" {
		return usagef("no output named, want -o all.jsonl, or -o - for standard output")
	}
	if output != "-" {
		if err := a.needOutput("-o", output, "FILE"); err != nil {
			return err
		}
	}
	format := strings.TrimPrefix(filepath.Ext(names[0]), ".")
	var shards []io.Reader
	for _, name := range names {
		if !slices.Contains(results.Resumable, format) || filepath.Ext(name) != "."+format {
			hint := ""
			if strings.HasSuffix(name, ".part") {
				hint = "; this one is of an interrupted run, which 'vkinfer classify --resume' completes"
			}
			return usagef("%s: want files that all end in .jsonl or all in .csv%s", name, hint)
		}
		f, err := os.Open(name)
		if err != nil {
			return usagef("%s: %w", name, plain(err))
		}
		defer f.Close()
		shards = append(shards, f)
	}
	merge := results.Merge
	if by == bySource {
		merge = results.Concat
	}
	if output == "-" {
		_, err := merge(a.out, format, names, shards)
		return setup(err)
	}
	o, err := atomicfile.Create(output, 0o666)
	if err != nil {
		return usagef("-o %w", err)
	}
	defer o.Abandon()
	n, err := merge(o, format, names, shards)
	if err != nil {
		return setup(err)
	}
	a.log.Info(fmt.Sprintf("%s: %d rows of %d shards", output, n, len(names)))
	return o.Commit()
}
