package preprocess

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// photo is a 500×375 picture, the median size of ImageNet's validation set, with the frequencies of a
// photograph rather than of noise.
func photo() *image.RGBA {
	coarse := noise(32, 24, 8)
	m := image.NewRGBA(image.Rect(0, 0, 500, 375))
	fine := Transform{Size: 500, CropPct: 0.75, Std: half}.Apply(coarse)
	for y := range 375 {
		for x := range 500 {
			copy(m.Pix[y*m.Stride+4*x:], fine[(y*500+x)*3:][:3])
			m.Pix[y*m.Stride+4*x+3] = 255
			m.Pix[y*m.Stride+4*x+1] += uint8((x*y)>>3) & 7
		}
	}
	return m
}

func benchmarkDecode(b *testing.B, data []byte) {
	b.SetBytes(500 * 375 * 3)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(data, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func photoJPEG(b testing.TB) []byte {
	var f bytes.Buffer
	if err := jpeg.Encode(&f, photo(), &jpeg.Options{Quality: 92}); err != nil {
		b.Fatal(err)
	}
	return f.Bytes()
}

func BenchmarkDecodeJPEG(b *testing.B) { benchmarkDecode(b, photoJPEG(b)) }

// BenchmarkStdlibJPEG is what image/jpeg takes for the same file, with its simpler upsampling and no
// conversion to RGB.
func BenchmarkStdlibJPEG(b *testing.B) {
	data := photoJPEG(b)
	b.SetBytes(500 * 375 * 3)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jpeg.Decode(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodePNG(b *testing.B) {
	var f bytes.Buffer
	if err := png.Encode(&f, photo()); err != nil {
		b.Fatal(err)
	}
	benchmarkDecode(b, f.Bytes())
}

func benchmarkApply(b *testing.B, w, h int) {
	img := noise(w, h, 2)
	tr := nets["b1"]
	b.ReportAllocs()
	for b.Loop() {
		tr.Apply(img)
	}
}

func BenchmarkApply500x375(b *testing.B)   { benchmarkApply(b, 500, 375) }
func BenchmarkApply4000x3000(b *testing.B) { benchmarkApply(b, 4000, 3000) }

func BenchmarkTensor(b *testing.B) {
	tr := nets["b1"]
	u8 := noise(240, 240, 2).Pix
	dst := make([]float32, len(u8))
	b.SetBytes(int64(len(u8)))
	for b.Loop() {
		tr.Tensor(u8, dst)
	}
}

func BenchmarkPicture(b *testing.B) {
	data := photoJPEG(b)
	tr := nets["b1"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tr.Picture(data, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFolder prepares the pictures of the folder $VKINFER_PICTURES, one per turn; bench/peers/pipeline.py runs it
// beside Pillow.
func BenchmarkFolder(b *testing.B) {
	dir := os.Getenv("VKINFER_PICTURES")
	if dir == "" {
		b.Skip("VKINFER_PICTURES names no folder")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	var files [][]byte
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			b.Fatal(err)
		}
		files = append(files, data)
	}
	for _, fast := range []bool{false, true} {
		tr := nets["b1"]
		name := "exact"
		if tr.FastDecode = fast; fast {
			name = "fast"
		}
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				if _, err := tr.Picture(files[i%len(files)], Limits{}); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
