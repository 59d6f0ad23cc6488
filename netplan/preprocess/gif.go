package preprocess

import (
	"bytes"
	"image/gif"
)

func gifSize(data []byte) (w, h int, err error) {
	c, err := gif.DecodeConfig(bytes.NewReader(data))
	return c.Width, c.Height, err
}

func decodeGIF(data []byte) (*RGB, error) {
	m, err := gif.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return fromImage(m)
}
