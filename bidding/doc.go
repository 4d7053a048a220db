// Package bidding decides who should run a task. One node, the auctioneer, asks
// others what they would bid for slots of a job, and awards each slot to the best
// bidder:
//
//	auctioneer                                      bidder
//	  [Shortlist], then Call to each       →   [MakeBid]: how well would 1, 2 … k
//	  collect until all answered, or the   ←   Bid   copies sit on the live ledger?
//	  deadline; [Allocate] merges the curves
//	  Award{slots, epochs, records}        →   [Consider] under one lock, write, answer
//	  settle each slot: accepted, next     ←   Answer{current records}
//	  best, or left over with reasons
//
// The decisions are pure. [Ledger], [Bidder], [Standing] and [Lot] are values;
// [Auction] is a state machine that is told what happened and when, and answers
// with messages to send. [Auctioneer] and [Server] are the edges: they carry the
// messages over libp2p streams and decide nothing. Records of the replicated
// table are opaque bytes here; the owner of the table interprets them.
//
// Why it is made this way:
//
//   - No holds. A bid reserves nothing, so a bid that nobody takes up cannot leak
//     capacity; elsewhere reservations with and without time limits both did. The
//     price is that an award can be refused, which costs one message.
//   - A live ledger on both sides of the bid. Gossiped figures choose whom to ask
//     and nothing else: they are old, and everybody would rush to the same node.
//     What fits is decided by the bidder, twice: for the bid, and again at the
//     award under the lock that guards its ledger. That is why a node is never
//     overcommitted, however many auctions ask it at once.
//   - Curves, not single bids. A bid says how good the 1st, 2nd … k-th copy would
//     be, so one round places thousands of slots. Curves are closed under merging:
//     nothing in a message says that a bidder is one machine.
//   - A deadline for bids and a time limit for awards. One silent bidder must not
//     hold up the others.
//   - An answer to an award is the bidder's records, not a yes or no. Whoever
//     merges them knows whether the award was accepted, now or by an earlier
//     sending, or is out of date.
//
// Invariants: one auction never awards one epoch of a slot to a second node
// unless the first has refused the latest sending of it. Silence is not refusal:
// after it a service goes to the next best with a higher epoch (two copies may
// start; the table settles which stays), while a kind that must never run twice
// is awarded to the same node again until that node answers or is dead. A bidder
// ignores a sending older than one it has heard, so a late repeat cannot take a
// slot that has been given elsewhere. Every slot ends placed, or left with
// reasons.
//
// A peer that has the secret may still be buggy or hostile: a message is at most
// 1 MiB and 131,072 elements and takes memory as it comes, and one peer has at
// most 64 requests served at once, each for 10 s at the longest.
package bidding
