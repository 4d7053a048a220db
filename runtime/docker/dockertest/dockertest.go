// Package dockertest gives tests an engine, an image that needs no registry, and a
// cluster of their own on the engine. All that a test makes is taken away when it
// ends.
package dockertest

import (
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/exitae337/orchestergo/runtime/docker/tinyimage"
)

// wait bounds each thing that is done here.
const wait = 2 * time.Minute

// tiny is the program in the image.
const tiny = "github.com/exitae337/orchestergo/runtime/docker/tinyimage/tiny"

// Client returns a client of the engine at DOCKER_HOST or the default socket. A
// test without an engine is skipped; where the variable CI is true, it fails.
func Client(t testing.TB) *client.Client {
	t.Helper()
	cli, err := client.NewClientWithOpts(client.WithTLSClientConfigFromEnv(), client.WithHostFromEnv(), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatalf("docker client: %v", err)
	}
	t.Cleanup(func() { cli.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := cli.Info(ctx); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no docker engine, and CI must have one: %v", err)
		}
		t.Skipf("no docker engine: %v", err)
	}
	return cli
}

// Image builds the program tiny and imports it as an image with a tag of its own,
// which it returns.
func Image(t testing.TB, cli *client.Client) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, tiny)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build tiny: %v\n%s", err, out)
	}
	tag := "orch-test/tiny:" + unique()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	if err := tinyimage.Import(ctx, cli.DaemonHost(), tag, path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { RemoveImage(t, cli, tag) })
	return tag
}

// RemoveImage removes an image if it is there.
func RemoveImage(t testing.TB, cli *client.Client, tag string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if _, err := cli.ImageRemove(ctx, tag, image.RemoveOptions{Force: true}); err != nil && !cerrdefs.IsNotFound(err) {
		t.Errorf("remove image %s: %v", tag, err)
	}
}

// Cluster returns the name of a cluster that nobody else has. Its containers are
// removed when the test ends.
func Cluster(t testing.TB, cli *client.Client) string {
	t.Helper()
	name := "test-" + unique()
	t.Cleanup(func() { Sweep(t, cli, name) })
	return name
}

// Sweep removes all containers of a cluster, running ones too.
func Sweep(t testing.TB, cli *client.Client, cluster string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	list, err := cli.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "orch.cluster="+cluster))})
	if err != nil {
		t.Errorf("list the containers of %s: %v", cluster, err)
	}
	for _, c := range list {
		err := cli.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !cerrdefs.IsNotFound(err) && !strings.Contains(err.Error(), "already in progress") {
			t.Errorf("remove %.12s: %v", c.ID, err)
		}
	}
}

func unique() string { return strings.ToLower(rand.Text()[:10]) }
