package api

import "time"

// Plan is what a write would do now. Nothing of it is promised: nobody has been
// awarded anything, and a moment later the nodes may bid otherwise. All slots are
// asked for at once, though those of an update would be moved a few at a time.
type Plan struct {
	Action string     `json:"action"` // "create", "update", "replace" (a batch job is made anew) or "unchanged"
	Slots  []PlanSlot `json:"slots"`  // by index; of a job that is made anew, those of the old one come first
}

// PlanSlot is what would become of one slot.
type PlanSlot struct {
	Task      string  `json:"task"`   // "web.3"
	Action    string  `json:"action"` // "create", "keep", "move" (replaced, maybe on the same node) or "stop"
	From      NodeID  `json:"from"`   // who has it now; "" is nobody
	FromName  string  `json:"from_name"`
	Node      NodeID  `json:"node"` // who would have it; "" is nobody
	NodeName  string  `json:"node_name"`
	Score     float64 `json:"score"`      // of the bid, for what would be created or moved
	StopFirst bool    `json:"stop_first"` // the old copy would have to go before the new one starts
	Reason    string  `json:"reason"`     // why it is moved, or why nobody takes it
}

// Generation is one version of a job that the node asked knows of.
type Generation struct {
	Generation uint64    `json:"generation"`
	ETag       string    `json:"etag"`
	ID         string    `json:"id"`     // of the job: another one for a job that was made anew
	State      string    `json:"state"`  // "current", "replaced", or "void": lost to a write made beside it
	Writer     NodeID    `json:"writer"` // who took the request; "" if that is not known any more
	WriterName string    `json:"writer_name"`
	Time       time.Time `json:"time"`
	Image      string    `json:"image"`
	Replicas   int       `json:"replicas"`
	Changed    []string  `json:"changed"` // fields that are not as in the generation before it in this list
}
