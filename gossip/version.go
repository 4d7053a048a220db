package gossip

// Oldest and newest version of the protocol between nodes that this build speaks. It
// is one number with that of package bidding: both change together.
const (
	WireMin = 1
	WireMax = 1
)
