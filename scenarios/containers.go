package scenarios

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"

	"github.com/exitae337/orchestergo/api"
)

// The labels by which a lab knows its containers. The lock file is in the data
// directory of the node that started the container, so it tells both the lab and
// the node, also of nodes that never said their id.
const (
	labelTask  = "orch.task"
	labelEpoch = "orch.epoch"
	labelNode  = "orch.node"
	labelLock  = "orch.lock"
)

// lateContainers is how long nothing new must have come before a lab's containers
// count as swept: an engine finishes what a killed agent has asked of it.
const lateContainers = 500 * time.Millisecond

// Container is a container of a task, as the engine has it.
type Container struct {
	ID    string
	Node  api.NodeID // who started it
	Task  string     // "web.3"
	Epoch uint64
	State string // the engine's word, such as "running"

	Engine *client.Client // that has it

	lock string
}

// Runs says whether there are processes in it; a paused one counts.
func (c Container) Runs() bool {
	return c.State == container.StateRunning || c.State == container.StatePaused || c.State == container.StateRestarting
}

// OpenEngine is a client of the docker engine at DOCKER_HOST or the default socket,
// where the agents of a lab look for it too. It dials nothing.
func OpenEngine() (*client.Client, error) {
	return client.NewClientWithOpts(client.WithTLSClientConfigFromEnv(), client.WithHostFromEnv(), client.WithAPIVersionNegotiation())
}

// NodeEngine is an engine other than the machine's own.
type NodeEngine struct {
	Host    string // where the lab looks for it, as in DOCKER_HOST
	Through string // where the node does, if there is something between them; empty is Host
}

// Engine is the machine's own engine if the driver of the lab is docker, else nil.
func (l *Lab) Engine() *client.Client {
	if len(l.engines) == 0 {
		return nil
	}
	return l.engines[0]
}

// openEngines are clients of the machine's own engine and of each of others once.
func openEngines(others map[string]NodeEngine) ([]*client.Client, error) {
	own, err := OpenEngine()
	if err != nil {
		return nil, err
	}
	engines, hosts := []*client.Client{own}, map[string]bool{}
	for _, e := range others {
		if hosts[e.Host] {
			continue
		}
		hosts[e.Host] = true
		other, err := client.NewClientWithOpts(client.WithHost(e.Host), client.WithAPIVersionNegotiation())
		if err != nil {
			return nil, errors.Join(err, closeEngines(engines))
		}
		engines = append(engines, other)
	}
	return engines, nil
}

func closeEngines(engines []*client.Client) error {
	var errs []error
	for _, e := range engines {
		errs = append(errs, e.Close())
	}
	return errors.Join(errs...)
}

// Containers are all containers of the lab, exited ones too; none in a lab whose
// driver is another.
func (l *Lab) Containers(ctx context.Context) ([]Container, error) {
	return containersIn(ctx, l.engines, l.dir)
}

// containersIn lists the containers whose node's data directory is below dir.
func containersIn(ctx context.Context, engines []*client.Client, dir string) ([]Container, error) {
	with := filters.NewArgs(filters.Arg("label", labelLock))
	var found []Container
	for _, engine := range engines {
		list, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: with})
		if err != nil {
			return nil, fmt.Errorf("list containers: %w", err)
		}
		for _, s := range list {
			if !below(s.Labels[labelLock], dir) {
				continue
			}
			epoch, _ := strconv.ParseUint(s.Labels[labelEpoch], 10, 64) // 0 is no epoch, and then seen to be wrong
			found = append(found, Container{
				ID: s.ID, Node: api.NodeID(s.Labels[labelNode]), Task: s.Labels[labelTask], Epoch: epoch, State: s.State, lock: s.Labels[labelLock], Engine: engine,
			})
		}
	}
	return found, nil
}

// killContainers kills what runs below dir and returns when nothing does. What was
// about to start is removed: the engine may be in the middle of it.
func killContainers(ctx context.Context, engines []*client.Client, dir string) error {
	quiet := 0
	for {
		list, err := containersIn(ctx, engines, dir)
		if err != nil {
			return err
		}
		quiet++
		var g errgroup.Group
		for _, c := range list {
			switch {
			case c.Runs():
				quiet = 0
				g.Go(func() error { return c.Engine.ContainerKill(ctx, c.ID, "SIGKILL") })
			case c.State == container.StateCreated:
				quiet = 0
				g.Go(func() error { return removeContainer(ctx, c.Engine, c.ID) })
			}
		}
		if err := g.Wait(); err != nil && !cerrdefs.IsNotFound(err) && !cerrdefs.IsConflict(err) {
			return fmt.Errorf("kill containers: %w", err)
		}
		if quiet == 2 {
			return nil
		}
		if err := pause(ctx, time.Now()); err != nil {
			return fmt.Errorf("kill containers: %w", err)
		}
	}
}

// sweepContainers removes all containers below dir and returns how many there were
// when no more have come for a while.
func sweepContainers(ctx context.Context, engines []*client.Client, dir string) (int, error) {
	seen := map[string]bool{}
	last := time.Now()
	for {
		list, err := containersIn(ctx, engines, dir)
		if err != nil {
			return len(seen), err
		}
		if len(list) > 0 {
			last = time.Now()
		} else if time.Since(last) >= lateContainers {
			return len(seen), nil
		}
		var g errgroup.Group
		g.SetLimit(8)
		for _, c := range list {
			seen[c.ID] = true
			g.Go(func() error { return removeContainer(ctx, c.Engine, c.ID) })
		}
		if err := g.Wait(); err != nil {
			return len(seen), fmt.Errorf("remove containers: %w", err)
		}
		if err := pause(ctx, time.Now()); err != nil {
			return len(seen), errors.Join(err, fmt.Errorf("%d containers are left", len(list)))
		}
	}
}

// removeContainer removes a container, running or not. That somebody else is at it
// is no error.
func removeContainer(ctx context.Context, engine *client.Client, id string) error {
	err := engine.ContainerRemove(ctx, id, container.RemoveOptions{RemoveVolumes: true, Force: true})
	if cerrdefs.IsNotFound(err) || cerrdefs.IsConflict(err) {
		return nil
	}
	return err
}
