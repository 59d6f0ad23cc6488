package weights_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vkinfer/vkinfer/weights"
)

// A checkpoint from training keeps its state dict under a key; Open finds it.
func Example() {
	sd, err := weights.Open("testdata/train_p2_legacy.pth")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, %d tensors under %q\n", sd.Format, sd.Len(), sd.Picked)
	w := sd.Get("1.running_var")
	fmt.Println(w.DType, w.Shape, len(w.Float32s()))
	// Output:
	// PyTorch legacy, 9 tensors under "state_dict"
	// float32 [4] 4
}

// What is no checkpoint gives an error that says what it is.
func ExampleOpen_error() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "b1.pth")
	os.WriteFile(path, []byte("<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"), 0o600)
	_, err = weights.Open(path)
	var damaged *weights.FormatError
	if errors.As(err, &damaged) {
		fmt.Println(damaged.Text)
	}
	// Output:
	// is an XML page saying "AccessDenied", most likely a server's refusal saved under this name; wanted a .pth of PyTorch or a .safetensors file; download it from another address
}
