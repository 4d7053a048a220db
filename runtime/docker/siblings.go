package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/exitae337/orchestergo/runtime"
)

var _ runtime.Reaper = (*Driver)(nil)

// Siblings lists the containers of the cluster on this engine that other nodes'
// labels are on, exited ones included, sorted by ID.
func (d *Driver) Siblings(ctx context.Context) ([]runtime.Container, error) {
	list, err := d.list(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list the containers of siblings: %w", err)
	}
	return slices.DeleteFunc(list, func(c runtime.Container) bool {
		return d.owns(c.Labels)
	}), nil
}

// Reap kills and removes a sibling's container. It looks at the labels again: c
// must still be what it was when it was listed.
func (d *Driver) Reap(ctx context.Context, c runtime.Container) error {
	_, now, err := d.inspectAny(ctx, c.ID)
	switch {
	case errors.Is(err, runtime.ErrNotFound):
		return nil
	case err != nil:
	case now.Labels.Cluster != d.cfg.Cluster || d.owns(now.Labels) || now.Labels.Node != c.Labels.Node || nameOf(now.Labels) != nameOf(c.Labels):
		err = errors.New("it is no sibling's")
	default:
		if err = d.remove(ctx, c.ID, true); cerrdefs.IsNotFound(err) {
			err = nil // somebody was faster
		}
	}
	if err != nil {
		return fmt.Errorf("reap %.80s: %w", c.Labels.Task(), err)
	}
	return nil
}
