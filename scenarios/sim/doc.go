// Package sim answers one question: can any order of events break a promise? It
// drives the production cores (peer.Core with the plan, the ledger, both sides of
// the auction and the restart policy; gossip.Table with merge, sync and tombstones;
// gossip.Detector) from one queue of events, in virtual time, with one source of
// randomness: the same seed gives the same run, byte for byte.
//
// What a Peer does with sockets, disks and engines, a node here does with events: a
// message arrives later, twice or never; a record is on the disk some milliseconds
// after it was written, or not at all if the agent dies first; an engine starts a
// container late, fails or hangs, and outlives its agent.
//
// A run has three parts. In the chaos, a schedule of steps drawn from the seed hurts
// the cluster while an operator submits, changes and removes jobs. Then it is healed:
// all of it, or a chosen core while the rest stays broken. Then it must converge and
// be quiet. What must hold at all times is checked after every event, what must hold
// in the end when it is quiet ([Violation]).
//
// It must be able to fail. [Bugs] takes rules of the design away again, one by one,
// by meddling with what a core sees, says or does; each is caught. Since most accidents
// take several faults in an order that chance seldom draws, half of the plans that are
// not gentle follow a script ([Scripts]) with what varies about it. [Unproven] is what
// nothing misses, and why it is there.
//
// Not here: timing of real libraries, disks that lie, and a gossip that is wrong in
// ways of its own. Views err as the schedule says.
package sim
