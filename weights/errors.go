package weights

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// FormatError says that a file is damaged, or is not a checkpoint at all.
type FormatError struct {
	File   string // the file, as the caller named it
	Tensor string // the tensor in question; "" when it is the file as a whole
	Text   string // what was found, what was wanted and what to do about it
	Err    error  // the error below it, or nil
}

// Error returns "weights: FILE: tensor NAME: TEXT".
func (e *FormatError) Error() string { return errorText(e.File, e.Tensor, e.Text, e.Err) }

// Unwrap returns the error below, or nil.
func (e *FormatError) Unwrap() error { return e.Err }

// UnsupportedError says that a file is (or may be) sound but uses something this package
// does not read: an old container, an element type, a class outside the allow-list.
type UnsupportedError struct {
	File   string // the file, as the caller named it
	Tensor string // the tensor in question; "" when it is the file as a whole
	Text   string // what was found, what was wanted and what to do about it
	Err    error  // the error below it, or nil
}

// Error returns "weights: FILE: tensor NAME: TEXT".
func (e *UnsupportedError) Error() string { return errorText(e.File, e.Tensor, e.Text, e.Err) }

// Unwrap returns the error below, or nil.
func (e *UnsupportedError) Unwrap() error { return e.Err }

// maxErrorText bounds the parts of a message that a file dictates.
const maxErrorText = 1000

func errorText(file, tensor, text string, err error) string {
	var b strings.Builder
	b.WriteString("weights: ")
	if file != "" {
		b.WriteString(file)
		b.WriteString(": ")
	}
	if tensor != "" {
		fmt.Fprintf(&b, "tensor %s: ", quote(tensor))
	}
	b.WriteString(clip(text, maxErrorText))
	if err != nil {
		b.WriteString(": ")
		b.WriteString(clip(err.Error(), maxErrorText))
	}
	return b.String()
}

// clip shortens s to at most n bytes without cutting a character in two.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// quote makes a string from a file printable and short.
func quote(s string) string { return fmt.Sprintf("%q", clip(s, 100)) }

// badf and unsupportedf make errors that know neither file nor tensor yet;
// inFile and inTensor fill those in on the way up.
func badf(format string, args ...any) error {
	return &FormatError{Text: fmt.Sprintf(format, args...)}
}

func unsupportedf(format string, args ...any) error {
	return &UnsupportedError{Text: fmt.Sprintf(format, args...)}
}

// inTensor names the tensor in err where it names none yet.
func inTensor(err error, name string) error { return label(err, "", name) }

// inFile names the file in err; any other error becomes a FormatError.
func inFile(err error, file string) error { return label(err, file, "") }

func label(err error, file, tensor string) error {
	var f *FormatError
	var u *UnsupportedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		if f.File == "" {
			f.File = file
		}
		if f.Tensor == "" {
			f.Tensor = tensor
		}
		return f
	case errors.As(err, &u):
		if u.File == "" {
			u.File = file
		}
		if u.Tensor == "" {
			u.Tensor = tensor
		}
		return u
	}
	return &FormatError{File: file, Tensor: tensor, Text: "cannot be read", Err: err}
}
