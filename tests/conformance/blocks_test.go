package conformance

import (
	"slices"
	"strings"
	"testing"

	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/graph"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// TestBlocks: every node but the input is in one block, and a block reads only what blocks before it give.
func TestBlocks(t *testing.T) {
	for _, spec := range models.All() {
		g, err := spec.BuildShape(40, 64)
		if err != nil {
			t.Fatal(err)
		}
		if g, err = netplan.RunPasses(g, "fold", "fuse"); err != nil {
			t.Fatal(err)
		}
		list, err := blocksOf(g)
		if err != nil {
			t.Fatal(err)
		}
		given := []string{g.Node(g.Input).Yields}
		nodes, mbconv := 0, 0
		for _, b := range list {
			if strings.HasPrefix(b.name, "blocks.") {
				mbconv++
			}
			inputs := 0
			for _, n := range b.graph.Nodes {
				if _, ok := n.Op.(*graph.Input); ok {
					inputs++
				} else {
					nodes++
				}
			}
			if inputs != len(b.feeds) {
				t.Errorf("%s: %s has %d inputs and %d feeds", spec.Name, b.name, inputs, len(b.feeds))
			}
			for _, f := range b.feeds {
				if !slices.Contains(given, f) {
					t.Errorf("%s: %s reads %s, which no block before it gives", spec.Name, b.name, f)
				}
			}
			given = append(given, b.graph.Node(b.graph.Output).Yields)
		}
		if nodes != len(g.Nodes)-1 || mbconv < 20 || given[len(given)-1] != g.Node(g.Output).Yields {
			t.Errorf("%s: %d of %d nodes in %d blocks", spec.Name, nodes, len(g.Nodes)-1, len(list))
		}
	}
}
