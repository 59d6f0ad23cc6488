package preprocess

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"io"

	"golang.org/x/image/vp8"
	"golang.org/x/image/vp8l"
)

// webpFrame is the first picture of a WebP file: its bit stream and where it lies on the canvas.
type webpFrame struct {
	w, h       int // canvas
	x, y       int // offset of the frame
	fw, fh     int // frame size
	lossless   bool
	bitstream  []byte
	animation  bool
	haveCanvas bool
}

var errNoWebPData = errors.New("damaged: no picture data (VP8 or VP8L chunk)")

// readWebP walks the RIFF container down to the first frame. Alpha, metadata and later frames are not
// looked at: alpha is dropped anyway.
func readWebP(data []byte) (f webpFrame, err error) {
	if len(data) < 12 {
		return f, io.ErrUnexpectedEOF
	}
	size := int64(binary.LittleEndian.Uint32(data[4:])) + 8
	if size > int64(len(data)) {
		return f, io.ErrUnexpectedEOF
	}
	err = f.chunks(data[12:max(size, 12)])
	return f, err
}

// chunks looks for the frame in a run of RIFF chunks.
func (f *webpFrame) chunks(data []byte) error {
	for len(data) >= 8 {
		id, n := string(data[:4]), int64(binary.LittleEndian.Uint32(data[4:]))
		body := data[8:]
		if n > int64(len(body)) {
			return io.ErrUnexpectedEOF
		}
		next := body[min(n+n&1, int64(len(body))):]
		body = body[:n]
		switch id {
		case "VP8X":
			if n < 10 {
				return io.ErrUnexpectedEOF
			}
			f.haveCanvas, f.animation = true, body[0]&2 != 0
			f.w, f.h = uint24(body[4:])+1, uint24(body[7:])+1
			f.fw, f.fh = f.w, f.h
		case "ANMF":
			if !f.animation {
				break
			}
			if n < 16 {
				return io.ErrUnexpectedEOF
			}
			f.x, f.y = 2*uint24(body), 2*uint24(body[3:])
			f.fw, f.fh = uint24(body[6:])+1, uint24(body[9:])+1
			if f.x+f.fw > f.w || f.y+f.fh > f.h {
				return errors.New("damaged: its first frame lies outside the canvas")
			}
			f.animation = false // what follows inside the frame is a still picture
			return f.chunks(body[16:])
		case "VP8 ", "VP8L":
			if f.animation {
				break
			}
			f.bitstream, f.lossless = body, id == "VP8L"
			return f.frameSize()
		}
		data = next
	}
	return errNoWebPData
}

// frameSize reads the frame's size from its bit stream and compares it with the container's.
func (f *webpFrame) frameSize() error {
	var w, h int
	if f.lossless {
		c, err := vp8l.DecodeConfig(bytes.NewReader(f.bitstream))
		if err != nil {
			return foreign(err)
		}
		w, h = c.Width, c.Height
	} else {
		d := vp8.NewDecoder()
		d.Init(bytes.NewReader(f.bitstream), len(f.bitstream))
		fh, err := d.DecodeFrameHeader()
		if err != nil {
			return foreign(err)
		}
		if !fh.KeyFrame {
			return errors.New("damaged: its first frame is not a key frame")
		}
		w, h = fh.Width, fh.Height
	}
	if !f.haveCanvas {
		f.w, f.h, f.fw, f.fh = w, h, w, h
	}
	if w != f.fw || h != f.fh {
		return errors.New("damaged: its container and its bit stream disagree about the size")
	}
	return nil
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

func webpSize(data []byte) (w, h int, err error) {
	f, err := readWebP(data)
	return f.w, f.h, err
}

func decodeWebP(data []byte) (*RGB, error) {
	f, err := readWebP(data)
	if err != nil {
		return nil, err
	}
	var frame *RGB
	if f.lossless {
		m, err := vp8l.Decode(bytes.NewReader(f.bitstream))
		if err != nil {
			return nil, foreign(err)
		}
		if frame, err = fromImage(m); err != nil {
			return nil, err
		}
	} else {
		d := vp8.NewDecoder()
		d.Init(bytes.NewReader(f.bitstream), len(f.bitstream))
		if _, err := d.DecodeFrameHeader(); err != nil {
			return nil, foreign(err)
		}
		m, err := d.DecodeFrame()
		if err != nil {
			return nil, foreign(err)
		}
		frame = fromVP8(m)
	}
	if frame.W == f.w && frame.H == f.h {
		return frame, nil
	}
	canvas := newRGB(f.w, f.h) // black around the frame, as libwebp's animation decoder has it
	for y := range frame.H {
		copy(canvas.Pix[((f.y+y)*f.w+f.x)*3:], frame.Pix[y*frame.W*3:(y+1)*frame.W*3])
	}
	return canvas, nil
}

// fromVP8 converts VP8's 4:2:0 studio-range planes (Y 16 to 235) as libwebp does by default: chroma
// interpolated with 9:3:3:1 weights and its rounding, then 14-bit integer conversion. (The image
// package's colour model would read the planes as full range, which is wrong.)
func fromVP8(m *image.YCbCr) *RGB {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	out := newRGB(w, h)
	cw, ch := (w+1)/2, (h+1)/2
	u, v := make([]uint8, 2*cw), make([]uint8, 2*cw)
	for y := range h {
		near := y / 2
		far := min(max(near-1+y&1*2, 0), ch-1)
		webpChroma(u, m.Cb[near*m.CStride:][:cw], m.Cb[far*m.CStride:][:cw])
		webpChroma(v, m.Cr[near*m.CStride:][:cw], m.Cr[far*m.CStride:][:cw])
		webpToRGB(out.Pix[y*w*3:(y+1)*w*3], m.Y[y*m.YStride:][:w], u, v)
	}
	return out
}

// webpChroma makes a full-width chroma row from the nearer and the further row.
func webpChroma(dst, near, far []uint8) {
	n := len(near)
	far, dst = far[:n], dst[:2*n]
	edge := func(x int) uint8 { return uint8((3*int32(near[x]) + int32(far[x]) + 2) >> 2) }
	dst[0], dst[2*n-1] = edge(0), edge(n-1)
	nl, fl := int32(near[0]), int32(far[0])
	for x := 1; x < n; x++ {
		nr, fr := int32(near[x]), int32(far[x])
		sum := nl + nr + fl + fr + 8
		dst[2*x-1] = uint8(((sum+2*(nr+fl))>>3 + nl) >> 1)
		dst[2*x] = uint8(((sum+2*(nl+fr))>>3 + nr) >> 1)
		nl, fl = nr, fr
	}
}

// webpToRGB converts a row of studio-range YUV with libwebp's fixed-point constants.
func webpToRGB(dst, ys, us, vs []uint8) {
	us, vs = us[:len(ys)], vs[:len(ys)]
	for x, l := range ys {
		y, u, v := int32(l)*19077>>8, int32(us[x]), int32(vs[x])
		d := dst[3*x : 3*x+3 : 3*x+3]
		d[0] = clampByte((y + v*26149>>8 - 14234) >> 6)
		d[1] = clampByte((y - u*6419>>8 - v*13320>>8 + 8708) >> 6)
		d[2] = clampByte((y + u*33050>>8 - 17685) >> 6)
	}
}
