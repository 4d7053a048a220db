package gossip

import (
	"fmt"
	"math"
	"time"

	"github.com/hashicorp/memberlist"
)

// Profile names a set of timings of failure detection.
type Profile string

// The profiles. ProfileLAN is for hosts on a network: a death is known after some
// 6 s, and pauses up to that long (a suspended machine, a swap storm) are
// forgiven. ProfileFast is for one machine and labs: about 1 s, for more packets
// and less patience.
const (
	ProfileLAN  Profile = "lan"
	ProfileFast Profile = "fast"
)

// Check says whether p is a known profile.
func (p Profile) Check() error {
	if p == ProfileLAN || p == ProfileFast {
		return nil
	}
	return fmt.Errorf("unknown profile %q: use %q or %q", string(p), ProfileLAN, ProfileFast)
}

// DetectionTime is how long Serf may take, in a cluster of n nodes, from the death
// of a node until all know it. A dead node is probed within 1.6 intervals on
// average, the probe lasts one, and a suspicion lasts SuspicionMult × log10 n; the
// half on top is for gossip and for machines under load.
func (p Profile) DetectionTime(n int) time.Duration {
	c := p.memberlist()
	probes := 2.6 + float64(c.SuspicionMult)*max(1, math.Log10(float64(max(n, 1))))
	return time.Duration(1.5 * probes * float64(c.ProbeInterval))
}

// memberlist returns the timings, and what is the same for all. Both profiles
// derive from memberlist's LAN defaults: those for one machine retransmit too
// little, and lose news for up to 20 s.
func (p Profile) memberlist() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.TCPTimeout = 5 * time.Second // also of a join: where many start at once, all answer late
	if p == ProfileFast {
		c.ProbeInterval = 200 * time.Millisecond
		c.ProbeTimeout = 100 * time.Millisecond
		c.SuspicionMult = 3
		c.SuspicionMaxTimeoutMult = 2
		c.GossipInterval = 50 * time.Millisecond
		c.PushPullInterval = 10 * time.Second
	}
	c.Label = gossipLabel
	c.GossipVerifyIncoming = true
	c.GossipVerifyOutgoing = true
	c.EnableCompression = false // saves little, and decompressing is a way in for bombs
	return c
}

// broadcastTimeout is how long Serf waits for its own news to be sent.
func (p Profile) broadcastTimeout() time.Duration {
	if p == ProfileFast {
		return time.Second
	}
	return 3 * time.Second
}

// reconnectInterval is how often Serf itself tries one of the failed members.
func (p Profile) reconnectInterval() time.Duration {
	if p == ProfileFast {
		return 2 * time.Second
	}
	return 5 * time.Second
}

// redialCap is the longest wait between two attempts to reach a known peer.
func (p Profile) redialCap() time.Duration {
	if p == ProfileFast {
		return 15 * time.Second
	}
	return time.Minute
}
