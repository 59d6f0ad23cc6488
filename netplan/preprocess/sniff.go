package preprocess

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"io"
	"strings"
	"unicode/utf8"
)

// signatures maps the first bytes of a file to the format. A '.' in a pattern matches any byte.
// The rows with an empty format are things people hand over instead of a supported picture.
var signatures = []struct{ pattern, format, looksLike string }{
	{"\xff\xd8\xff", "JPEG", ""},
	{"\x89PNG\r\n\x1a\n", "PNG", ""},
	{"GIF87a", "GIF", ""},
	{"GIF89a", "GIF", ""},
	{"BM", "BMP", ""},
	{"II*\x00", "TIFF", ""},
	{"MM\x00*", "TIFF", ""},
	{"RIFF....WEBPVP8", "WebP", ""},

	{"....ftypavif", "", "an AVIF picture"},
	{"....ftypavis", "", "an AVIF sequence"},
	{"....ftyphei", "", "a HEIC picture"},
	{"....ftyphev", "", "a HEIC sequence"},
	{"....ftypmif1", "", "a HEIF picture"},
	{"....ftypmsf1", "", "a HEIF sequence"},
	{"....ftyp", "", "an MP4 or QuickTime video"},
	{"\xff\x0a", "", "a JPEG XL picture"},
	{"\x00\x00\x00\x0cJXL ", "", "a JPEG XL picture"},
	{"\x00\x00\x00\x0cjP  ", "", "a JPEG 2000 picture"},
	{"\xff\x4f\xff\x51", "", "a JPEG 2000 codestream"},
	{"II+\x00", "", "a BigTIFF picture"},
	{"MM\x00+", "", "a BigTIFF picture"},
	{"8BPS", "", "a Photoshop document"},
	{"\x00\x00\x01\x00", "", "a Windows icon"},
	{"qoif", "", "a QOI picture"},
	{"DDS ", "", "a DDS texture"},
	{"\x76\x2f\x31\x01", "", "an OpenEXR picture"},
	{"#?RADIANCE", "", "a Radiance HDR picture"},
	{"P1", "", "a portable bitmap (PBM)"},
	{"P2", "", "a portable graymap (PGM)"},
	{"P3", "", "a portable pixmap (PPM)"},
	{"P4", "", "a portable bitmap (PBM)"},
	{"P5", "", "a portable graymap (PGM)"},
	{"P6", "", "a portable pixmap (PPM)"},
	{"%PDF", "", "a PDF document"},
	{"%!PS", "", "a PostScript document"},
	{"PK\x03\x04", "", "a zip archive (or a PyTorch checkpoint or Office document)"},
	{"\x1f\x8b", "", "gzip-compressed data"},
	{"\x93NUMPY", "", "a NumPy array"},
	{"\x89HDF", "", "an HDF5 file"},
	{"\x1aE\xdf\xa3", "", "a Matroska or WebM video"},
	{"RIFF....AVI ", "", "an AVI video"},
	{"RIFF....WAVE", "", "a WAVE sound"},
	{"\x7fELF", "", "a program"},
	{"version https://git-lfs", "", "a git-lfs pointer instead of the file itself"},
}

// sniff finds a picture's format in its first bytes, or says what else the data looks like.
func sniff(data []byte) (format string, err error) {
	if len(data) == 0 {
		return "", fmt.Errorf("preprocess: picture: the file is empty; %w", ErrNotPicture)
	}
	for _, s := range signatures {
		if !matches(data, s.pattern) {
			continue
		}
		if s.format != "" {
			return s.format, nil
		}
		return "", fmt.Errorf("preprocess: picture: looks like %s; %w", s.looksLike, ErrNotPicture)
	}
	return "", fmt.Errorf("preprocess: picture: %s; %w", describeUnknown(data), ErrNotPicture)
}

func matches(data []byte, pattern string) bool {
	if len(data) < len(pattern) {
		return false
	}
	for i := range len(pattern) {
		if pattern[i] != '.' && pattern[i] != data[i] {
			return false
		}
	}
	return true
}

// describeUnknown says what data without a known signature is: markup, text or something else.
func describeUnknown(data []byte) string {
	head := data[:min(len(data), 512)]
	for len(head) > 0 && len(head) < len(data) && !utf8.RuneStart(data[len(head)]) {
		head = head[:len(head)-1] // do not cut a character in two
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	lower := strings.ToLower(string(text))
	switch {
	case len(bytes.Trim(head, "\x00")) == 0:
		return "the file holds zeros"
	case strings.HasPrefix(lower, "<!doctype html"), strings.HasPrefix(lower, "<html"):
		return "looks like an HTML page"
	case strings.HasPrefix(lower, "<svg"), strings.HasPrefix(lower, "<?xml") && strings.Contains(lower, "<svg"):
		return "looks like an SVG drawing"
	case strings.HasPrefix(lower, "<?xml"), strings.HasPrefix(lower, "<error"):
		return "looks like an XML document"
	case strings.HasPrefix(lower, "{"), strings.HasPrefix(lower, "["):
		return "looks like JSON"
	}
	if utf8.Valid(head) && !bytes.ContainsFunc(head, func(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\r\n\f\x1b", r) }) {
		return fmt.Sprintf("looks like text (%q)", clip(strings.TrimSpace(string(text)), 40))
	}
	return fmt.Sprintf("unknown format (it begins with % x)", head[:min(len(head), 8)])
}

// clip shortens a string to n characters.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

// foreign marks an error of another package's decoder as what it means for a picture.
func foreign(err error) error {
	var unsupported png.UnsupportedError
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.As(err, &unsupported) {
		return err
	}
	return fmt.Errorf("damaged: %w", err)
}

// describe gives a decoder's error its place and says plainly when the file ends too early.
func describe(format string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("preprocess: %s picture: truncated: the file ends before the picture does", format)
	}
	return fmt.Errorf("preprocess: %s picture: %w", format, err)
}
