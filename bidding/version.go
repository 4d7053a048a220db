package bidding

// Oldest and newest version of the protocol between nodes that this build speaks. It
// is one number with that of package gossip, which tells each node what the others
// speak: both change together.
const (
	WireMin = 1
	WireMax = 1
)
