package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

// launchTime bounds how long an engine may take to create and start one container,
// whoever still waits for it. A loaded disk takes minutes.
const launchTime = 10 * time.Minute

// Start creates and starts a container, and fetches its image first where spec.Pull
// says so. If ctx ends while the engine is creating or starting it, Start returns at
// once, and the container is removed when the engine has answered. What an engine
// does that cannot be reached any more is seen in List later.
func (d *Driver) Start(ctx context.Context, spec runtime.Spec, progress func(api.TaskState, string)) (runtime.Container, error) {
	c, err := d.start(ctx, spec, progress)
	if err != nil {
		return runtime.Container{}, fmt.Errorf("start %.80s: %w", spec.Labels.Task(), err)
	}
	return c, nil
}

func (d *Driver) start(ctx context.Context, spec runtime.Spec, progress func(api.TaskState, string)) (runtime.Container, error) {
	if err := ctx.Err(); err != nil {
		return runtime.Container{}, err
	}
	if spec.Labels.Cluster != d.cfg.Cluster || spec.Labels.Node != d.cfg.Node {
		return runtime.Container{}, fmt.Errorf("its labels are of node %.80s in cluster %.80q, not of this node", spec.Labels.Node, spec.Labels.Cluster)
	}
	if err := d.permit(spec.Access); err != nil {
		return runtime.Container{}, err
	}
	p, err := planOf(spec, slices.Contains(d.cfg.Allow, api.AllowNetRaw))
	if err != nil {
		return runtime.Container{}, err
	}
	if !d.claim(p.name) {
		return runtime.Container{}, runtime.ErrBusy
	}
	defer d.release(p.name)
	if p.pull == "always" {
		if err := d.pull(ctx, p, progress); err != nil {
			return runtime.Container{}, err
		}
	}
	// The engine itself says what is in the way: that saves the usual start from
	// asking first.
	for tries := 0; ; tries++ {
		c, err := d.launch(ctx, p)
		switch {
		case err == nil, tries == 3, ctx.Err() != nil:
			return c, err
		case cerrdefs.IsConflict(err):
			err = d.clear(ctx, p)
		case !cerrdefs.IsNotFound(err) || !strings.Contains(strings.ToLower(err.Error()), "no such image"):
			return c, err
		case p.pull == "never":
			return c, fmt.Errorf("image %s is not on this node, and the job says never to pull it", p.image)
		default:
			err = d.pull(ctx, p, progress)
		}
		if err != nil {
			return c, err
		}
	}
}

// clear makes room for p where the name is taken: it removes an exited container of
// the same attempt. Any other makes it fail, with ErrBusy if it is ours.
func (d *Driver) clear(ctx context.Context, p plan) error {
	in, err := d.ask(ctx, callTime, p.name)
	if cerrdefs.IsNotFound(err) {
		return nil // it went meanwhile
	}
	if err != nil {
		return err
	}
	l, err := read(in.Config.Labels)
	if err != nil || l.Cluster != p.labels.Cluster || l.Node != p.labels.Node || nameOf(l) != p.name {
		return fmt.Errorf("the container name %s is taken by a container that is not of orch; remove or rename it", p.name)
	}
	if containerOf(l, in).State != runtime.Exited {
		return runtime.ErrBusy
	}
	return d.remove(ctx, in.ID, false)
}

// launch creates and starts p's container once. After an error there is none.
func (d *Driver) launch(ctx context.Context, p plan) (runtime.Container, error) {
	type result struct {
		c   runtime.Container
		err error
	}
	results := make(chan result)
	d.retain(p.name)
	go func() {
		alone := context.WithoutCancel(ctx)
		c, err := d.create(ctx, p)
		select {
		case results <- result{c, err}:
		case <-ctx.Done(): // nobody waits any more
			defer d.release(p.name)
			if err == nil {
				d.discard(alone, c.ID)
			}
		}
	}()
	select {
	case r := <-results:
		d.release(p.name) // not by the goroutine: who is answered may start again at once
		return r.c, r.err
	case <-ctx.Done():
		return runtime.Container{}, ctx.Err()
	}
}

// create does what launch says, however long the engine takes. What the caller does
// not wait for any more when it is created is not started.
func (d *Driver) create(caller context.Context, p plan) (runtime.Container, error) {
	ctx := context.WithoutCancel(caller)
	var id string
	err := d.engine.do(ctx, launchTime, func(ctx context.Context, l *link) error {
		p.fit(l.cpus)
		made, err := l.ContainerCreate(ctx, p.config, p.host, nil, nil, p.name)
		if id = made.ID; err != nil {
			return err
		}
		if caller.Err() != nil {
			return caller.Err()
		}
		return l.ContainerStart(ctx, id, container.StartOptions{})
	})
	switch {
	case err == nil:
	case id != "":
		d.discard(ctx, id)
		return runtime.Container{}, started(err)
	case errors.As(err, new(*engineError)) && isAnswer(err):
		return runtime.Container{}, err
	default:
		d.discardHalf(ctx, p) // the answer was lost; it may have been created
		return runtime.Container{}, err
	}
	_, learn := d.recall(id, "")
	in, c, err := d.inspect(ctx, id)
	if errors.Is(err, runtime.ErrNotFound) {
		return runtime.Container{}, errors.New("its container was removed while it started")
	}
	if err == nil {
		learn(c, in.State.Status)
	} else { // it runs, so what we know of it is an answer
		c = runtime.Container{ID: id, Labels: p.labels, State: runtime.Running, StartedAt: time.Now()}
		d.again()
	}
	return c, nil
}

// isAnswer says whether err is something that the engine said.
func isAnswer(err error) bool {
	return cerrdefs.IsNotFound(err) || cerrdefs.IsConflict(err) || cerrdefs.IsInvalidArgument(err) || cerrdefs.IsInternal(err)
}

// started makes sure that what the engine says of a start is not taken for what it
// says of a creation.
func started(err error) error { return errors.New(err.Error()) }

// discard removes a container of ours that did not come to run.
func (d *Driver) discard(ctx context.Context, id string) {
	if err := d.remove(ctx, id, true); err != nil && !cerrdefs.IsNotFound(err) {
		d.cfg.Log.WithError(err).WithField("container", id).Error("cannot remove a container that was not to be; the list of containers has it")
	}
}

// discardHalf removes the container of p if it was created and never started.
func (d *Driver) discardHalf(ctx context.Context, p plan) {
	in, err := d.ask(ctx, callTime, p.name)
	if err != nil {
		return // nothing there, or the list of containers has it when the engine is back
	}
	if l, err := read(in.Config.Labels); err == nil && d.owns(l) && containerOf(l, in).State == runtime.Created {
		d.discard(ctx, in.ID)
	}
}
