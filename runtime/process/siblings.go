package process

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

// Tasks of other nodes have their directories elsewhere, so they are known by
// their environment alone.

// Siblings implements runtime.Reaper. Processes of other users, whose environment
// cannot be read, are not found.
func (d *Driver) Siblings(ctx context.Context) ([]runtime.Container, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	found := map[string]runtime.Container{}
	for _, p := range all {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if p.zombie {
			continue
		}
		env := markings(p.pid)
		if env["ORCH_CLUSTER"] != d.cfg.Cluster || env["ORCH_NODE"] == string(d.cfg.Node) || env[dirVar] == "" {
			continue
		}
		c, err := sibling(env)
		if err != nil {
			d.cfg.Log.WithField("pid", p.pid).WithError(err).Debug("a process with markings that cannot be read")
			continue
		}
		if c.PID = p.pid; p.session == p.pid || found[c.ID].ID == "" {
			found[c.ID] = c
		}
	}
	out := make([]runtime.Container, 0, len(found))
	for _, c := range found {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b runtime.Container) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// sibling reads what the environment of a task's process says of it.
func sibling(env map[string]string) (runtime.Container, error) {
	life, err1 := strconv.ParseInt(env["ORCH_LIFE"], 10, 64)
	slot, err2 := strconv.Atoi(env["ORCH_INDEX"])
	epoch, err3 := strconv.ParseUint(env["ORCH_EPOCH"], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return runtime.Container{}, err
	}
	if !api.ValidJobName(env["ORCH_JOB"]) {
		return runtime.Container{}, fmt.Errorf("%.80q is not a job", env["ORCH_JOB"])
	}
	return runtime.Container{ID: env[dirVar], State: runtime.Running, Labels: runtime.Labels{
		Cluster: env["ORCH_CLUSTER"], Node: api.NodeID(env["ORCH_NODE"]), Boot: env["ORCH_BOOT"], Job: env["ORCH_JOB"],
		Life: life, Slot: slot, Epoch: epoch, TemplateHash: env["ORCH_TEMPLATE_HASH"], Lock: env["ORCH_LOCK"],
	}}, nil
}

// Reap implements runtime.Reaper: it kills every process that carries the task's
// directory, until there is none.
func (d *Driver) Reap(ctx context.Context, c runtime.Container) error {
	if c.Labels.Cluster != d.cfg.Cluster || c.Labels.Node == d.cfg.Node || c.ID == "" {
		return fmt.Errorf("reap %s: it is no sibling's", c.Labels.Task())
	}
	for {
		all, err := processes()
		if err != nil {
			return fmt.Errorf("reap %s: %w", c.Labels.Task(), err)
		}
		left := 0
		for _, p := range all {
			if p.zombie || !carries(p.pid, c.ID) {
				continue
			}
			left++
			if stamp, alive := stampOf(p.pid); alive && stamp == p.stamp {
				_ = unix.Kill(p.pid, unix.SIGKILL) // looked at again
			}
		}
		if left == 0 {
			return nil
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return fmt.Errorf("reap %s: %w", c.Labels.Task(), ctx.Err())
		}
	}
}

// markingsOf picks the words NAME=value whose name begins with ORCH_.
func markingsOf(words [][]byte) map[string]string {
	out := map[string]string{}
	for _, w := range words {
		if name, value, ok := strings.Cut(string(w), "="); ok && strings.HasPrefix(name, "ORCH_") {
			out[name] = value
		}
	}
	return out
}
