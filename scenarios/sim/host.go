package sim

import (
	"fmt"
	"maps"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// host is a machine: its disk, its engine, its clock, and the agent on it, if one
// runs. A wiped host is another node of the cluster from then on.
type host struct {
	sim      *Sim
	index    int
	name     string
	id       api.NodeID
	room     api.Resources
	disk     disk
	lags     time.Duration // until then others' records come late, but for those of what it is asked
	old      *disk         // a copy of the disk made earlier, if any
	engine   engine
	skew     time.Duration // of its clock
	boots    int
	agent    *agent // nil while none runs
	outside  bool   // not healed: what it does by itself does not count
	draining bool   // it was told to give up its tasks
	leaving  bool   // its agent was told to leave
	left     bool   // it has left for good, and is not started again
}

// disk is what survives an agent.
type disk struct {
	records map[string]gossip.Record
	meta    gossip.Meta
}

func (d disk) copy() disk {
	return disk{records: maps.Clone(d.records), meta: gossip.Meta{Floor: d.meta.Floor, LastSync: d.meta.LastSync, Heard: maps.Clone(d.meta.Heard)}}
}

// clock is the time by the host's own clock.
func (h *host) clock() time.Time { return epoch.Add(h.sim.now + h.skew) }

// changed has the agent look at the engine soon.
func (h *host) changed() {
	a := h.agent
	if a == nil {
		return
	}
	h.sim.after(h.sim.between(time.Millisecond, 30*time.Millisecond), func() {
		if h.agent == a {
			a.relist()
			a.lookSoon()
		}
	})
}

// boot starts an agent on the host.
func (h *host) boot() {
	if h.agent != nil || h.left {
		return
	}
	h.boots, h.leaving = h.boots+1, false
	h.agent = newAgent(h, fmt.Sprintf("%s-b%d", h.name, h.boots))
	h.sim.remembers(h.agent)
	h.sim.appeared(h)
}

// kill ends the agent: what was not on disk is lost, its containers stay.
func (h *host) kill() {
	if h.agent == nil {
		return
	}
	a := h.agent
	h.agent = nil
	h.sim.vanished(h, a)
}

// crash ends the whole host.
func (h *host) crash() {
	h.kill()
	h.engine.killAll()
}

// wipe empties the data directory: the host comes back as another node, with the
// engine as it was.
func (h *host) wipe() {
	h.kill()
	h.sim.lostDisk(h, disk{})
	h.disk = disk{records: map[string]gossip.Record{}}
	h.old, h.draining = nil, false
	h.sim.retire(h)
}

// restore puts an earlier copy of the disk back.
func (h *host) restore() {
	h.kill()
	if h.old != nil {
		h.sim.rewound = true
		h.sim.lostDisk(h, *h.old)
		h.disk = h.old.copy()
	}
}

// counts adds to a figure, unless the host is none that was healed.
func (h *host) counts(figure *int, n int) {
	if !h.outside {
		*figure += n
	}
}
