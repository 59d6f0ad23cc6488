package weights

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// sniffLen is how much of a file is looked at to tell what it is.
const sniffLen = 4096

func isZip(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06"))
}

// isSafetensors reports whether head can begin a safetensors file: a header length, then JSON.
// A length beyond the file still counts, so that the error can say so.
func isSafetensors(head []byte) bool { return len(head) > 8 && head[8] == '{' }

// tarMagicAt is where a tar archive says so.
const tarMagicAt = 257

const wanted = "wanted a .pth of PyTorch or a .safetensors file"

// otherFormats are files that people hold under the name of a checkpoint: how they begin, what
// they are, and what to do. The first that fits is taken.
var otherFormats = []struct{ magic, what, advice string }{
	{"\x1f\x8b", "a gzip archive", "unpack it first"},
	{"BZh", "a bzip2 archive", "unpack it first"},
	{"\xfd7zXZ\x00", "an xz archive", "unpack it first"},
	{"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it first"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"},
	{"Rar!", "a rar archive", "unpack it first"},
	{"\x89HDF\r\n", "an HDF5 file (Keras, TensorFlow)", "convert it with PyTorch"},
	{"\x93NUMPY", "a numpy array (.npy)", "it can be an input tensor, not a checkpoint"},
	{"GGUF", "a GGUF file", "convert it with PyTorch"},
	{"\x89PNG", "a picture (PNG)", "check the order of the arguments"},
	{"\xff\xd8\xff", "a picture (JPEG)", "check the order of the arguments"},
	{"GIF8", "a picture (GIF)", "check the order of the arguments"},
	{"RIFF", "a RIFF file (WebP, sound)", "check the order of the arguments"},
	{"%PDF", "a PDF", "check the order of the arguments"},
	{"\x7fELF", "a program", "check the order of the arguments"},
}

// notACheckpoint says what a file looks like that is none of the forms this package reads.
func notACheckpoint(r io.ReaderAt, head []byte, size int64) error {
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	lower := bytes.ToLower(text[:min(len(text), 64)])
	switch {
	case size == 0:
		return badf("is empty (0 bytes); %s; download or copy it again", wanted)
	case bytes.HasPrefix(head, []byte("version https://git-lfs.github.com/spec/")):
		return badf("is a git-lfs pointer%s, not the file itself; %s; fetch the contents with: git lfs pull", lfsSize(head), wanted)
	case bytes.HasPrefix(lower, []byte("<?xml")) || bytes.HasPrefix(lower, []byte("<error")):
		return badf("is an XML page%s, most likely a server's refusal saved under this name; %s; download it from another address", markup(text, "code", "message"), wanted)
	case bytes.HasPrefix(lower, []byte("<!doctype")) || bytes.HasPrefix(lower, []byte("<html")) || bytes.HasPrefix(lower, []byte("<head")):
		return badf("is a web page (HTML)%s, not what the page links to; %s; download the file itself", markup(text, "title"), wanted)
	case len(head) >= tarMagicAt+5 && string(head[tarMagicAt:tarMagicAt+5]) == "ustar":
		return unsupportedf("is a tar archive: PyTorch's first format (before 0.1.10), or several files packed together; wanted the zip or legacy form; unpack it, or load it with torch.load and save it again with torch.save")
	case bytes.Count(head, []byte{0}) == len(head):
		return badf("begins with %d zero bytes, as an unfinished download does (%d bytes in all); %s; download it again", len(head), size, wanted)
	}
	for _, f := range otherFormats {
		if bytes.HasPrefix(head, []byte(f.magic)) {
			return unsupportedf("is %s; %s; %s", f.what, wanted, f.advice)
		}
	}
	switch {
	case bytes.HasPrefix(text, []byte("{")) || bytes.HasPrefix(text, []byte("[")):
		return badf("is JSON text beginning %s, most likely a server's message or a configuration file; %s", quote(string(text[:min(len(text), 60)])), wanted)
	case len(head) >= 2 && head[0] == opProto && head[1] >= 2 && head[1] <= maxProtocol:
		return plainPickle(r, size)
	case isText(head):
		return badf("is text beginning %s; %s", quote(string(text[:min(len(text), 60)])), wanted)
	}
	return badf("is not a checkpoint: it begins with the bytes % x, which is no format known here; it is damaged, or something else; %s", head[:min(len(head), 8)], wanted)
}

// plainPickle tells a cut or damaged legacy checkpoint from some other pickle.
func plainPickle(r io.ReaderAt, size int64) error {
	if size < 64 {
		return badf("is the beginning of a Python pickle, %d bytes long: cut short; %s; download or copy it again", size, wanted)
	}
	p := &pickleStream{r: r, size: size, cost: graphCost(size)}
	if _, err := p.next(); err != nil {
		return fmt.Errorf("a Python pickle, but not one that torch.save writes: %w", err)
	}
	return unsupportedf("is a Python pickle, but not one that torch.save writes; %s; load it in Python and save its state dict with torch.save", wanted)
}

// lfsSize quotes the size in a git-lfs pointer.
func lfsSize(head []byte) string {
	_, after, ok := strings.Cut(string(head), "\nsize ")
	if !ok {
		return ""
	}
	n, _, _ := strings.Cut(after, "\n")
	return fmt.Sprintf(" to a file of %s bytes", clip(strings.TrimSpace(n), 20))
}

// markup quotes what stands in the first of the named elements that is there.
func markup(text []byte, names ...string) string {
	lower := strings.ToLower(string(text))
	for _, name := range names {
		i := strings.Index(lower, "<"+name+">")
		if i < 0 || len(lower) != len(text) {
			continue
		}
		from := i + len(name) + 2
		if n := strings.Index(lower[from:], "<"); n >= 0 {
			return " saying " + quote(strings.TrimSpace(string(text[from:from+n])))
		}
	}
	return ""
}

// isMarkup reports whether b begins as HTML or XML does: a bracket alone can begin anything.
func isMarkup(b []byte) bool {
	text := bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(text) < 2 || text[0] != '<' {
		return false
	}
	c := text[1] | 0x20
	return text[1] == '!' || text[1] == '?' || c >= 'a' && c <= 'z'
}

// isText reports whether b is printable ASCII.
func isText(b []byte) bool {
	for _, c := range b {
		if c < 0x20 && c != '\n' && c != '\r' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return len(b) > 0
}
