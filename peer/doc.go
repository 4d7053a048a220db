// Package peer is one node of the cluster: membership and the replicated table
// (package gossip), the auction (package bidding) and the drivers (package
// runtime) composed. It is the only package that knows all of them.
//
// # What it does
//
// Everyone keeps one table: jobs, written by whoever took the request;
// assignments, who runs slot i, written only by the one who runs it; members.
// Everyone sees who is alive. [Plan] looks once a second, and at once on a
// change, for slots that are not as wanted, and asks for auctions; [Reconcile]
// looks at this node's own containers and records and asks for starts, stops and
// reports. Both are pure: they turn a value of the world into printable actions,
// and the loop of [Peer] carries these out. A dead node, a drain, an update, two
// copies after a partition are not handled anywhere: they are worlds in which a
// slot is not as wanted, and the same auction mends them.
//
// # Records
//
//	j/NAME              a job      (life, removed, version, writer)
//	a/NAME/LIFE/SLOT    assignment (epoch, owner, n, writer)
//	m/ID                a member   (life, removed, version, writer)
//
// In brackets the stamps by which they merge. A life is the creation time of a
// job, raised above any known for the name; everything below a job is keyed by
// its life, so nothing of a removed job can be taken for a new one's. Epochs
// number the awards of a slot and only grow. A dead owner's record needs no
// write: everyone sees that it is dead.
//
// # Files
//
// Pure: records.go and index.go (the table decoded), world.go and plan.go (what
// should be auctioned), local.go (what this node should do about its own tasks).
// The node: identity.go, host.go, peer.go (composed, run, stopped), loop.go
// (look and act), view.go (who is here). The market: award.go (as bidder),
// market.go (as auctioneer), release.go. Tasks: ops.go, reap.go,
// leave.go. What was taken out of the table after an absence: aside.go. What a node is told to say of itself (drain, cordon, labels): amend.go.
// Requests: write.go with change.go (conditions, versions, disks), keys.go,
// generations.go, dryrun.go, read.go, nodes.go, logs.go with logs_source.go and
// logs_merge.go, explain.go (api.Service), history.go (attempts that are over),
// data.go, data_serve.go and inspect.go (nodes asking each other). What is told: events.go and
// events_nodes.go (pure: what changed between two views), sights.go and eventlog.go
// (seen and kept), pulse.go, revision.go and waitjob.go (who waits for a change),
// metrics.go and gauges.go.
//
// # Invariants
//
//   - An acknowledged write is on the disks of min(3, members) nodes.
//   - A node accepts nothing that its ledger has no room for: awards are decided
//     one at a time, and are on disk before they are answered.
//   - Final states end their epoch: failed, stopped or complete is never started
//     again. Stopped is only written when the engine says that nothing is left.
//   - A node that is not ready answers for its table and does nothing else.
//   - Another node that lost its mind costs little: 32 of its questions and 256
//     logs that it reads are answered at once, a frame is at most 1 MiB and 131,072
//     elements and is taken within a minute, and of its answers at most 64 MiB are
//     listened to.
package peer
