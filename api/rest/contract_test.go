package rest_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// both runs a test against a Service itself and against one behind HTTP.
func both(t *testing.T, test func(*testing.T, *fake, api.Service)) {
	t.Run("direct", func(t *testing.T) {
		f := newFake()
		test(t, f, f)
	})
	t.Run("over HTTP", func(t *testing.T) {
		f := newFake()
		test(t, f, dial(t, "", serve(t, f, nil).Listener.Addr().String()))
	})
}

func webJob() api.Job {
	job := api.NewJob()
	job.Name, job.Image, job.Replicas = "web", "nginx:1.27", 3
	job.Env["A"], job.Labels["team"] = "<&>\u2028 ü", "blue"
	job.Command = []string{"sh", "-c", "echo"}
	job.Resources = api.Resources{CPUs: 250, Memory: 512 << 20}
	job.Ports = []api.Port{{Target: 80, Published: 8080}}
	return job
}

func TestContractJobs(t *testing.T) {
	both(t, func(t *testing.T, f *fake, svc api.Service) {
		ctx := t.Context()
		jobs, err := svc.Jobs(ctx)
		equal(t, "jobs at first", jobs, []api.Job{})
		equal(t, "error", err, nil)

		want := webJob().Spec()
		want.ID, want.Generation, want.ETag, want.CreatedAt, want.UpdatedAt = "web-1", 1, "1-abcd", noon, noon
		want.Coordinator, want.Status = nodeA, &api.Status{State: api.JobPending, Wanted: 3, Pending: 3}
		wr, err := svc.Submit(ctx, webJob(), api.WriteOptions{})
		equal(t, "submitted", wr, api.Written{Job: want, Disks: 3, Wanted: 3, Created: true})
		equal(t, "error", err, nil)

		got, err := svc.Job(ctx, "web")
		equal(t, "job", got, want)
		equal(t, "error", err, nil)
		jobs, _ = svc.Jobs(ctx)
		equal(t, "jobs", jobs, []api.Job{want})

		_, err = svc.Submit(ctx, got, api.WriteOptions{}) // what was read can be sent
		var e *api.Error
		if !errors.As(err, &e) || e.Code != api.JobExists || e.Current == nil {
			t.Fatalf("submit again: got %#v, want %s with what is there", err, api.JobExists)
		}
		equal(t, "current", *e.Current, want)

		f.mu.Lock()
		f.disks = 1
		f.mu.Unlock()
		wr, err = svc.Scale(ctx, "web", 5, api.WriteOptions{})
		want.Generation, want.ETag, want.Replicas = 2, "2-abcd", 5
		want.Status = &api.Status{State: api.JobPending, Wanted: 5, Pending: 5}
		equal(t, "scaled", wr, api.Written{Job: want, Disks: 1, Wanted: 3})
		equal(t, "error", err, nil)
		wr, err = svc.Scale(ctx, "web", 5, api.WriteOptions{})
		equal(t, "scaled again", wr, api.Written{Job: want, Disks: 1, Wanted: 3, Existed: true})
		equal(t, "error", err, nil)
		wr, err = svc.Stop(ctx, "web", api.WriteOptions{})
		equal(t, "stopped", wr.Job.Generation, uint64(3))
		equal(t, "error", err, nil)
		wr, err = svc.Restart(ctx, "web", api.WriteOptions{})
		equal(t, "restarted", wr.Job.Generation, uint64(4))
		equal(t, "error", err, nil)
		wr, err = svc.Remove(ctx, "web", api.WriteOptions{})
		equal(t, "removed", wr.Job.Status.State, api.JobRemoving)
		equal(t, "error", err, nil)
		_, err = svc.Job(ctx, "web")
		equal(t, "gone", api.CodeOf(err), api.JobNotFound)
		for _, name := range []string{"..", ".", "a/b", "a b", "ü", "%2e", "a?b#c", "web.0"} {
			_, err = svc.Job(ctx, name)
			equal(t, "job "+strconv.Quote(name), err.Error(), "there is no job "+strconv.Quote(name))
			equal(t, "its code", api.CodeOf(err), api.JobNotFound)
		}
	})
}

func TestContractTheRest(t *testing.T) {
	both(t, func(t *testing.T, f *fake, svc api.Service) {
		ctx := t.Context()
		filter := api.TaskFilter{Job: "web", Node: "n 1&", State: api.Running, All: true}
		tasks, err := svc.Tasks(ctx, filter)
		equal(t, "tasks", tasks, []api.Task{oneTask()})
		equal(t, "error", err, nil)
		equal(t, "filter", f.filter, filter)
		_, _ = svc.Tasks(ctx, api.TaskFilter{})
		equal(t, "empty filter", f.filter, api.TaskFilter{})

		for _, id := range []string{"web.0", "web.0@2"} {
			task, err := svc.Task(ctx, id)
			equal(t, id, task, oneTask())
			equal(t, "error", err, nil)
		}
		_, err = svc.Task(ctx, "web.7")
		equal(t, "web.7", api.CodeOf(err), api.TaskNotFound)
		_, err = svc.Task(ctx, "web")
		equal(t, "web", api.CodeOf(err), api.Invalid)

		sheet, err := svc.Auction(ctx, "web.0", 0)
		want, _ := f.Auction(ctx, "web.0", 0)
		equal(t, "sheet", sheet, want)
		equal(t, "error", err, nil)
		restarted, err := svc.RestartTask(ctx, "web.0@2")
		again := oneTask()
		again.State, again.Restarts = api.Starting, 1
		equal(t, "restarted", restarted, again)
		equal(t, "error", err, nil)
		_, err = svc.RestartTask(ctx, "web.9")
		equal(t, "no task to restart", api.CodeOf(err), api.TaskNotFound)
		for _, name := range []string{"web", "web.0"} {
			e, err := svc.Explain(ctx, name)
			want, _ := f.Explain(ctx, name)
			equal(t, "explanation", e, want)
			equal(t, "error", err, nil)
		}
		_, err = svc.Explain(ctx, "web.7")
		equal(t, "no task to explain", api.CodeOf(err), api.TaskNotFound)
		_, err = svc.Auction(ctx, "web.0", 2)
		equal(t, "two auctions before", api.CodeOf(err), api.AuctionExpired)
		_, err = svc.Auction(ctx, "web.1", 0)
		equal(t, "old sheet", api.CodeOf(err), api.AuctionExpired)

		nodes, err := svc.Nodes(ctx)
		equal(t, "nodes", nodes, []api.Node{oneNode()})
		equal(t, "error", err, nil)
		node, err := svc.Node(ctx, "n1")
		equal(t, "node", node, oneNode())
		equal(t, "error", err, nil)
		_, err = svc.RemoveNode(ctx, "n1")
		equal(t, "live node", err, error(api.Errorf(api.NodeAlive, "the node n1 is alive").WithHint("orch leave on it")))
		node, err = svc.RemoveNode(ctx, "n2")
		equal(t, "dead node", node.Status, api.NodeLeft)
		equal(t, "error", err, nil)

		node, err = svc.DrainNode(ctx, "n1")
		equal(t, "draining", node.Status, api.NodeDraining)
		equal(t, "error", err, nil)
		node, err = svc.CordonNode(ctx, "n1")
		equal(t, "cordoned", node.Cordoned, true)
		equal(t, "error", err, nil)
		ssd := "ssd"
		node, err = svc.LabelNode(ctx, "n 1", api.LabelChange{"disk": &ssd, "zone": nil})
		equal(t, "labelled", node.Labels, map[string]string{"disk": "ssd"})
		equal(t, "error", err, nil)
		equal(t, "as asked", f.called()[len(f.called())-1], "labelnode n 1")
		node, err = svc.ResumeNode(ctx, "n1")
		equal(t, "resumed", node, oneNode())
		equal(t, "error", err, nil)
		equal(t, "leave", svc.Leave(ctx, true), nil)

		cluster, err := svc.Cluster(ctx)
		equal(t, "cluster", cluster, oneCluster())
		equal(t, "error", err, nil)
		joined, err := svc.JoinCluster(ctx, api.Joining{Token: "orch-join-1-x", Peers: []string{"a", "b:7071"}, Timeout: api.Duration(time.Minute)})
		equal(t, "joined", joined, api.Joined{Already: true, Cluster: oneCluster()})
		equal(t, "error", err, nil)
		equal(t, "as asked", f.called()[len(f.called())-1], "join orch-join-1-x[a b:7071] 1m0s")
		list, err := svc.NodeContainers(ctx, "n 2")
		equal(t, "containers", list, []api.Container{oneContainer()})
		equal(t, "error", err, nil)
		digest, err := svc.NodeDigest(ctx, "n2")
		equal(t, "digest", digest, api.Digest{Node: nodeB, Name: "n2", Digest: "00ff", Records: 9})
		equal(t, "error", err, nil)
		seen, err := svc.NodeView(ctx, "n 2")
		equal(t, "the nodes as n2 sees them", seen, []api.Node{oneNode()})
		equal(t, "error", err, nil)
		equal(t, "as asked", f.called()[len(f.called())-1], "nodeview n 2")
		aside, err := svc.NodeAsides(ctx, "n 2")
		equal(t, "set aside", aside, []api.Aside{oneAside()})
		equal(t, "error", err, nil)
		restored, err := svc.Restore(ctx, "n 2", api.Restoring{Job: "web", File: "aside-1.json"}, api.WriteOptions{})
		equal(t, "restored", restored.Created && restored.Disks == 3 && restored.Job.Name == "web", true)
		equal(t, "error", err, nil)
		equal(t, "as asked", f.called()[len(f.called())-2], "restore n 2 aside-1.json")
		_, err = svc.Restore(ctx, "n2", api.Restoring{Job: "web"}, api.WriteOptions{})
		equal(t, "restored again", api.CodeOf(err), api.JobExists)

		equal(t, "ready", svc.Ready(ctx), nil)
		v, err := svc.Version(ctx)
		equal(t, "version", v, api.Version{Version: "0.1.0", Wire: [2]int{1, 2}, Go: "go1.26"})
		equal(t, "error", err, nil)
	})
}

func TestContractLogs(t *testing.T) {
	both(t, func(t *testing.T, f *fake, svc api.Service) {
		f.lines = []api.LogLine{
			{Time: noon, Task: "web.0", Epoch: 2, Node: "n1", Stream: "stdout", Line: "one <b>\u2028"},
			{Time: noon.Add(1), Task: "web.0", Epoch: 2, Node: "n1", Stream: "stderr", Line: "tw", Partial: true},
			{Time: noon.Add(2), Task: "web.0", Epoch: 2, Node: "n1", Stream: "stderr"},
			{Time: noon.Add(3), Task: "web.0", Epoch: 2, Node: "n1", Stream: "stdout", Line: "bad \xff\x00 bytes"},
			{Task: "web.1", Epoch: 1, Node: "n2", Fault: api.Errorf(api.NodeUnreachable, "node unreachable").WithHint("wait")},
		}
		var got []api.LogLine
		collect := func(l api.LogLine) error {
			got = append(got, l)
			return nil
		}
		for _, o := range []api.LogOptions{{Tail: -1}, {Tail: 0}, {Tail: 7, Since: noon, Streams: []string{"stderr", "stdout"}, Follow: true}, {Until: noon}} {
			got = nil
			equal(t, "error", svc.Logs(t.Context(), []string{"web.0@2"}, o, collect), nil)
			equal(t, "lines", got, f.lines)
			equal(t, "options", f.logOpts, o)
		}
		for _, names := range [][]string{{"web"}, {"web", "web.0@1"}} {
			got = nil
			equal(t, "error", svc.Logs(t.Context(), names, api.LogOptions{}, collect), nil)
			equal(t, "lines of several", got, f.lines)
			equal(t, "asked for", f.called()[len(f.called())-1], fmt.Sprint("logs ", names))
		}
		equal(t, "no task", api.CodeOf(svc.Logs(t.Context(), []string{"web.9"}, api.LogOptions{}, collect)), api.TaskNotFound)

		stop := errors.New("enough")
		err := svc.Logs(t.Context(), []string{"web.0"}, api.LogOptions{Tail: -1}, func(api.LogLine) error { return stop })
		if !errors.Is(err, stop) {
			t.Errorf("error of each: got %v, want %v", err, stop)
		}

		got = nil
		f.logErr = api.Errorf(api.NodeUnreachable, "n2 cannot be reached").WithHint("wait")
		equal(t, "error after lines", svc.Logs(t.Context(), []string{"web.0"}, api.LogOptions{}, collect), f.logErr)
		equal(t, "lines before it", got, f.lines)
		f.lines = nil
		equal(t, "error before lines", svc.Logs(t.Context(), []string{"web.0"}, api.LogOptions{}, collect), f.logErr)
	})
}

// allCodes reads the codes out of the source of package api, so that a new one
// cannot be forgotten here.
func allCodes(t *testing.T) []api.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../error.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []api.Code
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == "Code" {
			text, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			codes = append(codes, api.Code(text))
		}
		return true
	})
	if len(codes) < 26 {
		t.Fatalf("found %d codes in the source, want at least 26", len(codes))
	}
	return codes
}

func TestContractErrors(t *testing.T) {
	job := webJob().Spec()
	both(t, func(t *testing.T, f *fake, svc api.Service) {
		for _, code := range allCodes(t) {
			f.err = &api.Error{Code: code, Detail: "why <so>", Hint: "do this", Current: &job,
				Fields: []api.FieldError{{Pointer: "#/env/a~1b", Detail: "bad"}}}
			if status := rest.Status(code); status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
				f.err.(*api.Error).RetryAfter = 7 * time.Second
			}
			ctx := t.Context()
			for method, call := range map[string]func() error{
				"Submit":      func() error { _, err := svc.Submit(ctx, webJob(), api.WriteOptions{}); return err },
				"Jobs":        func() error { _, err := svc.Jobs(ctx); return err },
				"Job":         func() error { _, err := svc.Job(ctx, "web"); return err },
				"Remove":      func() error { _, err := svc.Remove(ctx, "web", api.WriteOptions{}); return err },
				"Scale":       func() error { _, err := svc.Scale(ctx, "web", 1, api.WriteOptions{}); return err },
				"Stop":        func() error { _, err := svc.Stop(ctx, "web", api.WriteOptions{}); return err },
				"Restart":     func() error { _, err := svc.Restart(ctx, "web", api.WriteOptions{}); return err },
				"Tasks":       func() error { _, err := svc.Tasks(ctx, api.TaskFilter{}); return err },
				"Task":        func() error { _, err := svc.Task(ctx, "web.0"); return err },
				"Logs":        func() error { return svc.Logs(ctx, []string{"web.0"}, api.LogOptions{}, nil) },
				"Auction":     func() error { _, err := svc.Auction(ctx, "web.0", 0); return err },
				"RestartTask": func() error { _, err := svc.RestartTask(ctx, "web.0"); return err },
				"Explain":     func() error { _, err := svc.Explain(ctx, "web"); return err },
				"Nodes":       func() error { _, err := svc.Nodes(ctx); return err },
				"Node":        func() error { _, err := svc.Node(ctx, "n1"); return err },
				"RemoveNode":  func() error { _, err := svc.RemoveNode(ctx, "n1"); return err },
				"DrainNode":   func() error { _, err := svc.DrainNode(ctx, "n1"); return err },
				"CordonNode":  func() error { _, err := svc.CordonNode(ctx, "n1"); return err },
				"LabelNode":   func() error { _, err := svc.LabelNode(ctx, "n1", api.LabelChange{}); return err },
				"ResumeNode":  func() error { _, err := svc.ResumeNode(ctx, "n1"); return err },
				"Leave":       func() error { return svc.Leave(ctx, false) },
				"Cluster":     func() error { _, err := svc.Cluster(ctx); return err },
				"Put":         func() error { _, err := svc.Put(ctx, webJob(), api.WriteOptions{}); return err },
				"Plan":        func() error { _, err := svc.Plan(ctx, webJob(), true, api.WriteOptions{}); return err },
				"History":     func() error { _, err := svc.History(ctx, "web"); return err },
				"Generation":  func() error { _, err := svc.Generation(ctx, "web", "3"); return err },
				"Join": func() error {
					_, err := svc.JoinCluster(ctx, api.Joining{Token: "t", Peers: []string{"a"}})
					return err
				},
				"Containers": func() error { _, err := svc.NodeContainers(ctx, "n1"); return err },
				"Digest":     func() error { _, err := svc.NodeDigest(ctx, "n1"); return err },
				"View":       func() error { _, err := svc.NodeView(ctx, "n1"); return err },
				"Asides":     func() error { _, err := svc.NodeAsides(ctx, "n1"); return err },
				"Restore": func() error {
					_, err := svc.Restore(ctx, "n1", api.Restoring{Job: "web"}, api.WriteOptions{})
					return err
				},
				"Ready":   func() error { return svc.Ready(ctx) },
				"Version": func() error { _, err := svc.Version(ctx); return err },
			} {
				equal(t, method+" fails with "+string(code), call(), f.err)
			}
		}
		f.err = errors.New("disk full")
		_, err := svc.Jobs(t.Context())
		equal(t, "code of a plain error", api.CodeOf(err), api.Internal)
		equal(t, "its text", err.Error(), "disk full")
	})
}

func TestEveryCodeHasAStatusOfItsOwn(t *testing.T) {
	for _, code := range allCodes(t) {
		got := rest.Status(code)
		if got < 400 || got > 599 || (got == 500) != (code == api.Internal) {
			t.Errorf("Status(%s) = %d", code, got)
		}
	}
	if got := rest.Status("what"); got != 500 {
		t.Errorf("status of an unknown code: got %d, want 500", got)
	}
}

func TestInvalidAmountsAreRefusedAlike(t *testing.T) {
	both(t, func(t *testing.T, f *fake, svc api.Service) {
		job := webJob()
		job.Replicas = 1e12
		job.Name = "No!"
		_, err := svc.Submit(context.Background(), job, api.WriteOptions{})
		var e *api.Error
		if !errors.As(err, &e) || e.Code != api.Invalid || len(e.Fields) != 2 {
			t.Errorf("got %v, want invalid with two faults", err)
		}
	})
}
