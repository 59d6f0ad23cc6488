package preprocess

import (
	"bytes"

	"golang.org/x/image/tiff"
)

func tiffSize(data []byte) (w, h int, err error) {
	c, err := tiff.DecodeConfig(bytes.NewReader(data))
	return c.Width, c.Height, err
}

func decodeTIFF(data []byte) (*RGB, error) {
	m, err := tiff.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return fromImage(m)
}
