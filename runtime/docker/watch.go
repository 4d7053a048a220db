package docker

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

const (
	calm       = 100 * time.Millisecond // between two calls of changed
	minPause   = 100 * time.Millisecond // before the engine is tried again
	maxPause   = 2 * time.Second
	eventsBack = 2 * time.Second // how far back the engine is asked for what it remembers
)

// told are the events after which a container is in another state than before.
var told = []events.Action{
	events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionOOM, events.ActionPause,
	events.ActionUnPause, events.ActionDestroy, events.ActionRename, events.ActionUpdate,
}

// Watch reads the engine's event stream. It calls changed at once and then at most
// ten times a second. When the stream breaks it tries again for as long as ctx
// lives, and calls changed when it has broken and when it is back; so it returns
// no error.
func (d *Driver) Watch(ctx context.Context, changed func()) error {
	pause := minPause
	quiet := false
	for {
		begun := time.Now()
		err := d.follow(ctx, changed)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it broke off because ctx ended, as it should
		}
		if time.Since(begun) > callTime+maxPause { // longer than any vain attempt
			pause, quiet = minPause, false
		}
		if !quiet {
			d.cfg.Log.WithError(err).Warn("no events from the docker engine; trying again")
			quiet = true
		}
		changed()
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		pause = min(2*pause, maxPause)
	}
}

// follow reads one event stream to its end. While it does so, what inspections say
// of the containers of this node is remembered until an event is about it.
func (d *Driver) follow(ctx context.Context, changed func()) error {
	with := filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("label", labelCluster+"="+d.cfg.Cluster), filters.Arg("label", labelNode+"="+string(d.cfg.Node)))
	for _, action := range told {
		with.Add("event", string(action))
	}
	if err := d.engine.ping(ctx); err != nil {
		return err
	}
	var messages <-chan events.Message
	var faults <-chan error
	// The engine begins to answer before it listens for events; what happens between
	// is among those that it remembers.
	since := time.Now().Add(-eventsBack).Format(time.RFC3339Nano)
	done, err := d.engine.open(ctx, func(ctx context.Context, l *link) error {
		messages, faults = l.Events(ctx, events.ListOptions{Since: since, Filters: with})
		return nil
	})
	if err != nil {
		return err
	}
	defer done()
	d.stream(+1)
	defer d.stream(-1)
	changed()
	wait, more := time.After(calm), false
	for {
		select {
		case m := <-messages:
			d.forget(m.Actor.ID)
			more = true
		case <-d.nudge:
			more = true
		case <-wait:
			wait = nil
		case err := <-faults:
			return err
		}
		if more && wait == nil {
			changed()
			wait, more = time.After(calm), false
		}
	}
}

// stream counts the event streams. When one begins or ends, nothing is known.
func (d *Driver) stream(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.streams += n
	clear(d.known)
}
