package docker

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"golang.org/x/sync/errgroup"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

const (
	inspectTime = 2 * time.Second // an engine does not answer for a container that it is busy with
	atOnce      = 8               // inspections under way
)

var fullID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// known is what an inspection said of a container, and the engine's word for its
// state at that time; "" while an inspection is under way, or has failed.
type known struct {
	runtime.Container
	word string
}

// List asks the engine for the containers with this cluster's and node's labels.
func (d *Driver) List(ctx context.Context) ([]runtime.Container, error) {
	list, err := d.list(ctx, d.cfg.Node)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	return list, nil
}

// list returns the containers of one node, or of all.
func (d *Driver) list(ctx context.Context, node api.NodeID) ([]runtime.Container, error) {
	with := filters.NewArgs(filters.Arg("label", labelCluster+"="+d.cfg.Cluster))
	if node != "" {
		with.Add("label", labelNode+"="+string(node))
	}
	var all []container.Summary
	err := d.engine.do(ctx, callTime, func(ctx context.Context, l *link) (err error) {
		all, err = l.ContainerList(ctx, container.ListOptions{All: true, Filters: with})
		return err
	})
	if err != nil {
		return nil, err
	}
	found := make([]*runtime.Container, len(all))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, s := range all {
		labels, err := read(s.Labels)
		if err != nil || labels.Cluster != d.cfg.Cluster || node != "" && labels.Node != node {
			d.cfg.Log.WithError(err).WithField("container", s.ID).Warn("a container has labels that are not of orch; left alone")
			continue
		}
		group.Go(func() (err error) {
			found[i], err = d.look(ctx, s, labels)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	list := make([]runtime.Container, 0, len(found))
	for _, c := range found {
		if c != nil {
			list = append(list, *c)
		}
	}
	slices.SortFunc(list, func(a, b runtime.Container) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// look says what is to be said of s, or nil if it is gone by now. An engine lists
// a container as running until it has cleared up after its end, so nothing but an
// inspection, which waits for that, is believed; unless the one before is still true.
func (d *Driver) look(ctx context.Context, s container.Summary, labels runtime.Labels) (*runtime.Container, error) {
	if s.State == container.StateCreated { // an inspection would wait until it runs
		return &runtime.Container{ID: s.ID, Labels: labels, State: runtime.Created}, nil
	}
	k, learn := d.recall(s.ID, s.State)
	if learn == nil {
		return &k.Container, nil
	}
	slow, cancel := context.WithTimeoutCause(ctx, inspectTime, errNoAnswer)
	defer cancel()
	in, err := d.ask(slow, 0, s.ID)
	switch {
	case cerrdefs.IsNotFound(err):
		d.forget(s.ID)
		return nil, nil
	case err != nil && ctx.Err() == nil && errors.Is(context.Cause(slow), errNoAnswer):
		d.again()
		return summary(s, labels, k), nil
	case err != nil:
		return nil, err
	}
	c := containerOf(labels, in)
	learn(c, in.State.Status)
	return &c, nil
}

// recall says what is known of a container that the engine has this word for. Unless
// that is still true, learn is to be told what an inspection that begins now said: it is
// known until something happens to the container, and not at all if something has
// happened to it meanwhile.
func (d *Driver) recall(id, word string) (before known, learn func(runtime.Container, string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	mine := &known{}
	if k := d.known[id]; k != nil {
		if k.word == word && word != "" {
			return *k, nil
		}
		before = *k
		mine.Container = k.Container
	}
	if d.streams > 0 {
		d.known[id] = mine
	}
	return before, func(c runtime.Container, word string) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.known[id] == mine {
			mine.Container, mine.word = c, word
		}
	}
}

// summary is what the engine's list says, where it says no more; before is what
// was known of it, if anything.
func summary(s container.Summary, labels runtime.Labels, before known) *runtime.Container {
	c := runtime.Container{ID: s.ID, Labels: labels, State: stateOf(s.State), ExitCode: -1, StartedAt: time.Unix(s.Created, 0)}
	if before.ID != "" {
		c.PID, c.StartedAt = before.PID, before.StartedAt
	}
	if c.State == runtime.Exited {
		c.PID, c.FinishedAt, c.Reason = 0, time.Now(), s.Status
	} else {
		c.ExitCode = 0
	}
	return &c
}

// forget makes sure that the container is looked at anew.
func (d *Driver) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.known, id)
}

// again makes Watch call for another List soon.
func (d *Driver) again() {
	select {
	case d.nudge <- struct{}{}:
	default:
	}
}

// owns says whether the labels are of this cluster and node.
func (d *Driver) owns(l runtime.Labels) bool {
	return l.Cluster == d.cfg.Cluster && l.Node == d.cfg.Node
}

// inspect asks for a container of this node. It fails with runtime.ErrNotFound for
// any other.
func (d *Driver) inspect(ctx context.Context, id string) (container.InspectResponse, runtime.Container, error) {
	in, c, err := d.inspectAny(ctx, id)
	if err == nil && !d.owns(c.Labels) {
		err = fmt.Errorf("%.12s: %w (its labels are of another)", id, runtime.ErrNotFound)
	}
	return in, c, err
}

// inspectAny asks for a container with labels of orch.
func (d *Driver) inspectAny(ctx context.Context, id string) (container.InspectResponse, runtime.Container, error) {
	if !fullID.MatchString(id) {
		return container.InspectResponse{}, runtime.Container{}, fmt.Errorf("%.80q: %w", id, runtime.ErrNotFound)
	}
	in, err := d.ask(ctx, callTime, id)
	if cerrdefs.IsNotFound(err) {
		return in, runtime.Container{}, fmt.Errorf("%.12s: %w", id, runtime.ErrNotFound)
	}
	if err != nil {
		return in, runtime.Container{}, err
	}
	labels, err := read(in.Config.Labels)
	if err != nil {
		return in, runtime.Container{}, fmt.Errorf("%.12s: %w (its labels are not of orch)", id, runtime.ErrNotFound)
	}
	return in, containerOf(labels, in), nil
}

// ask asks the engine for all about a container, whosever it is.
func (d *Driver) ask(ctx context.Context, patience time.Duration, name string) (in container.InspectResponse, err error) {
	err = d.engine.do(ctx, patience, func(ctx context.Context, l *link) (err error) {
		in, err = l.ContainerInspect(ctx, name)
		if err == nil && (in.ContainerJSONBase == nil || in.State == nil || in.Config == nil) {
			err = errors.New("the docker engine's answer says nothing of the container")
		}
		return err
	})
	return in, err
}

// containerOf is what an inspection says, in the words of the contract. A paused
// container is Running, and says so in Reason.
func containerOf(labels runtime.Labels, in container.InspectResponse) runtime.Container {
	s := in.State
	c := runtime.Container{ID: in.ID, Labels: labels, State: stateOf(s.Status), StartedAt: timeOf(s.StartedAt)}
	switch {
	case c.State == runtime.Running:
		c.PID = s.Pid
		if s.Paused {
			c.Reason = runtime.Paused
		}
	case c.State == runtime.Exited:
		c.FinishedAt, c.ExitCode = timeOf(s.FinishedAt), s.ExitCode
		if c.FinishedAt.Before(c.StartedAt) { // the engine notes the start of a quick one after its end
			c.FinishedAt = c.StartedAt
		}
		c.OOM = s.OOMKilled && s.ExitCode != 0
		c.Reason = reasonOf(s)
	}
	return c
}

// reasonOf says why a container ended badly. 128 and n is taken for signal n, as a
// program that ends so by itself means the same.
func reasonOf(s *container.State) string {
	switch {
	case s.OOMKilled && s.ExitCode != 0:
		return "out of memory"
	case s.Error != "":
		return s.Error
	case s.ExitCode > 128 && s.ExitCode < 128+65:
		return fmt.Sprintf("killed by signal %d", s.ExitCode-128)
	case s.Status == container.StateDead:
		return "the engine could not remove it"
	}
	return ""
}

// stateOf translates the engine's word. The engine calls a container running first,
// so one that it is removing or could not remove does not run.
func stateOf(word string) runtime.State {
	switch word {
	case container.StateCreated:
		return runtime.Created
	case container.StateExited, container.StateDead, container.StateRemoving:
		return runtime.Exited
	}
	return runtime.Running
}

// timeOf reads the engine's time; it says year 1 for never.
func timeOf(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}
