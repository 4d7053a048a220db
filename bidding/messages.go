package bidding

import (
	"github.com/exitae337/orchestergo/api"
)

// Call asks a node what it would bid for slots of a job. It stands alone: the
// job's specification is in it, so a bidder need not know the job yet.
type Call struct {
	Wire         int                `json:"wire"`
	Auction      string             `json:"auction"`
	Job          api.Job            `json:"job"` // the specification
	Life         int64              `json:"life"`
	TemplateHash string             `json:"template_hash"`
	Slots        []int              `json:"slots"`    // on offer, ascending
	Siblings     map[api.NodeID]int `json:"siblings"` // served slots of the job by owner, those on offer left out
	Zones        map[string]int     `json:"zones"`    // the same by the owner's zone label; zones of live nodes with none are there, as 0
}

// Bid is a node's answer to a Call. It holds nothing back for the caller: a bid
// costs nothing and can leak nothing.
type Bid struct {
	Wire      int           `json:"wire"`
	Scores    []float64     `json:"scores"`     // of the 1st, 2nd … copy beside what runs already, then one for each of StopFirst; never rises
	Terms     []api.Term    `json:"terms"`      // what Scores[0] is the weighted mean of
	Free      api.Resources `json:"free"`       // on the live ledger
	HasImage  bool          `json:"has_image"`  // nothing to pull
	StopFirst []int         `json:"stop_first"` // slots of the call that it could take only by first stopping its own old copy
	Refusal   *api.Refusal  `json:"refusal"`    // why none, or why no more than len(Scores)
}

// Award gives slots to a node. Records are opaque here: they are entries of the
// replicated table, which the receiver merges before it looks at anything else.
type Award struct {
	Wire    int         `json:"wire"`
	Auction string      `json:"auction"`
	Boot    string      `json:"boot"` // of the auctioneer
	Seq     uint64      `json:"seq"`  // rises with every sending of this boot
	Job     []byte      `json:"job"`  // the job's record
	Slots   []AwardSlot `json:"slots"`
}

// AwardSlot is one slot of an Award.
type AwardSlot struct {
	Slot     int    `json:"slot"`
	Epoch    uint64 `json:"epoch"`
	Failures int    `json:"failures"` // failed attempts in a row before this one
	Record   []byte `json:"record"`   // the slot's record as the auctioneer knows it; nil: none
	Reason   string `json:"reason"`   // why it is placed, for people
	Won      string `json:"won"`      // why here: "0.871 before vps1 0.693"
	// StopFirst allows the node to stop its own old copy of the slot before it
	// starts the new one: nobody could take the slot beside it.
	StopFirst bool `json:"stop_first"`
}

// Answer is what a node answers to an Award: its current records, which are the
// truth whatever it made of the award. Whoever reads them knows whether the award
// was accepted, now or by an earlier sending, or is out of date.
type Answer struct {
	Wire  int          `json:"wire"`
	Job   []byte       `json:"job"`
	Slots []AnswerSlot `json:"slots"` // one for each slot of the award, in its order
}

// AnswerSlot is the answer for one slot.
type AnswerSlot struct {
	Slot    int          `json:"slot"`
	Record  []byte       `json:"record"`  // nil: the node knows none
	Refusal *api.Refusal `json:"refusal"` // why it was not accepted
}
