package peer

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/exitae337/orchestergo/api"
)

// gauges are looked up when they are asked for.
var gauges = struct {
	ready, known, alive, isolated, jobs, tasks, capacityCPUs, capacityMemory, freeCPUs, freeMemory, records *prometheus.Desc
}{
	ready:          gauge("orch_ready", "1 if this node takes requests."),
	known:          gauge("orch_nodes_known", "Members of the cluster that have not left, as this node sees it."),
	alive:          gauge("orch_nodes_alive", "Nodes alive, this one included, as this node sees it."),
	isolated:       gauge("orch_isolated", "1 if this node knows others and sees none of them."),
	jobs:           gauge("orch_jobs", "Jobs in the cluster that are not removed."),
	tasks:          gauge("orch_tasks", "Wanted slots in the cluster, by the state of their tasks, as this node sees it.", "state"),
	capacityCPUs:   gauge("orch_capacity_cpus", "Cores that this node offers."),
	capacityMemory: gauge("orch_capacity_memory_bytes", "Memory that this node offers."),
	freeCPUs:       gauge("orch_free_cpus", "Cores of this node that no task has."),
	freeMemory:     gauge("orch_free_memory_bytes", "Memory of this node that no task has."),
	records:        gauge("orch_table_records", "Records in this node's table, removals included."),
}

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// taskStates are those that a wanted slot can be in.
var taskStates = []api.TaskState{
	api.Pending, api.Accepted, api.Pulling, api.Starting, api.Running, api.Stopping, api.Failed, api.Complete, api.Lost,
}

// collector exports a node.
type collector struct{ p *Peer }

// Metrics exports what the node counts and how it stands. It may be collected
// between Open and the end of Run.
func (p *Peer) Metrics() prometheus.Collector { return collector{p} }

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.p.metrics.all() {
		m.Describe(out)
	}
	g := gauges
	for _, d := range []*prometheus.Desc{g.ready, g.known, g.alive, g.isolated, g.jobs, g.tasks, g.capacityCPUs, g.capacityMemory, g.freeCPUs, g.freeMemory, g.records} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, m := range c.p.metrics.all() {
		m.Collect(out)
	}
	p, g, view := c.p, gauges, c.p.View()
	p.mu.Lock()
	jobs, states, ready := len(p.index.sortedJobs()), p.taskCounts(time.Now()), p.ready
	ledger, _ := p.ledger()
	p.mu.Unlock()
	free, capacity := ledger.Free(), p.cfg.Capacity
	send := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	send(g.ready, oneIf(ready))
	send(g.known, float64(view.Known))
	send(g.alive, float64(view.Alive))
	send(g.isolated, oneIf(view.Isolated))
	send(g.jobs, float64(jobs))
	for _, s := range taskStates {
		send(g.tasks, float64(states[s]), string(s))
	}
	send(g.capacityCPUs, capacity.CPUs.Cores())
	send(g.capacityMemory, float64(capacity.Memory))
	send(g.freeCPUs, free.CPUs.Cores())
	send(g.freeMemory, float64(free.Memory))
	send(g.records, float64(p.replica.Len()))
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// taskCounts counts the wanted slots by state. Lock held.
func (p *Peer) taskCounts(now time.Time) map[api.TaskState]int {
	nodes, counts := p.nodes(now), map[api.TaskState]int{}
	for _, j := range p.index.sortedJobs() {
		for i := range j.Spec.Replicas {
			if j.Wants(i) {
				counts[taskState(p.index.slot(j.Slot(i)), nodes)]++
			}
		}
	}
	return counts
}

// taskState is how a wanted slot stands.
func taskState(a *Assignment, nodes map[api.NodeID]*nodeView) api.TaskState {
	if a == nil || a.State == api.Stopped { // of an earlier wish
		return api.Pending
	}
	if v := nodes[a.Owner()]; !a.State.Final() && (v == nil || !v.Alive) {
		return api.Lost
	}
	return a.State
}
