package peer_test

import (
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/peer"
)

func TestConflicting(t *testing.T) {
	at := func(life, version uint64, writer string) *peer.JobRecord {
		j := planJob("web", 1)
		j.Stamp.Major, j.Stamp.Minor, j.Stamp.Writer, j.ETag = life, version, writer, writer
		return j
	}
	anew := func(life uint64, from *peer.JobRecord) *peer.JobRecord {
		j := at(life, 1, "w")
		j.Previous = &api.Job{Generation: from.Version(), ETag: from.ETag, CreatedAt: time.UnixMilli(from.Life())}
		return j
	}
	keyed := func(j *peer.JobRecord, keys ...string) *peer.JobRecord {
		for _, k := range keys {
			j.Keys = append(j.Keys, peer.UsedKey{Key: k})
		}
		return j
	}
	removed := func(j *peer.JobRecord) *peer.JobRecord {
		j.Removed = true
		return j
	}
	for what, tt := range map[string]struct {
		lost, won *peer.JobRecord
		want      bool
	}{
		"the first":                           {nil, at(7, 1, "a"), false},
		"the next version":                    {at(7, 1, "a"), at(7, 2, "b"), false},
		"the same version":                    {at(7, 2, "a"), at(7, 2, "b"), true},
		"the same version, of one request":    {keyed(at(7, 2, "a"), "x", "k"), keyed(at(7, 2, "b"), "x", "k"), false},
		"the same version, of two requests":   {keyed(at(7, 2, "a"), "x", "k"), keyed(at(7, 2, "b"), "x", "l"), true},
		"removed":                             {at(7, 2, "a"), removed(at(7, 2, "b")), false},
		"created after a removal":             {removed(at(7, 2, "a")), at(8, 1, "b"), false},
		"created twice":                       {at(7, 1, "a"), at(8, 1, "b"), true},
		"created twice by one request":        {keyed(at(7, 1, "a"), "k"), keyed(at(8, 1, "b"), "k"), false},
		"made anew":                           {at(7, 2, "a"), anew(8, at(7, 2, "a")), false},
		"made anew from a version missed":     {at(7, 2, "a"), anew(8, at(7, 3, "b")), false},
		"made anew from a life missed":        {at(7, 2, "a"), anew(9, at(8, 1, "b")), false},
		"made anew, changed meanwhile":        {at(7, 3, "a"), anew(8, at(7, 2, "b")), true},
		"made anew from what was beside":      {at(7, 2, "a"), anew(8, at(7, 2, "b")), true},
		"made anew from a life that was lost": {at(7, 1, "a"), anew(8, at(6, 4, "b")), true},
	} {
		if got := peer.Conflicting(tt.lost, tt.won); got != tt.want {
			t.Errorf("%s: got %v, want %v", what, got, tt.want)
		}
	}
}
