package api

import (
	"slices"
	"strings"
	"time"
)

// EventType says what happened: "task.running". Its first word is its family.
type EventType string

// The types of what happens to jobs and tasks.
const (
	EventJobCreated  EventType = "job.created"
	EventJobUpdated  EventType = "job.updated" // changed, scaled, restarted or wanted again; the message says which
	EventJobStopped  EventType = "job.stopped"
	EventJobRemoved  EventType = "job.removed"
	EventJobConflict EventType = "job.conflict" // two writes were made beside each other, and one is void

	EventTaskPending    EventType = "task.pending"    // wanted, and nobody has had it for a while
	EventTaskPlaced     EventType = "task.placed"     // a node has taken it on
	EventTaskPulling    EventType = "task.pulling"    // its image is being fetched
	EventTaskRunning    EventType = "task.running"    // also when the node of a lost one is back
	EventTaskExited     EventType = "task.exited"     // ended by itself, and is started again in place
	EventTaskFailed     EventType = "task.failed"     // ended badly, restarts in place used up
	EventTaskStopped    EventType = "task.stopped"    // ended because orch ended it
	EventTaskSuperseded EventType = "task.superseded" // another attempt has the slot; this one ends when that one runs
	EventTaskLost       EventType = "task.lost"       // its node is dead
	EventTaskComplete   EventType = "task.complete"   // a batch task that ended well
)

// The types of what happens to nodes, and of what somebody should look into.
const (
	EventNodeJoined     EventType = "node.joined"
	EventNodeReady      EventType = "node.ready"
	EventNodeDraining   EventType = "node.draining"
	EventNodeDrained    EventType = "node.drained"
	EventNodeRestarting EventType = "node.restarting"
	EventNodeFailed     EventType = "node.failed"
	EventNodeLeft       EventType = "node.left"
	EventNodeIsolated   EventType = "node.isolated" // the node that tells sees none of the others

	EventAlarmDriver   EventType = "alarm.driver"     // a node cannot use a driver that it had
	EventAlarmClock    EventType = "alarm.clock_off"  // this node's clock is too far from the others'
	EventAlarmSetAside EventType = "alarm.set_aside"  // after an absence, jobs that nobody knows were taken out of the table
	EventAlarmTable    EventType = "alarm.table_full" // a node had no room for a record of its own or of another
	EventAlarmCleared  EventType = "alarm.cleared"    // what an alarm was about is well again
)

// The types that are about the stream itself and not kept.
const (
	// EventReset says that events were missed: what was seen before is out of date,
	// so list again. What comes after it is complete.
	EventReset EventType = "reset"
	// EventMark says that nothing has happened, and how far the reader has come.
	EventMark EventType = "mark"
)

// EventTypes are all types of events that are kept, by family.
func EventTypes() []EventType {
	return []EventType{
		EventJobCreated, EventJobUpdated, EventJobStopped, EventJobRemoved, EventJobConflict,
		EventTaskPending, EventTaskPlaced, EventTaskPulling, EventTaskRunning, EventTaskExited, EventTaskFailed, EventTaskStopped, EventTaskSuperseded, EventTaskLost, EventTaskComplete,
		EventNodeJoined, EventNodeReady, EventNodeDraining, EventNodeDrained, EventNodeRestarting, EventNodeFailed, EventNodeLeft, EventNodeIsolated,
		EventAlarmDriver, EventAlarmClock, EventAlarmSetAside, EventAlarmTable, EventAlarmCleared,
	}
}

// Event is something that happened, as one node learnt of it. Every node learns of
// everything, but each numbers on its own.
type Event struct {
	ID         string    `json:"id"` // "<boot>.<seq>" of the node that tells; rises by one
	Type       EventType `json:"type"`
	Time       time.Time `json:"time"`    // when it happened, by the clock where it happened
	Seen       time.Time `json:"seen"`    // when the node that tells learnt of it
	MonoNS     int64     `json:"mono_ns"` // the same, in ns since that node started, whatever its clock does
	UID        string    `json:"uid"`     // equal on all nodes for the same happening
	Message    string    `json:"message"` // one line for people
	Job        string    `json:"job,omitempty"`
	Life       int64     `json:"life,omitempty"`       // which job of that name
	Generation uint64    `json:"generation,omitempty"` // of the job
	Task       string    `json:"task,omitempty"`       // "web.3"
	Epoch      uint64    `json:"epoch,omitempty"`      // the attempt is Task@Epoch
	Node       NodeID    `json:"node,omitempty"`
	NodeName   string    `json:"node_name,omitempty"`
	ExitCode   *int      `json:"exit_code,omitempty"` // of a task that ended by itself
}

// Attempt is "web.3@2", or the task alone if it was never placed.
func (e Event) Attempt() string {
	id, err := ParseTaskID(e.Task)
	if err != nil {
		return e.Task
	}
	id.Epoch = e.Epoch
	return id.String()
}

// EventFilter says which events are wanted; zero fields select all.
type EventFilter struct {
	Since  time.Time   // begin with what happened then
	After  string      // the ID of the last event seen, of the node that is asked
	Types  []EventType // whole ("task.running") or a family ("task")
	Job    string
	Task   string // "web.3", or one attempt "web.3@2"
	Node   string // id, short id or name
	Follow bool   // go on with what happens
}

// HasType says whether f selects events of type t.
func (f EventFilter) HasType(t EventType) bool {
	family, _, _ := strings.Cut(string(t), ".")
	return len(f.Types) == 0 || slices.Contains(f.Types, t) || slices.Contains(f.Types, EventType(family))
}

// KnownEventType says whether t is a type or a family of types.
func KnownEventType(t EventType) bool {
	return slices.ContainsFunc(EventTypes(), func(known EventType) bool { return EventFilter{Types: []EventType{t}}.HasType(known) })
}

// Goal is what one can wait for a job to become.
type Goal string

// The goals.
const (
	GoalRunning  Goal = "running"  // every slot runs, or is complete
	GoalComplete Goal = "complete" // every slot of a batch job has ended well
	GoalGone     Goal = "gone"     // it is removed, or was never there, and none of its tasks is left
)

// Goals are all there are.
func Goals() []Goal { return []Goal{GoalRunning, GoalComplete, GoalGone} }
