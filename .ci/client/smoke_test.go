// Package client_test uses the client that oapi-codegen makes of the OpenAPI document
// as somebody does who has nothing else of orch: against a real node. It is a module
// of its own, so that what the client needs is not needed by orch. Run it with make
// client.
package client_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/client/orch"
)

func TestSmoke(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := startNode(ctx, t)

	made, err := c.CreateJobWithResponse(ctx, nil, printer())
	must(t, err)
	if made.JSON201 == nil {
		t.Fatalf("create: %s %s", made.Status(), made.Body)
	}
	defer remove(context.WithoutCancel(ctx), t, c)
	if h := made.Headers201; h.Location == nil || *h.Location != "/v1/jobs/hello" || h.ETag == nil || h.OrchDurable == nil || *h.OrchDurable != "1/1" {
		t.Errorf("headers of the answer: %+v", made.HTTPResponse.Header)
	}
	again, err := c.CreateJobWithResponse(ctx, nil, printer())
	must(t, err)
	if p := again.ApplicationproblemJSON409; p == nil || p.Code != orch.JobExists || p.Current == nil || p.Current.Name != "hello" {
		t.Errorf("create again: %s %s", again.Status(), again.Body)
	}
	wrong, err := c.CreateJobWithResponse(ctx, nil, orch.JobSpec{Name: "../x", Replicas: pointer(-1)})
	must(t, err)
	if p := wrong.ApplicationproblemJSON422; p == nil || p.Errors == nil || len(*p.Errors) != 3 {
		t.Errorf("create nonsense: %s %s", wrong.Status(), wrong.Body)
	}

	awaitRunning(ctx, t, c, 1)
	jobs, err := c.ListJobsWithResponse(ctx, &orch.ListJobsParams{Label: &[]string{"kind=smoke"}})
	must(t, err)
	if jobs.JSON200 == nil || len(*jobs.JSON200) != 1 || (*jobs.JSON200)[0].Replicas != 1 {
		t.Errorf("list: %s %s", jobs.Status(), jobs.Body)
	}
	await(ctx, t, "the task has written", func() string {
		logs, err := c.GetTaskLogsWithResponse(ctx, "hello.0", &orch.GetTaskLogsParams{Tail: pointer("all")})
		must(t, err)
		if logs.StatusCode() != http.StatusOK || !strings.Contains(string(logs.Body), "hello from hello.0") {
			return fmt.Sprintf("%s %s", logs.Status(), logs.Body)
		}
		return ""
	})
	sheet, err := c.GetTaskAuctionWithResponse(ctx, "hello.0", nil)
	must(t, err)
	if sheet.JSON200 == nil || len(sheet.JSON200.Awards) != 1 {
		t.Errorf("sheet: %s %s", sheet.Status(), sheet.Body)
	}

	scaled, err := c.ScaleJobWithResponse(ctx, "hello", nil, orch.Scaling{Replicas: 2})
	must(t, err)
	if scaled.JSON200 == nil || scaled.JSON200.Replicas != 2 {
		t.Fatalf("scale: %s %s", scaled.Status(), scaled.Body)
	}
	awaitRunning(ctx, t, c, 2)
}

// printer is a job whose tasks write a line.
func printer() orch.JobSpec {
	return orch.JobSpec{
		Name: "hello", Driver: pointer("process"), Labels: &map[string]string{"kind": "smoke"},
		Command:   &[]string{"sh", "-c", "echo hello from $ORCH_TASK; exec sleep 60"},
		Resources: &orch.ResourcesSpec{Cpus: pointer(0.1), Memory: pointer(int64(16 << 20))},
	}
}

// remove removes the job and waits until nothing of it runs.
func remove(ctx context.Context, t *testing.T, c *orch.ClientWithResponses) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	gone, err := c.RemoveJobWithResponse(ctx, "hello", nil)
	must(t, err)
	if gone.JSON200 == nil || gone.JSON200.Status == nil || gone.JSON200.Status.State != orch.JobStateRemoving {
		t.Errorf("remove: %s %s", gone.Status(), gone.Body)
	}
	after, err := c.GetJobWithResponse(ctx, "hello", nil)
	must(t, err)
	if p := after.ApplicationproblemJSON404; p == nil || p.Code != orch.JobNotFound {
		t.Errorf("get what is removed: %s %s", after.Status(), after.Body)
	}
	await(ctx, t, "nothing runs", func() string {
		nodes, err := c.ListNodesWithResponse(ctx, nil)
		must(t, err)
		if nodes.JSON200 == nil || len(*nodes.JSON200) != 1 || (*nodes.JSON200)[0].Tasks != 0 {
			return string(nodes.Body)
		}
		return ""
	})
}

func awaitRunning(ctx context.Context, t *testing.T, c *orch.ClientWithResponses, want int) {
	t.Helper()
	await(ctx, t, fmt.Sprintf("%d tasks run", want), func() string {
		tasks, err := c.ListTasksWithResponse(ctx, &orch.ListTasksParams{Job: pointer("hello"), State: pointer(orch.ListTasksParamsStateRunning)})
		must(t, err)
		if tasks.JSON200 == nil || len(*tasks.JSON200) != want {
			return fmt.Sprintf("%s %s", tasks.Status(), tasks.Body)
		}
		return ""
	})
}

// startNode starts a node by itself and returns a client of it.
func startNode(ctx context.Context, t *testing.T) *orch.ClientWithResponses {
	t.Helper()
	dir := t.TempDir()
	addr := "127.0.0.1:" + freePort(t)
	log, err := os.Create(filepath.Join(dir, "log"))
	must(t, err)
	defer log.Close()
	node := exec.Command(os.Getenv("ORCH_BIN"), "start", "--data-dir", filepath.Join(dir, "data"), "--name", "n1", "--profile", "fast", "--drivers", "process",
		"--bind", "127.0.0.1", "--advertise", "127.0.0.1", "--api", addr, "--gossip-port", freePort(t), "--peer-port", freePort(t))
	node.Stdout, node.Stderr = log, log
	must(t, node.Start())
	t.Cleanup(func() {
		_ = node.Process.Kill() // nothing runs any more that it would have to stop
		_ = node.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the node wrote:\n%s", text)
		}
	})
	c, err := orch.NewClientWithResponses("http://" + addr)
	must(t, err)
	await(ctx, t, "the node is ready", func() string {
		ready, err := c.GetReadyWithResponse(ctx)
		if err != nil {
			return err.Error()
		}
		if ready.StatusCode() != http.StatusOK {
			return string(ready.Body)
		}
		return ""
	})
	return c
}

// freePort is a port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	return port
}

// await waits until ok has nothing to complain of.
func await(ctx context.Context, t *testing.T, what string, ok func() string) {
	t.Helper()
	for {
		wrong := ok()
		if wrong == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not in time: %s", what, wrong)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func pointer[T any](v T) *T { return &v }
