package process

import (
	"context"
	"time"
)

// dirVar is the variable that marks every process of an attempt with its directory.
const dirVar = "ORCH_DIR"

// process is one process of this machine. For each system there are, beside it:
//
//	processes()         all processes
//	stampOf(pid)        when the machine says that a process started, unless it is dead
//	children(pid)       the processes that a leader of a session forked
//	image(pid)          bytes that change when the process becomes another program
//	carries(pid, dir)   whether its environment has ORCH_DIR=dir
//	markings(pid)       the variables of its environment that begin with ORCH_
//	awaitDeath(ctx, l)  returns nil when l has ended, and an error when it cannot tell
type process struct {
	pid     int
	group   int
	session int
	stamp   string
	zombie  bool // ended, and not yet reaped by its parent
}

// childrenOf looks through the whole table, for systems that do not tell children.
func childrenOf(leader int) (pids []int) {
	all, err := processes()
	if err != nil {
		return nil
	}
	for _, p := range all {
		if p.session == leader && p.pid != leader && !p.zombie {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// pollEvery is how often a process is looked at whose end the system does not tell.
const pollEvery = 250 * time.Millisecond

// pollDeath looks at l now and then until it has ended.
func pollDeath(ctx context.Context, l leader) error {
	for l.alive() {
		if !sleep(ctx, pollEvery) {
			return ctx.Err()
		}
	}
	return nil
}

// sleep waits, and says whether it was for the whole of d.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
