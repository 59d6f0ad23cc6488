package preprocess_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log"

	"github.com/vkinfer/vkinfer/netplan/preprocess"
)

// A picture file becomes the input of a network that takes 240×240 pixels.
func Example() {
	var file bytes.Buffer // usually read from a disk or a request
	picture := image.NewRGBA(image.Rect(0, 0, 640, 427))
	for i := range picture.Pix {
		picture.Pix[i] = []uint8{255, 127, 0, 255}[i%4]
	}
	picture.Set(0, 0, color.Black) // outside the crop
	if err := png.Encode(&file, picture); err != nil {
		log.Fatal(err)
	}

	half := [3]float32{0.5, 0.5, 0.5}
	tr := preprocess.Transform{Size: 240, CropPct: 0.882, Mean: half, Std: half}
	pixels, err := tr.Picture(file.Bytes(), preprocess.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	input := make([]float32, len(pixels)) // NCHW [3,240,240]
	tr.Tensor(pixels, input)

	w, h := tr.ResizedSize(640, 427)
	fmt.Printf("resized to %d×%d, cropped to %d bytes\n", w, h, len(pixels))
	fmt.Printf("R %.4f G %.4f B %.4f\n", input[0], input[240*240], input[2*240*240])
	// Output:
	// resized to 407×272, cropped to 172800 bytes
	// R 1.0000 G -0.0039 B -1.0000
}
