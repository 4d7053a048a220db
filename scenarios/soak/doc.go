// Package soak answers one question: does a cluster keep its promises when everything
// that can happen to it does, for as long as one likes?
//
// [Schedule] turns a seed into faults, in plain words: who is killed, paused, cut off,
// given an old disk, and for how long. [Run] has them happen to the nodes of a
// [scenarios.Lab] while requests of all kinds come in at random nodes, heals everything,
// and looks from outside whether the promises hold. It does so in rounds, and ends with a
// quiet minute in which nothing may happen.
//
// What counts as outside: what nodes answered ([journal] keeps it and says what may
// have become of each job), what they answer now, and the process table ([watch] samples
// it all the time). The same seed gives the same faults and the same kinds of requests;
// what the nodes make of them is theirs, and so is the outcome of a race.
//
// Pure: schedule.go (what happens), journal.go (what may be so), watch.go (what was seen),
// verdict.go (what is wrong when all is settled). The edges: faults.go, workload.go,
// sample.go, vitals.go; run.go composes.
package soak
