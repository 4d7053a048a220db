// Package scenarios answers one question: does it survive? It starts real nodes
// as processes of this machine, uses them as anybody would, through their
// binary and their HTTP API, does to them what machines do to programs, and looks
// whether the promises still hold. The tests of this package are the promises; the
// commands below it are a demonstration and what it is compared with.
//
// A [Lab] is a cluster on the loopback interface: a directory for each node, three
// ports for each, tasks run as processes or as containers of the docker
// engines there are. The nodes share nothing but the machine, so the death of one
// host is the death of one agent and its tasks ([Lab.KillHost]). Where it is asked for,
// each node has a network of its own, whose links can be cut ([Lab.Cut]), or a disk of
// its own, which can fill up and fail ([Lab.FillDisk], [Lab.FailDisk]).
//
// Invariants: a lab is a black box; nothing here knows what a node is made of. What
// the API says is held against the process table and the engine ([Lab.CheckJob]),
// because a program under test cannot be its own witness. A lab signals only what
// it can tell to be its own: agents whose command line names a data directory in
// the lab, processes whose environment names an attempt in it, and containers whose
// label names a lock file in it. After [Lab.Close] nothing of it is left, and Close
// says so if it is not true.
package scenarios
