package scenarios

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// processes reads /proc. What ends meanwhile, has ended, or belongs to somebody
// else is left out.
func processes() ([]process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

func readProcess(pid int) (process, bool) {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return process{}, false
	}
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(args) == 0 { // a zombie, or of the kernel
		return process{}, false
	}
	stat, ok := readStat(pid)
	if !ok || strings.Contains("ZX", stat[0]) {
		return process{}, false
	}
	group, err := strconv.Atoi(stat[5-3])
	return process{pid: pid, group: group, started: stat[22-3], args: words(args), env: words(env)}, err == nil
}

// readStat returns the fields of /proc/PID/stat from the third on, which is the
// state; proc_pid_stat(5) numbers them from 1. The second may hold anything.
func readStat(pid int) ([]string, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, false
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	return f, len(f) > 22-3
}

func words(b []byte) []string {
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}
