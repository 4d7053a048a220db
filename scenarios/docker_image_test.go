package scenarios_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime/docker/dockertest"
	"github.com/exitae337/orchestergo/scenarios"
)

// TestDockerImageElsewhere asks for an image that one engine has and another cannot
// pull: all tasks come to run where it is. Of an image that nobody has, the registry's
// words are told, and it is asked for less and less often.
func TestDockerImageElsewhere(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return // it is one
		}
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown: it was never pushed"}]}`)
	}))
	t.Cleanup(registry.Close)
	at := registry.Listener.Addr().String()
	engine, has := secondEngine(t, dockertest.SecondConfig{}), dockertest.Client(t)
	haveImage(t, has, at+"/here:1")
	t.Cleanup(func() { dockertest.RemoveImage(t, has, at+"/here:1") })
	ctx, lab := startDocker(t, 2, scenarios.LabConfig{Engines: map[string]scenarios.NodeEngine{"n2": {Host: engine.Host()}}})
	well, hurt := lab.Nodes()[0], lab.Nodes()[1]
	stranger := sentinel(ctx, t, engine.Client(), nil)

	here := boxes(t, "here", 3)
	here.Image, here.Pull = at+"/here:1", "missing"
	submit(ctx, t, well, here)
	var said []func() string
	for i := range here.Replicas {
		said = append(said, watchWords(ctx, t, well, fmt.Sprintf("here.%d@1", i)))
	}
	settle(ctx, t, lab, "here", 3, 30*time.Second)
	words := ""
	for _, end := range said {
		words += end() + "; "
	}
	if held := on(ctx, t, hurt, "here"); held[well.ID()] != 3 {
		t.Errorf("they run on %v, want all where the image is", held)
	}
	if !strings.Contains(words, "failed: start here.") || !strings.Contains(words, "image "+here.Image+": ") {
		t.Errorf("said of the first attempts: %q, want why the image was not pulled", words)
	}

	ghost := boxes(t, "ghost", 1)
	ghost.Image, ghost.Pull = at+"/nobody:1", "missing"
	submit(ctx, t, well, ghost)
	began, told := time.Now(), false
	var task api.Task
	eventually(ctx, t, "ghost.0 failed five times", 60*time.Second, func(ctx context.Context) error {
		task = taskAt(ctx, t, hurt, "ghost.0")
		told = told || strings.Contains(task.Reason, ghost.Image) && strings.Contains(task.Reason, "manifest unknown: it was never pushed")
		if task.Failures < 5 || !told {
			return fmt.Errorf("%s is %s after %d failures: %s", task.Attempt, task.State, task.Failures, task.Reason)
		}
		return nil
	})
	took := time.Since(began)
	t.Logf("%d failures in %s, the registry was asked %d times: %s", task.Failures, took, asked.Load(), task.Reason)
	if task.State != api.Failed && task.State != api.Pending {
		t.Errorf("it is %s, want it failed or pending", task.State)
	}
	if took < 5*time.Second { // half of 1 s + 2 s + 4 s + 8 s, at least
		t.Errorf("it failed five times in %s, want longer and longer pauses", took)
	}
	if n := int(asked.Load()); n > 2*task.Failures { // a pull may ask by HEAD and by GET
		t.Errorf("the registry was asked %d times for %d attempts", n, task.Failures)
	}
	intact(ctx, t, engine.Client(), stranger)
	nothingLeft(ctx, t, lab, "here", "ghost")
}
