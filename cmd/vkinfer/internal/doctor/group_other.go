//go:build !unix

package doctor

import "os"

func groupOf(os.FileInfo) string { return "" }
