package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/client"

	"github.com/exitae337/orchestergo/api"
)

// Proc is a process of a task, as the process table has it. The process driver
// gives each attempt a directory and names it in the environment of whatever the
// attempt starts, so all processes with one Dir are one copy of the task.
type Proc struct {
	PID     int
	Group   int
	Dir     string     // of the attempt
	Node    api.NodeID // who started it
	Task    string     // "web.3"
	Epoch   uint64
	Started string // differs between two processes that had the same number
	Env     []string
}

// A process is what the system tells of one, with the words it was started with.
type process struct {
	pid     int
	group   int
	started string
	args    []string
	env     []string
}

// errLeft is in the error of what could not end every process.
var errLeft = errors.New("processes are left")

// procsIn lists the processes of tasks whose directory is below dir, by number.
func procsIn(dir string) ([]Proc, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	var found []Proc
	for _, p := range all {
		if q, ok := taskProc(p); ok && below(q.Dir, dir) {
			found = append(found, q)
		}
	}
	slices.SortFunc(found, func(a, b Proc) int { return a.PID - b.PID })
	return found, nil
}

// taskProc reads what the process driver put into the environment.
func taskProc(p process) (Proc, bool) {
	q := Proc{PID: p.pid, Group: p.group, Started: p.started, Env: p.env}
	for _, v := range p.env {
		name, value, _ := strings.Cut(v, "=")
		switch name {
		case "ORCH_DIR":
			q.Dir = value
		case "ORCH_NODE":
			q.Node = api.NodeID(value)
		case "ORCH_TASK":
			q.Task = value
		case "ORCH_EPOCH":
			q.Epoch, _ = strconv.ParseUint(value, 10, 64) // 0 is no epoch, and then seen to be wrong
		}
	}
	return q, q.Dir != ""
}

// agentsIn lists the numbers of agents whose data directory is below dir.
func agentsIn(dir string) ([]int, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, p := range all {
		for i, word := range p.args {
			if word == "--data-dir" && i+1 < len(p.args) && below(p.args[i+1], dir) {
				pids = append(pids, p.pid)
			}
		}
	}
	return pids, nil
}

// below says whether path is inside dir.
func below(path, dir string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// Copies sorts processes by task, and the processes of a task by their attempt's
// directory: more than one directory is more than one copy.
func Copies(procs []Proc) map[string][]string {
	copies := map[string][]string{}
	for _, p := range procs {
		if !slices.Contains(copies[p.Task], p.Dir) {
			copies[p.Task] = append(copies[p.Task], p.Dir)
		}
	}
	return copies
}

// sweep kills the agents and the tasks below dir, removes the containers on
// engines, and returns when there are none, with how many there were.
func sweep(ctx context.Context, dir string, engines []*client.Client) (int, error) {
	agents, err := sweepUntil(ctx, func() ([]int, error) { return agentsIn(dir) })
	if err != nil {
		return agents, fmt.Errorf("end the agents in %s: %w", dir, err)
	}
	tasks, err := sweepUntil(ctx, func() ([]int, error) { return taskPIDs(dir, nil) })
	if err != nil {
		return agents + tasks, fmt.Errorf("end the tasks in %s: %w", dir, err)
	}
	if len(engines) == 0 {
		return agents + tasks, nil
	}
	containers, err := sweepContainers(ctx, engines, dir)
	if err != nil {
		err = fmt.Errorf("end the containers of %s: %w", dir, err)
	}
	return agents + tasks + containers, err
}

// taskPIDs are the processes of tasks below dir that match, or all for nil.
func taskPIDs(dir string, match func(Proc) bool) ([]int, error) {
	procs, err := procsIn(dir)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, p := range procs {
		if match == nil || match(p) {
			pids = append(pids, p.PID)
		}
	}
	return pids, nil
}

// sweepUntil kills what list finds until it has found nothing twice: a process in
// the middle of becoming another one can be missed once.
func sweepUntil(ctx context.Context, list func() ([]int, error)) (killed int, err error) {
	seen := map[int]bool{}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for quiet := 0; quiet < 2; {
		pids, err := list()
		if err != nil {
			return len(seen), err
		}
		quiet++
		for _, pid := range pids {
			quiet = 0
			seen[pid] = true
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return len(seen), fmt.Errorf("kill %d: %w", pid, err)
			}
		}
		select {
		case <-ctx.Done():
			if quiet == 0 {
				return len(seen), fmt.Errorf("%w: %v", errLeft, pids)
			}
			return len(seen), ctx.Err()
		case <-tick.C:
		}
	}
	return len(seen), nil
}

// killGroup kills the process group of pid unless it is our own.
func killGroup(pid int) {
	group, err := syscall.Getpgid(pid)
	if err != nil || group <= 1 || group == syscall.Getpgrp() || pid == os.Getpid() {
		return
	}
	_ = syscall.Kill(-group, syscall.SIGKILL) // gone is as good as killed
}
