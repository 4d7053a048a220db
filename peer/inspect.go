package peer

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

// How many things one answer lists, so that it fits a frame. A node may have labels
// of some ten thousand bytes.
const (
	heldPerFrame  = 500
	nodesPerFrame = 20
)

// NodeContainers lists what a node's drivers have, see api.Service.
func (p *Peer) NodeContainers(ctx context.Context, id string) ([]api.Container, error) {
	n, err := p.Node(ctx, id)
	if err != nil {
		return nil, err
	}
	out := []api.Container{}
	err = p.askNode(ctx, n.ID, question{Op: "containers"}, func(a answer) error {
		out = append(out, a.Held...)
		return nil
	})
	return out, err
}

// NodeDigest is the digest of a node's table, see api.Service.
func (p *Peer) NodeDigest(ctx context.Context, id string) (api.Digest, error) {
	n, err := p.Node(ctx, id)
	if err != nil {
		return api.Digest{}, err
	}
	var d api.Digest
	err = p.askNode(ctx, n.ID, question{Op: "digest"}, func(a answer) error {
		if a.Digest != nil {
			d = *a.Digest
		}
		return nil
	})
	return d, err
}

// NodeView lists the nodes as one of them sees them, see api.Service.
func (p *Peer) NodeView(ctx context.Context, id string) ([]api.Node, error) {
	n, err := p.Node(ctx, id)
	if err != nil {
		return nil, err
	}
	out := []api.Node{}
	err = p.askNode(ctx, n.ID, question{Op: "nodes"}, func(a answer) error {
		out = append(out, a.Nodes...)
		return nil
	})
	return out, err
}

// ownView is the nodes as this one sees them.
func (p *Peer) ownView(ctx context.Context, send func([]api.Node) error) error {
	nodes, err := p.Nodes(ctx)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(nodes, nodesPerFrame) {
		if err := send(some); err != nil {
			return err
		}
	}
	return nil
}

func (p *Peer) ownDigest() *api.Digest {
	return &api.Digest{Node: p.id, Name: p.cfg.Name, Digest: p.replica.Digest(), Records: p.replica.Len()}
}

// ownContainers asks the drivers, not what this node believes that they have.
func (p *Peer) ownContainers(ctx context.Context, send func([]api.Container) error) error {
	for _, name := range slices.Sorted(maps.Keys(p.drivers)) {
		lctx, cancel := context.WithTimeout(ctx, engineWait)
		list, err := p.drivers[name].List(lctx)
		cancel()
		if err != nil {
			return api.Errorf(api.NodeUnreachable, "node %s cannot list the containers of its driver %s: %v", p.cfg.Name, name, err)
		}
		slices.SortFunc(list, func(a, b runtime.Container) int { return cmp.Compare(a.ID, b.ID) })
		for some := range slices.Chunk(list, heldPerFrame) {
			if err := send(containers(name, some)); err != nil {
				return err
			}
		}
	}
	return nil
}

// containers are those of one driver as users see them.
func containers(driver string, list []runtime.Container) []api.Container {
	out := make([]api.Container, len(list))
	for i, c := range list {
		l := c.Labels
		out[i] = api.Container{
			ID: c.ID, Driver: driver, Node: l.Node, Attempt: l.Task().String(), Job: l.Job, Life: l.Life, Index: l.Slot, Epoch: l.Epoch,
			Hash: l.TemplateHash, Boot: l.Boot, State: string(c.State), PID: c.PID, Resources: l.Resources, Ports: l.Ports, StopTimeout: l.StopTimeout,
			StartedAt: timeOrNil(c.StartedAt), FinishedAt: timeOrNil(c.FinishedAt), Reason: c.Reason,
		}
		if out[i].Ports == nil {
			out[i].Ports = []api.Port{}
		}
		if c.State == runtime.Exited {
			out[i].ExitCode = &c.ExitCode
		}
	}
	return out
}
