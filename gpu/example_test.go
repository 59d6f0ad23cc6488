package gpu_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/vkinfer/vkinfer/gpu"
	"github.com/vkinfer/vkinfer/netplan"
	"github.com/vkinfer/vkinfer/netplan/models"
)

// Example runs a network, here with all weights zero, on the best device there is.
func Example() {
	dev, err := gpu.Open(gpu.Options{})
	if errors.Is(err, gpu.ErrNoLoader) || errors.Is(err, gpu.ErrNoDriver) || errors.Is(err, gpu.ErrNoDevice) {
		fmt.Println(err) // says what to install
		return
	}
	if err != nil {
		panic(err)
	}
	defer dev.Close()

	logits, err := classify(dev, make([]float32, 2*3*32*32))
	if err != nil {
		panic(err)
	}
	fmt.Println(dev.Info(), "gave", len(logits), "logits for two images")
}

func classify(dev *gpu.Device, images []float32) ([]float32, error) {
	spec, err := models.Lookup("efficientnet_b1_pruned")
	if err != nil {
		return nil, err
	}
	g, err := spec.BuildShape(32, 32)
	if err != nil {
		return nil, err
	}
	if g, err = netplan.RunPasses(g, "fold", "fuse"); err != nil {
		return nil, err
	}
	plan, err := netplan.Lower(g, dev.Caps(), netplan.Options{})
	if err != nil {
		return nil, err
	}
	exec, err := gpu.NewExecutor(dev, plan, gpu.ExecutorOptions{MaxBatch: 8})
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	return exec.Run(context.Background(), images, len(images)/plan.Input.NumElements())
}
