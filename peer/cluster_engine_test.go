package peer_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/fake"
)

// handle is one agent's way to the engine of its node, which outlives the agent.
type handle struct {
	*fake.Driver
	mood *mood
	lost atomic.Bool // the agent is dead: it moves nothing any more
}

var errLost = errors.New("the agent that asks is dead")

// mood is how the engine of a node takes what it is asked to do.
type mood struct {
	mu    sync.Mutex    // guards what follows
	hangs chan struct{} // closed when it answers again; nil: it answers
	fails error         // of every start
	takes time.Duration // every start, and every stop
}

// set changes the mood; then an engine that hung answers unless hang is said again.
func (m *mood) set(hang bool, takes time.Duration, fails error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.takes, m.fails = takes, fails
	if m.hangs != nil {
		close(m.hangs)
		m.hangs = nil
	}
	if hang {
		m.hangs = make(chan struct{})
	}
}

// wait waits while the engine hangs, but not longer than ctx.
func (m *mood) wait(ctx context.Context) error {
	m.mu.Lock()
	hangs := m.hangs
	m.mu.Unlock()
	if hangs == nil {
		return nil
	}
	select {
	case <-hangs:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Batch tasks end well after batchRuns.
const batchRuns = 20 * time.Second

// script has the engine start tasks as its mood is. Those of jobs whose command says
// so end by themselves.
func (m *mood) script(s runtime.Spec) fake.Behaviour {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := fake.Behaviour{StartErr: m.fails, StartTakes: m.takes, StopTakes: m.takes}
	if s.Command[0] == "batch" {
		b.Ends, b.RunFor = true, batchRuns
	}
	return b
}

// Name is that of a driver which a job may name.
func (h *handle) Name() string { return "process" }

// do asks the engine, unless the one who asks is dead or the engine hangs.
func (h *handle) do(ctx context.Context, f func() error) error {
	if err := h.mood.wait(ctx); err != nil {
		return err
	}
	if h.lost.Load() {
		return errLost
	}
	return f()
}

func (h *handle) Check(ctx context.Context) error {
	return h.do(ctx, func() error { return h.Driver.Check(ctx) })
}

func (h *handle) List(ctx context.Context) (list []runtime.Container, err error) {
	err = h.do(ctx, func() error {
		list, err = h.Driver.List(ctx)
		return err
	})
	return list, err
}

func (h *handle) Start(ctx context.Context, s runtime.Spec, progress func(api.TaskState, string)) (c runtime.Container, err error) {
	err = h.do(ctx, func() error {
		c, err = h.Driver.Start(ctx, s, progress)
		return err
	})
	return c, err
}

func (h *handle) Stop(ctx context.Context, id string, grace time.Duration) error {
	return h.do(ctx, func() error { return h.Driver.Stop(ctx, id, grace) })
}

func (h *handle) Remove(ctx context.Context, id string) error {
	return h.do(ctx, func() error { return h.Driver.Remove(ctx, id) })
}
