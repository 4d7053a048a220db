package peer_test

import (
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
	"github.com/exitae337/orchestergo/runtime"
)

// A sibling's container is only superfluous when the table says so, whatever the
// epochs on label and record, and one that has exited, when its logs are.
func TestLeftover(t *testing.T) {
	now := time.UnixMilli(1763842000000)
	job := func(life uint64, removed, stopped bool) *peer.JobRecord {
		j := &peer.JobRecord{Spec: api.NewJob(), Stopped: stopped, Removed: removed}
		j.Spec.Name, j.Spec.Replicas, j.Stamp.Major = "web", 2, life
		return j
	}
	owned := func(owner string, epoch uint64) *peer.Assignment {
		return &peer.Assignment{State: api.Running, Stamp: gossip.Stamp{Major: epoch, Mid: owner}}
	}
	accepted := func(owner string, epoch uint64) *peer.Assignment {
		a := owned(owner, epoch)
		a.State = api.Accepted
		return a
	}
	container := func(slot int) runtime.Container {
		return runtime.Container{Labels: runtime.Labels{Job: "web", Life: 7, Slot: slot, Epoch: 3, Node: "dead"}}
	}
	exited := func(slot int, ago time.Duration) runtime.Container {
		c := container(slot)
		c.State, c.FinishedAt = runtime.Exited, now.Add(-ago)
		return c
	}
	for _, tt := range []struct {
		name  string
		c     runtime.Container
		job   *peer.JobRecord
		slot  *peer.Assignment
		known bool
		gone  bool
		want  string
	}{
		{"still its own", container(0), job(7, false, false), owned("dead", 3), true, false, ""},
		{"never recorded", container(0), job(7, false, false), nil, true, false, ""},
		{"another node's, later", container(0), job(7, false, false), owned("other", 4), true, false, "the slot is another node's"},
		{"another node's, earlier", container(0), job(7, false, false), owned("other", 1), true, false, "the slot is another node's"},
		{"another node's, not yet running", container(0), job(7, false, false), accepted("other", 4), true, false, ""},
		{"scaled down", container(2), job(7, false, false), owned("dead", 3), true, false, "the slot is not wanted"},
		{"stopped", container(0), job(7, false, true), owned("dead", 3), true, false, "the slot is not wanted"},
		{"removed", container(0), job(7, true, false), owned("dead", 3), true, false, "its job was removed"},
		{"removed and made anew", container(0), job(8, false, false), nil, true, false, "its job was removed"},
		{"unknown job", container(0), nil, nil, true, false, "nobody knows its job"},
		{"unknown job, not sure", container(0), nil, nil, false, false, ""},
		{"unknown life", container(0), job(6, false, false), nil, true, false, "nobody knows its job"},
		{"unknown life, not sure", container(0), job(6, false, false), nil, false, false, ""},
		{"exited, another node's", exited(0, 0), job(7, false, false), owned("other", 4), true, false, ""},
		{"exited, not wanted", exited(2, peer.LogsKept), job(7, false, false), nil, true, false, ""},
		{"exited long ago", exited(0, peer.LogsKept+1), job(7, false, false), owned("dead", 3), true, false, "its logs were kept long enough"},
		{"exited, removed", exited(0, 0), job(7, true, false), nil, true, false, "its job was removed"},
		{"exited, unknown job", exited(0, 0), nil, nil, true, false, "nobody knows its job"},
		{"exited, unknown job, not sure", exited(0, peer.LogsKept+1), nil, nil, false, true, ""},
		{"exited, node gone for good", exited(0, 0), job(7, false, false), owned("dead", 3), true, true, "its node is gone for good"},
		{"running, node gone for good", container(0), job(7, false, false), accepted("other", 4), true, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := peer.Leftover{Container: tt.c, Job: tt.job, Slot: tt.slot, Gone: tt.gone, LivesKnown: tt.known, Now: now}
			if got := o.Superfluous(); got != tt.want {
				t.Errorf("superfluous = %q, want %q", got, tt.want)
			}
		})
	}
}
