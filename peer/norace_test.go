//go:build !race

package peer_test

// raceEnabled: the race detector and bubbles of virtual time do not go together.
const raceEnabled = false
