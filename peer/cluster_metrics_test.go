package peer_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// measured sums what the nodes export under a name: of a histogram, how many were
// observed and their sum; with a label's value, only that.
func (c *cluster) measured(name, value string, nodes ...*node) (total, sum float64) {
	c.t.Helper()
	for _, n := range nodes {
		r := prometheus.NewRegistry()
		r.MustRegister(n.agent.Metrics())
		all, err := r.Gather()
		if err != nil {
			c.t.Fatal(err)
		}
		for _, family := range all {
			if family.GetName() != name {
				continue
			}
			for _, m := range family.GetMetric() {
				if value != "" && m.GetLabel()[0].GetValue() != value {
					continue
				}
				total += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
				sum += m.GetHistogram().GetSampleSum()
			}
		}
	}
	return total, sum
}

// What the nodes export is what happened: each task is started once, and again when
// its node dies; each of these is a repair with its duration.
func TestClusterMetrics(t *testing.T) {
	inCluster(t, 4, eightCPUs, func(t *testing.T, c *cluster) {
		const tasks = 8
		c.submit(c.nodes[0], service("web", tasks))
		c.settle(30*time.Second, c.nodes...)
		wants := func(name, value string, want float64, nodes ...*node) {
			t.Helper()
			if got, _ := c.measured(name, value, nodes...); got != want {
				t.Errorf("%s %s is %v, want %v", name, value, got, want)
			}
		}
		wants("orch_nodes_alive", "", 4, c.nodes[0])
		wants("orch_jobs", "", 1, c.nodes[0])
		wants("orch_tasks", "running", tasks, c.nodes[0])
		wants("orch_tasks", "pending", 0, c.nodes[0])
		wants("orch_task_starts_total", "process", tasks, c.nodes...)
		wants("orch_awards_total", "accepted", tasks, c.nodes...)
		wants("orch_auction_slots_total", "placed", tasks, c.nodes...)
		wants("orch_capacity_cpus", "", 4*8, c.nodes...)
		wants("orch_free_cpus", "", 4*8-tasks, c.nodes...)
		for _, name := range []string{"orch_auction_duration_seconds", "orch_bids_total", "orch_sync_duration_seconds", "orch_table_records"} {
			if got, _ := c.measured(name, "", c.nodes...); got == 0 {
				t.Errorf("%s is 0", name)
			}
		}

		victim := c.pick(func(n *node) bool { return runs("web", n) > 0 })
		had := float64(runs("web", victim))
		c.crash(victim)
		rest := c.rest(victim)
		c.settle(time.Minute, rest...)
		wants("orch_nodes_alive", "", 3, rest[0])
		wants("orch_tasks", "running", tasks, rest[0])
		repairs, took := c.measured("orch_repair_duration_seconds", "", rest...)
		if repairs != had || took <= 0 || took > 60*had {
			t.Errorf("%v repairs took %vs in all, want %v", repairs, took, had)
		}
		detected, took := c.measured("orch_repair_detect_seconds", "", rest...)
		if detected < 1 || took < 0 || took > 60 {
			t.Errorf("%v deaths were noticed in %vs, want at least one", detected, took)
		}
		victim.start(false)
		c.settle(2*time.Minute, c.nodes...)
	})
}
