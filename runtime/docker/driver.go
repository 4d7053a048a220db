package docker

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

// Config is what a Driver needs.
type Config struct {
	Host    string     // such as unix:///run/docker.sock; "" is DOCKER_HOST or the default socket
	Cluster string     // whose containers these are
	Node    api.NodeID // and which node's
	// Allow says what containers may have of this node beyond their confinement: some
	// of api.Allowances.
	Allow []string
	Log   logrus.FieldLogger // nil discards
}

// Driver runs tasks as containers. It starts no goroutine that outlives the call,
// but for two that end by themselves: one that lists the images, and one that
// clears up after a Start that was given up while the engine was still at it.
type Driver struct {
	cfg    Config
	engine *engine
	images images
	nudge  chan struct{} // of capacity 1; full when List must be called again soon

	mu      sync.Mutex        // guards the fields below
	claimed map[string]int    // how many are at work on the start of a container of that name
	streams int               // event streams that are being read
	known   map[string]*known // by ID; kept up to date by the streams, empty without one
}

var _ runtime.Driver = (*Driver)(nil)

// New returns a driver. It starts and dials nothing, so the engine need not be
// there yet. An error means that cfg cannot work with any engine.
func New(cfg Config) (*Driver, error) {
	d := &Driver{cfg: cfg, nudge: make(chan struct{}, 1), claimed: map[string]int{}, known: map[string]*known{}}
	for _, what := range cfg.Allow {
		if !slices.Contains(api.Allowances(), what) {
			return nil, fmt.Errorf("docker driver: cannot allow %.40q (there are: %s)", what, strings.Join(api.Allowances(), ", "))
		}
	}
	if strings.HasPrefix(cfg.Host, "ssh://") {
		return nil, fmt.Errorf("docker driver: %s: engines are not reached by ssh (forward its socket, and name that)", cfg.Host)
	}
	if cfg.Log == nil {
		quiet := logrus.New()
		quiet.SetOutput(io.Discard)
		d.cfg.Log = quiet
	}
	e, err := newEngine(cfg.Host)
	if err != nil {
		return nil, fmt.Errorf("docker driver: %w", err)
	}
	d.engine = e
	return d, nil
}

// Name is "docker".
func (d *Driver) Name() string { return "docker" }

// Check says whether the engine answers, within five seconds.
func (d *Driver) Check(ctx context.Context) error { return d.engine.ping(ctx) }

// EngineVersion is the release of the engine, or "" while it has not answered.
func (d *Driver) EngineVersion() string {
	if l := d.engine.now.Load(); l != nil {
		return l.name
	}
	return ""
}

// claim keeps others from starting a container of that name until release. It
// says false if somebody else is at it.
func (d *Driver) claim(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.claimed[name] > 0 {
		return false
	}
	d.claimed[name] = 1
	return true
}

// retain is claim for one who works for him who has claimed it.
func (d *Driver) retain(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.claimed[name]++
}

func (d *Driver) release(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.claimed[name]--; d.claimed[name] <= 0 {
		delete(d.claimed, name)
	}
}

func (d *Driver) isClaimed(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.claimed[name] > 0
}
