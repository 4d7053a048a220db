package process

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// szomb is SZOMB of sys/proc.h.
const szomb = 5

// processes asks the kernel. A session is known by its first group only, so what
// has made groups of its own is found by its environment.
func processes() ([]process, error) {
	infos, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	all := make([]process, 0, len(infos))
	for i := range infos {
		all = append(all, processOf(&infos[i]))
	}
	return all, nil
}

func processOf(k *unix.KinfoProc) process {
	start := k.Proc.P_starttime
	return process{
		pid: int(k.Proc.P_pid), group: int(k.Eproc.Pgid), session: int(k.Eproc.Pgid),
		stamp:  fmt.Sprintf("%d.%06d", start.Sec, start.Usec),
		zombie: k.Proc.P_stat == szomb,
	}
}

func stampOf(pid int) (string, bool) {
	if pid <= 0 {
		return "", false
	}
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(k.Proc.P_pid) != pid {
		return "", false
	}
	p := processOf(k)
	return p.stamp, !p.zombie
}

// image is the arguments and the environment as exec left them.
func image(pid int) []byte {
	b, _ := unix.SysctlRaw("kern.procargs2", pid)
	return b
}

func children(pid int) []int { return childrenOf(pid) }

// carries is false for programs that the system protects from being looked at.
func carries(pid int, dir string) bool {
	return bytes.Contains(image(pid), []byte("\x00"+dirVar+"="+dir+"\x00"))
}

func awaitDeath(ctx context.Context, l leader) error { return pollDeath(ctx, l) }

// markings is what the environment of a process says with names that begin with
// ORCH_; nothing for programs that the system protects.
func markings(pid int) map[string]string {
	return markingsOf(bytes.Split(image(pid), []byte{0}))
}
