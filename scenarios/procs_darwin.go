package scenarios

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

const zombie = 5 // SZOMB of sys/proc.h

// processes asks the kernel. The environment of programs that the system protects,
// such as those in /bin, is not told; of such tasks only their groups are found.
func processes() ([]process, error) {
	infos, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []process
	for i := range infos {
		p := &infos[i].Proc
		b, err := unix.SysctlRaw("kern.procargs2", int(p.P_pid))
		if err != nil || len(b) < 4 || p.P_stat == zombie {
			continue
		}
		argc := int(binary.NativeEndian.Uint32(b))
		_, rest, _ := strings.Cut(string(b[4:]), "\x00") // the path comes first, padded
		words := strings.Split(strings.TrimLeft(rest, "\x00"), "\x00")
		if argc < 0 || argc > len(words) {
			continue
		}
		all = append(all, process{
			pid: int(p.P_pid), group: int(infos[i].Eproc.Pgid),
			started: fmt.Sprintf("%d.%06d", p.P_starttime.Sec, p.P_starttime.Usec),
			args:    words[:argc], env: words[argc:],
		})
	}
	return all, nil
}
