package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/exitae337/orchestergo/runtime/docker/tinyimage"
	"github.com/exitae337/orchestergo/scenarios"
)

// tiny is the program of the image.
const tiny = "github.com/exitae337/orchestergo/runtime/docker/tinyimage/tiny"

// engineWait is how long an engine may take to say that it is there.
const engineWait = 5 * time.Second

// A ground is what the tasks of a demonstration run on.
type ground struct {
	driver string
	job    string // what is submitted, word for word
	what   string // what a task consists of
	image  string // "" unless containers are made of it
	engine *client.Client
}

// processGround runs plain processes.
var processGround = ground{
	driver: "process", what: "processes",
	job: `{"name":"web","replicas":6,"driver":"process","command":["/bin/sh","-c","while :; do date; sleep 1; done"]}`,
}

// findGround is containers where an engine answers, and processes else. It tells
// which and why.
func (s *stage) findGround(ctx context.Context, dir string) (ground, error) {
	engine, version, err := findEngine(ctx)
	if err != nil {
		s.tell("no docker engine, so tasks are plain processes (%v)", err)
		return processGround, nil
	}
	g := ground{driver: "docker", what: "containers", image: imageOf(dir), engine: engine}
	g.job = fmt.Sprintf(`{"name":"web","replicas":6,"driver":"docker","image":"%s","pull":"never","command":["out","hello","sleep"]}`, g.image)
	size, err := g.makeImage(ctx)
	if err != nil {
		engine.Close()
		return g, err
	}
	s.tell("docker engine %s answers; image %s (%.1f MB, one static program, no registry)", version, g.image, float64(size)/1e6)
	return g, nil
}

// findEngine is the engine that the agents will use too, and its version.
func findEngine(ctx context.Context) (*client.Client, string, error) {
	engine, err := scenarios.OpenEngine()
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, engineWait)
	defer cancel()
	info, err := engine.Info(ctx)
	if err != nil {
		engine.Close()
		return nil, "", err
	}
	return engine, info.ServerVersion, nil
}

// imageOf names the image of the demonstration in dir. It is the same each time, so
// that whoever stops the demonstration knows it too.
func imageOf(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return fmt.Sprintf("orch-demo:%x", sha256.Sum256([]byte(dir)))[:len("orch-demo:")+8]
}

// makeImage builds the program, makes the engine have the image, and returns the
// program's size.
func (g ground) makeImage(ctx context.Context) (int64, error) {
	dir, err := os.MkdirTemp("", "orch-demo-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "tiny")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, tiny)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build %s: %w\n%s", tiny, err, out)
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), tinyimage.Import(ctx, g.engine.DaemonHost(), g.image, path)
}

// left counts the containers of a lab and the images that are there.
func (g ground) left(ctx context.Context, lab *scenarios.Lab) (containers, images int, err error) {
	if g.engine == nil {
		return 0, 0, nil
	}
	list, err := lab.Containers(ctx)
	if err != nil {
		return 0, 0, err
	}
	with := filters.NewArgs(filters.Arg("reference", g.image))
	named, err := g.engine.ImageList(ctx, image.ListOptions{Filters: with})
	return len(list), len(named), err
}

// close removes the image. Its containers must be gone.
func (g ground) close(ctx context.Context) error {
	if g.engine == nil {
		return nil
	}
	defer g.engine.Close()
	return removeImage(ctx, g.engine, g.image)
}

func removeImage(ctx context.Context, engine *client.Client, tag string) error {
	if _, err := engine.ImageRemove(ctx, tag, image.RemoveOptions{PruneChildren: true}); err != nil && !cerrdefs.IsNotFound(err) {
		return fmt.Errorf("remove image %s: %w", tag, err)
	}
	return nil
}

// forgetImage removes the image that a demonstration in dir may have made.
func forgetImage(ctx context.Context, out io.Writer, dir string) error {
	engine, _, err := findEngine(ctx)
	if err != nil {
		return nil // then there were processes: containers could not have been stopped
	}
	defer engine.Close()
	tag := imageOf(dir)
	if _, err := engine.ImageInspect(ctx, tag); cerrdefs.IsNotFound(err) {
		return nil
	}
	if err := removeImage(ctx, engine, tag); err != nil {
		return err
	}
	fmt.Fprintf(out, "removed image %s\n", tag)
	return nil
}
