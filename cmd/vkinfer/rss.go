package main

import (
	"os"
	"strconv"
	"strings"
)

// peakRSS returns the process's largest resident memory in bytes, 0 where the system does not tell.
func peakRSS() int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	return parseVmHWM(string(data))
}

// parseVmHWM finds the line "VmHWM:  123 kB" of /proc/PID/status (proc(5)).
func parseVmHWM(status string) int64 {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			if f := strings.Fields(rest); len(f) == 2 && f[1] == "kB" {
				n, _ := strconv.ParseInt(f[0], 10, 64)
				return n << 10
			}
		}
	}
	return 0
}

// resetPeakRSS makes the peak count from now on, where the system can (Linux, proc(5)).
func resetPeakRSS() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }
