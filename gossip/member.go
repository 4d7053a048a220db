package gossip

import (
	"cmp"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

// MemberStatus is what Serf says about one boot of a node.
type MemberStatus string

// The statuses. A member that has left said so itself; one that failed stopped
// answering.
const (
	MemberAlive  MemberStatus = "alive"
	MemberFailed MemberStatus = "failed"
	MemberLeft   MemberStatus = "left"
)

// Member is one boot of a node. A node that was restarted is seen as two members
// of the same ID until its earlier boot is forgotten.
type Member struct {
	ID         string // libp2p peer ID of the node
	Boot       string // random, new with each start
	Started    int64  // unix ms by that node's clock; orders the boots of one ID, nothing else
	Addr       netip.Addr
	GossipPort int               // TCP and UDP
	PeerPort   int               // TCP, libp2p
	Wire       Wire              // versions of the protocol that it speaks
	Tags       map[string]string // what the owner published; not to be changed
	Status     MemberStatus
	Since      time.Time // when this node saw the status change
}

func (m Member) gossipAddr() netip.AddrPort { return netip.AddrPortFrom(m.Addr, uint16(m.GossipPort)) }
func (m Member) peerAddr() netip.AddrPort   { return netip.AddrPortFrom(m.Addr, uint16(m.PeerPort)) }

// equal compares all but Since.
func (m Member) equal(o Member) bool {
	return maps.Equal(m.Tags, o.Tags) && m.ID == o.ID && m.Boot == o.Boot && m.Started == o.Started && m.Addr == o.Addr &&
		m.GossipPort == o.GossipPort && m.PeerPort == o.PeerPort && m.Status == o.Status && m.Wire == o.Wire
}

// Newest picks one boot of each ID: one that is alive before one that is not,
// then the one started last.
func Newest(members []Member) map[string]Member {
	newest := make(map[string]Member, len(members))
	for _, m := range members {
		if have, ok := newest[m.ID]; !ok || newer(m, have) > 0 {
			newest[m.ID] = m
		}
	}
	return newest
}

func newer(a, b Member) int {
	if alive := a.Status == MemberAlive; alive != (b.Status == MemberAlive) {
		if alive {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(a.Started, b.Started), cmp.Compare(a.Boot, b.Boot))
}

func sortMembers(members []Member) {
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Started, b.Started), cmp.Compare(a.Boot, b.Boot))
	})
}

// Serf's name of a boot is "<id>.<boot>". The ID alone would be a trap: a node
// restarted at a new address loses the vote about its name and is shut down, one
// restarted quickly at the same address is never seen to have failed.
var (
	memberID   = regexp.MustCompile(`^[A-Za-z0-9]{1,80}$`)
	memberBoot = regexp.MustCompile(`^[a-z0-9]{1,32}$`)
)

func serfName(id, boot string) string { return id + "." + boot }

func splitSerfName(name string) (id, boot string, ok bool) {
	id, boot, ok = strings.Cut(name, ".")
	return id, boot, ok && memberID.MatchString(id) && memberBoot.MatchString(boot)
}

// Tags of our own begin with a dot; all others are the owner's.
const (
	tagStarted  = ".b"
	tagPeerPort = ".p"
	tagFill     = ".f"
	tagWire     = ".w"
)

// maxFill is how much longer than needed tags are made, at most.
const maxFill = 24

// filled makes tags longer by n bytes, as far as there is room. What memberlist has
// to tell of two nodes may only be of the same length by chance: of two such messages
// its queue can lose one (a number that it gives them starts anew while one is in the
// queue, and messages of one length and number are taken for the same), and then
// nobody would learn of a change for half a minute.
func filled(tags map[string]string, n int) map[string]string {
	with := maps.Clone(tags)
	with[tagFill] = ""
	with[tagFill] = strings.Repeat("-", max(0, min(n, maxTags-memberTagsSize(with))))
	if memberTagsSize(with) > maxTags {
		return tags
	}
	return with
}

func encodeMemberTags(own map[string]string, started time.Time, peerPort int, wire Wire) map[string]string {
	tags := make(map[string]string, len(own)+3)
	maps.Copy(tags, own)
	tags[tagStarted] = strconv.FormatInt(started.UnixMilli(), 36)
	tags[tagPeerPort] = strconv.Itoa(peerPort)
	tags[tagWire] = wire.tag()
	return tags
}

// memberTagsSize is at least what Serf's encoding of tags takes: a magic byte,
// the head of a map, and up to three bytes before each string.
func memberTagsSize(tags map[string]string) int {
	size := 1 + 3
	for k, v := range tags {
		for _, s := range []string{k, v} {
			size += 1 + len(s)
			if len(s) >= 32 {
				size += 2
			}
		}
	}
	return size
}

// maxTags is the room for encoded tags in Serf.
const maxTags = memberlist.MetaMaxSize

// parseMember reads a member of Serf; ok is false for what no node of ours wrote.
func parseMember(s serf.Member) (m Member, ok bool) {
	switch s.Status {
	case serf.StatusAlive, serf.StatusLeaving:
		m.Status = MemberAlive
	case serf.StatusFailed:
		m.Status = MemberFailed
	case serf.StatusLeft:
		m.Status = MemberLeft
	default:
		return m, false
	}
	m.ID, m.Boot, ok = splitSerfName(s.Name)
	if !ok {
		return m, false
	}
	addr, ok := netip.AddrFromSlice(s.Addr)
	if !ok {
		return m, false
	}
	m.Addr, m.GossipPort = addr.Unmap(), int(s.Port)
	started, err1 := strconv.ParseInt(s.Tags[tagStarted], 36, 64)
	peerPort, err2 := strconv.ParseUint(s.Tags[tagPeerPort], 10, 16)
	if m.Wire, ok = parseWire(s.Tags[tagWire]); err1 != nil || err2 != nil || !ok {
		return m, false
	}
	m.Started, m.PeerPort = started, int(peerPort)
	m.Tags = make(map[string]string, len(s.Tags))
	for k, v := range s.Tags {
		if !strings.HasPrefix(k, ".") {
			m.Tags[k] = v
		}
	}
	return m, true
}
