package api

import "time"

// Aside is a job that a node took out of its table when it came back after a long
// absence: the others did not know it, so it may have been removed meanwhile. Nothing
// of it is lost, and whoever knows that it is wanted can restore it.
type Aside struct {
	Job      string    `json:"job"` // "" if the file cannot be read
	Life     int64     `json:"life"`
	Node     NodeID    `json:"node"` // that set it aside
	NodeName string    `json:"node_name"`
	Time     time.Time `json:"time"`     // when it did
	Reason   string    `json:"reason"`   // why, or why the file cannot be read
	Spec     *Job      `json:"spec"`     // as it was
	Stopped  bool      `json:"stopped"`  // it was kept, but not wanted
	Complete int       `json:"complete"` // tasks that were complete; restored, they run again
	Taken    bool      `json:"taken"`    // a job of that name is there, so that it cannot be restored
	File     string    `json:"file"`     // that has it, beside others perhaps
	Path     string    `json:"path"`     // of the file, on the node
}

// Restoring names a job that a node has set aside.
type Restoring struct {
	Job  string `json:"job"`
	File string `json:"file"` // of several that have the job; "" is the one with its latest version
}

// Validate returns an Invalid error unless r names a job.
func (r Restoring) Validate() error {
	if ValidJobName(r.Job) {
		return nil
	}
	e := Errorf(Invalid, "the request to restore a job is not valid")
	e.Fields = []FieldError{{Pointer: "#/job", Detail: "is needed: the name of a job"}}
	return e
}
