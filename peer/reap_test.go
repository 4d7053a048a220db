package peer_test

import (
	"testing"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
	"github.com/exitae337/orchestergo/runtime"
)

// A sibling's container is only superfluous when the table says so, whatever the
// epochs on label and record.
func TestSuperseded(t *testing.T) {
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
	for _, tt := range []struct {
		name  string
		c     runtime.Container
		job   *peer.JobRecord
		slot  *peer.Assignment
		known bool
		want  string
	}{
		{"still its own", container(0), job(7, false, false), owned("dead", 3), true, ""},
		{"never recorded", container(0), job(7, false, false), nil, true, ""},
		{"another node's, later", container(0), job(7, false, false), owned("other", 4), true, "the slot is another node's"},
		{"another node's, earlier", container(0), job(7, false, false), owned("other", 1), true, "the slot is another node's"},
		{"another node's, not yet running", container(0), job(7, false, false), accepted("other", 4), true, ""},
		{"scaled down", container(2), job(7, false, false), owned("dead", 3), true, "the slot is not wanted"},
		{"stopped", container(0), job(7, false, true), owned("dead", 3), true, "the slot is not wanted"},
		{"removed", container(0), job(7, true, false), owned("dead", 3), true, "its job was removed"},
		{"removed and made anew", container(0), job(8, false, false), nil, true, "its job was removed"},
		{"unknown job", container(0), nil, nil, true, "nobody knows its job"},
		{"unknown job, not sure", container(0), nil, nil, false, ""},
		{"unknown life", container(0), job(6, false, false), nil, true, "nobody knows its job"},
		{"unknown life, not sure", container(0), job(6, false, false), nil, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := peer.Superseded(tt.c, tt.job, tt.slot, tt.known); got != tt.want {
				t.Errorf("superseded = %q, want %q", got, tt.want)
			}
		})
	}
}
