package soak

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// backIn is how long a node may take to be ready after its fault has ended.
const backIn = time.Minute

// tormentor carries steps out.
type tormentor struct {
	lab   *scenarios.Lab
	nodes []*scenarios.Node
	wl    *workload
	agree func(context.Context) error // nil once all nodes agree on all jobs

	locks []sync.Mutex // of nodes: one thing at a time is done to each

	mu   sync.Mutex // guards what follows
	ails map[*scenarios.Node]Kind
	ids  map[api.NodeID]*scenarios.Node // all that a node ever was
}

func newTormentor(lab *scenarios.Lab, wl *workload, agree func(context.Context) error) *tormentor {
	tm := &tormentor{lab: lab, nodes: lab.Nodes(), wl: wl, agree: agree, ails: map[*scenarios.Node]Kind{}, ids: map[api.NodeID]*scenarios.Node{}}
	tm.locks = make([]sync.Mutex, len(tm.nodes))
	tm.learn()
	return tm
}

// learn remembers who the nodes are.
func (tm *tormentor) learn() {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	for _, n := range tm.nodes {
		if id := n.ID(); id != "" {
			tm.ids[id] = n
		}
	}
}

// cause is what ails, or has just ailed, the node with that id.
func (tm *tormentor) cause(id api.NodeID) Kind {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	return tm.ails[tm.ids[id]]
}

// offers adds what each node offers, by all that it ever was.
func (tm *tormentor) offers(to map[api.NodeID]api.Resources) {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	for id, n := range tm.ids {
		to[id] = n.Offers
	}
}

// carryOut has the steps happen at their times, and returns when all are undone.
func (tm *tormentor) carryOut(ctx context.Context, steps []Step) error {
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range steps {
		g.Go(func() error {
			if err := wait(ctx, s.At-time.Since(began)); err != nil {
				return err
			}
			if err := tm.step(ctx, s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// step does one and undoes it. A step that begins late moves what comes after it at the
// same nodes.
func (tm *tormentor) step(ctx context.Context, s Step) error {
	hold := s.Nodes
	if traits[s.Kind].alone {
		hold = make([]int, len(tm.nodes))
		for i := range hold {
			hold[i] = i
		}
	}
	var nodes []*scenarios.Node
	for _, i := range hold { // in order, so that nobody waits in a circle
		tm.locks[i].Lock()
		defer tm.locks[i].Unlock()
	}
	for _, i := range s.Nodes {
		nodes = append(nodes, tm.nodes[i])
	}
	tm.ail(nodes, s.Kind)
	defer tm.ail(nodes, "")
	return tm.deeds()[s.Kind](ctx, nodes, s.For)
}

func (tm *tormentor) ail(nodes []*scenarios.Node, k Kind) {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	for _, n := range nodes {
		tm.ails[n] = k
	}
}

// A deed does something to nodes for a while.
type deed func(ctx context.Context, nodes []*scenarios.Node, d time.Duration) error

func (tm *tormentor) deeds() map[Kind]deed {
	return map[Kind]deed{
		KillAgent: tm.down(tm.lab.Kill),
		KillHost:  tm.down(tm.lab.KillHost),
		Terminate: tm.down(tm.lab.Terminate),
		Pause:     tm.pause,
		Silence:   tm.cut(scenarios.Silence, true, true),
		Refusal:   tm.cut(scenarios.Refusal, true, true),
		Deaf:      tm.cut(scenarios.Silence, false, true),
		Mute:      tm.cut(scenarios.Silence, true, false),
		Link:      tm.link,
		FullDisk:  tm.fill,
		OldDisk:   tm.age,
		WipedDisk: tm.wipe,
		PowerCut:  tm.powerCut,
	}
}

// down ends an agent and starts it again.
func (tm *tormentor) down(end func(context.Context, *scenarios.Node) error) deed {
	return func(ctx context.Context, nodes []*scenarios.Node, d time.Duration) error {
		if err := end(ctx, nodes[0]); err != nil {
			return err
		}
		return errors.Join(wait(ctx, d), tm.restart(ctx, nodes[0]))
	}
}

func (tm *tormentor) restart(ctx context.Context, n *scenarios.Node) error {
	ctx, cancel := context.WithTimeout(ctx, backIn)
	defer cancel()
	defer tm.learn()
	return tm.lab.Restart(ctx, n)
}

func (tm *tormentor) pause(ctx context.Context, nodes []*scenarios.Node, d time.Duration) error {
	if err := tm.lab.Pause(nodes[0]); err != nil {
		return err
	}
	return errors.Join(wait(ctx, d), tm.lab.Resume(nodes[0]))
}

// cut keeps what nodes send, or what they are sent, from arriving.
func (tm *tormentor) cut(loss scenarios.Loss, out, in bool) deed {
	return func(ctx context.Context, nodes []*scenarios.Node, d time.Duration) error {
		c := &scenarios.Cut{From: nodes, To: tm.others(nodes), Loss: loss, BothWays: out && in}
		if !out {
			c.From, c.To = c.To, c.From
		}
		return tm.during(ctx, c, d)
	}
}

func (tm *tormentor) link(ctx context.Context, nodes []*scenarios.Node, d time.Duration) error {
	return tm.during(ctx, &scenarios.Cut{From: nodes[:1], To: nodes[1:], Loss: scenarios.Silence, BothWays: true}, d)
}

func (tm *tormentor) during(ctx context.Context, c *scenarios.Cut, d time.Duration) error {
	err := tm.lab.Cut(ctx, c)
	if err == nil {
		err = wait(ctx, d)
	}
	return errors.Join(err, tm.lab.Mend(context.WithoutCancel(ctx), c))
}

func (tm *tormentor) others(nodes []*scenarios.Node) []*scenarios.Node {
	in := map[*scenarios.Node]bool{}
	for _, n := range nodes {
		in[n] = true
	}
	var all []*scenarios.Node
	for _, n := range tm.nodes {
		if !in[n] {
			all = append(all, n)
		}
	}
	return all
}

// fill takes the space of a disk away. The agent may end of it.
func (tm *tormentor) fill(ctx context.Context, nodes []*scenarios.Node, d time.Duration) error {
	n := nodes[0]
	err := tm.lab.FillDisk(n, 0)
	if err == nil {
		err = wait(ctx, d)
	}
	err = errors.Join(err, tm.lab.FreeDisk(n), wait(ctx, time.Second)) // what failed before has its effect
	if err != nil || n.Running() && n.AwaitReady(ctx) == nil {
		return err
	}
	return tm.restart(ctx, n)
}

// whole returns when all nodes agree on all, so that the loss of a disk takes away
// nothing but what is acknowledged from now on, and on fewer disks than promised.
func (tm *tormentor) whole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, backIn)
	defer cancel()
	tm.wl.gate.Lock()
	defer tm.wl.gate.Unlock()
	now := time.Now()
	if err := scenarios.Eventually(ctx, "all nodes agree on all jobs", func() error { return tm.agree(ctx) }); err != nil {
		return err
	}
	tm.wl.jn.spread(now)
	return nil
}

// copyDisks keeps a first copy of every disk.
func (tm *tormentor) copyDisks(ctx context.Context) error {
	for _, n := range tm.nodes {
		if err := tm.lab.KeepCopy(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// age has a host die and come back with the disk that it had when it last did so.
func (tm *tormentor) age(ctx context.Context, nodes []*scenarios.Node, d time.Duration) error {
	return tm.destroy(ctx, nodes[0], d, func(n *scenarios.Node) error {
		if err := tm.lab.PutBack(ctx, n); err != nil {
			return err
		}
		if err := tm.restart(ctx, n); err != nil {
			return err
		}
		return tm.lab.KeepCopy(ctx, n)
	})
}

// wipe has a host die and come back with a disk on which there is nothing or, half of the
// times, its key. Without it, who it was is forgotten.
func (tm *tormentor) wipe(ctx context.Context, nodes []*scenarios.Node, d time.Duration) error {
	was := nodes[0].ID()
	var keep []string
	if odd(d) {
		keep = []string{"key"}
	}
	return tm.destroy(ctx, nodes[0], d, func(n *scenarios.Node) error {
		if err := tm.lab.WipeDisk(n, keep...); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, backIn)
		defer cancel()
		if err := tm.lab.Rejoin(ctx, n); err != nil {
			return err
		}
		tm.learn()
		if keep == nil {
			if err := scenarios.Eventually(ctx, "who it was is forgotten", func() error {
				_, err := n.Service().RemoveNode(ctx, string(was))
				return err
			}); err != nil {
				return err
			}
		}
		return tm.lab.KeepCopy(ctx, n)
	})
}

// destroy has a host die whose disk is never seen again. Requests come in until it does.
func (tm *tormentor) destroy(ctx context.Context, n *scenarios.Node, d time.Duration, back func(*scenarios.Node) error) error {
	if err := tm.whole(ctx); err != nil {
		return err
	}
	if err := wait(ctx, time.Duration(tm.wl.draw(500))*time.Millisecond); err != nil {
		return err
	}
	if err := tm.lab.KillHost(ctx, n); err != nil {
		return err
	}
	tm.wl.jn.destroyed()
	if err := wait(ctx, d); err != nil {
		return err
	}
	tm.wl.jn.destroyed() // an answer that the dead node gave may have been taken in just now
	return back(n)
}

// powerCut ends everything at once. The nodes come back one after the other.
func (tm *tormentor) powerCut(ctx context.Context, nodes []*scenarios.Node, d time.Duration) error {
	if err := tm.lab.PowerCut(ctx); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	for i := range nodes {
		g.Go(func() error {
			turn := (i + int(d/tenth)) % len(nodes)
			err := wait(gctx, d*time.Duration(turn)/time.Duration(len(nodes)))
			if err == nil {
				err = tm.restart(gctx, nodes[i])
			}
			return err
		})
	}
	return g.Wait()
}

// mendAll undoes what a step that failed has left, so that the cluster can be looked at.
func (tm *tormentor) mendAll(ctx context.Context) {
	_ = tm.lab.Mend(ctx) // there may be nothing to mend
	for _, n := range tm.lab.Alive() {
		_ = tm.lab.Resume(n)
	}
}

// tenth is the unit of times in steps, so that their last digit is a dice.
const tenth = 100 * time.Millisecond

func odd(d time.Duration) bool { return d/tenth%2 == 1 }

// wait waits so long, or fails with ctx.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(max(0, d))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
