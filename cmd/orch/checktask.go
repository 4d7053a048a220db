package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// What orch check wants of tasks: each wanted one runs once, as the table says, and
// nothing else runs.

// lifeOf tells the job from others that had its name.
func lifeOf(j api.Job) int64 { return j.CreatedAt.UnixMilli() }

func slotOf(h api.Container) slot { return slot{h.Job, h.Life, h.Index} }

// wants says whether slot i of j should run, or be complete.
func wants(j api.Job, i int) bool {
	return i < j.Replicas && (j.Status == nil || j.Status.State != api.JobStopped)
}

// wanted: every slot of j that should run does, or the cluster says why not.
func (c *comparison) wanted(j api.Job) {
	for i := range j.Replicas {
		if !wants(j, i) {
			return
		}
		if t, ok := c.slots[slot{j.Name, lifeOf(j), i}]; ok {
			c.task(j, t)
			continue
		}
		id := api.TaskID{Job: j.Name, Index: i}
		c.note("", finding{Kind: violation, Rule: "task", Job: j.Name, Task: id.String(), Found: "no task", Expected: "a task, since the job wants " + count(j.Replicas, "replica")})
	}
}

// task: a wanted one is complete, or runs on a node that is alive, made of what its
// job says now.
func (c *comparison) task(j api.Job, t api.Task) {
	f := finding{Kind: notServed, Rule: "served", Job: t.Job, Task: t.ID, Expected: t.Desired}
	switch {
	case t.State == api.Complete:
		return
	case t.State == api.Running && c.alive(t.Node):
		c.running(t)
		if t.TemplateHash != j.Template {
			c.note(t.Node, finding{
				Kind: unsettled, Rule: "template", Job: t.Job, Task: t.ID,
				Found: "made of an earlier specification (" + t.TemplateHash + ")", Expected: "to be replaced by one of generation " + fmt.Sprint(j.Generation) + " (" + j.Template + ")",
			})
		}
		return
	case t.State == api.Running:
		f.Found = "running on a node that is " + withReason(cmp.Or(string(c.nodes[t.Node].Status), "not known"), c.nodes[t.Node].Reason)
	case t.State == api.Pending && t.Reason == "":
		f.Kind, f.Found, f.Expected, f.patience = violation, "pending, and nobody says why", t.Desired+", or a reason", explainLimit
	default:
		f.Found = withReason(string(t.State), t.Reason)
	}
	c.note(t.Node, f)
}

// running: the engine of the node that is said to run t has the one container of it.
func (c *comparison) running(t api.Task) {
	r := c.accounts[t.Node]
	if !r.listed {
		return
	}
	f := finding{Kind: violation, Job: t.Job, Task: t.Attempt}
	for _, h := range r.held {
		if !serves(h, t) {
			continue
		}
		if h.State != "running" {
			f.Rule, f.Found, f.Expected = "engine", "container "+h.ID+" is "+h.State, "running"
			c.note(t.Node, f)
		}
		if h.Hash != t.TemplateHash {
			f.Rule, f.Found, f.Expected = "template", "container "+h.ID+" is made of "+h.Hash, "of "+t.TemplateHash+", as its record says"
			c.note(t.Node, f)
		}
		return
	}
	f.Rule, f.Found, f.Expected = "engine", "recorded as running, and no engine of its node has it", "a container that runs"
	c.note(t.Node, f)
}

// serves says whether h is what the record of t is about: its attempt, or an earlier
// one that was kept since it is what the attempt would be.
func serves(h api.Container, t api.Task) bool {
	live := t.State.Live() || t.State == api.Stopping
	return live && slotOf(h) == slot{t.Job, t.Life, t.Index} && h.Node == t.Node && (h.Epoch == t.Epoch || h.ID == t.ContainerID && h.ID != "")
}

// container: one that has not ended is wanted, and the only one of its task. One
// that has been superseded may go on until the attempt that follows it runs, except
// where two at once would be a fault; one that ends may take the time it was given.
func (c *comparison) container(node api.NodeID, h api.Container) {
	stop := time.Duration(h.StopTimeout) + stopMargin
	extra := func(rule, found, expected string, patience time.Duration) {
		c.note(node, finding{Kind: violation, Rule: rule, Job: h.Job, Task: h.Attempt, Found: found, Expected: expected, subject: h.ID, patience: patience})
	}
	j, here := c.jobs[h.Job]
	t, known := c.slots[slotOf(h)]
	switch {
	case h.Node != node:
		extra("node", "container "+h.ID+" is labelled as one of "+c.name(h.Node), "containers of its own", 0)
	case here && h.Life > lifeOf(j):
		extra("unwanted", "runs, of a later job of that name than the table has", "nothing of it", bootGrace+stop)
	case !here && !known:
		extra("unwanted", "runs, and no job has that name", "nothing of it", bootGrace+stop)
	case !here || h.Life < lifeOf(j):
		extra("unwanted", "runs, and its job was removed", "nothing of it", stop)
	case !wants(j, h.Index):
		extra("unwanted", "runs, and the job does not want it", "nothing of it", stop)
	case !known:
		extra("unwanted", "runs, and nobody has a record of it", "a record", bootGrace)
	default:
		c.copy(node, h, j, t)
	}
}

// copy: a container of a wanted task is the one of its record.
func (c *comparison) copy(node api.NodeID, h api.Container, j api.Job, t api.Task) {
	f := finding{Kind: violation, Rule: "copies", Job: h.Job, Task: h.Attempt, subject: h.ID, patience: time.Duration(h.StopTimeout) + stopMargin}
	on := " on " + c.name(t.Node)
	switch {
	case serves(h, t):
		if c.twin(h) {
			f.Found, f.Expected, f.patience = "another container of the same attempt runs", "one", 0
			c.note(node, f)
		}
		return
	case t.State == api.Complete:
		f.Found, f.Expected = "runs, and the task is complete", "nothing of it"
	case h.Epoch > t.Epoch:
		f.Rule, f.Found, f.Expected, f.patience = "epoch", "runs", t.Attempt+" to be the last attempt, as the table says", 0
	case t.State == api.Lost && t.Node == h.Node:
		return // and yet it answers: it has come back just now
	case h.Epoch == t.Epoch && (t.Node == "" || t.Node == h.Node):
		f.Found, f.Expected = "runs, and its attempt has ended ("+string(t.State)+")", "nothing of it"
	case t.State == api.Running && c.alive(t.Node):
		f.Found, f.Expected = "runs beside "+t.Attempt+on, "only "+t.Attempt
	case j.StopFirst() && t.State.Live():
		f.Found, f.Expected = "runs while "+t.Attempt+on+" is "+string(t.State), "to end first"
	default:
		return // it bridges the time until the next one runs
	}
	c.note(node, f)
}

// twin says whether the node of h has another container of the same attempt, and it
// is the first of the two: one finding is enough.
func (c *comparison) twin(h api.Container) bool {
	for _, o := range c.accounts[h.Node].held {
		if o.ID != h.ID && o.Attempt == h.Attempt && o.Life == h.Life && (h.ID < o.ID || h.ID == o.ID && h.Driver < o.Driver) {
			return true
		}
	}
	return false
}
