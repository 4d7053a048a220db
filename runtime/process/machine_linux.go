package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processes reads /proc. Processes that end meanwhile are left out.
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
	boot := bootID()
	var all []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, ok := stat(pid, boot); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

// stat reads /proc/PID/stat, whose fields proc_pid_stat(5) numbers from 1.
func stat(pid int, boot string) (process, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	name := bytes.LastIndexByte(b, ')') // field 2 may hold anything, spaces and ) too
	f := strings.Fields(string(b[name+1:]))
	if name < 0 || len(f) < 20 {
		return process{}, false
	}
	field := func(n int) string { return f[n-3] }
	p := process{pid: pid, stamp: boot + "/" + field(22), zombie: strings.Contains("ZX", field(3))}
	if p.group, err = strconv.Atoi(field(5)); err != nil {
		return process{}, false
	}
	p.session, err = strconv.Atoi(field(6))
	return p, err == nil
}

// bootID tells one run of the kernel from another: start times count from there.
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it, numbers and times must do
	return strings.TrimSpace(string(b))
}

func stampOf(pid int) (string, bool) {
	if pid <= 0 {
		return "", false
	}
	p, ok := stat(pid, bootID())
	return p.stamp, ok && !p.zombie
}

// children are the processes that pid forked. Only a kernel that does not tell them
// (CONFIG_PROC_CHILDREN) has the whole table read, which costs as much as there are
// processes on the machine.
func children(pid int) (pids []int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return childrenOf(pid)
	}
	for _, f := range strings.Fields(string(b)) {
		if child, err := strconv.Atoi(f); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

func image(pid int) []byte {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return b
}

func carries(pid int, dir string) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)) // fails for those of other users
	if err != nil {
		return false
	}
	mark := dirVar + "=" + dir + "\x00"
	return bytes.HasPrefix(b, []byte(mark)) || bytes.Contains(b, []byte("\x00"+mark))
}

// awaitDeath parks on a pidfd in Go's poller, which costs no thread and no wakeups.
// Kernels before 5.10 are polled.
func awaitDeath(ctx context.Context, l leader) error {
	if l.PID <= 0 {
		return nil
	}
	fd, err := unix.PidfdOpen(l.PID, unix.O_NONBLOCK) // which is PIDFD_NONBLOCK
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return pollDeath(ctx, l)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	if !l.alive() { // what we opened may be another by now
		return nil
	}
	conn, err := f.SyscallConn()
	if err != nil || f.SetReadDeadline(time.Time{}) != nil {
		return pollDeath(ctx, l)
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = conn.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 && err == nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// markings is what the environment of a process says with names that begin with
// ORCH_; nothing for processes of other users.
func markings(pid int) map[string]string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !bytes.Contains(b, []byte("ORCH_")) {
		return nil
	}
	return markingsOf(bytes.Split(b, []byte{0}))
}
