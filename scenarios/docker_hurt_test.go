package scenarios_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime/docker/dockertest"
	"github.com/exitae337/orchestergo/scenarios"
)

// TestDockerEngineRestarted stops the engines of two nodes, one of which lets its
// containers live on, and starts them again. Meanwhile the nodes say why they take
// nothing. In the end all run, none twice, those that lived on untouched. So it is after
// a crash of the other.
func TestDockerEngineRestarted(t *testing.T) {
	t.Parallel()
	plain, live := secondEngine(t, dockertest.SecondConfig{}), secondEngine(t, dockertest.SecondConfig{LiveRestore: true})
	ctx, lab := startDocker(t, 3, scenarios.LabConfig{Engines: map[string]scenarios.NodeEngine{"n2": {Host: plain.Host()}, "n3": {Host: live.Host()}}})
	well, stopped, lived := lab.Nodes()[0], lab.Nodes()[1], lab.Nodes()[2]
	submit(ctx, t, well, boxes(t, "web", 6))
	settle(ctx, t, lab, "web", 6, 30*time.Second)
	if held := on(ctx, t, well, "web"); held[stopped.ID()] == 0 || held[lived.ID()] == 0 {
		t.Fatalf("they run on %v, want some on each", held)
	}
	strangers := map[*client.Client]string{}
	for _, engine := range []*client.Client{lab.Engine(), plain.Client(), live.Client()} {
		strangers[engine] = sentinel(ctx, t, engine, nil)
	}
	always := container.UpdateConfig{RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways}}
	_, err := plain.Client().ContainerUpdate(ctx, strangers[plain.Client()], always) // its engine starts it again
	must(t, err)
	survivors := map[string]bool{}
	list, err := lab.Containers(ctx)
	must(t, err)
	for _, c := range list {
		survivors[c.ID] = c.Node != stopped.ID()
	}

	plain.Stop()
	live.Stop()
	for _, n := range []*scenarios.Node{stopped, lived} {
		awaitUsable(ctx, t, well, n, false, "there is no docker engine at unix://")
	}
	submit(ctx, t, stopped, boxes(t, "late", 3))
	eventually(ctx, t, "late runs where there is an engine", 20*time.Second, func(ctx context.Context) error {
		if held := on(ctx, t, well, "late"); held[well.ID()] != 3 {
			return fmt.Errorf("it runs on %v", held)
		}
		return nil
	})
	plain.Start()
	live.Start()
	for _, n := range []*scenarios.Node{stopped, lived} {
		awaitUsable(ctx, t, well, n, true, "")
	}
	settle(ctx, t, lab, "web", 6, 30*time.Second)
	settle(ctx, t, lab, "late", 3, 10*time.Second)

	plain.Kill() // its containers stay, and it kills them when it is back
	plain.Start()
	awaitUsable(ctx, t, well, stopped, true, "")
	settle(ctx, t, lab, "web", 6, 30*time.Second)
	settle(ctx, t, lab, "late", 3, 10*time.Second)
	list, err = lab.Containers(ctx)
	must(t, err)
	for _, c := range list {
		switch survived, known := survivors[c.ID]; {
		case survived && !c.Runs():
			t.Errorf("%s@%d is %s, want it running as before", c.Task, c.Epoch, c.State)
		case !known && c.Node == lived.ID():
			t.Errorf("%s@%d was started anew where its containers lived on", c.Task, c.Epoch)
		}
		delete(survivors, c.ID)
	}
	for id, survived := range survivors {
		if survived {
			t.Errorf("container %.12s is gone", id)
		}
	}
	for engine, id := range strangers {
		intact(ctx, t, engine, id)
	}
	nothingLeft(ctx, t, lab, "web", "late")
}

// TestDockerEngineHangs freezes an engine: its socket accepts, and nobody answers. Its
// node leaves the bidding and says why; after a minute its tasks, one in the
// middle of its start included, run elsewhere. When the engine goes on, the old copies
// end, and what it was asked for meanwhile.
func TestDockerEngineHangs(t *testing.T) {
	t.Parallel()
	engine := secondEngine(t, dockertest.SecondConfig{})
	ctx, lab := startDocker(t, 2, scenarios.LabConfig{Engines: map[string]scenarios.NodeEngine{"n2": {Host: engine.Host()}}})
	well, hurt := lab.Nodes()[0], lab.Nodes()[1]
	web, late := boxes(t, "web", 4), boxes(t, "late", 4)
	web.MaxParallel, late.MaxParallel = 4, 4
	submit(ctx, t, well, web)
	settle(ctx, t, lab, "web", 4, 30*time.Second)
	if held := on(ctx, t, well, "web"); held[hurt.ID()] == 0 {
		t.Fatalf("they run on %v, want some on each", held)
	}
	stranger := sentinel(ctx, t, engine.Client(), nil)

	engine.Freeze()
	frozen := time.Now()
	submit(ctx, t, well, late)
	awaitUsable(ctx, t, well, hurt, false, "does not answer")
	t.Logf("out of bidding after %s", time.Since(frozen).Round(time.Second))
	if held := on(ctx, t, well, "web"); held[hurt.ID()] == 0 {
		t.Error("its tasks were moved at once, want a minute of patience")
	}
	jobs := []string{"web", "late"}
	for _, job := range jobs {
		eventually(ctx, t, job+" runs elsewhere", 100*time.Second, func(ctx context.Context) error {
			if held := on(ctx, t, well, job); held[well.ID()] != 4 {
				return fmt.Errorf("%s", scenarios.Brief(tasksOf(ctx, t, well, job)))
			}
			return nil
		})
	}
	t.Logf("all run elsewhere after %s", time.Since(frozen).Round(time.Second))

	engine.Thaw()
	for _, job := range jobs {
		settle(ctx, t, lab, job, 4, 30*time.Second) // each once: the old copies have ended
	}
	awaitUsable(ctx, t, well, hurt, true, "")
	list, err := lab.Containers(ctx)
	must(t, err)
	for _, c := range list {
		if c.Node == hurt.ID() && c.State != container.StateExited {
			t.Errorf("the container of %s@%d is %s, want exited", c.Task, c.Epoch, c.State)
		}
	}
	intact(ctx, t, engine.Client(), stranger)
	nothingLeft(ctx, t, lab, jobs...)
}

// TestDockerEngineSlow has an engine take ten seconds for each start. The task is
// seen to be starting, and then runs; it is started once.
func TestDockerEngineSlow(t *testing.T) {
	t.Parallel()
	const slow = 10 * time.Second
	engine := secondEngine(t, dockertest.SecondConfig{})
	var starts atomic.Int32
	through := proxyTo(t, engine.Client(), func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/start") {
			starts.Add(1)
			select {
			case <-time.After(slow):
			case <-r.Context().Done():
			}
		}
	})
	ctx, lab := startDocker(t, 2, scenarios.LabConfig{Engines: map[string]scenarios.NodeEngine{"n2": {Host: engine.Host(), Through: through}}})
	well, hurt := lab.Nodes()[0], lab.Nodes()[1]
	stranger := sentinel(ctx, t, engine.Client(), nil)
	began := time.Now()
	submit(ctx, t, well, boxes(t, "web", 2))
	var seen []api.TaskState
	var task api.Task
	eventually(ctx, t, "the task runs", 30*time.Second, func(ctx context.Context) error {
		tasks := tasksOf(ctx, t, well, "web")
		i := slices.IndexFunc(tasks, func(a api.Task) bool { return a.Node == hurt.ID() })
		if i < 0 {
			return fmt.Errorf("none on the slow node: %s", scenarios.Brief(tasks))
		}
		if task = tasks[i]; len(seen) == 0 || seen[len(seen)-1] != task.State {
			seen = append(seen, task.State)
		}
		if task.State != api.Running {
			return fmt.Errorf("it is %s", task.State)
		}
		return nil
	})
	if took := time.Since(began); took < slow {
		t.Errorf("it ran after %s, want the start to take %s", took, slow)
	}
	settle(ctx, t, lab, "web", 2, 20*time.Second)
	if !slices.Contains(seen, api.Starting) || slices.Contains(seen, api.Failed) || task.Epoch != 1 || task.Restarts != 0 {
		t.Errorf("%s was %v and restarted %d times, want it starting and then running", task.Attempt, seen, task.Restarts)
	}
	if n := starts.Load(); n != 1 {
		t.Errorf("the engine was asked to start it %d times, want once", n)
	}
	awaitUsable(ctx, t, well, hurt, true, "")
	intact(ctx, t, engine.Client(), stranger)
	nothingLeft(ctx, t, lab, "web")
}

// TestDockerEngineDiskFull fills the disk of an engine. What runs goes on; what is to
// be started goes to another node, and the words say why.
func TestDockerEngineDiskFull(t *testing.T) {
	t.Parallel()
	engine := secondEngine(t, dockertest.SecondConfig{Disk: 64 << 20})
	ctx, lab := startDocker(t, 2, scenarios.LabConfig{Engines: map[string]scenarios.NodeEngine{"n2": {Host: engine.Host()}}})
	well, hurt := lab.Nodes()[0], lab.Nodes()[1]
	submit(ctx, t, well, boxes(t, "old", 2))
	settle(ctx, t, lab, "old", 2, 20*time.Second)
	if held := on(ctx, t, well, "old"); held[hurt.ID()] != 1 {
		t.Fatalf("they run on %v, want one on each", held)
	}
	stranger := sentinel(ctx, t, engine.Client(), nil)
	before := births(ctx, t, lab)

	engine.FillDisk(64 << 10)
	submit(ctx, t, well, boxes(t, "web", 2))
	said := [2]func() string{watchWords(ctx, t, well, "web.0@1"), watchWords(ctx, t, well, "web.1@1")}
	settle(ctx, t, lab, "web", 2, 20*time.Second)
	if held := on(ctx, t, well, "web"); held[well.ID()] != 2 {
		t.Errorf("they run on %v, want both on the node whose disk has room", held)
	}
	if words := said[0]() + said[1](); !strings.Contains(words, "disk is full") || !strings.Contains(words, "no space left on device") {
		t.Errorf("said of the first attempts: %q, want that the disk is full", words)
	}
	list, err := lab.Containers(ctx)
	must(t, err)
	for _, c := range list {
		if c.Node == hurt.ID() && !strings.HasPrefix(c.Task, "old.") {
			t.Errorf("a container of %s@%d is left on the full disk (%s)", c.Task, c.Epoch, c.State)
		}
	}
	for what, born := range before {
		if now := births(ctx, t, lab)[what]; now != born {
			t.Errorf("%s was started at %q and now at %q, want it left alone", what, born, now)
		}
	}
	intact(ctx, t, engine.Client(), stranger)
	nothingLeft(ctx, t, lab, "old", "web") // also from a disk that is full
	engine.FreeDisk()
	submit(ctx, t, well, boxes(t, "new", 2))
	settle(ctx, t, lab, "new", 2, 20*time.Second)
	if held := on(ctx, t, well, "new"); held[hurt.ID()] != 1 {
		t.Errorf("with room again, they run on %v, want one on each", held)
	}
	nothingLeft(ctx, t, lab, "new")
}
