package process_test

import (
	"context"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/process"
)

// Another node's driver finds a task by its environment, though its directory is
// elsewhere, and ends all of it; its own tasks and those of other clusters are not
// siblings'.
func TestSiblings(t *testing.T) {
	open := func(cluster string, node api.NodeID) *process.Driver {
		d, err := process.New(process.Config{Dir: t.TempDir(), Cluster: cluster, Node: node})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	cluster := "siblings" + time.Now().Format("150405.000000000")
	dead, living, stranger := open(cluster, "dead"), open(cluster, "living"), open(cluster+"x", "living")
	spec := runtime.Spec{
		Labels:  runtime.Labels{Cluster: cluster, Job: "web", Life: 7, Slot: 2, Epoch: 3, Node: "dead", Boot: "b", Lock: "/some/lock", TemplateHash: "h"},
		Command: []string{"/bin/sh", "-c", "sleep 300 & sleep 300"},
	}
	c, err := dead.Start(t.Context(), spec, func(api.TaskState, string) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dead.Stop(context.Background(), c.ID, 0) })

	for name, d := range map[string]*process.Driver{"its own node": dead, "another cluster": stranger} {
		got, err := d.Siblings(t.Context())
		if err != nil || len(got) != 0 {
			t.Errorf("siblings seen by %s = %v, %v, want none", name, got, err)
		}
	}
	got, err := living.Siblings(t.Context())
	if err != nil || len(got) != 1 {
		t.Fatalf("siblings = %v, %v, want one", got, err)
	}
	l, want := got[0].Labels, spec.Labels
	if l.Task() != want.Task() || l.Life != want.Life || l.Node != want.Node || l.Lock != want.Lock || l.Boot != want.Boot {
		t.Errorf("labels = %+v, want %+v", l, want)
	}
	if err := stranger.Reap(t.Context(), got[0]); err == nil {
		t.Error("a driver of another cluster reaped it")
	}
	if err := living.Reap(t.Context(), got[0]); err != nil {
		t.Fatalf("reap: %v", err)
	}
	if got, err := living.Siblings(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("siblings after reaping = %v, %v, want none", got, err)
	}
}
