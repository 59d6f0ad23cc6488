package preprocess

import (
	"bytes"
	"encoding/binary"
	"image/png"
	"io"
	"slices"
)

// pngEnd is an IEND chunk.
var pngEnd = []byte("\x00\x00\x00\x00IEND\xaeB\x60\x82")

func pngSize(data []byte) (w, h int, err error) {
	c, err := png.DecodeConfig(bytes.NewReader(data))
	return c.Width, c.Height, foreign(err)
}

// completePNG walks the chunks. A file that lacks only its end marker, or a part of it, holds the whole
// picture and gets one; one that ends inside another chunk is truncated.
func completePNG(data []byte) ([]byte, error) {
	pos := 8
	for pos+12 <= len(data) {
		n := int64(binary.BigEndian.Uint32(data[pos:]))
		if n > int64(len(data)-pos-12) {
			return nil, io.ErrUnexpectedEOF
		}
		if string(data[pos+4:pos+8]) == "IEND" {
			return data, nil
		}
		pos += 12 + int(n)
	}
	if !bytes.HasPrefix(pngEnd, data[pos:]) {
		return nil, io.ErrUnexpectedEOF
	}
	return slices.Concat(data[:pos], pngEnd), nil
}

func decodePNG(data []byte) (*RGB, error) {
	data, err := completePNG(data)
	if err != nil {
		return nil, err
	}
	m, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, foreign(err)
	}
	return fromImage(m)
}
