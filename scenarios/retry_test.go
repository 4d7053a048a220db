package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/scenarios"
)

// dyingDoor is an address that passes what is sent on to n. Once n has answered a
// write, it kills n's agent and hangs up: whoever asked hears nothing of the answer.
func dyingDoor(ctx context.Context, t *testing.T, lab *scenarios.Lab, n *scenarios.Node) string {
	t.Helper()
	passOn := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: n.APIAddr()})
	passOn.ModifyResponse = func(res *http.Response) error {
		if res.Request.Method == http.MethodGet {
			return nil
		}
		return errors.Join(lab.Kill(ctx, n), errHangUp)
	}
	passOn.ErrorHandler = func(_ http.ResponseWriter, _ *http.Request, err error) {
		if !errors.Is(err, errHangUp) {
			t.Errorf("ask %s: %v", n.Name, err)
		}
		panic(http.ErrAbortHandler)
	}
	door := httptest.NewServer(passOn)
	t.Cleanup(door.Close)
	return door.Listener.Addr().String()
}

var errHangUp = errors.New("nobody hears the answer")

// TestWriteIsRepeatedElsewhere: the node asked does what it is asked and dies before
// it says so. The client asks the next one under the same key, which knows it.
func TestWriteIsRepeatedElsewhere(t *testing.T) {
	t.Parallel()
	ctx, lab := startLab(t, 4, scenarios.LabConfig{})
	first, next := lab.Nodes()[0], lab.Nodes()[1]
	orch := func(door string, args ...string) scenarios.Output {
		t.Helper()
		out, err := lab.Orch(ctx, append([]string{"--api", door + "," + next.APIAddr()}, args...)...)
		must(t, err)
		if out.Code != 0 {
			t.Fatalf("orch %v: exit code %d\n%s", args, out.Code, out.Stderr)
		}
		return out
	}
	out := orch(dyingDoor(ctx, t, lab, first), "run", "--driver", "process", "--name", "web", "-n", "3", "--", "sleep", "100000")
	if strings.TrimSpace(out.Stdout) != "web" || !strings.Contains(out.Stderr, "stored on 3 nodes") {
		t.Errorf("orch run: got %q and %q", out.Stdout, out.Stderr)
	}
	must(t, lab.Restart(ctx, first))
	settle(ctx, t, lab, "web", 3, 30*time.Second)
	job, err := next.Service().Job(ctx, "web")
	must(t, err)
	if job.Generation != 1 {
		t.Errorf("the job is at generation %d, want 1: it was created once", job.Generation)
	}

	// A second restart would replace all tasks twice.
	orch(dyingDoor(ctx, t, lab, lab.Nodes()[2]), "restart", "web")
	must(t, lab.Restart(ctx, lab.Nodes()[2]))
	if job, err = next.Service().Job(ctx, "web"); err != nil || job.Generation != 2 {
		t.Errorf("after a restart: generation %d, %v, want 2", job.Generation, err)
	}

	// An update of what the tasks are made of replaces them all.
	orch(first.APIAddr(), "update", "web", "--", "sleep", "200000")
	settle(ctx, t, lab, "web", 3, 30*time.Second)
	must(t, scenarios.Eventually(ctx, "all tasks are of the new specification", func() error {
		job, err := next.Service().Job(ctx, "web")
		if err != nil {
			return err
		}
		for _, task := range tasksOf(ctx, t, next, "web") {
			if task.TemplateHash != job.Template {
				return fmt.Errorf("%s is not: %s", task.Attempt, task.TemplateHash)
			}
		}
		return nil
	}))
}
