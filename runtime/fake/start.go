package fake

import (
	"context"
	"fmt"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

// pullSteps is how often progress is told of while an image is fetched.
const pullSteps = 10

// Start does what the script says.
func (d *Driver) Start(ctx context.Context, spec runtime.Spec, progress func(api.TaskState, string)) (runtime.Container, error) {
	if err := ctx.Err(); err != nil {
		return runtime.Container{}, fmt.Errorf("start %.80s: %w", spec.Labels.Task(), err)
	}
	c, err := d.create(spec)
	if err == nil {
		d.notify()
		err = d.pull(ctx, c, spec, progress)
	}
	if err == nil {
		err = d.launch(ctx, c)
	}
	if err != nil {
		return runtime.Container{}, fmt.Errorf("start %.80s: %w", spec.Labels.Task(), err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return c.Container, nil
}

// create adds a container in state Created, in place of an exited one.
func (d *Driver) create(spec runtime.Spec) (*container, error) {
	l := spec.Labels
	if !api.ValidJobName(l.Job) || l.Slot < 0 || l.Life < 0 {
		return nil, fmt.Errorf("%.80q is not a task", l.Task())
	}
	if l.Node != d.node || l.Cluster != d.cluster {
		return nil, fmt.Errorf("its labels are of node %s in cluster %q, not of this node", l.Node, l.Cluster)
	}
	var does Behaviour
	if d.Script != nil {
		does = d.Script(spec)
	}
	name := fmt.Sprintf("%s.%d.%d.%d", l.Job, l.Life, l.Slot, l.Epoch)
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.containers[fmt.Sprintf("%s#%d", name, d.starts[name])]; old != nil {
		if old.State != runtime.Exited {
			return nil, runtime.ErrBusy
		}
		d.forget(old)
	}
	d.starts[name]++
	c := &container{does: does, ended: make(chan struct{})}
	c.ID, c.Labels, c.State = fmt.Sprintf("%s#%d", name, d.starts[name]), l, runtime.Created
	d.containers[c.ID] = c
	d.note(Starting, c)
	return c, nil
}

// pull fetches the image if it must be fetched.
func (d *Driver) pull(ctx context.Context, c *container, spec runtime.Spec, progress func(api.TaskState, string)) error {
	absent := !d.HasImage(spec.Image)
	if spec.Image == "" || !absent && spec.Pull != "always" {
		return nil
	}
	if absent && spec.Pull == "never" {
		return d.fail(c, fmt.Errorf("image %s: %w", spec.Image, errPullNever))
	}
	for i := range pullSteps {
		if progress != nil {
			progress(api.Pulling, fmt.Sprintf("%s %d%%", spec.Image, 100*i/pullSteps))
		}
		if ended, err := c.wait(ctx, c.does.PullTakes/pullSteps); err != nil {
			return d.fail(c, err)
		} else if ended {
			return nil
		}
	}
	if c.does.PullErr != nil {
		return d.fail(c, fmt.Errorf("image %s: %w", spec.Image, c.does.PullErr))
	}
	d.SetImage(spec.Image, true)
	return nil
}

// launch lets c run when it is time.
func (d *Driver) launch(ctx context.Context, c *container) error {
	if c.does.HangStart {
		select {
		case <-c.ended:
			return nil
		case <-ctx.Done():
			return d.fail(c, ctx.Err())
		}
	}
	begun := time.Now()
	ended, err := c.wait(ctx, c.does.StartTakes)
	switch {
	case ended:
		return nil
	case err != nil && c.does.Detached:
		time.AfterFunc(c.does.StartTakes-time.Since(begun), func() { d.run(c) })
		return err
	case err != nil:
		return d.fail(c, err)
	case c.does.StartErr != nil:
		return d.fail(c, c.does.StartErr)
	}
	d.run(c)
	return nil
}

// wait waits for t to pass. It says if c was stopped before that.
func (c *container) wait(ctx context.Context, t time.Duration) (ended bool, err error) {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false, nil
	case <-c.ended:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// run makes c Running, unless it was stopped before.
func (d *Driver) run(c *container) {
	defer d.notify()
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.State != runtime.Created {
		return
	}
	c.State, c.StartedAt = runtime.Running, time.Now()
	d.note(Ran, c)
	if !c.does.Ends {
		return
	}
	if c.does.RunFor <= 0 { // no timer: Start returns it exited
		d.end(c, c.does.ExitCode)
		return
	}
	c.timer = time.AfterFunc(c.does.RunFor, func() {
		d.mu.Lock()
		d.end(c, c.does.ExitCode)
		d.mu.Unlock()
		d.notify()
	})
}

// fail takes c away again, and returns err.
func (d *Driver) fail(c *container, err error) error {
	defer d.notify()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.containers[c.ID] == c { // it may have vanished
		if c.State == runtime.Created {
			c.State = runtime.Exited
			close(c.ended)
		}
		d.forget(c)
	}
	return err
}
