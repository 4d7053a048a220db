package peer

import (
	"context"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// EventLog is a node's log of events without the node.
type EventLog struct{ *eventLog }

// NewEventLog makes an empty one.
func NewEventLog(boot string) EventLog {
	l := newEventLog(boot)
	l.started = time.Now()
	return EventLog{l}
}

// Add keeps events.
func (l EventLog) Add(events ...api.Event) { l.add(time.Now(), events...) }

// Size is how many events are kept, and how many bytes they are taken for.
func (l EventLog) Size() (events, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.kept), l.eventLog.bytes
}

// Follow hands out events.
func (l EventLog) Follow(ctx context.Context, f api.EventFilter, each func(api.Event) error) error {
	return l.follow(ctx, f, each)
}

// The pure functions that work events out. Nodes are called by their ids.
var (
	JobEvents   = jobEvents
	SlotEvents  = teller{name: func(id api.NodeID) string { return string(id) }}.slotEvents
	OpenEvents  = teller{name: func(id api.NodeID) string { return string(id) }}.openEvents
	BackEvents  = teller{name: func(id api.NodeID) string { return string(id) }}.backEvents
	NodeEvents  = nodeEvents
	AlarmEvents = alarmEvents
)

// What they are about.
type (
	NodeSight = nodeSight
	WasOpen   = unserved
	OpenSlot  = openSlot
	Alarm     = alarm
)

// Limits of the log.
const (
	MaxEvents     = maxEvents
	MaxEventBytes = maxEventBytes
	MarkEvery     = markEvery
	PendingAfter  = pendingAfter
)

// Sight is a node as it is seen.
func Sight(id api.NodeID, boot string, status api.NodeStatus, why string) NodeSight {
	return NodeSight{id: id, name: string(id), boot: boot, status: status, why: why}
}

// Isolated is n while it sees nobody.
func Isolated(n NodeSight) NodeSight {
	n.isolated = true
	return n
}

// Open is a slot that is wanted and not served.
func Open(rec *Assignment, gone bool, since time.Time, flaps int) OpenSlot {
	o := OpenSlot{key: SlotKey{Job: "web", Life: 1}, rec: rec, gone: gone, since: since, flaps: flaps, why: "so it is"}
	return o
}

// DriverLost is an alarm about a driver.
func DriverLost(node api.NodeID, since time.Time) Alarm {
	return Alarm{kind: api.EventAlarmDriver, node: node, name: string(node), since: since, what: "driver docker does not work", returned: "driver docker works"}
}

// Pulse wakes waiters.
type Pulse struct{ p pulse }

// Beat says that something changed; Wait is closed then.
func (p *Pulse) Beat()                 { p.p.beat() }
func (p *Pulse) Wait() <-chan struct{} { return p.p.wait() }
