package scenarios_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/scenarios"
)

// TestTasksAndAnswersSayWhoTheyAre: a task finds in its environment which attempt of what
// it is, and with that whatever it writes to can tell it from the attempt that follows it.
// A node that sees nobody, or has compared its table with nobody, says so in every answer.
func TestTasksAndAnswersSayWhoTheyAre(t *testing.T) {
	t.Parallel()
	ctx, lab := startLab(t, 3, scenarios.LabConfig{})
	first, second, third := lab.Nodes()[0], lab.Nodes()[1], lab.Nodes()[2]
	submit(ctx, t, first, sleeper("web", 6))
	settle(ctx, t, lab, "web", 6, 20*time.Second)
	for _, n := range lab.Nodes() {
		answersWith(ctx, t, n, "alive=3, known=3, synced")
	}
	before := attempts(ctx, t, lab, first)

	must(t, lab.KillHost(ctx, third))
	settle(ctx, t, lab, "web", 6, 30*time.Second)
	moved := 0
	for task, now := range attempts(ctx, t, lab, first) {
		was := before[task]
		switch {
		case was.node == string(third.ID()):
			moved++
			if now.epoch <= was.epoch {
				t.Errorf("%s moved, and its epoch is %d after %d", task, now.epoch, was.epoch)
			}
		case now != was:
			t.Errorf("%s did not move, and was %+v, is %+v", task, was, now)
		}
	}
	if moved == 0 {
		t.Errorf("nothing ran on %s: %v", third.Name, before)
	}

	must(t, lab.KillHost(ctx, second))
	answersWith(ctx, t, first, "alive=1, known=3, synced, isolated")
	must(t, lab.KillHost(ctx, first))
	must(t, lab.Restart(ctx, first)) // its table is as old as its disk
	answersWith(ctx, t, first, "alive=1, known=3, isolated")
	must(t, lab.Restart(ctx, second, third))
	for _, n := range lab.Nodes() {
		answersWith(ctx, t, n, "alive=3, known=3, synced")
	}
}

// attempt is one attempt of a task, as the task is told.
type attempt struct {
	node  string
	epoch uint64
}

// attempts are the attempts of all tasks of web, from their environments, which have to
// agree with what a node says of them.
func attempts(ctx context.Context, t *testing.T, lab *scenarios.Lab, n *scenarios.Node) map[string]attempt {
	t.Helper()
	procs, err := lab.Procs()
	must(t, err)
	found := map[string]attempt{}
	for _, task := range tasksOf(ctx, t, n, "web") {
		at := slices.IndexFunc(procs, func(p scenarios.Proc) bool { return filepath.Base(p.Dir) == task.ContainerID })
		if at < 0 {
			t.Errorf("%s runs nowhere: %+v", task.ID, task)
			continue
		}
		for name, want := range map[string]string{
			"ORCH_JOB": "web", "ORCH_TASK": task.ID, "ORCH_INDEX": strconv.Itoa(task.Index), "ORCH_NODE": string(task.Node),
			"ORCH_EPOCH": strconv.FormatUint(task.Epoch, 10), "ORCH_LIFE": strconv.FormatInt(task.Life, 10),
		} {
			if !slices.Contains(procs[at].Env, name+"="+want) {
				t.Errorf("%s has no %s=%s in its environment: %q", task.ID, name, want, procs[at].Env)
			}
		}
		found[task.ID] = attempt{string(procs[at].Node), procs[at].Epoch}
	}
	return found
}

// answersWith waits until the answers of a node, refusals too, say this of its view.
func answersWith(ctx context.Context, t *testing.T, n *scenarios.Node, want string) {
	t.Helper()
	eventually(ctx, t, n.Name+" answers with "+want, 15*time.Second, func(ctx context.Context) error {
		for _, path := range []string{"/v1/jobs", "/v1/jobs/nobody"} {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.APIAddr()+path, nil)
			if err != nil {
				return err
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			_ = res.Body.Close()
			if got := res.Header.Get("Orch-View"); got != want || !strings.HasPrefix(res.Header.Get("Orch-Node"), n.Name+";id=") {
				return fmt.Errorf("to %s it answers %s with Orch-Node %q, Orch-View %q", path, res.Status, res.Header.Get("Orch-Node"), got)
			}
		}
		return nil
	})
}
