package bidding

import (
	"fmt"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// Codes of refusals. Bidders may use others; programs compare them, people read
// the reason beside them.
const (
	CodeWire       = "wire"        // the message is of a protocol version not spoken here
	CodeNoDriver   = "no_driver"   // the driver is missing or cannot be used now
	CodeNotAllowed = "not_allowed" // the node's owner does not allow what the job asks of it
	CodeNoRoom     = "no_room"     // resources
	CodePortTaken  = "port_taken"  // a host port
	CodeExcluded   = "excluded"    // sits out after failing this task
	CodeStaleAward = "stale_award" // a later sending was heard
	CodeStaleJob   = "stale_job"   // the award's job record is not the bidder's own
	CodeNotWanted  = "not_wanted"  // the slot is not wanted by the job as the bidder knows it
	CodeStaleEpoch = "stale_epoch" // the bidder knows this epoch of the slot, or a later one
	CodeComplete   = "complete"    // the slot has ended well, for ever
	CodeAfterStop  = "after_stop"  // another live node runs a copy that must stop first
	CodeFrozen     = "frozen"      // a node out of reach may run it, and the job asks to leave that alone
	CodeNoAnswer   = "no_answer"   // made by the auctioneer: silence, or an error on the way
	CodeMalformed  = "malformed"   // made by the auctioneer: an answer that cannot be right
	CodeTooLarge   = "too_large"   // the award would not fit a frame
	CodeCancelled  = "cancelled"   // the auction was broken off
)

// Values of [api.Refusal.Retry].
const (
	RetryNever    = "never"
	RetryCapacity = "capacity"
	RetryAfter    = "after"
)

// refuse makes a refusal with a formatted reason.
func refuse(code, retry, format string, args ...any) *api.Refusal {
	return &api.Refusal{Code: code, Retry: retry, Reason: fmt.Sprintf(format, args...)}
}

// refuseFor makes a refusal that lapses after d.
func refuseFor(d time.Duration, code, format string, args ...any) *api.Refusal {
	r := refuse(code, RetryAfter, format, args...)
	r.After = api.Duration(d)
	return r
}

// aboutSlot says whether a refusal with this code is about one slot only. After
// any other, the node is not tried again in the same auction.
func aboutSlot(code string) bool {
	switch code {
	case CodeStaleAward, CodeNotWanted, CodeStaleEpoch, CodeComplete, CodeAfterStop, CodeFrozen:
		return true
	}
	return false
}

// checkWire refuses what a peer of another protocol version sent.
func checkWire(wire int) *api.Refusal {
	if wire >= WireMin && wire <= WireMax {
		return nil
	}
	older := "there" // of who asks
	if wire > WireMax {
		older = "here"
	}
	return refuse(CodeWire, RetryNever, "speaks protocol %d to %d, and was asked in %d: the orch that is older has to be upgraded, the one %s", WireMin, WireMax, wire, older)
}
