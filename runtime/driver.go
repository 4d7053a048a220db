// Package runtime runs tasks on this machine. A [Driver] is a way of doing so;
// the drivers are its subpackages. The package itself holds the contract they
// share and the pure rule of restarting in place ([Next]).
//
// Invariants: a driver keeps no state that it could not read back from the
// machine, since the agent may be killed at any moment and its tasks live on: the
// next agent finds them with List. Labels travel with a container for its whole
// life and say whose it is. A driver touches only containers with labels of its
// own cluster. "Gone" is only ever said when the engine says it.
package runtime

import (
	"context"
	"errors"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// Labels identify a container. They are stored with it, so that a container
// found later is worth as much as the record that its owner wrote.
type Labels struct {
	Cluster      string        `json:"cluster"`
	Job          string        `json:"job"`
	Life         int64         `json:"life"`
	Slot         int           `json:"slot"`
	Epoch        uint64        `json:"epoch"`
	Node         api.NodeID    `json:"node"`
	Boot         string        `json:"boot"` // of the agent that started it
	TemplateHash string        `json:"template_hash"`
	Lock         string        `json:"lock"`      // path of the lock file that a live agent of Node holds
	Resources    api.Resources `json:"resources"` // what the ledger counts it as
	Ports        []api.Port    `json:"ports"`
	StopTimeout  api.Duration  `json:"stop_timeout"`
}

// Task is the attempt that l is of: "web.3@2".
func (l Labels) Task() api.TaskID { return api.TaskID{Job: l.Job, Index: l.Slot, Epoch: l.Epoch} }

// Spec is everything needed to start one attempt of a task.
type Spec struct {
	Labels  Labels
	Image   string
	Pull    string // "missing", "always", "never"
	Command []string
	Env     map[string]string // the job's, and ORCH_* beside them
	Limits  api.Resources     // zero is no limit
	Access  api.Access        // what it gets of the node beyond its confinement
}

// State is what an engine says of a container.
type State string

// The states of a container. One that is gone is not listed.
const (
	Created State = "created" // not started, or in the middle of starting
	Running State = "running"
	Exited  State = "exited"
)

// Container is one started attempt as its engine sees it.
type Container struct {
	ID         string // the engine's; stable for the life of the container
	Labels     Labels
	State      State
	PID        int // 0 where there is none
	StartedAt  time.Time
	FinishedAt time.Time // zero unless Exited
	ExitCode   int       // -1 when it cannot be known
	OOM        bool      // ended for want of memory
	Reason     string    // words for a bad end, such as "killed by signal 9", or Paused
}

// Paused is the Reason of a Running container that somebody has paused.
const Paused = "paused"

// ErrNotFound is returned for a container that the driver does not have.
var ErrNotFound = errors.New("no such container")

// ErrBusy is returned by Start when a container of the same attempt exists.
var ErrBusy = errors.New("a container of this attempt exists")

// Driver starts, stops and lists containers. Its methods are safe for concurrent
// use and end with ctx; what they had begun is then seen in List.
type Driver interface {
	// Name is what a job's driver field says, such as "process".
	Name() string
	// Check says whether the driver could start something now, or why not.
	Check(ctx context.Context) error
	// HasImage says whether image is here already. A driver without images says true.
	HasImage(image string) bool
	// Start starts one attempt and returns when it runs (or has already ended). It calls
	// progress with Pulling while an image is fetched, and may call it often. It
	// fails with ErrBusy if there is a container with the same job, life, slot and
	// epoch, unless that one has exited: then it is replaced. After an error
	// nothing of the attempt is left behind.
	Start(ctx context.Context, spec Spec, progress func(state api.TaskState, detail string)) (Container, error)
	// Stop asks the container to end, kills it after grace, and returns when it
	// has ended. The container is then Exited; its logs are still had. Stopping what has
	// exited is no error; stopping what is not there is ErrNotFound.
	Stop(ctx context.Context, id string, grace time.Duration) error
	// Remove forgets an exited container and its logs. It fails for a running one.
	Remove(ctx context.Context, id string) error
	// List returns all containers of the cluster whose label names this node,
	// whichever agent started them, exited ones included, sorted by ID.
	List(ctx context.Context) ([]Container, error)
	// Watch calls changed after any container may have changed state, until ctx
	// ends, and returns nil then. Calls may be spurious and may come from any
	// goroutine; changed must not block. An error means that
	// nobody watches any more.
	Watch(ctx context.Context, changed func()) error
	// Logs calls each with the lines of a container, oldest first, as
	// api.Service.Logs does; it fills Time, Stream, Line and Partial only. With
	// Follow it ends when the container has ended and all is read.
	Logs(ctx context.Context, id string, o api.LogOptions, each func(api.LogLine) error) error
}

// Reaper is a Driver whose engine may hold tasks of other nodes of the cluster
// too, as when several agents share a machine.
type Reaper interface {
	Driver
	// Siblings lists the containers that labels of this cluster say are another
	// node's, exited ones included where they are not that node's alone to see.
	Siblings(ctx context.Context) ([]Container, error)
	// Reap kills and removes a sibling. When it returns nil, the sibling is gone.
	Reap(ctx context.Context, c Container) error
}
