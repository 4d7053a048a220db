package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// ownDisk is how large the disk of a node is in these tests.
const ownDisk = 32 << 20

// startDisks is startLab with nodes that have a disk of their own, or a skipped test.
func startDisks(t *testing.T, nodes int) (context.Context, *scenarios.Lab) {
	t.Helper()
	needNetwork(t)
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip(err)
	}
	return startLab(t, nodes, scenarios.LabConfig{Disk: ownDisk})
}

// TestDiskFails takes the disk of a node away under it: it fills up, or the kernel makes
// it read-only. The node ends and says why, as does one that is started on such a disk;
// the others serve all. On a sound disk it takes part again.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		words      string
		fail, mend func(context.Context, *scenarios.Lab, *scenarios.Node) error
	}{
		"full": {
			"no space left on device",
			func(_ context.Context, lab *scenarios.Lab, n *scenarios.Node) error { return lab.FillDisk(n, 0) },
			func(_ context.Context, lab *scenarios.Lab, n *scenarios.Node) error { return lab.FreeDisk(n) },
		},
		"read-only": {
			"read-only file system",
			func(_ context.Context, lab *scenarios.Lab, n *scenarios.Node) error { return lab.FailDisk(n) },
			func(ctx context.Context, lab *scenarios.Lab, n *scenarios.Node) error {
				return errors.Join(lab.KillHost(ctx, n), lab.MendDisk(ctx, n))
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, lab := startDisks(t, 3)
			submit(ctx, t, lab.Nodes()[0], sleeper("web", 6))
			settle(ctx, t, lab, "web", 6, 20*time.Second)
			victim := fullest(ctx, t, lab, "web")
			others := slices.DeleteFunc(lab.Nodes(), func(n *scenarios.Node) bool { return n == victim })
			must(t, tt.fail(ctx, lab, victim))

			jobs := writeUntilEnd(ctx, t, victim, others[0])
			if said := victim.LastWords(); !strings.Contains(said, "error: ") || !strings.Contains(said, victim.DataDir) || !strings.Contains(said, tt.words) {
				t.Errorf("the agent does not say why it ended: %s", said)
			}
			serves(ctx, t, lab, "web", 6, others)
			wants(ctx, t, lab, []string{victim.DataDir, tt.words}, "start", "--data-dir", victim.DataDir, "--ports", strconv.Itoa(victim.Base))

			must(t, tt.mend(ctx, lab, victim))
			must(t, lab.Restart(ctx, victim))
			must(t, lab.AwaitReady(ctx))
			submit(ctx, t, victim, sleeper("whole", 3))
			for job, replicas := range jobs {
				settle(ctx, t, lab, job, replicas, 30*time.Second)
			}
			settle(ctx, t, lab, "whole", 3, 30*time.Second)
			settle(ctx, t, lab, "web", 6, 30*time.Second)
		})
	}
}

// writeUntilEnd has another node write until the agent of the victim has ended, and
// returns what was acknowledged.
func writeUntilEnd(ctx context.Context, t *testing.T, victim, other *scenarios.Node) map[string]int {
	t.Helper()
	jobs := map[string]int{}
	eventually(ctx, t, "the agent of "+victim.Name+" ends", 30*time.Second, func(ctx context.Context) error {
		if !victim.Running() {
			return nil
		}
		job := sleeper(fmt.Sprintf("large-%d", len(jobs)), 1)
		for _, name := range []string{"A", "B", "C", "D"} {
			job.Env[name] = strings.Repeat("x", 30<<10)
		}
		if _, err := other.Service().Submit(ctx, job, api.WriteOptions{}); err != nil {
			return err
		}
		jobs[job.Name] = 1
		return errors.New("it runs")
	})
	return jobs
}

// TestStaleDisk gives a host that died the disk that it had a while ago. What it missed
// it learns, and what it brings back stays removed.
func TestStaleDisk(t *testing.T) {
	t.Parallel()
	ctx, lab := startLab(t, 3, scenarios.LabConfig{})
	submit(ctx, t, lab.Nodes()[0], sleeper("web", 6))
	submit(ctx, t, lab.Nodes()[1], sleeper("gone", 3))
	settle(ctx, t, lab, "web", 6, 20*time.Second)
	settle(ctx, t, lab, "gone", 3, 20*time.Second)
	victim := fullest(ctx, t, lab, "web")
	must(t, lab.KeepCopy(ctx, victim))

	submit(ctx, t, victim, sleeper("late", 3)) // it is one of those that said so
	for _, err := range []error{
		second(victim.Service().Remove(ctx, "gone", api.WriteOptions{})),
		second(victim.Service().Scale(ctx, "web", 4, api.WriteOptions{})),
	} {
		must(t, err)
	}
	settle(ctx, t, lab, "late", 3, 20*time.Second)
	must(t, lab.KillHost(ctx, victim))
	settle(ctx, t, lab, "late", 3, 30*time.Second)
	must(t, lab.PutBack(ctx, victim))
	must(t, lab.Restart(ctx, victim))
	must(t, lab.AwaitReady(ctx))
	settle(ctx, t, lab, "late", 3, 30*time.Second)
	settle(ctx, t, lab, "web", 4, 30*time.Second)
	must(t, scenarios.Throughout(ctx, 3*time.Second, func() error {
		return errors.Join(lab.CheckGone(ctx, "gone"), lab.CheckJob(ctx, "late", 3), lab.CheckJob(ctx, "web", 4))
	}))
}

// TestWipedDisk gives a host that died a disk that has nothing on it but, in one case,
// its key. With it it is who it was, with no memory of it; without it is somebody else,
// and who it was is forgotten on request: then what only that one may run runs elsewhere.
func TestWipedDisk(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string][]string{"all of it": nil, "all but its key": {"key"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, lab := startLab(t, 3, scenarios.LabConfig{})
			frozen := sleeper("cold", 3)
			frozen.OnPartition = "freeze"
			submit(ctx, t, lab.Nodes()[0], frozen)
			submit(ctx, t, lab.Nodes()[0], sleeper("web", 6))
			settle(ctx, t, lab, "cold", 3, 20*time.Second)
			settle(ctx, t, lab, "web", 6, 20*time.Second)
			victim := fullest(ctx, t, lab, "cold")
			was := victim.ID()
			must(t, lab.KillHost(ctx, victim))
			must(t, lab.WipeDisk(victim, keep...))
			must(t, lab.Rejoin(ctx, victim))
			settle(ctx, t, lab, "web", 6, 30*time.Second)
			if len(keep) > 0 {
				if victim.ID() != was {
					t.Errorf("with its key, %s is %s, want %s", victim.Name, victim.ID(), was)
				}
			} else {
				if victim.ID() == was {
					t.Errorf("with an empty disk, %s is still %s", victim.Name, was)
				}
				if err := lab.CheckJob(ctx, "cold", 3); err == nil {
					t.Error("what is frozen was replaced before anybody said that its node is gone for good")
				}
				eventually(ctx, t, "who was there before is found dead, and forgotten", 30*time.Second, func(ctx context.Context) error {
					return second(victim.Service().RemoveNode(ctx, string(was)))
				})
			}
			settle(ctx, t, lab, "cold", 3, 30*time.Second)
			must(t, lab.AwaitReady(ctx))
		})
	}
}

// second is the error of a call that returns something else before.
func second[T any](_ T, err error) error { return err }
