package preprocess

import (
	"bytes"

	"golang.org/x/image/bmp"
)

func bmpSize(data []byte) (w, h int, err error) {
	c, err := bmp.DecodeConfig(bytes.NewReader(data))
	return c.Width, c.Height, err
}

func decodeBMP(data []byte) (*RGB, error) {
	m, err := bmp.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return fromImage(m)
}
