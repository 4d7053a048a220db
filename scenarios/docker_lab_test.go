package scenarios_test

import (
	"path/filepath"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/exitae337/orchestergo/runtime/docker/dockertest"
	"github.com/exitae337/orchestergo/scenarios"
)

// TestLabRemovesItsOwnContainers starts containers that look like tasks: of the lab,
// of another one whose directory has a similar name, and of nobody. Close and
// Demolish end the first and no other.
func TestLabRemovesItsOwnContainers(t *testing.T) {
	engine := dockertest.Client(t)
	ends := map[string]func(*scenarios.Lab) error{
		"closed": (*scenarios.Lab).Close,
		"demolished": func(lab *scenarios.Lab) error {
			killed, err := scenarios.Demolish(t.Context(), lab.Dir())
			if err == nil && killed != 1 {
				t.Errorf("Demolish = %d, want 1", killed)
			}
			return err
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			ctx := deadline(t, time.Minute)
			lab, err := scenarios.NewLab(scenarios.LabConfig{Binary: "/bin/sh", Driver: "docker", Dir: filepath.Join(t.TempDir(), "lab")})
			must(t, err)
			lock := func(dir string) map[string]string {
				return map[string]string{"orch.lock": filepath.Join(dir, "n1/data/lock"), "orch.task": "web.0", "orch.epoch": "7", "orch.node": "id"}
			}
			own := sentinel(ctx, t, engine, lock(lab.Dir()))
			others := []string{sentinel(ctx, t, engine, lock(lab.Dir()+"-other")), sentinel(ctx, t, engine, nil)}
			list, err := lab.Containers(ctx)
			if err != nil || len(list) != 1 || list[0].ID != own || list[0].Task != "web.0" || list[0].Epoch != 7 || list[0].Node != "id" || !list[0].Runs() {
				t.Errorf("Containers = %+v, %v, want the lab's own", list, err)
			}
			must(t, end(lab))
			if _, err := engine.ContainerInspect(ctx, own); !cerrdefs.IsNotFound(err) {
				t.Errorf("the container of the lab: %v, want that it is gone", err)
			}
			for _, id := range others {
				intact(ctx, t, engine, id)
			}
		})
	}
}
