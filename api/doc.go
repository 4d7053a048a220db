// Package api is the vocabulary of orch: the nouns a user meets, how they are
// validated, and Service, the one interface behind every way of asking for
// something. A [Service] is had in two ways: a node itself (package peer) and a
// client that speaks HTTP to one (package api/rest).
//
// Nouns: a [Job] is what is wanted. It has replicas, called slots; slot i of job
// web is the task "web.i" ([Task]). One try at running a task is an attempt,
// "web.3@2", numbered by its epoch. A [Node] is a machine that offers
// [Resources]. A [Sheet] is the protocol of the auction that placed a task. An
// [Error] is a refusal with a code for machines and words for people.
//
// Invariants: values only, no I/O, no clocks; nothing here is imported from the
// rest of the program. The structs carry the JSON of the HTTP API, so there is no
// second set of types for the wire: names are snake_case, lists and maps are
// never null, memory is an integer number of bytes, and durations are strings
// such as "10s". Within /v1 fields are only ever added.
package api
