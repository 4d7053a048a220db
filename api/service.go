package api

import "context"

// Written is the answer to an acknowledged write.
type Written struct {
	Job     Job
	Disks   int  // nodes that have it on disk
	Wanted  int  // how many make it safe: min(3, members that have not left)
	Existed bool // nothing was written: it was so already
}

// Durable says whether the write is on as many disks as promised. If not,
// spreading goes on, but the loss of those Disks would undo it.
func (w Written) Durable() bool { return w.Disks >= w.Wanted }

// TaskFilter selects tasks; zero fields select all.
type TaskFilter struct {
	Job   string
	Node  string // id, short id or name
	State TaskState
	All   bool // final attempts of slots that are no longer wanted, too
}

// Service is everything that can be asked of a cluster. It means the same on
// every node. All errors that a caller can cause are *Error; a write that
// returns another error, or Internal, may or may not have happened. Results
// belong to the caller. Lists are sorted by name; tasks by job and index.
type Service interface {
	// Submit creates a job. It fails with JobExists if there is one of that name,
	// with Current set to it.
	Submit(ctx context.Context, job Job) (Written, error)
	// Jobs lists all jobs that are not removed.
	Jobs(ctx context.Context) ([]Job, error)
	// Job returns one job, or JobNotFound.
	Job(ctx context.Context, name string) (Job, error)
	// Remove removes a job for good. Its tasks stop soon after.
	Remove(ctx context.Context, name string) (Written, error)
	// Scale sets the number of replicas. It restarts nothing.
	Scale(ctx context.Context, name string, replicas int) (Written, error)
	// Stop keeps the job but wants none of its tasks.
	Stop(ctx context.Context, name string) (Written, error)
	// Restart wants a stopped job again, and replaces the tasks of a running one
	// one after the other.
	Restart(ctx context.Context, name string) (Written, error)

	// Tasks lists the wanted slots, placed or pending, and what else f asks for.
	Tasks(ctx context.Context, f TaskFilter) ([]Task, error)
	// Task returns a slot ("web.3") or one attempt ("web.3@2"), or TaskNotFound.
	Task(ctx context.Context, id string) (Task, error)
	// Logs calls each with the lines of a task from whichever node has them,
	// oldest first, and ends after the last line, or with ctx if o.Follow. An
	// error of each ends it with that error.
	Logs(ctx context.Context, id string, o LogOptions, each func(LogLine) error) error
	// Auction returns the sheet of the auction that placed a task or, while it is
	// pending, of the last that tried. It fails with AuctionExpired when the sheet
	// is no longer had.
	Auction(ctx context.Context, id string) (Sheet, error)

	// Nodes lists the members that have not left, itself included.
	Nodes(ctx context.Context) ([]Node, error)
	// Node returns a node by id, unique prefix of it, short id or unique name.
	Node(ctx context.Context, id string) (Node, error)
	// RemoveNode forgets a dead node, or fails with NodeAlive.
	RemoveNode(ctx context.Context, id string) (Node, error)
	// DrainNode has a live node give up its tasks to others, and take none until
	// ResumeNode, also after a restart. It returns at once; the node's status turns
	// from draining to drained when the last task has gone.
	DrainNode(ctx context.Context, id string) (Node, error)
	// ResumeNode undoes DrainNode, and a Leave that has not come to its end.
	ResumeNode(ctx context.Context, id string) (Node, error)
	// Leave has the node that is asked leave the cluster for good: it drains, and
	// ends when its last task has gone or, with force, at once. It returns at once.
	Leave(ctx context.Context, force bool) error

	// Ready is nil when the node takes requests, or says why not (NotReady).
	Ready(ctx context.Context) error
	// Version describes the program that answers.
	Version(ctx context.Context) (Version, error)
}

// Version describes a build of orch.
type Version struct {
	Version string `json:"version"`
	Wire    [2]int `json:"wire"` // oldest and newest peer protocol spoken
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	Commit  string `json:"commit"`
}
