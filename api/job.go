package api

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// LabelProject is the label that says which project a job belongs to.
const LabelProject = "orch.project"

// JobType is the kind of a job.
type JobType string

// The types. A service is kept running; each slot of a batch job runs to a
// successful end once. Global jobs (one task a node) are not in this version.
const (
	ServiceJob JobType = "service"
	BatchJob   JobType = "batch"
	GlobalJob  JobType = "global"
)

// Job is what a user wants: a flat specification, and below it what the cluster
// says of the job. The latter is accepted and ignored in requests, so that a job
// that was read can be edited and sent back. Start from [NewJob], which has the
// defaults.
type Job struct {
	Name          string            `json:"name"`
	Type          JobType           `json:"type"`
	Driver        string            `json:"driver"`  // "docker" or "process"
	Image         string            `json:"image"`   // docker only
	Command       []string          `json:"command"` // process: the whole argv
	Env           map[string]string `json:"env"`
	Replicas      int               `json:"replicas"`
	Resources     Resources         `json:"resources"` // reserved for each task; what nodes bid on
	Limits        Resources         `json:"limits"`    // enforced on each task; zero is no limit
	Labels        map[string]string `json:"labels"`
	Ports         []Port            `json:"ports"`
	Restart       Restart           `json:"restart"`
	StopTimeout   Duration          `json:"stop_timeout"`   // between asking a task to end and killing it
	StartTimeout  Duration          `json:"start_timeout"`  // not running after that is a failure
	FailoverAfter Duration          `json:"failover_after"` // how long an absent owner counts as unknown, not dead
	OnPartition   string            `json:"on_partition"`   // "replace", or "freeze": replaced only once the owner has left or was removed
	MaxParallel   int               `json:"max_parallel"`   // moves under way at once
	Pull          string            `json:"pull"`           // "missing", "always" or "never"; docker only
	Pack          bool              `json:"pack"`           // fill nodes up instead of spreading

	// What the tasks get of their node beyond their confinement. It is for the owner
	// of each node to allow, and refused by default. Docker only.

	Privileged     bool     `json:"privileged"`      // not confined at all
	HostNamespaces []string `json:"host_namespaces"` // the node's own, of "ipc", "network" and "pid"
	Volumes        []Volume `json:"volumes"`         // files and directories of the node
	Devices        []Device `json:"devices"`         // devices of the node

	ID          string    `json:"id,omitempty"`         // name and life, unique for ever
	Generation  uint64    `json:"generation,omitempty"` // for display; ETag is what to compare
	ETag        string    `json:"etag,omitempty"`
	Template    string    `json:"template_hash,omitempty"` // what its tasks are made of; a task with another is replaced
	CreatedAt   time.Time `json:"created_at,omitzero"`
	UpdatedAt   time.Time `json:"updated_at,omitzero"`
	Coordinator NodeID    `json:"coordinator,omitempty"` // who auctions its slots, in the view of the node asked
	Status      *Status   `json:"status,omitempty"`

	Durability *Durability `json:"durability,omitempty"` // in the answer to a write that is not on as many disks as promised yet
	Plan       *Plan       `json:"plan,omitempty"`       // in the answer to a dry run
}

// Durability says how far a write has spread.
type Durability struct {
	Disks  int `json:"disks"`  // nodes that have it on disk
	Wanted int `json:"wanted"` // how many make it safe
}

// Port is a host port that a task occupies on its node.
type Port struct {
	Target    int    `json:"target"`    // inside the container; ignored by process
	Published int    `json:"published"` // on the node
	Protocol  string `json:"protocol"`  // "tcp" or "udp"
	Mode      string `json:"mode"`      // "host"
}

// Restart says what a task's own node does when the task ends, before the slot
// is given up and auctioned again.
type Restart struct {
	Policy   string `json:"policy"`   // "always", "on-failure" or "no"; always means on-failure for a batch job
	Attempts int    `json:"attempts"` // restarts in place before the attempt counts as failed
}

// JobState sums up a job.
type JobState string

// The states of a job.
const (
	JobPending  JobState = "pending"  // nothing runs yet
	JobRunning  JobState = "running"  // every slot runs
	JobDegraded JobState = "degraded" // some slots do not run
	JobUpdating JobState = "updating" // some slots still run an earlier specification
	JobComplete JobState = "complete" // every slot of a batch job ended well
	JobFailed   JobState = "failed"   // nothing runs and slots have failed
	JobStopped  JobState = "stopped"  // kept, but not wanted
	JobRemoving JobState = "removing" // removed; the answer to a DELETE
)

// Status is what the node asked sees of a job.
type Status struct {
	State   JobState `json:"state"`
	Wanted  int      `json:"wanted"`
	Running int      `json:"running"`
	Pending int      `json:"pending"`
	Failed  int      `json:"failed"`
	Reason  string   `json:"reason,omitempty"` // why it is not as wanted
}

// NewJob has every default; decoding a request on top of it leaves what the
// request does not name.
func NewJob() Job {
	return Job{
		Type:         ServiceJob,
		Driver:       "docker",
		Command:      []string{},
		Env:          map[string]string{},
		Replicas:     1,
		Resources:    Resources{CPUs: 100, Memory: 64 << 20},
		Labels:       map[string]string{},
		Ports:        []Port{},
		Restart:      Restart{Policy: "always", Attempts: 3},
		StopTimeout:  Duration(10 * time.Second),
		StartTimeout: Duration(5 * time.Minute),
		OnPartition:  "replace",
		MaxParallel:  1,
		Pull:         "missing",

		HostNamespaces: []string{},
		Volumes:        []Volume{},
		Devices:        []Device{},
	}
}

// Spec is j without what the cluster says of it, and with no nil list or map.
func (j Job) Spec() Job {
	j.ID, j.Generation, j.ETag, j.Template, j.Coordinator, j.Status, j.Durability, j.Plan = "", 0, "", "", "", nil, nil, nil
	j.CreatedAt, j.UpdatedAt = time.Time{}, time.Time{}
	if j.Command == nil {
		j.Command = []string{}
	}
	if j.Env == nil {
		j.Env = map[string]string{}
	}
	if j.Labels == nil {
		j.Labels = map[string]string{}
	}
	j.Ports = append([]Port{}, j.Ports...) // a copy: j shares its array with the caller
	for i := range j.Ports {
		if j.Ports[i].Protocol == "" {
			j.Ports[i].Protocol = "tcp"
		}
		if j.Ports[i].Mode == "" {
			j.Ports[i].Mode = "host"
		}
	}
	j.HostNamespaces = append([]string{}, j.HostNamespaces...)
	slices.Sort(j.HostNamespaces)
	j.Volumes = append([]Volume{}, j.Volumes...)
	for i := range j.Volumes {
		j.Volumes[i].Type = cmp.Or(j.Volumes[i].Type, "bind")
	}
	j.Devices = append([]Device{}, j.Devices...)
	for i := range j.Devices {
		d := &j.Devices[i]
		d.Target, d.Permissions = cmp.Or(d.Target, d.Source), cmp.Or(d.Permissions, "rwm")
	}
	return j
}

// StopFirst says whether the old copy of a slot must be gone before a new one
// starts: two copies at once would be a fault, not a spare.
func (j Job) StopFirst() bool { return j.Type == BatchJob }

// Differs names the fields in which two specifications are not alike, as JSON has
// them, in alphabetical order.
func (j Job) Differs(o Job) []string {
	a, b := j.fields(), o.fields()
	out := []string{}
	for _, name := range sortedKeys(a) {
		if string(a[name]) != string(b[name]) {
			out = append(out, name)
		}
	}
	return out
}

// fields are those of the specification.
func (j Job) fields() map[string]json.RawMessage {
	var out map[string]json.RawMessage
	b, err := json.Marshal(j.Spec())
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		panic(err) // plain values can be encoded
	}
	return out
}
