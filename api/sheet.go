package api

import "time"

// Sheet is the protocol of one auction: who was asked, what each answered and
// why, and who got what. The auctioneer keeps its last thousand in memory.
type Sheet struct {
	ID             string     `json:"id"`
	Job            string     `json:"job"`
	Life           int64      `json:"life"`
	Slots          []int      `json:"slots"` // what was on offer
	Reason         string     `json:"reason"`
	Auctioneer     NodeID     `json:"auctioneer"`
	AuctioneerName string     `json:"auctioneer_name"`
	StartedAt      time.Time  `json:"started_at"`
	Known          int        `json:"known"` // nodes the auctioneer knew
	Bids           []SheetBid `json:"bids"`  // the asked, best first; refusals last
	NotAsked       []NotAsked `json:"not_asked"`
	Awards         []SheetRow `json:"awards"`
	CallMS         float64    `json:"call_ms"`  // until the last bid or the deadline
	AwardMS        float64    `json:"award_ms"` // from then until the last award was settled
	TotalMS        float64    `json:"total_ms"`
}

// SheetBid is what one node answered to the call.
type SheetBid struct {
	Node      NodeID    `json:"node"`
	NodeName  string    `json:"node_name"`
	Scores    []float64 `json:"scores"` // of its 1st, 2nd … copy; falls. Empty when it refused
	Terms     []Term    `json:"terms"`  // what the first score is the weighted mean of
	Free      Resources `json:"free"`   // on its live ledger, before the auction
	HasImage  bool      `json:"has_image"`
	StopFirst bool      `json:"stop_first"` // would first stop the old copy it runs
	Refusal   *Refusal  `json:"refusal"`    // why not at all, or why not more
	TookMS    float64   `json:"took_ms"`
}

// Term is one named part of a fitness, in [0,1]; greater is better.
type Term struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Weight float64 `json:"weight"`
	Note   string  `json:"note,omitempty"`
}

// Refusal says why a node does not take a task, and whether to come back.
type Refusal struct {
	Code   string   `json:"code"`   // such as "no_room", "no_driver", "port_taken", "excluded"
	Reason string   `json:"reason"` // in words
	Retry  string   `json:"retry"`  // "never", "capacity" (when it grows) or "after"
	After  Duration `json:"after"`  // for Retry "after"
}

// NotAsked is a node that was not asked to bid.
type NotAsked struct {
	Node     NodeID    `json:"node"`
	NodeName string    `json:"node_name"`
	Reason   string    `json:"reason"`
	Code     string    `json:"code"`     // "no_room" when it is too small in all; else ""
	Free     Resources `json:"free"`     // as gossiped
	Capacity Resources `json:"capacity"` // as gossiped
}

// SheetRow is one award and what became of it.
type SheetRow struct {
	Slot          int     `json:"slot"`
	Epoch         uint64  `json:"epoch"`
	Node          NodeID  `json:"node"`
	NodeName      string  `json:"node_name"`
	Score         float64 `json:"score"`
	RunnerUp      NodeID  `json:"runner_up"` // "" when nobody else bid
	RunnerUpName  string  `json:"runner_up_name"`
	RunnerUpScore float64 `json:"runner_up_score"`
	Outcome       string  `json:"outcome"` // "accepted", "refused" or "silent"
	Reason        string  `json:"reason"`
	TookMS        float64 `json:"took_ms"`
}
