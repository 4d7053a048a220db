package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// BenchmarkDockerForty hands a node a job of forty containers and reports how long it
// takes from the request until all run, by the node's word; and how much longer that is
// than a plain client takes to create and start the same containers, at the
// parallelism that is best for it. Each has as many tries, in turn, and the best counts.
func BenchmarkDockerForty(b *testing.B) {
	const count = 40
	_, lab := startDocker(b, 1, scenarios.LabConfig{})
	ctx := deadline(b, 10*time.Minute)
	job := boxes(b, "forty", count)
	job.Resources = api.Resources{CPUs: 10, Memory: 16 << 20}
	for b.Loop() {
		orch, plain := time.Hour, time.Hour
		for _, width := range slices.Repeat([]int{2, 4, 8}, 3) {
			took, pattern := throughOrch(ctx, b, lab, job)
			orch = min(orch, took)
			alone := plainly(ctx, b, lab, pattern, count, width)
			plain = min(plain, alone)
			b.Logf("through orch %s; plainly, %d at once, %s", took.Round(time.Millisecond), width, alone.Round(time.Millisecond))
		}
		b.ReportMetric(orch.Seconds()/plain.Seconds(), "ratio")
		b.ReportMetric(millis(orch)/count, "ms/container")
	}
}

// throughOrch says how long it takes until the job runs, and what one of its containers
// is like. Then the job is removed.
func throughOrch(ctx context.Context, b *testing.B, lab *scenarios.Lab, job api.Job) (time.Duration, container.InspectResponse) {
	b.Helper()
	n := lab.Nodes()[0]
	began := time.Now()
	submit(ctx, b, n, job)
	if _, reached, err := n.Service().WaitJob(ctx, job.Name, api.GoalRunning); err != nil || !reached {
		b.Fatalf("wait until %s runs: reached %t, %v", job.Name, reached, err)
	}
	took := time.Since(began)
	list, err := lab.Containers(ctx)
	must(b, err)
	if len(list) != job.Replicas {
		b.Fatalf("there are %d containers, want %d", len(list), job.Replicas)
	}
	pattern := inspect(ctx, b, lab.Engine(), list[0].ID)
	_, err = n.Service().Remove(ctx, job.Name, api.WriteOptions{})
	must(b, err)
	eventually(ctx, b, "no container is left", time.Minute, func(ctx context.Context) error {
		list, err := lab.Containers(ctx)
		if err == nil && len(list) > 0 {
			err = fmt.Errorf("%d are", len(list))
		}
		return err
	})
	return took, pattern
}

// plainly says how long it takes to create and start containers like pattern that are
// not orch's, so many at once. Then they are removed.
func plainly(ctx context.Context, b *testing.B, lab *scenarios.Lab, pattern container.InspectResponse, count, width int) time.Duration {
	b.Helper()
	labels := map[string]string{}
	for name, value := range pattern.Config.Labels {
		labels["plain-"+name] = value
	}
	config := *pattern.Config
	config.Labels = labels
	ids := make([]string, count)
	var group errgroup.Group
	group.SetLimit(width)
	began := time.Now()
	for i := range count {
		group.Go(func() error {
			made, err := lab.Engine().ContainerCreate(ctx, &config, pattern.HostConfig, nil, nil, "")
			if err != nil {
				return err
			}
			ids[i] = made.ID
			return lab.Engine().ContainerStart(ctx, made.ID, container.StartOptions{})
		})
	}
	err := group.Wait()
	took := time.Since(began)
	for _, id := range ids {
		if id != "" {
			group.Go(func() error {
				return lab.Engine().ContainerRemove(context.WithoutCancel(ctx), id, container.RemoveOptions{Force: true})
			})
		}
	}
	must(b, errors.Join(err, group.Wait()))
	return took
}
