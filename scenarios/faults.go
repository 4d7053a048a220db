package scenarios

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/exitae337/orchestergo/api"
)

// Kill kills the agent (SIGKILL) and leaves its tasks.
func (l *Lab) Kill(ctx context.Context, n *Node) error {
	l.logf("%s: kill the agent", n.Name)
	return n.end(ctx)
}

// KillHost is what others see of a host that dies: the agent is gone and so are
// its tasks. The agent goes first, so that it cannot notice.
func (l *Lab) KillHost(ctx context.Context, n *Node) error {
	l.logf("%s: kill the agent and its tasks", n.Name)
	pids := n.pidsByAPI(ctx)
	return n.endHost(ctx, pids)
}

// Terminate asks the agent to end (SIGTERM) and returns when it has. It fails if
// the agent does not end well.
func (l *Lab) Terminate(ctx context.Context, n *Node) error {
	l.logf("%s: terminate the agent", n.Name)
	if err := n.signal(syscall.SIGTERM); err != nil {
		return err
	}
	a := n.last()
	select {
	case <-ctx.Done():
		return fmt.Errorf("terminate %s: %w", n.Name, ctx.Err())
	case <-a.done:
		if a.err != nil {
			return fmt.Errorf("terminate %s: %w", n.Name, a.err)
		}
		return nil
	}
}

// Pause stops the agent where it is (SIGSTOP). Its tasks go on.
func (l *Lab) Pause(n *Node) error {
	l.logf("%s: pause the agent", n.Name)
	return n.signal(syscall.SIGSTOP)
}

// Resume lets a paused agent go on.
func (l *Lab) Resume(n *Node) error {
	l.logf("%s: resume the agent", n.Name)
	return n.signal(syscall.SIGCONT)
}

// Restart starts the agents of nodes that have none, all at once, on the data that
// they had, and returns when they are ready.
func (l *Lab) Restart(ctx context.Context, nodes ...*Node) error {
	for _, n := range nodes {
		if err := n.run(ctx, []string{"start"}); err != nil {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		g.Go(func() error { return n.AwaitReady(gctx) })
	}
	return g.Wait()
}

// Rejoin starts the agent of a node that has left, to join the others again, and
// returns when it is ready.
func (l *Lab) Rejoin(ctx context.Context, n *Node) error {
	peer, token, err := l.door(ctx)
	if err != nil {
		return err
	}
	if err := n.run(ctx, []string{"join", peer.GossipAddr(), "--token-file", token}); err != nil {
		return err
	}
	return n.AwaitReady(ctx)
}

// PowerCut kills every agent and every task of the lab.
func (l *Lab) PowerCut(ctx context.Context) error {
	l.logf("power cut")
	var errs []error
	for _, n := range l.Nodes() {
		errs = append(errs, n.signalIfRunning(syscall.SIGKILL))
	}
	for _, n := range l.Nodes() {
		errs = append(errs, n.end(ctx))
	}
	_, err := sweep(ctx, l.dir, nil)
	errs = append(errs, err)
	if len(l.engines) > 0 { // they are still there after a power cut, and do not run
		errs = append(errs, killContainers(ctx, l.engines, l.dir))
	}
	return errors.Join(errs...)
}

// signal sends to the agent. Our child cannot give its number to another process
// before its waiter has seen it end.
func (n *Node) signal(s syscall.Signal) error {
	a := n.last()
	if a == nil || !a.running() {
		return fmt.Errorf("signal %s: it does not run", n.Name)
	}
	if s == syscall.SIGKILL || s == syscall.SIGTERM {
		a.told.Store(true)
	}
	if err := syscall.Kill(a.pid, s); err != nil {
		return fmt.Errorf("signal %s: %w", n.Name, err)
	}
	return nil
}

func (n *Node) signalIfRunning(s syscall.Signal) error {
	if !n.Running() {
		return nil
	}
	if err := n.signal(s); err != nil && !errors.Is(err, syscall.ESRCH) && n.Running() {
		return err
	}
	return nil
}

// end kills the agent, if there is one, and returns when it has ended.
func (n *Node) end(ctx context.Context) error {
	if err := n.signalIfRunning(syscall.SIGKILL); err != nil {
		return err
	}
	n.client.Close()
	a := n.last()
	if a == nil {
		return nil
	}
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("kill %s: %w", n.Name, ctx.Err())
	}
}

// endHost kills the agent, the groups of pids, and whatever else the process table
// or the engine says is a task of the node.
func (n *Node) endHost(ctx context.Context, pids []int) error {
	if err := n.signalIfRunning(syscall.SIGKILL); err != nil {
		return err
	}
	for _, pid := range pids {
		killGroup(pid)
	}
	_, err := sweepUntil(ctx, func() ([]int, error) {
		tasks, err := taskPIDs(n.lab.dir, func(p Proc) bool { return p.Node == n.ID() || below(p.Dir, n.DataDir) })
		if err != nil {
			return nil, err
		}
		agents, err := agentsIn(n.dir) // what the agent was just starting looks like the agent
		return append(tasks, agents...), err
	})
	if len(n.lab.engines) > 0 {
		err = errors.Join(err, killContainers(ctx, n.lab.engines, n.DataDir))
	}
	return errors.Join(err, n.end(ctx))
}

// pidsByAPI are the processes of the node's tasks as it names them itself: on
// systems that do not show environments there is nothing else. A node that does not
// answer names none.
func (n *Node) pidsByAPI(ctx context.Context) []int {
	if n.ID() == "" || !n.Running() {
		return nil
	}
	tasks, err := n.client.Tasks(ctx, api.TaskFilter{Node: string(n.ID())})
	if err != nil {
		return nil
	}
	var pids []int
	for _, t := range tasks {
		if t.PID > 0 && t.Driver == "process" && t.Node == n.ID() && t.State.Live() { // a container's may be of another machine
			pids = append(pids, t.PID)
		}
	}
	return pids
}
