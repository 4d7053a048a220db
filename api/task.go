package api

import "time"

// TaskState is what is known of a task.
type TaskState string

// The states. A slot whose record is in one of the states accepted to running is
// served as long as the record's owner is alive. Stopped, failed and complete
// are final for their epoch.
const (
	Pending  TaskState = "pending"  // wanted, and nobody has it
	Accepted TaskState = "accepted" // a node has taken it on
	Pulling  TaskState = "pulling"  // its image is being fetched
	Starting TaskState = "starting"
	Running  TaskState = "running"
	Stopping TaskState = "stopping"
	Stopped  TaskState = "stopped"  // ended because orch ended it
	Failed   TaskState = "failed"   // ended badly, restarts in place used up
	Complete TaskState = "complete" // a batch task that ended well
	Lost     TaskState = "lost"     // its node is dead, in the view of the node asked
)

// Live says whether a slot in state s is served by a live owner.
func (s TaskState) Live() bool {
	return s == Accepted || s == Pulling || s == Starting || s == Running
}

// Final says whether s ends its epoch.
func (s TaskState) Final() bool { return s == Stopped || s == Failed || s == Complete }

// Task is slot Index of a job as the node asked sees it.
type Task struct {
	ID           string     `json:"id"`      // "web.3"
	Attempt      string     `json:"attempt"` // "web.3@2"; like ID while it was never placed
	Job          string     `json:"job"`
	Life         int64      `json:"life"` // which job of that name
	Index        int        `json:"index"`
	Epoch        uint64     `json:"epoch"`
	TemplateHash string     `json:"template_hash"`
	State        TaskState  `json:"state"`
	Desired      string     `json:"desired"` // "running", "complete" or "stopped"
	Node         NodeID     `json:"node"`    // "" while pending
	NodeName     string     `json:"node_name"`
	Driver       string     `json:"driver"`
	Image        string     `json:"image"`
	Resources    Resources  `json:"resources"`
	Ports        []Port     `json:"ports"`
	ContainerID  string     `json:"container_id"`
	PID          int        `json:"pid"` // 0 where the driver has none
	ExitCode     *int       `json:"exit_code"`
	Restarts     int        `json:"restarts"` // in place, in this epoch
	Failures     int        `json:"failures"` // attempts that failed in a row before this one
	Reason       string     `json:"reason"`   // why it is in this state
	Stays        string     `json:"stays"`    // why it is not moved or replaced, where it should be
	Auction      string     `json:"auction"`  // id of the auction that placed it
	CreatedAt    time.Time  `json:"created_at"`
	StartedAt    *time.Time `json:"started_at"`
	FinishedAt   *time.Time `json:"finished_at"`
}
