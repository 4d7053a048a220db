package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime/docker/dockertest"
	"github.com/exitae337/orchestergo/runtime/docker/tinyimage"
	"github.com/exitae337/orchestergo/scenarios"
)

// startDocker is startLab with nodes that run containers. A test without an engine
// is skipped; in CI, it fails.
func startDocker(t testing.TB, nodes int, cfg scenarios.LabConfig) (context.Context, *scenarios.Lab) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real nodes")
	}
	dockertest.Client(t)
	cfg.Driver = "docker"
	return startLab(t, nodes, cfg)
}

// imageFile is the file below root that names the image that was made, if any.
const imageFile = "image"

// tinyImage makes an image of the program tiny, once.
var tinyImage = sync.OnceValues(func() (string, error) {
	dir := os.Getenv(root)
	path, err := build("tiny", "../runtime/docker/tinyimage/tiny")
	if err != nil {
		return "", err
	}
	tag := strings.ToLower(filepath.Base(dir)) + ":tiny"
	if err := os.WriteFile(filepath.Join(dir, imageFile), []byte(tag), 0o600); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return tag, tinyimage.Import(ctx, "", tag, path)
})

// forgetImage removes the image that a run with its files in dir has made.
func forgetImage(dir string) error {
	tag, err := os.ReadFile(filepath.Join(dir, imageFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	engine, err := scenarios.OpenEngine()
	if err != nil {
		return err
	}
	defer engine.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := engine.ImageRemove(ctx, string(tag), image.RemoveOptions{Force: true}); err != nil && !cerrdefs.IsNotFound(err) {
		return fmt.Errorf("remove image %s: %w", tag, err)
	}
	return nil
}

// boxes is a job of containers that do the steps (see tinyimage/tiny), by default
// none.
func boxes(t testing.TB, name string, replicas int, steps ...string) api.Job {
	t.Helper()
	tag, err := tinyImage()
	if err != nil {
		t.Fatal(err)
	}
	j := api.NewJob()
	j.Name, j.Replicas = name, replicas
	j.Driver, j.Image, j.Pull, j.Command = "docker", tag, "never", steps
	if len(steps) == 0 {
		j.Command = []string{"sleep"}
	}
	return j
}

// inspect is what the engine says of a container.
func inspect(ctx context.Context, t testing.TB, engine *client.Client, id string) container.InspectResponse {
	t.Helper()
	in, err := engine.ContainerInspect(ctx, id)
	if err != nil {
		t.Fatalf("inspect %.12s: %v", id, err)
	}
	return in
}

// births are the times at which the running containers of a lab were started, by
// task and ID.
func births(ctx context.Context, t testing.TB, lab *scenarios.Lab) map[string]string {
	t.Helper()
	list, err := lab.Containers(ctx)
	must(t, err)
	out := map[string]string{}
	for _, c := range list {
		if c.Runs() {
			out[fmt.Sprintf("%s@%d %s", c.Task, c.Epoch, c.ID)] = inspect(ctx, t, c.Engine, c.ID).State.StartedAt
		}
	}
	return out
}

// taskAt is one task as a node sees it.
func taskAt(ctx context.Context, t testing.TB, n *scenarios.Node, id string) api.Task {
	t.Helper()
	task, err := n.Service().Task(ctx, id)
	if err != nil {
		t.Fatalf("task %s at %s: %v", id, n.Name, err)
	}
	return task
}

// eventually wants ok to become nil within the time.
func eventually(ctx context.Context, t testing.TB, what string, within time.Duration, ok func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	must(t, scenarios.Eventually(ctx, what, func() error { return ok(ctx) }))
}
