package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

// settleTime is how long List waits for the rest of an attempt to die whose
// wrapper it finds dead. SIGKILL takes milliseconds unless a disk hangs.
const settleTime = 2 * time.Second

// Config is what a Driver needs.
type Config struct {
	Dir     string     // absolute; made with mode 0700 if it is not there
	Cluster string     // whose tasks these are
	Node    api.NodeID // and which node's
	Log     logrus.FieldLogger
}

// Driver runs tasks as processes. It starts a goroutine for each task that it
// starts, which waits for the task's end, ends with it, and touches nothing but
// the task's directory; a Driver therefore needs no closing.
type Driver struct {
	cfg Config

	mu      sync.Mutex       // guards claimed, and holds with their fields
	claimed map[string]bool  // attempts being started or removed
	holds   map[string]*hold // live attempts

	watchMu  sync.Mutex // guards watchers, and is held while they are called
	watchers map[*func()]bool
}

// hold is what this process knows of a live attempt beyond its directory.
type hold struct {
	child  bool          // it is our child: a goroutine waits for it
	seen   bool          // its wrapper was alive when we looked: its session is its own
	grace  time.Time     // until then Stop lets it end by itself
	killed bool          // its grace ran out and we have sent SIGKILL
	turn   chan struct{} // of capacity 1; full while somebody makes its end
	ended  chan struct{} // closed when it has ended
}

var _ runtime.Driver = (*Driver)(nil)

// New returns a driver for the attempts below cfg.Dir, which it makes, and clears
// of what an agent was making or removing when it was killed. It starts nothing.
func New(cfg Config) (*Driver, error) {
	if !filepath.IsAbs(cfg.Dir) {
		return nil, fmt.Errorf("process driver: %q is not an absolute directory", cfg.Dir)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("process driver: %w", err)
	}
	dir, err := filepath.EvalSymlinks(cfg.Dir) // ORCH_DIR must be the same, however Dir is spelt
	if err != nil {
		return nil, fmt.Errorf("process driver: %w", err)
	}
	cfg.Dir = dir
	if cfg.Log == nil {
		quiet := logrus.New()
		quiet.SetOutput(io.Discard)
		cfg.Log = quiet
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("process driver: %w", err)
	}
	d := &Driver{cfg: cfg, claimed: map[string]bool{}, holds: map[string]*hold{}, watchers: map[*func()]bool{}}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), hidden) {
			if err := os.RemoveAll(path); err != nil {
				cfg.Log.WithError(err).Warn("cannot remove the leavings of an earlier agent")
			}
		} else if _, err := d.load(e.Name()); err != nil {
			cfg.Log.WithError(err).WithField("path", path).Warn("not a task of this node; left alone")
		}
	}
	return d, nil
}

// Name is "process".
func (d *Driver) Name() string { return "process" }

// Check says whether the wrapper's shell is there and the directory can be written.
func (d *Driver) Check(context.Context) error {
	if err := unix.Access(shell, unix.X_OK); err != nil {
		return fmt.Errorf("driver process needs %s: %w", shell, err)
	}
	if err := unix.Access(d.cfg.Dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("driver process cannot write %s: %w", d.cfg.Dir, err)
	}
	return nil
}

// HasImage says true: a process needs no image.
func (d *Driver) HasImage(string) bool { return true }

// List returns the attempts below Dir with this cluster's and node's labels.
func (d *Driver) List(ctx context.Context) ([]runtime.Container, error) {
	attempts, err := d.attempts()
	if err != nil {
		return nil, err
	}
	list := make([]runtime.Container, 0, len(attempts))
	for _, a := range attempts { // ReadDir sorts by name, which is the ID
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		list = append(list, d.look(ctx, a))
	}
	return list, nil
}

// attempts reads all attempts of this cluster and node. What is not one was
// reported by New and is passed over.
func (d *Driver) attempts() ([]attempt, error) {
	entries, err := os.ReadDir(d.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	var all []attempt
	for _, e := range entries {
		if a, err := d.load(e.Name()); err == nil {
			all = append(all, a)
		}
	}
	return all, nil
}

// look says how a is now. Where it finds a dead wrapper that nobody waits for, it
// makes an end of the attempt.
func (d *Driver) look(ctx context.Context, a attempt) runtime.Container {
	if a.end != nil {
		return a.container(a.end)
	}
	if a.leader.alive() {
		d.mu.Lock()
		d.hold(a.id).seen = true
		d.mu.Unlock()
		return a.container(nil)
	}
	d.mu.Lock()
	h := d.hold(a.id)
	waitedFor := h.child || time.Now().Before(h.grace)
	d.mu.Unlock()
	if waitedFor {
		return a.container(nil)
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	end, err := d.finish(ctx, a, nil)
	if err != nil {
		return a.container(nil) // something of it does not die: it is not gone
	}
	return a.container(end)
}

// hold returns what is known of a live attempt. The caller has d.mu.
func (d *Driver) hold(id string) *hold {
	h := d.holds[id]
	if h == nil {
		h = &hold{turn: make(chan struct{}, 1), ended: make(chan struct{})}
		d.holds[id] = h
	}
	return h
}

// forget drops h, unless another has taken its place, and lets go who waits for
// its end. The caller has d.mu.
func (d *Driver) forget(id string, h *hold) {
	if h != nil && d.holds[id] == h {
		delete(d.holds, id)
		close(h.ended)
	}
}

// claim keeps others from starting or removing id until release is called. It
// says false if somebody else has claimed it.
func (d *Driver) claim(id string) (release func(), ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.claimed[id] {
		return nil, false
	}
	d.claimed[id] = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.claimed, id)
	}, true
}

// Remove deletes the directory of an exited attempt.
func (d *Driver) Remove(ctx context.Context, id string) error {
	release, ok := d.claim(id)
	if !ok {
		return fmt.Errorf("remove %s: it is being started or removed", id)
	}
	defer release()
	a, err := d.load(id)
	if err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	if d.look(ctx, a).State != runtime.Exited {
		return fmt.Errorf("remove %s: it runs; stop it first", id)
	}
	if err := d.discard(a); err != nil {
		return fmt.Errorf("remove %s: %w", id, err)
	}
	d.notify()
	return nil
}

// discard takes an exited attempt away. Once it is renamed it is gone; what cannot
// be deleted then is left to the next agent.
func (d *Driver) discard(a attempt) error {
	grave, err := os.MkdirTemp(d.cfg.Dir, hidden+"gone-")
	if err != nil {
		return err
	}
	if err := os.Rename(a.dir, filepath.Join(grave, "attempt")); err != nil {
		return errors.Join(err, os.Remove(grave))
	}
	d.mu.Lock()
	d.forget(a.id, d.holds[a.id])
	d.mu.Unlock()
	if err := os.RemoveAll(grave); err != nil {
		d.cfg.Log.WithError(err).WithField("task", a.labels.Task().String()).Warn("some files of a removed task remain until the next start")
	}
	return nil
}

// Watch calls changed once, for what was before, and when a task starts, ends or is
// removed. The end of a child
// of this process is noticed at once; for each task of an earlier agent a
// goroutine waits until ctx ends.
func (d *Driver) Watch(ctx context.Context, changed func()) error {
	d.watchMu.Lock()
	d.watchers[&changed] = true
	d.watchMu.Unlock()
	defer func() {
		d.watchMu.Lock()
		defer d.watchMu.Unlock()
		delete(d.watchers, &changed)
	}()
	attempts, err := d.attempts()
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	var minders sync.WaitGroup
	for _, a := range attempts {
		if d.look(ctx, a).State != runtime.Running || d.isChild(a.id) {
			continue
		}
		minders.Go(func() {
			if _, err := d.mind(ctx, a); err != nil && ctx.Err() == nil {
				d.cfg.Log.WithError(err).WithField("task", a.labels.Task().String()).Warn("cannot tell when a task ends")
			}
		})
	}
	d.watchMu.Lock()
	changed()
	d.watchMu.Unlock()
	<-ctx.Done()
	minders.Wait()
	return nil
}

func (d *Driver) isChild(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.holds[id] != nil && d.holds[id].child
}

// notify tells all watchers that something has changed.
func (d *Driver) notify() {
	d.watchMu.Lock()
	defer d.watchMu.Unlock()
	for changed := range d.watchers {
		(*changed)()
	}
}
