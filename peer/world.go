package peer

import (
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
)

// Presence is whether a node is here. Unknown is neither: what an unknown owner
// has is left alone.
type Presence int

// The presences.
const (
	Gone Presence = iota
	Unknown
	Alive
)

// States that a node gossips of itself.
const (
	StateStarting = "starting"
	StateReady    = "ready"
	StateDraining = "draining"
	StateLeaving  = "leaving"
)

// NodeState is a node as the planning node sees it.
type NodeState struct {
	ID           api.NodeID
	Name         string
	Why          string // it is absent
	Alive        bool
	Left         bool                 // left, or was removed: gone at once, whatever the deadlines
	State        string               // as it gossips, while alive
	AbsentSince  time.Time            // while not alive
	Lost         map[string]time.Time // drivers that it had and now cannot use, since when
	UnknownUntil time.Time            // a planned restart, or this node's own boot, put off its death until then
}

// At is the node's presence for a job whose absent owners count as unknown for
// failover. All that can put a death off is one deadline with several writers.
func (n NodeState) At(now time.Time, failover time.Duration) Presence {
	switch {
	case n.Alive:
		return Alive
	case n.Left:
		return Gone
	case now.Before(n.UnknownUntil), now.Before(n.AbsentSince.Add(failover)):
		return Unknown
	}
	return Gone
}

// Coordinates says whether the node may be the coordinator of a job.
func (n NodeState) Coordinates() bool {
	return n.Alive && (n.State == StateReady || n.State == StateDraining)
}

// Moving says whether what runs on the node has to go elsewhere.
func (n NodeState) Moving() bool { return n.State == StateDraining || n.State == StateLeaving }

// Memory is what a node remembers of a slot that it sees unserved. It is not
// replicated: every node has its own and loses it with its process.
type Memory struct {
	Since    time.Time     // seen unserved since
	Patience time.Duration // how long to leave it to whoever ranks higher
	RetryAt  time.Time     // not auctioned again before
	Tries    int           // auctions that left it over
	Why      string        // what the last of them said
	Sheet    string        // id of that auction
	AskAt    time.Time     // not asking the higher ranks before
	Asked    int           // times that a higher rank said that it was on it
	TakeOver bool          // nobody who ranks higher is on it
}

// World is all that the plan looks at. It is a value made for one look; what it
// points to is not changed.
type World struct {
	Self    api.NodeID
	Now     time.Time
	Since   time.Time                 // when Self began to act
	Jobs    []*JobRecord              // not removed, by name
	Slots   func(SlotKey) *Assignment // nil: never placed
	Changed func(SlotKey) time.Time   // when this node last saw the slot's record change
	Nodes   map[api.NodeID]NodeState  // all known
	Absent  NodeState                 // stands for a node that is not in Nodes
	Memory  map[SlotKey]*Memory       // of unserved slots; Observe keeps it
	MoveAt  map[SlotKey]time.Time     // moves that found no taker are not tried again before
	Busy    map[string]bool           // jobs with an auction of this node under way
	Random  func() float64            // in [0,1)
}

// Condition is how a wanted slot stands.
type Condition int

// The conditions.
const (
	Unserved Condition = iota
	Undecided
	Served
	Done
)

// When a partition heals, records of owners on the other side arrive before these
// are seen to be alive. A record that is news so long after its owner was last seen
// is a sign of life, and is given healWait to be followed by others.
const (
	healGap  = 5 * time.Second
	healWait = 10 * time.Second
)

// Condition says how slot k of j stands: done when a batch task has completed,
// whoever is dead; served when its owner is alive and has it in a live state;
// undecided while its owner is neither here nor dead, or ends what must never run
// twice. An owner that has not got it running after twice its start timeout, and
// the pause before a restart, does not serve it, whatever it says.
func (w *World) Condition(j *JobRecord, k SlotKey) Condition {
	a := w.Slots(k)
	switch {
	case a == nil:
		return Unserved
	case a.State == api.Complete:
		return Done
	case !a.State.Live() && !(a.State == api.Stopping && j.Spec.StopFirst()):
		return Unserved
	}
	owner := w.node(a.Owner())
	switch owner.At(w.Now, time.Duration(j.Spec.FailoverAfter)) {
	case Gone:
		if _, member := w.Nodes[owner.ID]; j.Spec.OnPartition == "freeze" && member && !owner.Left {
			return Undecided // it may be cut off and well; only its leave or removal frees the slot
		}
		if news := w.Changed(k); !owner.Left && news.Sub(owner.AbsentSince) > healGap && w.Now.Sub(news) < healWait {
			return Undecided
		}
		return Unserved
	case Unknown:
		return Undecided
	}
	if a.State == api.Stopping {
		return Undecided // two at once would be a fault: nobody starts before its owner says that it is gone
	}
	patience := 2 * time.Duration(j.Spec.StartTimeout)
	if a.waits() {
		patience += runtime.Next(j.Spec, -1, a.Restarts).Delay
	}
	if a.State != api.Running && w.Now.Sub(w.Changed(k)) > patience {
		return Unserved
	}
	return Served
}

func (w *World) node(id api.NodeID) NodeState {
	if n, ok := w.Nodes[id]; ok {
		return n
	}
	n := w.Absent
	n.ID = id
	return n
}

// Ranks lists the nodes that may coordinate the job, first the coordinator: the
// highest rendezvous hash of (job, node). Everyone computes it alone, so two
// nodes with different views may both act; epochs settle what comes of that.
func Ranks(job string, nodes map[api.NodeID]NodeState) []api.NodeID {
	type ranked struct {
		id   api.NodeID
		hash uint64
	}
	all := make([]ranked, 0, len(nodes))
	for id, n := range nodes {
		if n.Coordinates() {
			all = append(all, ranked{id, rendezvous(job, id)})
		}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		switch {
		case a.hash > b.hash:
			return -1
		case a.hash < b.hash:
			return 1
		}
		return strings.Compare(string(a.id), string(b.id))
	})
	out := make([]api.NodeID, len(all))
	for i, r := range all {
		out[i] = r.id
	}
	return out
}

// rendezvous hashes FNV-1a and then mixes, since FNV of strings that share their
// beginning, as job names and node ids do, differs in few of the high bits.
func rendezvous(job string, id api.NodeID) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(job)) // a hash does not fail
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(id))
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
