//go:build unix

package doctor

import (
	"os"
	"strconv"
	"syscall"
)

// groupOf is the number of a file's group.
func groupOf(info os.FileInfo) string {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return strconv.Itoa(int(st.Gid))
	}
	return ""
}
