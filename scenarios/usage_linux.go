package scenarios

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc, which Linux fixes for all programs.
const clockTick = time.Second / 100

// Usage is what a process has used and uses.
type Usage struct {
	CPU      time.Duration // since it started, in user and system mode
	Resident int64         // bytes of memory
}

// UsageOf reads the usage of a process from /proc.
func UsageOf(pid int) (Usage, error) {
	stat, ok := readStat(pid)
	if !ok {
		return Usage{}, fmt.Errorf("usage of process %d: it is gone", pid)
	}
	var ticks int64
	for _, field := range []int{14, 15} { // utime, stime
		n, err := strconv.ParseInt(stat[field-3], 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("usage of process %d: %w", pid, err)
		}
		ticks += n
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return Usage{}, fmt.Errorf("usage of process %d: statm is %q", pid, b)
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return Usage{}, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	return Usage{CPU: time.Duration(ticks) * clockTick, Resident: pages * int64(os.Getpagesize())}, nil
}
