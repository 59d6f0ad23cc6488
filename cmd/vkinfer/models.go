package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vkinfer/vkinfer/cmd/vkinfer/internal/table"
	"github.com/vkinfer/vkinfer/netplan/models"
	"github.com/vkinfer/vkinfer/weights"
)

// modelJSON is a model for programs.
type modelJSON struct {
	Model      string     `json:"model"`
	InputSize  [3]int     `json:"input_size"`
	CropPct    float64    `json:"crop_pct"`
	Resize     int        `json:"resize"` // of the shorter side, before the crop
	Interp     string     `json:"interpolation"`
	Mean       [3]float32 `json:"mean"`
	Std        [3]float32 `json:"std"`
	Classes    int        `json:"classes"`
	Parameters int        `json:"parameters"`
	Tensors    int        `json:"tensors"`
	MACs       int64      `json:"macs_per_image"`
	TopOne     float64    `json:"top1"`
	TopFive    float64    `json:"top5"`
	Weights    []fileJSON `json:"weights"`
	Labels     labelsJSON `json:"labels"`
}

// fileJSON is a published weights file.
type fileJSON struct {
	Name   string   `json:"name"`
	SHA256 string   `json:"sha256_prefix"`
	Size   int64    `json:"size,omitempty"`
	URLs   []string `json:"urls,omitempty"`
}

// labelsJSON says what the outputs of the published weights mean.
type labelsJSON struct {
	Set   string `json:"set"`
	Count int    `json:"count"`
	First string `json:"first"`
	Last  string `json:"last"`
}

func describe(s *models.Spec) (modelJSON, error) {
	tr := s.Transform
	resize, _ := tr.ResizedSize(tr.Size, tr.Size)
	m := modelJSON{Model: s.Name, InputSize: [3]int{3, tr.Size, tr.Size}, CropPct: tr.CropPct, Resize: resize, Interp: "bicubic",
		Mean: tr.Mean, Std: tr.Std, Classes: s.Classes(), Parameters: s.NumParams(), Tensors: len(s.Entries), TopOne: s.TopOne, TopFive: s.TopFive}
	g, err := s.BuildShape(tr.Size, tr.Size)
	if err != nil {
		return m, err
	}
	m.MACs = g.TotalMACs()
	for _, src := range weights.Published[s.Name] {
		m.Weights = append(m.Weights, fileJSON{src.Name, src.SHA256Prefix, src.Size, src.URLs})
	}
	if l := models.Labels(m.Classes); len(l) > 0 {
		m.Labels = labelsJSON{"ImageNet-1k", len(l), l[0], l[len(l)-1]}
	}
	return m, nil
}

func modelsCommand(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "models",
		GroupID: groupInspect,
		Short:   "List the models",
		Long:    `List the models: name, input size in pixels, parameters and multiply-adds in millions, and the published accuracy of the published weights on ImageNet-1k's validation set.`,
		Example: `  vkinfer models
  vkinfer models -o json | jq -r '.[].model'`,
		Args: args(0),
		RunE: a.action(func(*cobra.Command, []string) error { return a.models(format) }),
	}
	choiceFlag(cmd, &format, "output", "o", "form of the list", "text", "json")
	return cmd
}

func (a *app) models(format string) error {
	var list []modelJSON
	t := table.Table{Titles: []string{"MODEL", "INPUT", "PARAMETERS", "MULTIPLY-ADDS", "TOP-1", "TOP-5"}, Right: []bool{false, true, true, true, true, true}}
	for _, s := range models.All() {
		m, err := describe(s)
		if err != nil {
			return err
		}
		list = append(list, m)
		t.Add(m.Model, fmt.Sprintf("%dx%d", m.InputSize[1], m.InputSize[2]), fmt.Sprintf("%.2f M", float64(m.Parameters)/1e6),
			fmt.Sprintf("%.0f M", float64(m.MACs)/1e6), fmt.Sprintf("%.2f %%", m.TopOne), fmt.Sprintf("%.2f %%", m.TopFive))
	}
	if format == "json" {
		return table.JSON(a.out, list)
	}
	return t.Text(a.out)
}
