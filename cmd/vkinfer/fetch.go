package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/weights"
)

func fetchCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "fetch MODEL",
		GroupID: groupWeights,
		Short:   "Download a model's published weights and print the path of the file",
		Long: `Download a model's published weights into the cache, unless they are there, check their SHA-256 against the
digits in the file's name, and print the path of the file. An interrupted download is taken up where it stopped.

This is the only subcommand that uses the network. It heeds HTTPS_PROXY and NO_PROXY; the cache is $VKINFER_CACHE,
or vkinfer in the user's cache directory.`,
		Example:           `  vkinfer classify efficientnet_b1_pruned --checkpoint "$(vkinfer fetch efficientnet_b1_pruned)" photo.jpg`,
		Args:              args(1, "MODEL"),
		ValidArgsFunction: completeModel,
		RunE:              a.action(func(cmd *cobra.Command, args []string) error { return a.fetch(cmd.Context(), args[0]) }),
	}
}

func (a *app) fetch(ctx context.Context, name string) error {
	spec, err := model(name)
	if err != nil {
		return err
	}
	sources := weights.Published[spec.Name]
	if len(sources) == 0 {
		return partf("%s: no address of its weights is known", spec.Name)
	}
	// A file that is there needs no network.
	if path, err := cached(ctx, spec); err == nil {
		a.log.Debug("already in the cache")
		_, err := fmt.Fprintln(a.out, path)
		return err
	}
	bar := a.console.Progress(sources[0].Name, -1, true)
	path, err := weights.Fetch(ctx, sources[0], weights.FetchOptions{Progress: func(done, total int64) {
		bar.SetTotal(total)
		bar.Set(done)
	}})
	bar.Stop()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.out, path)
	return err
}
