package main

import (
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/exitae337/orchestergo/api"
)

// lookWidth is how many nodes are asked at once.
const lookWidth = 8

// lookAround asks the node of c, and through it every other one that it sees alive.
func lookAround(ctx context.Context, c client) (snapshot, error) {
	s := snapshot{accounts: map[api.NodeID]account{}}
	var err error
	if s.nodes, err = c.Nodes(ctx); err != nil {
		return s, err
	}
	if s.jobs, err = c.Jobs(ctx); err != nil {
		return s, err
	}
	if s.tasks, err = c.Tasks(ctx, api.TaskFilter{All: true}); err != nil {
		return s, err
	}
	var mu sync.Mutex // guards s.accounts
	var g errgroup.Group
	g.SetLimit(lookWidth)
	for _, n := range s.nodes {
		if !isAlive(n) {
			continue
		}
		g.Go(func() error {
			r, err := askAbout(ctx, c, string(n.ID))
			mu.Lock()
			defer mu.Unlock()
			s.accounts[n.ID] = r
			return err
		})
	}
	return s, g.Wait()
}

// askAbout asks what one node has. That it does not say is part of the answer, and no
// error unless it is the node of c that does not.
func askAbout(ctx context.Context, c client, node string) (r account, err error) {
	var said *api.Error
	defer func() {
		if errors.As(err, &said) {
			r.fault, err = said.Error(), nil
		}
	}()
	digest, err := c.NodeDigest(ctx, node)
	if err != nil {
		return r, err // and nothing else of it is to be had
	}
	r.digest = &digest
	if r.sees, err = c.NodeView(ctx, node); err != nil {
		return r, err
	}
	held, err := c.NodeContainers(ctx, node)
	if err != nil {
		return r, err
	}
	r.listed = true
	r.held = slices.DeleteFunc(held, func(h api.Container) bool { return h.State == "exited" })
	return r, nil
}
