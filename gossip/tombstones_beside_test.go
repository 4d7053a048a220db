package gossip_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/gossip"
)

// Two nodes that were away for long sync with each other while one of them syncs
// with a node that was here, at any moment of it. What was removed meanwhile must not
// come back through the one in the middle, which takes it from the other anew and
// from then on counts as having heard of all removals.
func TestSyncsBesideEachOtherBringNothingBack(t *testing.T) {
	floor := tblStart.Add(time.Hour)
	now := floor.Add(26 * time.Hour)
	for turn := 1; turn <= 6; turn++ {
		for _, order := range [][4]int{{1, 2, 0, 1}, {2, 1, 0, 1}, {1, 2, 1, 0}, {2, 1, 1, 0}} {
			t.Run(fmt.Sprintf("turn %d of %d with %d, %d with %d meanwhile", turn, order[0], order[1], order[2], order[3]), func(t *testing.T) {
				n := tblCluster(3)
				n[0].table.SetMeta(gossip.Meta{Floor: floor.UnixMilli(), LastSync: now.UnixMilli(), Heard: map[string]int64{n[1].id: now.UnixMilli(), n[2].id: now.UnixMilli()}})
				n[0].table.Merge(now, tblJob("kept", 5, 1, "0"))
				for i, s := range n[1:] {
					s.table.SetMeta(gossip.Meta{LastSync: tblStart.UnixMilli(), Heard: map[string]int64{n[0].id: tblStart.UnixMilli(), n[2-i].id: tblStart.UnixMilli()}})
					s.table.Merge(now, tblJob("web", 7, 1, "1"), tblSlot("web", 7, 1, 1, "1"), tblJob("kept", 5, 1, "0"), tblJob("new"+s.id, uint64(now.UnixMilli()), 1, s.id))
				}
				_, err := tblSyncBetween(now, n[order[0]], n[order[1]], func(after int) {
					if after == turn {
						tblMustSync(t, now, n[order[2]], n[order[3]])
					}
				})
				t.Logf("the sync beside: %v", err)
				for range 2 {
					tblMustSync(t, now, n[1], n[0])
					tblMustSync(t, now, n[2], n[1])
					tblMustSync(t, now, n[0], n[2])
				}
				tblExpect(t, "nothing", "j/web", n...)
				for _, key := range []string{"j/kept", "j/new" + n[1].id, "j/new" + n[2].id} {
					tblExpect(t, "it", key, n...)
				}
				for _, s := range n[1:] {
					if len(s.aside) < 2 || s.aside[0].Key != "j/web" {
						t.Errorf("node %s set aside %v, want the job and its slot", s.id, s.aside)
					}
				}
			})
		}
	}
}
