package api

import "context"

// Written is the answer to an acknowledged write.
type Written struct {
	Job     Job
	Disks   int  // nodes that have it on disk
	Wanted  int  // how many make it safe: min(3, members that have not left)
	Created bool // there was no job of that name
	Existed bool // nothing was written: it was so already, or done by an earlier request with the same key
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
	Membership

	// Submit creates a job. It fails with JobExists if there is one of that name,
	// with Current set to it.
	Submit(ctx context.Context, job Job, o WriteOptions) (Written, error)
	// Put creates a job, or replaces the specification of the one of that name.
	// Tasks that the change is not about go on; the others are replaced one after
	// the other. A batch job is not changed but made anew.
	Put(ctx context.Context, job Job, o WriteOptions) (Written, error)
	// Jobs lists all jobs that are not removed.
	Jobs(ctx context.Context) ([]Job, error)
	// Job returns one job, or JobNotFound.
	Job(ctx context.Context, name string) (Job, error)
	// Plan returns the job as Put or, with create, Submit would store it, with its
	// Plan and the ETag of the job that is there. It stores nothing.
	Plan(ctx context.Context, job Job, create bool, o WriteOptions) (Job, error)
	// History lists the versions of a job that the node asked knows of, newest first:
	// the current one, the one before, and what it saw since it started, void writes
	// included. Other nodes may know others.
	History(ctx context.Context, name string) ([]Generation, error)
	// Generation returns the specification of one of them, by number or ETag, or JobNotFound.
	Generation(ctx context.Context, name, which string) (Job, error)
	// Remove removes a job for good. Its tasks stop soon after.
	Remove(ctx context.Context, name string, o WriteOptions) (Written, error)
	// Scale sets the number of replicas. It restarts nothing.
	Scale(ctx context.Context, name string, replicas int, o WriteOptions) (Written, error)
	// Stop keeps the job but wants none of its tasks.
	Stop(ctx context.Context, name string, o WriteOptions) (Written, error)
	// Restart wants a stopped job again, and replaces the tasks of a running one
	// one after the other.
	Restart(ctx context.Context, name string, o WriteOptions) (Written, error)

	// Tasks lists the wanted slots, placed or pending, and what else f asks for.
	Tasks(ctx context.Context, f TaskFilter) ([]Task, error)
	// Task returns a slot ("web.3") or one attempt ("web.3@2"), or TaskNotFound.
	Task(ctx context.Context, id string) (Task, error)
	// RestartTask has the node of a running task stop it and start it anew: the same
	// attempt, restarted once more. It returns when the node has begun. A task that
	// does not run is NotRunning.
	RestartTask(ctx context.Context, id string) (Task, error)
	// Logs calls each with what tasks wrote, in the order of its time, from
	// whichever nodes have it: of a job ("web") the last attempt at every slot, of a
	// slot ("web.3") the last attempt, of an attempt ("web.3@2") what its node still
	// has. It ends after the last line or, with o.Follow, when nothing of what is named
	// can write any more; attempts that begin meanwhile join. A source that fails holds
	// up nobody: each gets a line with a Fault for it. It fails if no source could be
	// read at all. An error of each ends it with that error.
	Logs(ctx context.Context, names []string, o LogOptions, each func(LogLine) error) error
	// Explain tells why the tasks of a job ("web") or one task ("web.3") are where
	// they are, or nowhere: what the records say, and what it finds of their auctions.
	Explain(ctx context.Context, name string) (Explanation, error)
	// Auction returns the sheet of the auction that placed a task or, while it is
	// pending, of the last that tried; with back, of one so many before it about the
	// same slot. It fails with AuctionExpired when the sheet is no longer had.
	Auction(ctx context.Context, id string, back int) (Sheet, error)

	// Events calls each with what happens, in the order in which the node asked
	// learns of it, and ends after the last event that is kept or, if f.Follow, with
	// ctx. It begins after f.After, else with what has been kept since f.Since; with
	// neither a followed stream begins with what happens next. If events after f.After
	// are missing, which is always so when that was another node's, the first event is
	// an EventReset. A stream whose reader falls behind ends with one. A stream that
	// is followed begins with an EventMark otherwise, and has more of them while
	// nothing happens.
	Events(ctx context.Context, f EventFilter, each func(Event) error) error
	// WaitJob waits until a job is as the goal says, or ctx ends, and returns the job
	// as it is then and whether it is so. A job that is not there is JobNotFound,
	// except to GoalGone; GoalComplete is Invalid for what never ends.
	WaitJob(ctx context.Context, name string, goal Goal) (job Job, reached bool, err error)

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
	// CordonNode has a live node take no new tasks until ResumeNode, also after a
	// restart. It keeps those it has.
	CordonNode(ctx context.Context, id string) (Node, error)
	// ResumeNode undoes DrainNode, CordonNode and a Leave that has not come to its end.
	ResumeNode(ctx context.Context, id string) (Node, error)
	// LabelNode gives a live node labels, which last over restarts and stand above
	// those it is started with. A key with nil is as it was started with again.
	LabelNode(ctx context.Context, id string, change LabelChange) (Node, error)
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
