package docker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/docker/dockertest"
)

// BenchmarkStart compares starting 40 containers through the driver, which is being
// watched and listed meanwhile, with a plain client's create and start calls for
// the same containers, each at the parallelism that is best for it. "ratio" is what
// the driver costs.
func BenchmarkStart(b *testing.B) {
	const count = 40
	r := newRig(b)
	spec := r.spec("pattern", "sleep")
	in, err := r.cli.ContainerInspect(b.Context(), r.start(b, spec).ID)
	if err != nil {
		b.Fatal(err)
	}
	dockertest.Sweep(b, r.cli, r.cluster)
	plain := func(ctx context.Context, i int) error {
		made, err := r.cli.ContainerCreate(ctx, in.Config, in.HostConfig, nil, nil, fmt.Sprintf("%s-%d", in.Name, i))
		if err != nil {
			return err
		}
		return r.cli.ContainerStart(ctx, made.ID, container.StartOptions{})
	}
	driven := func(ctx context.Context, i int) error {
		spec := spec
		spec.Labels.Slot = i
		_, err := r.Start(ctx, spec, nil)
		return err
	}
	watched(b, r.Driver)
	for b.Loop() {
		best := map[string]time.Duration{}
		for _, width := range []int{2, 4, 8} {
			for how, one := range map[string]func(context.Context, int) error{"plain": plain, "driver": driven} {
				took := inParallel(b, count, width, one)
				dockertest.Sweep(b, r.cli, r.cluster)
				b.Logf("%s, %d at once: %s", how, width, took)
				if best[how] == 0 || took < best[how] {
					best[how] = took
				}
			}
		}
		b.ReportMetric(best["driver"].Seconds()/best["plain"].Seconds(), "ratio")
		b.ReportMetric(float64(best["driver"].Milliseconds())/count, "ms/container")
	}
}

// inParallel says how long it takes to do one count times, width at once.
func inParallel(b *testing.B, count, width int, one func(context.Context, int) error) time.Duration {
	b.Helper()
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(width)
	begun := time.Now()
	for i := range count {
		group.Go(func() error { return one(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Since(begun)
}

// watched lists the containers whenever something has changed, as an agent does.
func watched(b *testing.B, d runtime.Driver) {
	ctx, cancel := context.WithCancel(context.Background())
	changes := make(chan struct{}, 1)
	var group errgroup.Group
	group.Go(func() error {
		return d.Watch(ctx, func() {
			select {
			case changes <- struct{}{}:
			default:
			}
		})
	})
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-changes:
				if _, err := d.List(ctx); err != nil && ctx.Err() == nil {
					return err
				}
			}
		}
	})
	b.Cleanup(func() {
		cancel()
		if err := group.Wait(); err != nil {
			b.Errorf("watch: %v", err)
		}
	})
}
