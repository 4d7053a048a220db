package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// checkedCluster is a cluster in which all is as it should be: three nodes, a service
// of three tasks, and a batch job that is done.
func checkedCluster() snapshot {
	s := snapshot{accounts: map[api.NodeID]account{}}
	for _, name := range []string{"n1", "n2", "n3"} {
		s.nodes = append(s.nodes, api.Node{ID: checkedID(name), Name: name, Status: api.NodeReady, Self: name == "n1",
			Capacity: api.Resources{CPUs: 1000, Memory: 1 << 30}})
	}
	for _, n := range s.nodes {
		s.accounts[n.ID] = account{digest: &api.Digest{Node: n.ID, Digest: "aa", Records: 9}, listed: true, sees: slices.Clone(s.nodes)}
	}
	web := api.Job{Name: "web", Type: api.ServiceJob, Replicas: 3, Template: "t1", Generation: 1, CreatedAt: time.UnixMilli(7).UTC()}
	calc := api.Job{Name: "calc", Type: api.BatchJob, Replicas: 1, Template: "c1", Generation: 1, CreatedAt: time.UnixMilli(8).UTC()}
	s.jobs = []api.Job{calc, web}
	for i := range 3 {
		t := checkedTask(web, i, fmt.Sprintf("n%d", i+1), 2)
		s.tasks = append(s.tasks, t)
		s.hold(t, 2)
	}
	done := checkedTask(calc, 0, "n1", 1)
	done.State, done.Desired = api.Complete, "complete"
	s.tasks = append(s.tasks, done)
	return s
}

func checkedID(name string) api.NodeID { return api.NodeID("12D3KooW" + name + "xxxxxxxx") }

func checkedTask(j api.Job, index int, node string, epoch uint64) api.Task {
	id := api.TaskID{Job: j.Name, Index: index, Epoch: epoch}
	return api.Task{ID: id.Slot(), Attempt: id.String(), Job: j.Name, Life: lifeOf(j), Index: index, Epoch: epoch, TemplateHash: j.Template,
		State: api.Running, Desired: "running", Node: checkedID(node), NodeName: node, Resources: api.Resources{CPUs: 400, Memory: 100 << 20}}
}

// hold has the node of t run an attempt at it, and returns it for changes.
func (s *snapshot) hold(t api.Task, epoch uint64) *api.Container {
	id := api.TaskID{Job: t.Job, Index: t.Index, Epoch: epoch}
	a := s.accounts[t.Node]
	a.held = append(a.held, api.Container{ID: fmt.Sprintf("%s/%d", id, len(a.held)), Node: t.Node, Attempt: id.String(), Job: t.Job, Life: t.Life, Index: t.Index,
		Epoch: epoch, Hash: t.TemplateHash, State: "running", Resources: t.Resources, StopTimeout: api.Duration(10 * time.Second)})
	s.accounts[t.Node] = a
	return &a.held[len(a.held)-1]
}

// at is t on another node.
func at(t api.Task, node string) api.Task {
	t.Node, t.NodeName = checkedID(node), node
	return t
}

// change changes the account of a node.
func (s *snapshot) change(node string, edit func(*account)) {
	a := s.accounts[checkedID(node)]
	edit(&a)
	s.accounts[checkedID(node)] = a
}

// fail has all nodes see one dead.
func (s *snapshot) fail(node string) {
	delete(s.accounts, checkedID(node))
	mark := func(list []api.Node) {
		for i := range list {
			if list[i].Name == node {
				list[i].Status, list[i].Reason = api.NodeFailed, "no answer to gossip"
			}
		}
	}
	mark(s.nodes)
	for _, a := range s.accounts {
		mark(a.sees)
	}
}

// sees has one node see another as it is not.
func (s *snapshot) sees(who, whom string, status api.NodeStatus) {
	for i, n := range s.accounts[checkedID(who)].sees {
		if n.Name == whom {
			s.accounts[checkedID(who)].sees[i].Status = status
		}
	}
}

// brief is a finding in a line: its kind, rule, task and node, and what was found.
func brief(list []finding) []string {
	out := []string{}
	for _, f := range list {
		out = append(out, strings.Join([]string{f.Kind, f.Rule, f.Task, f.NodeName, f.Found}, "|"))
	}
	return out
}

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*snapshot)
		want  []string // the beginnings of what is found
	}{
		"nothing": {func(*snapshot) {}, nil},

		"a table that differs": {func(s *snapshot) { s.accounts[checkedID("n1")].digest.Digest = "bb" },
			[]string{"violation|table||n1|a table of 9 records, digest bb"}},
		"all tables differ": {func(s *snapshot) {
			s.accounts[checkedID("n2")].digest.Digest, s.accounts[checkedID("n3")].digest.Digest = "bb", "cc"
		}, []string{"violation|table||n2|", "violation|table||n3|"}},
		"a dead member": {func(s *snapshot) {
			s.fail("n3")
			s.tasks[2].State, s.tasks[2].Reason = api.Lost, "node n3 failed"
		}, []string{"silent|answer||n3|failed: no answer to gossip", "not_served|served|web.2|n3|lost: node n3 failed"}},
		"a dead member whose tasks are waited for": {func(s *snapshot) { s.fail("n3") },
			[]string{"silent|answer||n3|", "not_served|served|web.2|n3|running on a node that is failed: no answer to gossip"}},
		"a node that does not answer": {func(s *snapshot) { s.accounts[checkedID("n2")] = account{fault: "node n2 cannot be reached"} },
			[]string{"silent|answer||n2|node n2 cannot be reached"}},
		"an engine that does not answer": {func(s *snapshot) {
			s.change("n2", func(a *account) { a.listed, a.held, a.fault = false, nil, "its driver hangs" })
		}, []string{"silent|answer||n2|its driver hangs"}},
		"a node on its way": {func(s *snapshot) { s.nodes[1].Status, s.nodes[1].Reason = api.NodeStarting, "waiting" },
			[]string{"unsettled|ready||n2|starting: waiting"}},
		"a drain": {func(s *snapshot) { s.nodes[1].Status, s.nodes[1].Tasks = api.NodeDraining, 1 },
			[]string{"unsettled|drain||n2|draining, with 1 task"}},
		"a drained node": {func(s *snapshot) { s.nodes[1].Status = api.NodeDrained }, nil},

		"one sees another dead that answers": {func(s *snapshot) { s.sees("n1", "n3", api.NodeFailed) },
			[]string{"violation|view||n1|n3 is not alive"}},
		"most see one dead that answers": {func(s *snapshot) { s.sees("n1", "n3", api.NodeFailed); s.sees("n2", "n3", api.NodeFailed) },
			[]string{"violation|view||n1|n3 is not alive", "violation|view||n2|n3 is not alive"}},
		"one does not know another": {func(s *snapshot) { s.change("n2", func(a *account) { a.sees = a.sees[:2] }) },
			[]string{"violation|view||n2|n3 is not alive"}},
		"one sees alive what is dead to the others": {func(s *snapshot) {
			s.nodes = append(s.nodes, api.Node{ID: "x", Name: "n4", Status: api.NodeFailed})
			s.change("n2", func(a *account) { a.sees = append(a.sees, api.Node{ID: "x", Name: "n4", Status: api.NodeReady}) })
		}, []string{"violation|view||n2|n4 is alive", "silent|answer||n4|failed"}},
		"one that only others know": {func(s *snapshot) {
			for _, n := range []string{"n2", "n3"} {
				s.change(n, func(a *account) { a.sees = append(a.sees, api.Node{ID: "x", Name: "n4", Status: api.NodeReady}) })
			}
		}, []string{"violation|view||n1|n4 is not alive"}},

		"a task that waits, and why": {func(s *snapshot) {
			s.tasks[2] = api.Task{ID: "web.2", Attempt: "web.2", Job: "web", Life: 7, Index: 2, State: api.Pending, Desired: "running", Reason: "no room"}
			s.change("n3", func(a *account) { a.held = nil })
		}, []string{"not_served|served|web.2||pending: no room"}},
		"a task that waits, and nobody says why": {func(s *snapshot) {
			s.tasks[2] = api.Task{ID: "web.2", Attempt: "web.2", Job: "web", Life: 7, Index: 2, State: api.Pending, Desired: "running"}
			s.change("n3", func(a *account) { a.held = nil })
		}, []string{"violation|served|web.2||pending, and nobody says why"}},
		"a task that failed": {func(s *snapshot) {
			s.tasks[2].State, s.tasks[2].Reason = api.Failed, "exited with code 1"
			s.change("n3", func(a *account) { a.held = nil })
		}, []string{"not_served|served|web.2|n3|failed: exited with code 1"}},
		"a task that starts": {func(s *snapshot) {
			s.tasks[2].State = api.Starting
			s.change("n3", func(a *account) { a.held[0].State = "created" })
		}, []string{"not_served|served|web.2|n3|starting"}},
		"a slot without a task": {func(s *snapshot) { s.jobs[1].Replicas = 4 }, []string{"violation|task|web.3||no task"}},
		"a task that nothing runs": {func(s *snapshot) { s.change("n3", func(a *account) { a.held = nil }) },
			[]string{"violation|engine|web.2@2|n3|recorded as running"}},
		"a task with half a container": {func(s *snapshot) { s.change("n3", func(a *account) { a.held[0].State = "created" }) },
			[]string{"violation|engine|web.2@2|n3|container web.2@2/0 is created"}},
		"an update that rolls": {func(s *snapshot) { s.tasks[0].TemplateHash, s.accounts[checkedID("n1")].held[0].Hash = "t0", "t0" },
			[]string{"unsettled|template|web.0|n1|made of an earlier specification (t0)"}},
		"a container of another template than its record": {func(s *snapshot) { s.accounts[checkedID("n1")].held[0].Hash = "t0" },
			[]string{"violation|template|web.0@2|n1|container web.0@2/0 is made of t0"}},
		"a copy kept for a later epoch": {func(s *snapshot) {
			s.tasks[0].Epoch, s.tasks[0].Attempt, s.tasks[0].ContainerID = 3, "web.0@3", s.accounts[checkedID("n1")].held[0].ID
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := checkedCluster()
			c.spoil(&s)
			checkFound(t, compare(s), c.want)
		})
	}
}

func TestCompareContainers(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(*snapshot)
		want  []string
	}{
		"of no job": {func(s *snapshot) {
			s.hold(api.Task{Job: "old", Life: 5, Node: checkedID("n2")}, 4)
		}, []string{"violation|unwanted|old.0@4|n2|runs, and no job has that name"}},
		"of a removed job": {func(s *snapshot) {
			gone := api.Task{ID: "old.0", Job: "old", Life: 5, State: api.Running, Desired: "stopped", Node: checkedID("n2")}
			s.tasks = append(s.tasks, gone)
			s.hold(gone, 1)
		}, []string{"violation|unwanted|old.0@1|n2|runs, and its job was removed"}},
		"of a former life": {func(s *snapshot) { s.hold(api.Task{Job: "web", Life: 6, Node: checkedID("n2")}, 1) },
			[]string{"violation|unwanted|web.0@1|n2|runs, and its job was removed"}},
		"of a life that the table lacks": {func(s *snapshot) { s.hold(api.Task{Job: "web", Life: 9, Node: checkedID("n2")}, 1) },
			[]string{"violation|unwanted|web.0@1|n2|runs, of a later job"}},
		"of a slot beyond the last": {func(s *snapshot) { s.hold(api.Task{Job: "web", Life: 7, Index: 3, Node: checkedID("n2")}, 1) },
			[]string{"violation|unwanted|web.3@1|n2|runs, and the job does not want it"}},
		"of a stopped job": {func(s *snapshot) { s.jobs[1].Status = &api.Status{State: api.JobStopped} },
			[]string{"violation|unwanted|web.0@2|n1|", "violation|unwanted|web.1@2|n2|", "violation|unwanted|web.2@2|n3|"}},
		"of a task that is complete": {func(s *snapshot) { s.hold(s.tasks[3], 1) },
			[]string{"violation|copies|calc.0@1|n1|runs, and the task is complete"}},
		"of an attempt that was superseded": {func(s *snapshot) { s.hold(at(s.tasks[0], "n2"), 1) },
			[]string{"violation|copies|web.0@1|n2|runs beside web.0@2 on n1"}},
		"of an attempt that is still to be superseded": {func(s *snapshot) {
			s.tasks[0].State = api.Starting
			s.change("n1", func(a *account) { a.held = nil })
			s.hold(at(s.tasks[0], "n2"), 1)
		}, []string{"not_served|served|web.0|n1|starting"}},
		"of a batch attempt, beside the next": {func(s *snapshot) {
			s.tasks[3].State = api.Starting
			s.hold(at(s.tasks[3], "n2"), 0)
		}, []string{"violation|copies|calc.0|n2|runs while calc.0@1 on n1 is starting", "not_served|served|calc.0|n1|starting"}},
		"of an attempt that the table does not know": {func(s *snapshot) { s.hold(at(s.tasks[0], "n2"), 3) },
			[]string{"violation|epoch|web.0@3|n2|runs"}},
		"of an attempt that has ended": {func(s *snapshot) { s.tasks[1].State, s.tasks[1].Reason = api.Failed, "x" },
			[]string{"violation|copies|web.1@2|n2|runs, and its attempt has ended (failed)", "not_served|served|web.1|n2|failed: x"}},
		"of a task that is lost, on a node that answers again": {func(s *snapshot) { s.tasks[1].State, s.tasks[1].Reason = api.Lost, "x" },
			[]string{"not_served|served|web.1|n2|lost: x"}},
		"of the same attempt": {func(s *snapshot) { s.hold(s.tasks[1], 2) },
			[]string{"violation|copies|web.1@2|n2|another container of the same attempt runs"}},
		"of another node": {func(s *snapshot) { s.hold(s.tasks[1], 1).Node = checkedID("n3") },
			[]string{"violation|node|web.1@1|n2|container web.1@1/1 is labelled as one of n3"}},
		"more than there is room for": {func(s *snapshot) {
			s.jobs[1].Replicas = 5
			for i := 3; i < 5; i++ {
				more := checkedTask(s.jobs[1], i, "n2", 1)
				s.tasks = append(s.tasks, more)
				s.hold(more, 1)
			}
		}, []string{"violation|capacity||n2|tasks for 1.2 cpus and 300MiB"}},
		"as much as there is room for": {func(s *snapshot) {
			for id, a := range s.accounts {
				a.held[0].Resources = api.Resources{CPUs: 1000, Memory: 1<<30 + 1<<19} // gossip has whole MiB
				s.accounts[id] = a
			}
		}, nil},
		"no more, and a task that is about to start": {func(s *snapshot) {
			s.jobs[1].Replicas = 4
			more := checkedTask(s.jobs[1], 3, "n2", 1)
			more.State, more.Resources.CPUs = api.Accepted, 601
			s.tasks = append(s.tasks, more)
		}, []string{"violation|capacity||n2|tasks for 1.001 cpus", "not_served|served|web.3|n2|accepted"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := checkedCluster()
			c.plant(&s)
			checkFound(t, compare(s), c.want)
		})
	}
}

// checkFound wants findings that begin so, in this order, and each with words for
// what was expected.
func checkFound(t *testing.T, found []finding, want []string) {
	t.Helper()
	got := brief(found)
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		ok = ok && strings.HasPrefix(got[i], want[i]) && found[i].Expected != ""
	}
	if !ok {
		t.Errorf("found\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// Only what was so in each look, and for longer than it may be, is a violation.
func TestTrial(t *testing.T) {
	wrong := finding{Kind: violation, Rule: "table", NodeName: "n1"}
	other := finding{Kind: violation, Rule: "table", NodeName: "n2", Node: "n2"}
	slow := finding{Kind: violation, Rule: "copies", NodeName: "n3", patience: 12 * time.Second}
	waits := finding{Kind: notServed, Rule: "served", Task: "web.0"}
	mute := finding{Kind: silent, Rule: "answer"}
	for name, c := range map[string]struct {
		wait  time.Duration
		looks [][]finding // one a second; the last is repeated
		after int         // looks until it is over
		want  []string
		code  error
	}{
		"all well":                {15 * time.Second, [][]finding{{}}, 1, nil, nil},
		"well after a moment":     {15 * time.Second, [][]finding{{wrong}, {wrong}, {}}, 3, nil, nil},
		"wrong all along":         {5 * time.Second, [][]finding{{wrong}}, 6, []string{violation}, said(exitFailed)},
		"wrong since a while":     {5 * time.Second, [][]finding{{other}, {other, wrong}, {wrong}}, 6, []string{unsettled}, said(exitWaiting)},
		"wrong, well, wrong":      {5 * time.Second, [][]finding{{wrong, mute}, {mute}, {mute, wrong}}, 6, []string{unsettled, silent}, said(exitWaiting)},
		"wrong in each other way": {5 * time.Second, [][]finding{{wrong}, {other}, {wrong}, {other}, {wrong}, {other}}, 6, []string{unsettled}, said(exitWaiting)},
		"may take longer":         {5 * time.Second, [][]finding{{slow}}, 6, []string{unsettled}, said(exitWaiting)},
		"took too long":           {15 * time.Second, [][]finding{{slow}}, 16, []string{violation}, said(exitFailed)},
		"a task waits":            {15 * time.Second, [][]finding{{waits}}, 2, []string{notServed}, nil},
		"tasks wait in turn":      {15 * time.Second, [][]finding{{waits}, {}}, 2, nil, nil},
		"one does not answer":     {15 * time.Second, [][]finding{{mute, waits}}, 2, []string{silent, notServed}, said(exitWaiting)},
		"once":                    {0, [][]finding{{wrong, waits}}, 1, []string{unsettled, notServed}, said(exitWaiting)},
	} {
		t.Run(name, func(t *testing.T) {
			tr, now := &trial{began: base}, base
			for {
				tr.add(now, c.looks[min(tr.looks, len(c.looks)-1)])
				if tr.over(now, c.wait) {
					break
				}
				now = now.Add(time.Second)
			}
			var got []string
			stands := tr.stands(now)
			for _, f := range stands {
				got = append(got, f.Kind)
			}
			if !slices.Equal(got, c.want) || tr.looks != c.after || outcome(stands) != c.code {
				t.Errorf("after %d looks: got %v and exit %v, want %v and %v after %d", tr.looks, got, outcome(stands), c.want, c.code, c.after)
			}
		})
	}
}
