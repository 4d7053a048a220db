package scenarios_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/scenarios"
)

// removed is the version of a job that is not there.
const removed = ""

// A journal is what nodes were asked to write, and what they answered. It says of
// each job in which versions it may be: in the one that was acknowledged last, and in
// those of later requests of which nobody knows whether they were carried out.
type journal struct {
	may          map[string][]string // by job
	acknowledged int
	disks        map[int]int // acknowledged writes, by the disks that the answer names
	unknown      int         // requests without an answer
}

func newJournal() *journal { return &journal{may: map[string][]string{}, disks: map[int]int{}} }

// note takes in the answer to a write that was to bring job to a version, and says on
// how many disks it is; 0 if that is not known.
func (j *journal) note(job, version string, w api.Written, err error) (disks int) {
	if len(j.may[job]) == 0 {
		j.may[job] = []string{removed} // before it was created
	}
	if err != nil {
		j.may[job] = append(j.may[job], version)
		j.unknown++
		return 0
	}
	j.may[job] = []string{version}
	j.disks[w.Disks]++
	j.acknowledged++
	return w.Disks
}

// there lists the jobs that are there for certain, in order; settled are those of
// which also the version is certain.
func (j *journal) there() (all, settled []string) {
	for job, may := range j.may {
		if slices.Contains(may, removed) {
			continue
		}
		all = append(all, job)
		if len(may) == 1 {
			settled = append(settled, job)
		}
	}
	slices.Sort(all)
	slices.Sort(settled)
	return all, settled
}

// heldBy says what n does not have as it may be.
func (j *journal) heldBy(ctx context.Context, n *scenarios.Node) error {
	jobs, err := n.Service().Jobs(ctx)
	if err != nil {
		return fmt.Errorf("ask %s: %w", n.Name, err)
	}
	has := map[string]string{}
	for _, job := range jobs {
		has[job.Name] = job.Labels["version"]
	}
	for job, may := range j.may {
		if !slices.Contains(may, has[job]) {
			return fmt.Errorf("%s has %s as %q, want one of %q", n.Name, job, has[job], may)
		}
		delete(has, job)
	}
	if len(has) > 0 {
		return fmt.Errorf("%s has %v, which nobody asked for", n.Name, has)
	}
	return nil
}

// agreed says what keeps all living nodes from having all jobs as they may be, and
// all the same.
func (j *journal) agreed(ctx context.Context, lab *scenarios.Lab) error {
	first := ""
	for _, n := range lab.Alive() {
		if err := j.heldBy(ctx, n); err != nil {
			return err
		}
		jobs, err := n.Service().Jobs(ctx)
		if err != nil {
			return fmt.Errorf("ask %s: %w", n.Name, err)
		}
		var tags []string
		for _, job := range jobs {
			tags = append(tags, job.Name+" "+job.ETag)
		}
		switch all := strings.Join(tags, ", "); {
		case first == "":
			first = "of them: " + all
		case first != "of them: "+all:
			return fmt.Errorf("%s has %s; another has %s", n.Name, all, first)
		}
	}
	return nil
}

func (j *journal) String() string {
	return fmt.Sprintf("%d writes acknowledged, by the disks they were said to be on %v; %d without an answer", j.acknowledged, j.disks, j.unknown)
}

// versioned is a job of no tasks: nothing but its record matters.
func versioned(name, version string) api.Job {
	j := sleeper(name, 0)
	j.Labels = map[string]string{"version": version}
	return j
}

// write has n bring a job to a version: to create, change or remove it.
func write(ctx context.Context, n *scenarios.Node, name, version string) (api.Written, error) {
	if version == removed {
		return n.Service().Remove(ctx, name, api.WriteOptions{})
	}
	return n.Service().Put(ctx, versioned(name, version), api.WriteOptions{})
}

// onDisk is the version of a job in the data file of a node whose agent has ended;
// "none" if the file does not know the job.
func onDisk(t *testing.T, n *scenarios.Node, job string) string {
	t.Helper()
	if n.Running() {
		t.Fatalf("%s runs: its disk cannot be looked at", n.Name)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	store, records, _, err := gossip.OpenStore(filepath.Join(n.DataDir, "table.db"), log)
	must(t, err)
	defer store.Close()
	for _, r := range records {
		if r.Key != "j/"+job {
			continue
		}
		if r.Removed {
			return removed
		}
		var value struct{ Spec api.Job }
		must(t, json.Unmarshal(r.Value, &value))
		return value.Spec.Labels["version"]
	}
	return "none"
}

// holders are the nodes that have a job on disk in that version. None must run.
func holders(t *testing.T, lab *scenarios.Lab, job, version string) []*scenarios.Node {
	t.Helper()
	return slices.DeleteFunc(lab.Nodes(), func(n *scenarios.Node) bool { return gone(n) || onDisk(t, n, job) != version })
}

// gone says whether a node has no data any more.
func gone(n *scenarios.Node) bool {
	_, err := filepath.EvalSymlinks(n.DataDir)
	return err != nil
}

// bootAll starts the nodes that have data, in an order and at distances that change,
// and returns when all are ready.
func bootAll(ctx context.Context, lab *scenarios.Lab, order []*scenarios.Node) error {
	var starts []chan error
	for _, n := range order {
		done := make(chan error, 1)
		starts = append(starts, done)
		go func() { done <- lab.Restart(ctx, n) }()
		<-time.After(50 * time.Millisecond)
	}
	var errs []error
	for _, done := range starts {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

// hang pauses an agent, and returns when none of its threads runs any more: on a busy
// machine a signal takes its time.
func hang(ctx context.Context, t *testing.T, lab *scenarios.Lab, n *scenarios.Node) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("this system does not show when a process has stopped")
	}
	must(t, lab.Pause(n))
	must(t, scenarios.Eventually(ctx, n.Name+" hangs", func() error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", n.PID()))
		for _, thread := range threads {
			stat, readErr := os.ReadFile(thread)
			if _, state, _ := strings.Cut(string(stat), ") "); readErr == nil && !strings.HasPrefix(state, "T") {
				return errors.New("a thread of it runs")
			}
		}
		return err
	}))
}
