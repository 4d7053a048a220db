// Package rest carries an [api.Service] over HTTP: [Server] answers for one, and
// [Client] is one. Both sides are in this package because they share the paths,
// the one table of codes and statuses, and the headers that say whose view an
// answer is.
//
// Invariants: the JSON is that of package api, so what goes in comes out; a
// refusal is an RFC 9457 problem with a code, and never inside a 2xx; every
// answer names the node that gave it. Bodies are decoded strictly, with all
// faults at once, because a field that is misspelt and dropped in silence is a
// job that is not what was asked for. A web page must not be able to drive the
// API of the machine it is read on: hence the checks of Host and Origin, and the
// demand for application/json. The client sends a write twice only under a key
// by which the nodes know it again.
package rest
