package weights

import (
	"fmt"
	"io"
	"os"
)

// Open reads the checkpoint at path: a .pth of PyTorch in zip or legacy form, or .safetensors.
// The form is recognised by the content, never by the name.
//
// The whole state dict is read into memory. Nothing the file says is executed, and reading takes
// memory in proportion to its true size only. A file that cannot be opened gives the operating
// system's error (errors.Is with fs.ErrNotExist works); one that is damaged or no checkpoint
// gives a *FormatError, one that this package does not read an *UnsupportedError.
func Open(path string) (*StateDict, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, &FormatError{File: path, Text: fmt.Sprintf("is not a regular file (%s); wanted a checkpoint", info.Mode().Type())}
	}
	sd, err := Read(f, info.Size(), path)
	if err != nil {
		return nil, err
	}
	sd.Path = path
	return sd, nil
}

// Read is Open for anything that can be read at an offset. size is the number of bytes in r;
// name stands for the file in errors.
func Read(r io.ReaderAt, size int64, name string) (*StateDict, error) {
	if size > maxFile {
		return nil, &UnsupportedError{File: name, Text: fmt.Sprintf("has %s; wanted at most %s: the networks here take 40 MB", sizeText(size), sizeText(maxFile))}
	}
	head := make([]byte, min(max(size, 0), sniffLen))
	if err := readAt(r, head, 0); err != nil {
		return nil, inFile(err, name)
	}
	b := newBudget(size)
	var sd *StateDict
	var err error
	if skip := legacyMagicSize(head); skip > 0 {
		sd, err = readLegacy(r, size, skip, b)
	} else if isZip(head) {
		sd, err = readZip(r, size, b)
	} else if isSafetensors(head) {
		sd, err = readSafetensors(r, size, b)
	} else {
		err = notACheckpoint(r, head, size)
	}
	if err != nil {
		return nil, inFile(err, name)
	}
	return sd, nil
}
