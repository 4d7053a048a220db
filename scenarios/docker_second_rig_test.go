package scenarios_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime/docker/dockertest"
	"github.com/exitae337/orchestergo/runtime/docker/tinyimage"
	"github.com/exitae337/orchestergo/scenarios"
)

// secondEngine starts an engine to be hurt. It has the image of tiny.
func secondEngine(t testing.TB, cfg dockertest.SecondConfig) *dockertest.Second {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an engine")
	}
	dockertest.Client(t) // the engine of the nodes that are well
	s := dockertest.NewSecond(t, cfg)
	tag, err := tinyImage()
	must(t, err)
	haveImage(t, s.Client(), tag)
	return s
}

// haveImage makes an engine have tiny under the tag.
func haveImage(t testing.TB, engine *client.Client, tag string) {
	t.Helper()
	must(t, tinyimage.Import(t.Context(), engine.DaemonHost(), tag, filepath.Join(os.Getenv(root), "tiny")))
}

// proxyTo is a socket in front of an engine's, through which everything goes that
// before lets pass, when it does.
func proxyTo(t testing.TB, engine *client.Client, before func(*http.Request)) string {
	t.Helper()
	path, ok := strings.CutPrefix(engine.DaemonHost(), "unix://")
	if !ok {
		t.Skipf("the engine is at %s, not at a socket", engine.DaemonHost())
	}
	dir, err := os.MkdirTemp("", "proxy-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	must(t, err)
	to := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	to.FlushInterval = -1
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	to.Transport = transport
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before(r)
		to.ServeHTTP(w, r)
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l) // until it is closed
	}()
	t.Cleanup(func() { server.Close(); transport.CloseIdleConnections(); <-served })
	return "unix://" + l.Addr().String()
}

// on counts the tasks of a job that a node sees running on each.
func on(ctx context.Context, t testing.TB, asked *scenarios.Node, job string) map[api.NodeID]int {
	t.Helper()
	held := map[api.NodeID]int{}
	for _, task := range tasksOf(ctx, t, asked, job) {
		if task.State == api.Running {
			held[task.Node]++
		}
	}
	return held
}

// awaitUsable waits until asked sees that a node can run containers, or that it
// cannot, with those words for the reason.
func awaitUsable(ctx context.Context, t testing.TB, asked, n *scenarios.Node, usable bool, words string) {
	t.Helper()
	what := fmt.Sprintf("%s knows whether %s runs containers: %t", asked.Name, n.Name, usable)
	eventually(ctx, t, what, 45*time.Second, func(ctx context.Context) error {
		seen, err := asked.Service().Node(ctx, string(n.ID()))
		if err != nil {
			return err
		}
		if slices.Contains(seen.Drivers, "docker") != usable || usable != (seen.Reason == "") || !strings.Contains(seen.Reason, words) {
			return fmt.Errorf("it has the drivers %q, %q", seen.Drivers, seen.Reason)
		}
		return nil
	})
}

// nothingLeft removes jobs and wants that the engines then have no container of the
// lab, exited ones included.
func nothingLeft(ctx context.Context, t testing.TB, lab *scenarios.Lab, jobs ...string) {
	t.Helper()
	for _, job := range jobs {
		_, err := lab.Alive()[0].Service().Remove(ctx, job, api.WriteOptions{})
		must(t, err)
	}
	eventually(ctx, t, "no container is left of the removed jobs", 30*time.Second, func(ctx context.Context) error {
		list, err := lab.Containers(ctx)
		if err == nil && len(list) > 0 {
			err = fmt.Errorf("%d are, such as that of %s@%d, %s", len(list), list[0].Task, list[0].Epoch, list[0].State)
		}
		return err
	})
}
