package peer_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/peer"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/fake"
)

// within advances the time of the bubble until ok says "", and returns how long it took.
func (c *cluster) within(limit time.Duration, what string, ok func() string) time.Duration {
	c.t.Helper()
	begun := time.Now()
	for {
		why := ok()
		if why == "" {
			return time.Since(begun)
		}
		if time.Since(begun) > limit {
			c.t.Fatalf("not within %v: %s: %s", limit, what, why)
		}
		c.pass(50 * time.Millisecond)
	}
}

// settle waits until, as nodes have it, all is as wanted.
func (c *cluster) settle(limit time.Duration, nodes ...*node) time.Duration {
	c.t.Helper()
	return c.within(limit, "settled", func() string { return c.unsettled(nodes...) })
}

// unsettled says what is not as wanted on nodes, which see each other: every slot
// of every wanted job runs exactly once, nothing else does, and all tell the same.
func (c *cluster) unsettled(nodes ...*node) string {
	ctx := c.t.Context()
	running := map[string]string{} // task → node and epoch
	for _, n := range nodes {
		if n.agent == nil {
			return n.name + " has no agent"
		}
		if err := n.agent.Ready(ctx); err != nil {
			return err.Error()
		}
		if why := c.seesOtherwise(n, nodes); why != "" {
			return why
		}
		held := n.containers()
		if why := c.isOtherwise(n, held); why != "" {
			return why
		}
		for _, h := range held {
			l := h.Labels
			if other, twice := running[l.Task().Slot()]; twice || h.State != runtime.Running {
				return fmt.Sprintf("%s is %s on %s, and %s has it", l.Task(), h.State, n.name, other)
			}
			running[l.Task().Slot()] = fmt.Sprintf("%s@%d", n.name, l.Epoch)
		}
	}
	wanted := 0
	for job, copies := range c.want {
		wanted += copies
		for i := range copies {
			if id := fmt.Sprintf("%s.%d", job, i); running[id] == "" {
				return id + " does not run: " + c.why(nodes[0], id)
			}
		}
	}
	if len(running) != wanted {
		return fmt.Sprintf("%d containers run, %d are wanted: %v", len(running), wanted, running)
	}
	for _, n := range nodes {
		if why := c.tellsOtherwise(n, running); why != "" {
			return why
		}
		if got, want := n.agent.Digest(), nodes[0].agent.Digest(); got != want {
			return fmt.Sprintf("the tables of %s and %s differ:\n%s", n.name, nodes[0].name, difference(n.agent.Dump(), nodes[0].agent.Dump()))
		}
	}
	return ""
}

// seesOtherwise says so unless n sees exactly nodes alive, and all of them ready.
func (c *cluster) seesOtherwise(n *node, nodes []*node) string {
	all, err := n.agent.Nodes(c.t.Context())
	if err != nil {
		return err.Error()
	}
	for _, v := range all {
		want := slices.Contains(nodes, c.byID(v.ID))
		if is := v.Status == api.NodeReady; is != want {
			return fmt.Sprintf("%s calls %s %s", n.name, v.Name, v.Status)
		}
	}
	if v := n.agent.View(); v.Alive != len(nodes) || v.Isolated && len(nodes) > 1 {
		return fmt.Sprintf("%s says: %+v", n.name, v)
	}
	return ""
}

// isOtherwise says so unless what n holds is made as the table says, and n counts
// exactly that as committed.
func (c *cluster) isOtherwise(n *node, held []runtime.Container) string {
	self, err := n.agent.Node(c.t.Context(), "self")
	if err != nil {
		return err.Error()
	}
	var sum api.Resources
	for _, h := range held {
		l := h.Labels
		sum = sum.Add(l.Resources)
		if j, err := n.agent.Job(c.t.Context(), l.Job); err != nil || j.CreatedAt.UnixMilli() != l.Life || j.Template != l.TemplateHash {
			return fmt.Sprintf("%s on %s is %s of life %d, its job is %s of life %d, %v", l.Task(), n.name, l.TemplateHash, l.Life, j.Template, j.CreatedAt.UnixMilli(), err)
		}
	}
	if used := self.Capacity.Sub(self.Free); used != sum {
		return fmt.Sprintf("%s counts %+v as committed, its containers are %+v", n.name, used, sum)
	}
	return ""
}

// tellsOtherwise compares what the API of n says with what runs.
func (c *cluster) tellsOtherwise(n *node, running map[string]string) string {
	tasks, err := n.agent.Tasks(c.t.Context(), api.TaskFilter{})
	if err != nil {
		return err.Error()
	}
	for _, t := range tasks {
		if t.State == api.Complete || t.State == api.Lost && t.Desired == "stopped" {
			continue // it is over, or it was not wanted any more when its node died
		}
		owner := c.byID(t.Node)
		if owner == nil || t.State != api.Running {
			return fmt.Sprintf("%s calls %s %s on %q: %s", n.name, t.Attempt, t.State, t.NodeName, t.Reason)
		}
		if got := running[t.ID]; !strings.HasPrefix(got, owner.name+"@") {
			return fmt.Sprintf("%s says that %s is on %s, it is at %s", n.name, t.Attempt, owner.name, got)
		}
	}
	return ""
}

// why is what n says of a task.
func (c *cluster) why(n *node, id string) string {
	t, err := n.agent.Task(c.t.Context(), id)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %s on %q: %s", t.Attempt, t.State, t.NodeName, t.Reason)
}

func (c *cluster) byID(id api.NodeID) *node {
	for _, n := range c.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

// containers lists what exists on the engine of n and has not exited.
func (n *node) containers() []runtime.Container {
	all, err := n.engine.List(n.c.t.Context())
	if err != nil {
		n.c.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(h runtime.Container) bool { return h.State == runtime.Exited })
}

// runs counts the containers of job that run on nodes.
func runs(job string, nodes ...*node) int {
	count := 0
	for _, n := range nodes {
		for _, h := range n.containers() {
			if h.State == runtime.Running && h.Labels.Job == job {
				count++
			}
		}
	}
	return count
}

// happened is one line of the history of the whole cluster.
type happened struct {
	fake.Entry
	node *node
}

// history is all that has happened on all engines, in order.
func (c *cluster) history() []happened {
	var all []happened
	for _, n := range c.nodes {
		for _, e := range n.engine.History() {
			all = append(all, happened{e, n})
		}
	}
	slices.SortStableFunc(all, func(a, b happened) int { return a.At.Compare(b.At) })
	return all
}

// now is the time of nothing that has happened so far.
func (c *cluster) now() time.Time {
	time.Sleep(time.Millisecond)
	return time.Now()
}

// starts lists the attempts that were started since a time.
func (c *cluster) starts(since time.Time) []string {
	var out []string
	for _, h := range c.history() {
		if h.Event == fake.Starting && !h.At.Before(since) {
			out = append(out, fmt.Sprintf("%s on %s at +%v", h.Labels.Task(), h.node.name, h.At.Sub(since)))
		}
	}
	return out
}

// noStarts waits, and fails if anything was started meanwhile.
func (c *cluster) noStarts(wait time.Duration, what string) {
	c.t.Helper()
	begun := c.now()
	time.Sleep(wait)
	if got := c.starts(begun); len(got) > 0 {
		c.t.Errorf("%s: started in %v: %v, want nothing", what, wait, got)
	}
}

// checkHistory checks what has to hold at all times: no node runs more than it
// offers, or two tasks on one port; none starts an epoch below one that it has
// started, or a task that it knows to be complete; and while all see the same no
// epoch of a slot is started on two nodes.
func (c *cluster) checkHistory() {
	used, started := map[*node]map[string]runtime.Labels{}, started{map[string]uint64{}, map[string]*node{}}
	for _, h := range c.history() {
		n, l := h.node, h.Labels
		if used[n] == nil {
			used[n] = map[string]runtime.Labels{}
		}
		switch h.Event {
		case fake.Ended, fake.Gone:
			delete(used[n], h.ID)
		case fake.Starting:
			used[n][h.ID] = l
			c.checkStart(h, started)
		}
		if sum, ports := total(used[n]); !sum.Fits(n.room) || slices.Max(append(ports, 0)) > 1 {
			c.t.Errorf("at %s %s is committed to %v of %v, and to ports so often: %v", clock(h.At), n.name, sum, n.room, ports)
		}
	}
}

// started is what was started before: the last epoch by node and slot, and where by
// attempt.
type started struct {
	last  map[string]uint64
	where map[string]*node
}

func (c *cluster) checkStart(h happened, before started) {
	n, l := h.node, h.Labels
	slot := fmt.Sprintf("%s %s %d", n.name, l.Task().Slot(), l.Life)
	if l.Epoch < before.last[slot] {
		c.t.Errorf("%s started %s after epoch %d", n.name, l.Task(), before.last[slot])
	}
	before.last[slot] = l.Epoch
	if since := c.complete[n][peer.SlotKey{Job: l.Job, Life: l.Life, Slot: l.Slot}]; !since.IsZero() && h.At.After(since) {
		c.t.Errorf("%s started %s at %s, and knew that it is complete since %s", n.name, l.Task(), clock(h.At), clock(since))
	}
	attempt := fmt.Sprintf("%s %d", l.Task(), l.Life)
	if other := before.where[attempt]; other != nil && other != n && !c.twice {
		c.t.Errorf("%s was started on %s and on %s", l.Task(), other.name, n.name)
	}
	before.where[attempt] = n
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// total is what containers need in all, and how often they need each port.
func total(used map[string]runtime.Labels) (sum api.Resources, ports []int) {
	often := map[int]int{}
	for _, l := range used {
		sum = sum.Add(l.Resources)
		for _, p := range l.Ports {
			often[p.Published]++
		}
	}
	return sum, slices.Collect(maps.Values(often))
}

// placement says where what runs.
func (c *cluster) placement() string {
	var out []string
	for _, n := range c.nodes {
		for _, h := range n.containers() {
			out = append(out, fmt.Sprintf("%s %s", n.name, h.ID))
		}
	}
	slices.SortFunc(out, cmp.Compare[string])
	return strings.Join(out, ", ")
}

// service is a job that the engines can run.
func service(name string, replicas int) api.Job {
	j := api.NewJob()
	j.Name, j.Driver, j.Command, j.Replicas = name, "process", []string{"run"}, replicas
	j.Resources = api.Resources{CPUs: 1000, Memory: 64 << 20}
	return j
}

// submit has n create a job, and expects it to run from then on.
func (c *cluster) submit(n *node, j api.Job) api.Job {
	c.t.Helper()
	w, err := n.agent.Submit(c.t.Context(), j, api.WriteOptions{})
	if err != nil {
		c.t.Fatalf("submit %s to %s: %v", j.Name, n.name, err)
	}
	if !w.Durable() && !c.twice {
		c.t.Errorf("%s is on %d disks, want %d", j.Name, w.Disks, w.Wanted)
	}
	c.want[j.Name] = j.Replicas
	if j.Type == api.BatchJob {
		delete(c.want, j.Name)
	}
	c.frozen[j.Name] = j.OnPartition == "freeze"
	return w.Job
}

// did fails the test if a write did not succeed.
func (c *cluster) did(w api.Written, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// coordinator is the node that n holds for the coordinator of a job.
func (c *cluster) coordinator(n *node, job string) *node {
	c.t.Helper()
	j, err := n.agent.Job(c.t.Context(), job)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.byID(j.Coordinator)
}

// rest is all nodes but some.
func (c *cluster) rest(but ...*node) []*node {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(n *node) bool { return slices.Contains(but, n) })
}

// names of nodes.
func names(nodes []*node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.name)
	}
	return out
}

// sorted are the keys of m in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// difference is what only one of two tables has.
func difference(a, b []string) string {
	var out []string
	for _, line := range a {
		if !slices.Contains(b, line) {
			out = append(out, "< "+line)
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			out = append(out, "> "+line)
		}
	}
	return strings.Join(out, "\n")
}
