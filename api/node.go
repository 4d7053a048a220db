package api

import "time"

// NodeID identifies a node for ever: the text form of the libp2p peer ID of the
// key in its data directory. Addresses and names are only hints.
type NodeID string

// Short is characters 9 to 16: all ids share the first eight.
func (id NodeID) Short() string {
	if len(id) < 16 {
		return string(id)
	}
	return string(id[8:16])
}

// NodeStatus is how the node asked sees a node.
type NodeStatus string

// The statuses.
const (
	NodeStarting   NodeStatus = "starting" // has not yet synced with anyone
	NodeReady      NodeStatus = "ready"
	NodeRestarting NodeStatus = "restarting" // said that it would be back
	NodeDraining   NodeStatus = "draining"
	NodeDrained    NodeStatus = "drained"
	NodeFailed     NodeStatus = "failed"
	NodeLeft       NodeStatus = "left"
)

// Node is a machine of the cluster as the node asked sees it.
type Node struct {
	ID         NodeID            `json:"id"`
	ShortID    string            `json:"short_id"`
	Name       string            `json:"name"` // for people; need not be unique
	Status     NodeStatus        `json:"status"`
	Self       bool              `json:"self"`     // is the node asked
	Cordoned   bool              `json:"cordoned"` // takes no new tasks, and keeps those it has
	Address    string            `json:"address"`
	Version    string            `json:"version"`
	Labels     map[string]string `json:"labels"`
	Drivers    []string          `json:"drivers"`
	Allow      []string          `json:"allow"` // what its owner allows tasks beyond their confinement
	Capacity   Resources         `json:"capacity"`
	Free       Resources         `json:"free"` // as last gossiped; exact on the node itself
	Tasks      int               `json:"tasks"`
	Arch       string            `json:"arch"`
	OS         string            `json:"os"`
	SeenAt     time.Time         `json:"seen_at"`
	Reachable  bool              `json:"reachable"`       // has an open connection to the node asked
	Restarting Duration          `json:"restarting_left"` // what is left of a planned restart
	Reason     string            `json:"reason"`          // why it failed or is not ready, or cannot use a driver
}

// MaxGivenLabels is how many labels a node can have been given while it runs.
const MaxGivenLabels = 64

// LabelChange gives a node labels. A key with nil loses the value that it was given.
type LabelChange map[string]*string

// Validate returns an Invalid error that lists all faults of c, or nil.
func (c LabelChange) Validate() error {
	var bad faults
	for _, key := range sortedKeys(c) {
		value := ""
		if c[key] != nil {
			value = *c[key]
		}
		if msg := checkLabel(key, value); msg != "" {
			bad.add(PointerToken(key), "%s", msg)
		}
	}
	if len(c) > MaxGivenLabels {
		return Errorf(Invalid, "%d labels at once (at most %d)", len(c), MaxGivenLabels)
	}
	if len(bad) > 0 {
		return &Error{Code: Invalid, Detail: "the labels are not valid", Fields: bad}
	}
	return nil
}

// View says how much the node that answered can see.
type View struct {
	Node     NodeID `json:"node"`
	Name     string `json:"name"`
	Alive    int    `json:"alive"`    // nodes alive, itself included
	Known    int    `json:"known"`    // members that have not left
	Synced   bool   `json:"synced"`   // its table was compared with another node's since it started
	Isolated bool   `json:"isolated"` // knows others and sees none of them
}
