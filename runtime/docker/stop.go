package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/exitae337/orchestergo/runtime"
)

// removeTime is how long an engine may take to remove a container and its files.
const removeTime = time.Minute

// Stop sends the image's stop signal, which is SIGTERM unless the image says
// otherwise, and SIGKILL after grace; with no grace only that. A paused container is
// let go on by the engine to end. One that was never started has no end and no logs:
// it is removed.
func (d *Driver) Stop(ctx context.Context, id string, grace time.Duration) error {
	in, c, err := d.inspect(ctx, id)
	if err == nil {
		err = d.stop(ctx, in, c, grace)
	}
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

func (d *Driver) stop(ctx context.Context, in container.InspectResponse, c runtime.Container, grace time.Duration) error {
	defer d.forget(c.ID)
	switch c.State {
	case runtime.Exited:
		return nil
	case runtime.Created:
		if err := d.remove(ctx, c.ID, true); err != nil && !cerrdefs.IsNotFound(err) {
			return err
		}
		return nil
	}
	ended, faults, done, err := d.wait(ctx, c.ID)
	if err != nil {
		return err
	}
	defer done()
	if grace > 0 {
		signal := in.Config.StopSignal
		if signal == "" {
			signal = "SIGTERM"
		}
		if err := d.signal(ctx, c.ID, signal); err != nil {
			return err
		}
	}
	patience := time.NewTimer(grace)
	defer patience.Stop()
	for {
		select {
		case <-ended:
			return nil
		case err := <-faults:
			return d.gone(ctx, c.ID, err)
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			if err := d.signal(ctx, c.ID, "SIGKILL"); err != nil {
				return err
			}
		}
	}
}

// wait begins to wait for the end of a container, until done is called.
func (d *Driver) wait(ctx context.Context, id string) (ended <-chan container.WaitResponse, faults <-chan error, done func(), err error) {
	done, err = d.engine.open(ctx, func(ctx context.Context, l *link) error {
		ended, faults = l.ContainerWait(ctx, id, container.WaitConditionNotRunning)
		return nil
	})
	return ended, faults, done, err
}

// signal sends a signal to what runs. That it has ended is no error: who waits sees it.
func (d *Driver) signal(ctx context.Context, id, signal string) error {
	err := d.engine.do(ctx, callTime, func(ctx context.Context, l *link) error {
		return l.ContainerKill(ctx, id, signal)
	})
	if cerrdefs.IsConflict(err) || cerrdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// gone is the answer to a wait that failed: nil if the container has ended.
func (d *Driver) gone(ctx context.Context, id string, failed error) error {
	_, c, err := d.inspect(ctx, id)
	switch {
	case err != nil:
		return err
	case c.State == runtime.Exited:
		return nil
	}
	return fmt.Errorf("cannot wait for the end of %.12s: %w", id, failed)
}

// Remove removes an exited container with its logs and the volumes that have no
// name. A created one is removed too, unless it is being started.
func (d *Driver) Remove(ctx context.Context, id string) error {
	in, c, err := d.inspect(ctx, id)
	switch {
	case err != nil:
	case c.State == runtime.Running:
		err = errors.New("it runs; stop it first")
	case c.State == runtime.Created && d.isClaimed(strings.TrimPrefix(in.Name, "/")):
		err = errors.New("it is being started")
	default:
		if err = d.remove(ctx, id, false); cerrdefs.IsNotFound(err) {
			err = nil // somebody was faster
		}
	}
	if err != nil {
		return fmt.Errorf("remove %.12s: %w", id, err)
	}
	return nil
}

// remove removes a container that is known to be ours; with force, also one that runs.
func (d *Driver) remove(ctx context.Context, id string, force bool) error {
	defer d.forget(id)
	return d.engine.do(ctx, removeTime, func(ctx context.Context, l *link) error {
		return l.ContainerRemove(ctx, id, container.RemoveOptions{RemoveVolumes: true, Force: force})
	})
}
