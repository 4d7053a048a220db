package peer

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/gossip"
)

// tag names. They are short since all tags share 512 bytes with their values.
const (
	tagName     = "n"
	tagVersion  = "v"
	tagState    = "s"
	tagDrivers  = "d" // usable ones, comma separated
	tagFault    = "e" // why others are not usable
	tagAllow    = "a" // comma separated
	tagCapacity = "c" // milli-cores/MiB
	tagFree     = "f"
	tagTasks    = "t"
	tagZone     = "z"
)

// What there is room for in the tags: their values together, beside the names of the
// tags and what gossip adds, the words about drivers, and the zone.
const (
	tagRoom  = 400
	maxFault = 120
	maxZone  = 128
)

func encodeResources(r api.Resources) string {
	return fmt.Sprintf("%d/%d", int64(r.CPUs), int64(r.Memory)>>20)
}

func decodeResources(s string) api.Resources {
	c, m, _ := strings.Cut(s, "/")
	cpus, err1 := strconv.ParseInt(c, 10, 64)
	mib, err2 := strconv.ParseInt(m, 10, 64)
	if err1 != nil || err2 != nil || cpus < 0 || mib < 0 || mib > math.MaxInt64>>20 {
		return api.Resources{}
	}
	return api.Resources{CPUs: api.CPUs(cpus), Memory: api.Bytes(mib << 20)}
}

// state is what this node gossips of itself. Lock held.
func (c *core) state() string {
	switch m := c.index.members[c.id]; {
	case !c.ready:
		return StateStarting
	case c.leaving:
		return StateLeaving
	case m != nil && m.Draining:
		return StateDraining
	}
	return StateReady
}

// tags are what this node says of itself in gossip.
func (p *Peer) tags() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tagsLocked()
}

func (c *core) tagsLocked() map[string]string {
	var drivers []string
	for name := range c.drivers {
		if c.usable[name] == "" {
			drivers = append(drivers, name)
		}
	}
	slices.Sort(drivers)
	ledger, tasks := c.ledger()
	tags := map[string]string{
		tagName: c.cfg.Name, tagVersion: c.cfg.Version.Version, tagState: c.state(),
		tagDrivers: strings.Join(drivers, ","), tagAllow: strings.Join(c.cfg.Allow, ","), tagCapacity: encodeResources(c.cfg.Capacity),
		tagFree: encodeResources(ledger.Free()), tagTasks: strconv.Itoa(tasks), tagZone: c.zone(),
	}
	room := tagRoom
	for _, v := range tags {
		room -= len(v)
	}
	tags[tagFault] = shortened(c.faults(), min(room, maxFault))
	return tags
}

// publish hands changed tags to gossip. Figures that move a little wait for ten
// seconds, so that a busy node does not gossip without end. Lock held.
func (p *Peer) publish(now time.Time) {
	tags := p.tagsLocked()
	if !tagsDiffer(p.published, tags, p.cfg.Capacity) && (now.Before(p.publishAt) || mapsEqual(p.published, tags)) {
		return
	}
	p.published, p.publishAt = tags, now.Add(10*time.Second)
	_ = p.membership.SetTags(tags) // logged there; the old ones stay
}

// tagsDiffer says whether new tags are worth telling at once: anything but the
// figures changed, or what is free moved by a twentieth of all.
func tagsDiffer(old, tags map[string]string, capacity api.Resources) bool {
	for k, v := range tags {
		if k != tagFree && k != tagTasks && old[k] != v {
			return true
		}
	}
	if (old[tagTasks] == "0") != (tags[tagTasks] == "0") {
		return true // somebody may be waiting for a drain to end
	}
	a, b := decodeResources(old[tagFree]), decodeResources(tags[tagFree])
	d := a.Sub(b)
	return max(d.CPUs, -d.CPUs)*20 >= capacity.CPUs || max(d.Memory, -d.Memory)*20 >= capacity.Memory
}

func mapsEqual(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

// nodeView is everything this node knows of one node.
type nodeView struct {
	NodeState
	boot     string
	name     string
	address  string
	version  string
	zone     string
	drivers  []string
	allow    []string
	capacity api.Resources
	free     api.Resources
	tasks    int
	why      string // it is absent
	fault    string // drivers that it cannot use, and why
	member   *MemberRecord
	since    time.Time
}

// cordoned says whether it takes no new tasks, which it says in the table.
func (v *nodeView) cordoned() bool { return v.member != nil && !v.member.Removed && v.member.Cordoned }

// nodes is this node's view of all nodes, itself included: live and dead members
// by gossip, and members that it has not seen at all. Lock held.
func (c *core) nodes(now time.Time) map[api.NodeID]*nodeView {
	out := map[api.NodeID]*nodeView{}
	for id, m := range gossip.Newest(c.around.Members()) {
		v := c.nodeView(api.NodeID(id), m, now)
		out[v.ID] = v
	}
	for id, rec := range c.index.members {
		v := out[id]
		if v == nil {
			if rec.Removed {
				continue
			}
			v = &nodeView{NodeState: c.absent(), name: rec.Name, address: rec.Address, why: "not seen since this node started", since: c.started}
			v.ID = id
			out[id] = v
		}
		v.member = rec
		if rec.Removed && !v.Alive {
			v.Left = true
		}
	}
	return out
}

// absent is the state of a node that was never seen since this one started.
func (c *core) absent() NodeState {
	return NodeState{AbsentSince: c.started, UnknownUntil: c.started.Add(bootGrace)}
}

func (c *core) nodeView(id api.NodeID, m gossip.Member, now time.Time) *nodeView {
	v := &nodeView{
		NodeState: NodeState{ID: id, Alive: m.Status == gossip.MemberAlive, Left: m.Status == gossip.MemberLeft, State: m.Tags[tagState], AbsentSince: m.Since},
		boot:      m.Boot, name: m.Tags[tagName], version: m.Tags[tagVersion], zone: m.Tags[tagZone], fault: m.Tags[tagFault],
		capacity: decodeResources(m.Tags[tagCapacity]), free: decodeResources(m.Tags[tagFree]),
		address: fmt.Sprintf("%s:%d", m.Addr, m.GossipPort), since: m.Since,
	}
	if d := m.Tags[tagDrivers]; d != "" {
		v.drivers = strings.Split(d, ",")
	}
	if a := m.Tags[tagAllow]; a != "" {
		v.allow = strings.Split(a, ",")
	}
	v.tasks, _ = strconv.Atoi(m.Tags[tagTasks]) // display only
	if id == c.id {
		v.Alive, v.Left, v.State = true, false, c.state()
		ledger, tasks := c.ledger()
		v.free, v.tasks = ledger.Free(), tasks
		return v
	}
	if v.Alive {
		if dead, why, since := c.around.Dead(string(id)); dead {
			v.Alive, v.why, v.AbsentSince, v.since = false, why, since, since
		}
	} else if v.why == "" {
		v.why = "no answer to gossip"
	}
	if v.Alive {
		c.seen[id] = true
		return v
	}
	v.State = ""
	if !c.seen[id] && v.UnknownUntil.Before(c.started.Add(bootGrace)) && !v.Left {
		v.UnknownUntil = c.started.Add(bootGrace)
	}
	if t, ok := c.byes[m.Boot]; ok && now.Before(t) && t.After(v.UnknownUntil) {
		v.UnknownUntil, v.why = t, "restarting"
	}
	return v
}

// aliveMembers are the ids of the other nodes that are alive, in order.
func (c *core) aliveMembers() []string {
	var out []string
	for id, m := range gossip.Newest(c.around.Members()) {
		if api.NodeID(id) == c.id || m.Status != gossip.MemberAlive {
			continue
		}
		if dead, _, _ := c.around.Dead(id); !dead {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// alivePeers is aliveMembers for libp2p.
func (p *Peer) alivePeers() []peer.ID {
	var out []peer.ID
	for _, id := range p.aliveMembers() {
		if pid, err := peer.Decode(id); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

func (p *Peer) connected(id peer.ID) bool {
	return p.host.Network().Connectedness(id) == network.Connected
}

// tableMembers lists the members whose word counts for forgetting removals: all
// that have not left, and have not been absent for a week of this node's time.
func (p *Peer) tableMembers() []gossip.Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastingMembers(time.Now())
}

// lastingMembers is tableMembers with the lock held.
func (c *core) lastingMembers(now time.Time) []gossip.Peer {
	nodes := c.nodes(now)
	var out []gossip.Peer
	for id, m := range c.index.members {
		if m.Removed {
			continue
		}
		if v := nodes[id]; v != nil && id != c.id && !v.Alive && now.Sub(v.AbsentSince) > forgetAfter {
			continue
		}
		out = append(out, gossip.Peer{ID: string(id), Since: int64(m.Stamp.Major)})
	}
	return out
}

// becomeReady decides whether this node may act. It may when it has compared its
// table with somebody's, or has waited for somebody for the settle time in vain,
// or is the first node there is. Lock held.
func (c *core) becomeReady(now time.Time) {
	if c.ready || !c.listed {
		return
	}
	if rival := c.rival(); rival != "" {
		c.notReady = rival
		return
	}
	known := len(c.index.members) > 0
	switch {
	case c.cfg.Probation && !c.joined:
		c.notReady = "it is not yet certain that the others can reach this node"
		return
	case c.cfg.Fresh || c.around.EverSynced():
	case c.tooFar() != "": // alone it would take for dead who only speaks another version
		c.notReady = c.tooFar()
		return
	case !known:
		c.notReady = "has not reached anybody of the cluster it joins"
		return
	case len(c.aliveMembers()) > 0:
		c.notReady = "has not yet compared its table with another node's"
		return
	case now.Sub(c.started) < c.settleTime():
		c.notReady = "waiting for other nodes to be seen"
		return
	}
	if c.hooks.enter != nil {
		if err := c.hooks.enter(); err != nil {
			c.notReady = err.Error()
			return
		}
	}
	c.ready, c.readySince, c.notReady = true, now, ""
	c.log.WithField("after", now.Sub(c.started).Round(time.Millisecond)).Info("ready")
}

// tooFar says with whom this node cannot talk, since their releases are too far apart.
func (c *core) tooFar() string {
	for _, a := range c.around.Apart() {
		if a.Concerns(string(c.id)) {
			return a.String()
		}
	}
	return ""
}

func (c *core) settleTime() time.Duration {
	if c.cfg.Profile == gossip.ProfileFast {
		return 3 * time.Second
	}
	return 10 * time.Second
}

// rival says so when another agent with this node's key is alive: a copied data
// directory. An earlier boot at our own address is ourselves, not yet forgotten.
func (c *core) rival() string {
	for _, m := range c.around.Members() {
		at := fmt.Sprintf("%s:%d", m.Addr, m.GossipPort)
		own := c.around.Address()
		if m.ID == string(c.id) && m.Boot != c.boot && m.Status == gossip.MemberAlive && at != own && m.Started <= c.started.UnixMilli() {
			return "another agent runs with this node's key at " + at + ": stop it, or remove the copied data directory and join anew"
		}
	}
	return ""
}

// enroll writes this node's member record, if the table has another or none, and
// returns what to put. Lock held.
func (c *core) enroll(now time.Time) (gossip.Record, bool) {
	address := c.around.Address()
	m := &MemberRecord{ID: c.id, Name: c.cfg.Name, Address: address, Labels: c.labels(nil), OS: c.cfg.OS, Arch: c.cfg.Arch}
	old := c.index.members[c.id]
	switch {
	case old == nil || old.Removed:
		m.Stamp.Major = uint64(now.UnixMilli())
		if old != nil && old.Stamp.Major >= m.Stamp.Major {
			m.Stamp.Major = old.Stamp.Major + 1
		}
		m.Stamp.Minor = 1
	case c.keepAmended(m, old).same(old):
		return gossip.Record{}, false
	default:
		m.Stamp.Major, m.Stamp.Minor = old.Stamp.Major, old.Stamp.Minor+1
	}
	m.Stamp.Writer = c.writer()
	r, err := m.record(now)
	if err != nil {
		c.log.WithError(err).Error("this node cannot be enrolled")
		return gossip.Record{}, false
	}
	c.index.apply(r)
	return r, true
}

// keepAmended carries over what only amend changes.
func (c *core) keepAmended(m, old *MemberRecord) *MemberRecord {
	m.Draining, m.Cordoned, m.Given, m.Labels = old.Draining, old.Cordoned, old.Given, c.labels(old.Given)
	return m
}

// writer names this boot in stamps.
func (c *core) writer() string { return string(c.id) + "." + c.boot }

// candidates are the nodes as a shortlist sees them. Lock held.
func candidates(nodes map[api.NodeID]*nodeView) []bidding.Candidate {
	out := make([]bidding.Candidate, 0, len(nodes))
	for id, v := range nodes {
		state := v.State
		if v.Left {
			continue
		}
		out = append(out, bidding.Candidate{
			ID: id, Name: v.name, Alive: v.Alive, State: state, Cordoned: v.cordoned(), Drivers: v.drivers, Allow: v.allow,
			Capacity: v.capacity, Free: v.free, Tasks: v.tasks,
		})
	}
	slices.SortFunc(out, func(a, b bidding.Candidate) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out
}

func encodeRecord(r gossip.Record) []byte {
	b, err := json.Marshal(r)
	if err != nil {
		return nil // a record is plain values: cannot happen
	}
	return b
}

func decodeRecord(b []byte) (gossip.Record, error) {
	var r gossip.Record
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("decode a record: %w", err)
	}
	return r, r.Check()
}
