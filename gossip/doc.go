// Package gossip answers two questions for one node: who is here, and what do we
// all know?
//
// Who is here is Serf's business: membership with failure detection, a few tags
// a node, and a faster path for processes that died and refuse to be dialled.
// It is a view: it can be wrong, it heals by itself, and nothing is deleted
// because of it.
//
// What we all know is the replicated table: key → record, on every node's disk,
// the same everywhere once messages get through. Table is its pure core (no
// lock, clock, socket or disk), Store its file, Replica the edge that puts both
// on a libp2p host. The table knows no job: keys, bytes and stamps. What depends
// on what, and what may be there at all, the owner says in Rules.
//
// What holds:
//
//   - Merging keeps the greater stamp, and no clock orders anything. So merging
//     is commutative, associative and idempotent, and it does not matter how
//     often or in which order records arrive.
//   - A tombstone goes only when it is old and every member was seen to hold it:
//     whoever comes back with the removed record meets someone who knows better,
//     or is told by the others' floor (the time of the newest tombstone that went)
//     that it missed a removal, and sets its own aside in a file.
//   - No absence, however long, drops a table. In doubt a record is kept.
//   - Records in messages are merged only between two peers that have completed a
//     sync since they were connected. Before, a node that was away could bring
//     back what was removed meanwhile, with no floor consulted.
//   - A record that a caller was told is durable is on that many disks: every
//     answer that says so is sent after the disk has said so.
//
// A peer that has the secret may still be buggy or hostile. What it can take of
// this node is bounded: a frame is at most 1 MiB and 65,536 elements, and four are
// decoded at a time; one peer gets 2 syncs and 16 pushes at once, for a minute and
// ten seconds; a sync lists at most 2^19 keys; what comes in waits while 16 MiB
// wait for the disk or for the owner; and what waits for a peer that does not read
// is dropped above 4 MiB, since a sync will bring it. The table takes no new keys
// above 262,144 records or 256 MiB; what is there can still be changed and removed.
package gossip
