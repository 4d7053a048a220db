package peer

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
)

// maxRepairs bounds the repairs that are timed at once.
const maxRepairs = 10_000

// Buckets of durations, in seconds.
var (
	quickBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5} // of messages
	slowBuckets  = []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}      // of what waits for machines
)

// metrics is what a node counts as it goes. What it can look up is [gauges].
type metrics struct {
	auctions     prometheus.Histogram
	slots        *prometheus.CounterVec // result
	bids         prometheus.Counter
	awards       *prometheus.CounterVec // result
	detect       prometheus.Histogram
	repair       prometheus.Histogram
	starts       *prometheus.CounterVec // driver
	stops        *prometheus.CounterVec // driver
	failures     *prometheus.CounterVec // driver
	syncs        prometheus.Histogram
	syncFailures prometheus.Counter
}

// newMetrics makes them, all at zero: what never happened is exported too.
func newMetrics(drivers []string) *metrics {
	counter := func(name, help string, label string, values ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		for _, value := range values {
			v.WithLabelValues(value)
		}
		return v
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	}
	return &metrics{
		auctions: histogram("orch_auction_duration_seconds", "Auctions held by this node, and how long each took.", quickBuckets),
		slots:    counter("orch_auction_slots_total", "Slots put up for auction by this node, by what became of them.", "result", "placed", "left"),
		bids:     prometheus.NewCounter(prometheus.CounterOpts{Name: "orch_bids_total", Help: "Calls for bids answered by this node."}),
		awards: counter("orch_awards_total", "Slots awarded to this node: accepted, or the reason of the refusal.", "result",
			"accepted", "no_room", "cordoned", "draining", "excluded", "not_wanted", "not_synced", "stale_epoch", "malformed"),
		detect:       histogram("orch_repair_detect_seconds", "From the break of the connection to a node until this node took it for dead.", slowBuckets),
		repair:       histogram("orch_repair_duration_seconds", "From the death of a node until a slot that it had ran elsewhere, for slots auctioned by this node.", slowBuckets),
		starts:       counter("orch_task_starts_total", "Tasks started by this node.", "driver", drivers...),
		stops:        counter("orch_task_stops_total", "Tasks stopped by this node.", "driver", drivers...),
		failures:     counter("orch_task_failures_total", "Attempts at tasks that failed on this node.", "driver", drivers...),
		syncs:        histogram("orch_sync_duration_seconds", "Comparisons of the table with another node's, begun by this node.", quickBuckets),
		syncFailures: prometheus.NewCounter(prometheus.CounterOpts{Name: "orch_sync_failures_total", Help: "Comparisons of the table that broke off."}),
	}
}

// all lists the instruments.
func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.auctions, m.slots, m.bids, m.awards, m.detect, m.repair, m.starts, m.stops, m.failures, m.syncs, m.syncFailures}
}

// auctioned counts an auction.
func (m *metrics) auctioned(took time.Duration, slots int, r bidding.Result) {
	m.auctions.Observe(took.Seconds())
	m.slots.WithLabelValues("left").Add(float64(len(r.Left)))
	m.slots.WithLabelValues("placed").Add(float64(max(0, slots-len(r.Left))))
}

// awarded counts what this node answered to an award.
func (m *metrics) awarded(refusals []*api.Refusal) {
	for _, r := range refusals {
		result := "accepted"
		if r != nil {
			result = r.Code // one of ours
		}
		m.awards.WithLabelValues(result).Inc()
	}
}

// synced counts a sync that this node began.
func (m *metrics) synced(took time.Duration, err error) {
	if err != nil {
		m.syncFailures.Inc()
		return
	}
	m.syncs.Observe(took.Seconds())
}

// repair is a slot that was lost with its node, until it runs again.
type repair struct {
	epoch uint64    // that was lost
	since time.Time // its node was taken for dead
}

// watchBreaks notes when connections break, for how long a death took to notice.
func (p *Peer) watchBreaks() {
	p.host.Network().Notify(&network.NotifyBundle{DisconnectedF: func(n network.Network, c network.Conn) {
		if n.Connectedness(c.RemotePeer()) != network.Connected {
			p.mu.Lock()
			p.broke[nodeID(c.RemotePeer())] = time.Now()
			p.mu.Unlock()
		}
	}})
}

// lost begins to time the repair of slots that are put up for auction because their
// owner is dead. Lock held.
func (p *Peer) lost(a Auction, nodes map[api.NodeID]*nodeView) {
	for _, i := range a.Slots {
		k := SlotKey{Job: a.Job, Life: a.Life, Slot: i}
		old := p.index.slot(k)
		if old == nil || old.State.Final() || len(p.repairs) >= maxRepairs {
			continue
		}
		v := nodes[old.Owner()]
		if v == nil || v.Alive || v.Left {
			continue
		}
		if _, known := p.repairs[k]; !known {
			p.repairs[k] = repair{epoch: old.Epoch(), since: v.AbsentSince}
		}
		if broke, ok := p.broke[v.ID]; ok && !broke.After(v.AbsentSince) {
			p.metrics.detect.Observe(v.AbsentSince.Sub(broke).Seconds())
			delete(p.broke, v.ID) // once for each death
		}
	}
}

// repaired ends that, when the slot runs. Lock held.
func (p *Peer) repaired(k SlotKey, now time.Time) {
	r, ok := p.repairs[k]
	a := p.index.slot(k)
	switch {
	case !ok:
	case a == nil || a.State.Final() && a.Epoch() > r.epoch:
		delete(p.repairs, k)
	case a.State == api.Running && a.Epoch() > r.epoch:
		p.metrics.repair.Observe(now.Sub(r.since).Seconds())
		delete(p.repairs, k)
	}
}
