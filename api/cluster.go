package api

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// Membership is the part of Service that is about the cluster as a whole, about
// who belongs to it, and about what its nodes really have.
type Membership interface {
	// Cluster describes the cluster as the node asked sees it.
	Cluster(ctx context.Context) (Cluster, error)
	// JoinCluster makes the node that is asked a member of the cluster of a token. A
	// member already is given the peers' addresses to call. A node that is alone and
	// never had a job gives up its own cluster for that, and takes it up again if the
	// other one cannot be joined; any other fails with OtherCluster, and nothing has
	// changed. It returns when the node is ready.
	JoinCluster(ctx context.Context, j Joining) (Joined, error)
	// NodeContainers lists what the drivers of one node have right now for this cluster,
	// exited ones too, sorted by driver and id.
	NodeContainers(ctx context.Context, node string) ([]Container, error)
	// NodeDigest is that of the table that one node has. Nodes with the same digest have
	// the same table.
	NodeDigest(ctx context.Context, node string) (Digest, error)
	// NodeView lists the nodes as one of them sees them, as Nodes does there.
	NodeView(ctx context.Context, node string) ([]Node, error)
	// NodeAsides lists the jobs that one node has set aside and nobody has restored,
	// the oldest first.
	NodeAsides(ctx context.Context, node string) ([]Aside, error)
	// Restore makes a job anew of one that a node has set aside, as Submit does: the
	// same specification, in a new life, stopped if it was stopped. It fails with
	// JobExists if a job of that name is there, with JobNotFound if nothing like r is
	// set aside.
	Restore(ctx context.Context, node string, r Restoring, o WriteOptions) (Written, error)
}

// Cluster is a cluster as one of its nodes sees it.
type Cluster struct {
	ID       string         `json:"id"` // no secret
	Nodes    NodeCount      `json:"nodes"`
	Jobs     int            `json:"jobs"`     // that are not removed
	Ready    bool           `json:"ready"`    // the node asked takes requests
	Isolated bool           `json:"isolated"` // it knows others and sees none of them
	Synced   bool           `json:"synced"`   // its table was compared with another's since it started
	Profile  string         `json:"profile"`  // timing of gossip: lan or fast
	Versions map[string]int `json:"versions"` // of orch, with how many live nodes run each
	Alarms   []Alarm        `json:"alarms"`   // what somebody should look at
}

// NodeCount counts nodes.
type NodeCount struct {
	Known int `json:"known"` // members that have not left
	Alive int `json:"alive"` // the node asked included
}

// Alarm is a state of the node asked that does not mend itself soon.
type Alarm struct {
	Code   string `json:"code"`   // for programs, such as "isolated"
	Detail string `json:"detail"` // for people
}

// Joining is what a node needs to become a member of a cluster.
type Joining struct {
	Token   string   `json:"token"`   // the join token of the cluster
	Peers   []string `json:"peers"`   // gossip addresses of members, HOST or HOST:PORT
	Timeout Duration `json:"timeout"` // how long to try; 0 is JoinTimeout
}

// Limits of a Joining.
const (
	MaxJoinPeers   = 16
	JoinTimeout    = 10 * time.Second
	MaxJoinTimeout = 5 * time.Minute
)

// Validate says what is wrong with j, all at once. It does not read the token.
func (j Joining) Validate() error {
	e := Errorf(Invalid, "the request to join is not valid")
	fault := func(pointer, format string, args ...any) {
		e.Fields = append(e.Fields, FieldError{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
	}
	if j.Token == "" {
		fault("#/token", "is needed")
	}
	if len(j.Peers) == 0 || len(j.Peers) > MaxJoinPeers {
		fault("#/peers", "1 to %d addresses are needed", MaxJoinPeers)
	}
	if t := time.Duration(j.Timeout); t < 0 || t > MaxJoinTimeout {
		fault("#/timeout", "must be from 0 to %s", MaxJoinTimeout)
	}
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}

// Within is how long to try.
func (j Joining) Within() time.Duration { return cmp.Or(time.Duration(j.Timeout), JoinTimeout) }

// Joined is what became of a Joining.
type Joined struct {
	Already bool    `json:"already"` // it was a member before
	Cluster Cluster `json:"cluster"`
}

// Container is one attempt at a task as the driver of its node sees it.
type Container struct {
	ID          string     `json:"id"` // the driver's
	Driver      string     `json:"driver"`
	Node        NodeID     `json:"node"`
	Attempt     string     `json:"attempt"` // "web.3@2"
	Job         string     `json:"job"`
	Life        int64      `json:"life"`
	Index       int        `json:"index"`
	Epoch       uint64     `json:"epoch"`
	Hash        string     `json:"template_hash"`
	Boot        string     `json:"boot"`  // of the agent that started it
	State       string     `json:"state"` // created, running or exited
	PID         int        `json:"pid"`   // 0 where there is none
	Resources   Resources  `json:"resources"`
	Ports       []Port     `json:"ports"`
	StopTimeout Duration   `json:"stop_timeout"` // between asking it to end and killing it
	StartedAt   *time.Time `json:"started_at"`
	FinishedAt  *time.Time `json:"finished_at"`
	ExitCode    *int       `json:"exit_code"`
	Reason      string     `json:"reason"`
}

// Digest sums up a node's table.
type Digest struct {
	Node    NodeID `json:"node"`
	Name    string `json:"name"`
	Digest  string `json:"digest"`
	Records int    `json:"records"` // those of removals too
}
