package peer

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// nodeSight is a node as last told of.
type nodeSight struct {
	id       api.NodeID
	name     string
	boot     string
	status   api.NodeStatus
	since    time.Time // of the status
	born     time.Time // when it became a member; zero if that is not known
	why      string
	version  uint64 // of its member record: what was asked of it
	isolated bool   // of the node itself: it sees none of the others
	flaps    int    // how often this boot came back after it was held for dead
}

// nodeTypes has the event of each status that has one.
var nodeTypes = map[api.NodeStatus]api.EventType{
	api.NodeReady: api.EventNodeReady, api.NodeDraining: api.EventNodeDraining, api.NodeDrained: api.EventNodeDrained,
	api.NodeRestarting: api.EventNodeRestarting, api.NodeFailed: api.EventNodeFailed, api.NodeLeft: api.EventNodeLeft,
}

// nodeEvents is what became of a node between two looks; prev is nil if it was not
// known. It also returns next with its flaps counted.
func nodeEvents(prev *nodeSight, next nodeSight, now time.Time) ([]api.Event, nodeSight) {
	var out []api.Event
	joined := prev == nil || prev.status == api.NodeLeft
	if !joined && prev.boot == next.boot {
		next.flaps = prev.flaps
		if dead(prev.status) && !dead(next.status) {
			next.flaps++
		}
	}
	if joined && next.status != api.NodeLeft {
		e := next.event(api.EventNodeJoined, next.born, "")
		e.UID = eventUID(e.Type, next.id, next.born.UnixMilli())
		out = append(out, e)
	}
	at := next.since
	if at.IsZero() || at.After(now) {
		at = now
	}
	if t := nodeTypes[next.status]; t != "" && (joined && next.status != api.NodeLeft || !joined && (prev.status != next.status || prev.boot != next.boot)) {
		out = append(out, next.event(t, at, next.why))
	}
	switch was := prev != nil && prev.isolated; {
	case next.isolated && !was:
		e := next.event(api.EventNodeIsolated, now, "sees none of the other nodes")
		e.UID = eventUID(e.UID, now.UnixNano()) // only it can know
		out = append(out, e)
	case was && !next.isolated && len(out) == 0 && nodeTypes[next.status] != "":
		e := next.event(nodeTypes[next.status], now, "sees other nodes again")
		e.UID = eventUID(e.UID, now.UnixNano())
		out = append(out, e)
	}
	return out, next
}

func dead(s api.NodeStatus) bool { return s == api.NodeFailed || s == api.NodeRestarting }

func (n nodeSight) event(t api.EventType, at time.Time, why string) api.Event {
	e := api.Event{Type: t, Time: at, UID: eventUID(t, n.id, n.boot, n.flaps, n.version), Node: n.id, NodeName: cut(n.name, 64)}
	e.Message = e.NodeName
	if why != "" {
		e.Message = cut(e.Message+": "+why, maxMessage)
	}
	return e
}

// An alarm is something that somebody should look into, as long as it lasts.
type alarm struct {
	kind     api.EventType
	node     api.NodeID
	name     string // of the node
	what     string // in words
	returned string // in words, once it is over
	since    time.Time
}

// alarmEvents is what began and what ended between two looks; the keys tell alarms
// apart.
func alarmEvents(prev, next map[string]alarm, now time.Time) []api.Event {
	var out []api.Event
	for _, key := range slices.Sorted(maps.Keys(next)) {
		if _, known := prev[key]; !known {
			out = append(out, next[key].event(next[key].kind, next[key].since, next[key].what))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(prev)) {
		if _, still := next[key]; !still {
			out = append(out, prev[key].event(api.EventAlarmCleared, now, prev[key].returned))
		}
	}
	return out
}

func (a alarm) event(t api.EventType, at time.Time, what string) api.Event {
	name := cut(a.name, 64)
	return api.Event{
		Type: t, Time: at, UID: eventUID(t, a.kind, a.node, a.what, at.UnixNano()), Node: a.node, NodeName: name,
		Message: cut(fmt.Sprintf("%s: %s", name, what), maxMessage),
	}
}
