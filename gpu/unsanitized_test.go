//go:build !race && !asan

package gpu

// sanitized says that memory use tells nothing.
const sanitized = false
