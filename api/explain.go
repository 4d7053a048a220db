package api

import "time"

// Attempt is one attempt at a slot, as far as the node asked remembers it.
type Attempt struct {
	Attempt  string     `json:"attempt"` // "web.3@2"
	Epoch    uint64     `json:"epoch"`
	Node     NodeID     `json:"node"`
	NodeName string     `json:"node_name"`
	From     time.Time  `json:"from"`    // when its node took it on
	Until    *time.Time `json:"until"`   // null while it goes on
	Ended    string     `json:"ended"`   // "lost", "moved", "failed", "stopped" or "complete"; "" while it goes on
	Because  string     `json:"because"` // why it was placed
	Reason   string     `json:"reason"`  // why it ended
	Auction  string     `json:"auction"` // that placed it
}

// Explanation tells why the tasks of a job, or one of them, are where they are, or
// nowhere.
type Explanation struct {
	Job      Job            `json:"job"`
	Tasks    []TaskStory    `json:"tasks"`    // by index; those that wait first of all, if there are too many
	Omitted  int            `json:"omitted"`  // tasks that are not told of
	Refusals []RefusalGroup `json:"refusals"` // why those that wait have no node
}

// TaskStory is what is known of how a task came to be where it is.
type TaskStory struct {
	Task    Task      `json:"task"`
	Because string    `json:"because"` // why it was put up for auction
	Award   *SheetRow `json:"award"`   // how its node won it; null while nobody has, or when the sheet is gone
	History []Attempt `json:"history"` // the attempts that the node asked remembers, oldest first
}

// RefusalGroup is one reason for which nodes do not take tasks that wait.
type RefusalGroup struct {
	Slots  []int    `json:"slots"` // the tasks
	Asked  bool     `json:"asked"` // the nodes were asked, and refused
	Code   string   `json:"code"`  // of a refusal
	Reason string   `json:"reason"`
	Retry  string   `json:"retry"` // as of a Refusal
	After  Duration `json:"after"`
	Nodes  []string `json:"nodes"` // names
}
