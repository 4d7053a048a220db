package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// What orch check compares, and what it makes of several looks. All of it is pure:
// what the nodes said goes in, findings come out.

// The kinds of findings, the worst first.
const (
	violation = "violation"  // it must not be so
	unsettled = "unsettled"  // it should not stay so, and may be about to change
	silent    = "silent"     // what a node has is not known, since it does not say
	notServed = "not_served" // a task that is wanted does not run, and the cluster says why
)

// kindsOf are all kinds, in the order in which findings are listed.
var kindsOf = []string{violation, unsettled, silent, notServed}

// A finding is one thing that is not as it should be.
type finding struct {
	Kind     string     `json:"kind"`
	Rule     string     `json:"rule"` // what was compared, in a word
	Job      string     `json:"job"`
	Task     string     `json:"task"` // "web.3", or the attempt "web.3@2" that it is about
	Node     api.NodeID `json:"node"`
	NodeName string     `json:"node_name"`
	Found    string     `json:"found"`
	Expected string     `json:"expected"`

	subject  string        // tells it from other findings of the rule about the same task and node
	patience time.Duration // how long it may rightly be so
}

// key is the same for the same finding of another look.
func (f finding) key() string {
	return strings.Join([]string{f.Rule, f.Job, f.Task, string(f.Node), f.subject}, " ")
}

// A snapshot is what the nodes said, one after the other: not all of one moment.
type snapshot struct {
	nodes    []api.Node // all members, as the node asked sees them
	jobs     []api.Job
	tasks    []api.Task             // what the records say, of tasks that are not wanted too
	accounts map[api.NodeID]account // of the nodes that are alive
}

// An account is what a node said of itself.
type account struct {
	digest *api.Digest     // of its table; nil: it did not say
	listed bool            // held is what its engines have
	held   []api.Container // that have not ended
	sees   []api.Node      // nil: it did not say
	fault  string          // why one of these is missing
}

// Times that some states may rightly last.
const (
	stopMargin   = 2 * time.Second  // for a node to see that a container should stop, and that it has
	bootGrace    = 30 * time.Second // before a node stops what no record is of
	explainLimit = 30 * time.Second // before somebody says why a task waits
)

// A comparison is a snapshot in order, and what was found so far.
type comparison struct {
	snapshot
	found []finding
	nodes map[api.NodeID]api.Node
	jobs  map[string]api.Job
	slots map[slot]api.Task
}

// A slot names a task of one life of a job.
type slot struct {
	job   string
	life  int64
	index int
}

// compare finds what is not as it should be, sorted.
func compare(s snapshot) []finding {
	c := &comparison{snapshot: s, nodes: map[api.NodeID]api.Node{}, jobs: map[string]api.Job{}, slots: map[slot]api.Task{}}
	for _, n := range s.nodes {
		c.nodes[n.ID] = n
	}
	for _, j := range s.jobs {
		c.jobs[j.Name] = j
	}
	for _, t := range s.tasks {
		c.slots[slot{t.Job, t.Life, t.Index}] = t
	}
	for _, n := range s.nodes {
		c.answers(n)
	}
	c.tables()
	c.views()
	for _, j := range s.jobs {
		c.wanted(j)
	}
	for id, r := range s.accounts {
		for _, h := range r.held {
			c.container(id, h)
		}
		c.capacity(c.nodes[id], r)
	}
	sortFindings(c.found)
	return c.found
}

func sortFindings(list []finding) {
	slices.SortFunc(list, func(a, b finding) int {
		return cmp.Or(cmp.Compare(slices.Index(kindsOf, a.Kind), slices.Index(kindsOf, b.Kind)),
			cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Job, b.Job), cmp.Compare(a.Task, b.Task), cmp.Compare(a.NodeName, b.NodeName), cmp.Compare(a.key(), b.key()))
	})
}

// note keeps a finding about a node; "" is none.
func (c *comparison) note(node api.NodeID, f finding) {
	f.Node, f.NodeName = node, c.name(node)
	c.found = append(c.found, f)
}

func (c *comparison) name(id api.NodeID) string { return cmp.Or(c.nodes[id].Name, id.Short()) }

// alive says whether the node asked sees the node alive.
func (c *comparison) alive(id api.NodeID) bool { return isAlive(c.nodes[id]) }

func isAlive(n api.Node) bool {
	return slices.Contains([]api.NodeStatus{api.NodeStarting, api.NodeReady, api.NodeDraining, api.NodeDrained}, n.Status)
}

// answers: every member is alive and says what it has, and none is on its way in or out.
func (c *comparison) answers(n api.Node) {
	f := finding{Kind: silent, Rule: "answer", Expected: "an answer"}
	switch r := c.accounts[n.ID]; {
	case !isAlive(n):
		f.Found, f.Expected = withReason(string(n.Status), n.Reason), "an answer; orch node rm forgets a node that is gone for good"
	case r.fault != "":
		f.Found = r.fault
	case n.Status == api.NodeStarting:
		f.Kind, f.Rule, f.Found, f.Expected = unsettled, "ready", withReason("starting", n.Reason), "ready"
	case n.Status == api.NodeDraining:
		f.Kind, f.Rule, f.Found, f.Expected = unsettled, "drain", "draining, with "+count(n.Tasks, "task"), "none"
	default:
		return
	}
	c.note(n.ID, f)
}

func withReason(what, reason string) string {
	if reason == "" || reason == what {
		return what
	}
	return what + ": " + reason
}

// tables: those of all nodes are equal. The one that most have is taken for right or,
// of as many, that of the node asked.
func (c *comparison) tables() {
	have := map[string][]api.NodeID{}
	for _, n := range c.snapshot.nodes {
		if d := c.accounts[n.ID].digest; d != nil {
			have[d.Digest] = append(have[d.Digest], n.ID)
		}
	}
	best := ""
	rank := func(digest string) int {
		r := 2 * len(have[digest])
		if slices.ContainsFunc(have[digest], func(id api.NodeID) bool { return c.nodes[id].Self }) {
			r++
		}
		return r
	}
	for digest := range have {
		if rank(digest) > rank(best) || rank(digest) == rank(best) && digest < best {
			best = digest
		}
	}
	for digest, ids := range have {
		if digest == best {
			continue
		}
		for _, id := range ids {
			c.note(id, finding{
				Kind: violation, Rule: "table", subject: digest + " " + best, // tables that change are about to be equal
				Found:    fmt.Sprintf("a table of %s, digest %s", count(c.accounts[id].digest.Records, "record"), digest),
				Expected: fmt.Sprintf("%s, digest %s, as %s", count(c.accounts[have[best][0]].digest.Records, "record"), best, c.names(have[best])),
			})
		}
	}
}

// names lists nodes, the first few of them.
func (c *comparison) names(ids []api.NodeID) string {
	var parts []string
	for i, id := range ids {
		if i == 5 {
			parts = append(parts, fmt.Sprintf("%d more", len(ids)-i))
			break
		}
		parts = append(parts, c.name(id))
	}
	return strings.Join(parts, ", ")
}

// views: the nodes agree on who is alive. A node that has answered is; of another
// one, most are taken to be right.
func (c *comparison) views() {
	by := map[api.NodeID]map[api.NodeID]bool{} // who sees whom alive
	all := slices.Clone(c.snapshot.nodes)      // and those that others know
	for _, n := range c.snapshot.nodes {
		if r := c.accounts[n.ID]; r.sees != nil {
			by[n.ID] = map[api.NodeID]bool{}
			for _, m := range r.sees {
				by[n.ID][m.ID] = isAlive(m)
				if !slices.ContainsFunc(all, func(o api.Node) bool { return o.ID == m.ID }) {
					all = append(all, m)
				}
			}
		}
	}
	for _, n := range all {
		var yes, no []api.NodeID
		for _, m := range c.snapshot.nodes {
			switch seen, reports := by[m.ID][n.ID], by[m.ID] != nil; {
			case !reports || m.ID == n.ID:
			case seen:
				yes = append(yes, m.ID)
			default:
				no = append(no, m.ID)
			}
		}
		wrong, f := no, finding{Rule: "view", Kind: violation, Found: n.Name + " is not alive", Expected: n.Name + " is alive", subject: string(n.ID)}
		switch answered := c.accounts[n.ID].digest != nil; {
		case answered:
			f.Expected += ", since it answers"
		case len(yes) >= len(no):
			f.Expected += ", as " + c.names(yes) + " see it"
		default:
			wrong, f.Found, f.Expected = yes, f.Expected, f.Found+", as "+c.names(no)+" see it"
		}
		for _, id := range wrong {
			c.note(id, f)
		}
	}
}

// capacity: nothing is promised more than it has. Gossip tells memory in MiB.
func (c *comparison) capacity(n api.Node, r account) {
	if n.Capacity == (api.Resources{}) || !r.listed {
		return
	}
	var used api.Resources
	counted := map[slot]bool{}
	for _, h := range r.held {
		used, counted[slotOf(h)] = used.Add(h.Resources), true
	}
	for _, t := range c.tasks {
		if t.Node == n.ID && t.State.Live() && !counted[slot{t.Job, t.Life, t.Index}] {
			used = used.Add(t.Resources)
		}
	}
	if used.CPUs > n.Capacity.CPUs || used.Memory>>20 > n.Capacity.Memory>>20 {
		c.note(n.ID, finding{
			Kind: violation, Rule: "capacity",
			Found:    fmt.Sprintf("tasks for %s cpus and %s", used.CPUs, used.Memory),
			Expected: fmt.Sprintf("at most %s cpus and %s", n.Capacity.CPUs, n.Capacity.Memory),
		})
	}
}
