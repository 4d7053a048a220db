package gossip_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/gossip"
)

// The tests' table: "j/NAME" with a life in Major is the parent of
// "a/NAME/LIFE/SLOT", which is kept beside exactly that life.
var tblRules = gossip.Rules{
	Parent: func(key string) string {
		if p := strings.Split(key, "/"); len(p) == 4 && p[0] == "a" {
			return "j/" + p[1]
		}
		return ""
	},
	Keep: func(r, parent gossip.Record) bool {
		p := strings.Split(r.Key, "/")
		return len(p) != 4 || p[2] == strconv.FormatUint(parent.Stamp.Major, 10)
	},
	Born: func(r gossip.Record) (int64, bool) {
		return int64(r.Stamp.Major), strings.HasPrefix(r.Key, "j/")
	},
}

var tblStart = time.UnixMilli(1_000_000_000)

func tblJob(name string, life, version uint64, writer string) gossip.Record {
	return gossip.Record{
		Key: "j/" + name, Stamp: gossip.Stamp{Major: life, Minor: version, Writer: writer},
		Value: fmt.Appendf(nil, "%s %d %d %s", name, life, version, writer), Time: tblStart.UnixMilli(),
	}
}

func tblSlot(name string, life uint64, slot int, epoch uint64, writer string) gossip.Record {
	return gossip.Record{
		Key: fmt.Sprintf("a/%s/%d/%d", name, life, slot), Stamp: gossip.Stamp{Major: epoch, Writer: writer},
		Value: fmt.Appendf(nil, "%d %s", epoch, writer), Time: tblStart.UnixMilli(),
	}
}

// tblRemoved is the tombstone of r at a time. Removal wins inside a life.
func tblRemoved(r gossip.Record, at time.Time, writer string) gossip.Record {
	r.Removed, r.Time = true, at.UnixMilli()
	r.Stamp.Mid, r.Stamp.Writer = "x", writer
	return r
}

// tblRecords generates records in which a stamp has one value.
func tblRecords() *rapid.Generator[[]gossip.Record] {
	one := rapid.Custom(func(t *rapid.T) gossip.Record {
		name := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name")
		life := rapid.Uint64Range(1, 3).Draw(t, "life")
		writer := rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "writer")
		if rapid.Bool().Draw(t, "slot") {
			return tblSlot(name, life, rapid.IntRange(1, 2).Draw(t, "i"), rapid.Uint64Range(1, 3).Draw(t, "epoch"), writer)
		}
		r := tblJob(name, life, rapid.Uint64Range(1, 2).Draw(t, "version"), writer)
		if rapid.IntRange(0, 3).Draw(t, "removed") == 0 {
			age := time.Duration(int(life)*20) * time.Hour // one per stamp; some are expired
			r = tblRemoved(r, tblStart.Add(-age), writer)
		}
		return r
	})
	return rapid.SliceOfN(one, 0, 16)
}

func tblOf(now time.Time, batches ...[]gossip.Record) *gossip.Table {
	t := gossip.NewTable(tblRules)
	for _, b := range batches {
		t.Load(now, b...)
	}
	return t
}

func tblAll(t *gossip.Table) []gossip.Record {
	var out []gossip.Record
	t.Range("", func(r gossip.Record) bool { out = append(out, r); return true })
	return out
}

func tblSame(a, b []gossip.Record) bool {
	return slices.EqualFunc(a, b, func(x, y gossip.Record) bool { return reflect.DeepEqual(x, y) })
}

// tblVisible leaves out expired tombstones and their children.
func tblVisible(t *gossip.Table, now time.Time) []gossip.Record {
	gone := func(key string) bool {
		r, ok := t.Get(key)
		return ok && r.Removed && now.UnixMilli()-r.Time >= t.Retention.Milliseconds()
	}
	return slices.DeleteFunc(tblAll(t), func(r gossip.Record) bool { return gone(r.Key) || gone(tblRules.Parent(r.Key)) })
}

func TestMergeIsALattice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := tblAll(tblOf(tblStart, tblRecords().Draw(t, "a")))
		b := tblAll(tblOf(tblStart, tblRecords().Draw(t, "b")))
		c := tblAll(tblOf(tblStart, tblRecords().Draw(t, "c")))
		abc := tblAll(tblOf(tblStart, a, b, c))
		bc := tblAll(tblOf(tblStart, b, c))
		for name, got := range map[string][]gossip.Record{
			"c b a":     tblAll(tblOf(tblStart, c, b, a)),
			"a (b c)":   tblAll(tblOf(tblStart, a, bc)),
			"a b c b a": tblAll(tblOf(tblStart, a, b, c, b, a)),
			"one batch": tblAll(tblOf(tblStart, slices.Concat(c, a, b))),
		} {
			if !tblSame(got, abc) {
				t.Fatalf("merging %s gives %v, a b c gives %v", name, got, abc)
			}
		}
	})
}

func TestDigestsAreEqualExactlyForEqualVisibleRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := tblOf(tblStart, tblRecords().Draw(t, "a"))
		b := tblOf(tblStart, tblRecords().Draw(t, "b"))
		if rapid.Bool().Draw(t, "same") {
			b = tblOf(tblStart, tblAll(a))
		}
		now := tblStart.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "hours")) * time.Hour)
		a.Expire(now, []gossip.Peer{{ID: "other"}})
		if rapid.Bool().Draw(t, "forget") {
			b.Expire(now, nil) // b forgets, a must not
		} else {
			b.Expire(now, []gossip.Peer{{ID: "other"}})
		}
		same := tblSame(tblVisible(a, now), tblVisible(b, now))
		if got := a.Digest() == b.Digest(); got != same {
			t.Fatalf("equal digests: %v, equal records: %v\n%v\n%v", got, same, tblVisible(a, now), tblVisible(b, now))
		}
	})
}

func TestParentsInABatchComeFirst(t *testing.T) {
	tbl := gossip.NewTable(tblRules)
	m := tbl.Merge(tblStart, tblSlot("web", 7, 1, 1, "n1"), tblJob("web", 7, 1, "n1"))
	if len(m.News) != 2 || m.News[0].Key != "j/web" {
		t.Fatalf("news %v, want the job and then its slot", m.News)
	}
}

func TestChildrenGoWithTheirLife(t *testing.T) {
	tbl := tblOf(tblStart, []gossip.Record{tblJob("web", 7, 1, "n1"), tblSlot("web", 7, 1, 1, "n1")})
	m := tbl.Merge(tblStart, tblSlot("web", 9, 1, 1, "n2"), tblJob("web", 9, 1, "n2"))
	if want := []string{"a/web/7/1"}; !slices.Equal(m.Dropped, want) {
		t.Errorf("dropped %v, want %v", m.Dropped, want)
	}
	if len(m.News) != 2 {
		t.Errorf("news %v, want the job and the slot of its new life", m.News)
	}
	m = tbl.Merge(tblStart, tblSlot("web", 7, 1, 2, "n3"))
	if len(m.Refused) != 1 || !errors.Is(m.Refused[0].Err, gossip.ErrNotKept) {
		t.Errorf("a slot of the old life: refused %v, want ErrNotKept", m.Refused)
	}
}

func TestMergeAnswersWithWhatIsGreater(t *testing.T) {
	greater := tblJob("web", 7, 2, "n1")
	tbl := tblOf(tblStart, []gossip.Record{greater})
	m := tbl.Merge(tblStart, tblJob("web", 7, 1, "n1"), gossip.Record{Key: "j/bad"}, greater)
	if len(m.Stale) != 1 || !reflect.DeepEqual(m.Stale[0], greater) {
		t.Errorf("stale %v, want %v", m.Stale, greater)
	}
	if len(m.Refused) != 1 || m.Refused[0].Key != "j/bad" || !errors.Is(m.Refused[0].Err, gossip.ErrShape) {
		t.Errorf("refused %v, want j/bad for its shape", m.Refused)
	}
	if len(m.News) != 0 {
		t.Errorf("news %v, want none", m.News)
	}
}

func TestRecordsAreCopied(t *testing.T) {
	r := tblJob("web", 7, 1, "n1")
	want := string(r.Value)
	tbl := gossip.NewTable(tblRules)
	m := tbl.Merge(tblStart, r)
	got, _ := tbl.Get(r.Key)
	r.Value[0], m.News[0].Value[0], got.Value[0] = '!', '!', '!'
	tbl.Range("", func(r gossip.Record) bool { r.Value[0] = '!'; return true })
	if got, _ := tbl.Get(r.Key); string(got.Value) != want {
		t.Errorf("value %q, want %q", got.Value, want)
	}
}

func TestRangeAndSnapshot(t *testing.T) {
	tbl := gossip.NewTable(gossip.Rules{})
	for _, k := range []string{"b/2", "a/1", "b/1", "c/1", "b/3"} {
		tbl.Merge(tblStart, gossip.Record{Key: k, Stamp: gossip.Stamp{Writer: "w"}})
	}
	snap := tbl.Snapshot()
	tbl.Merge(tblStart, gossip.Record{Key: "b/0", Stamp: gossip.Stamp{Writer: "w"}})
	keys := func(rng func(string, func(gossip.Record) bool)) (out []string) {
		rng("b/", func(r gossip.Record) bool { out = append(out, r.Key); return r.Key != "b/2" })
		return out
	}
	if got, want := keys(snap.Range), []string{"b/1", "b/2"}; !slices.Equal(got, want) {
		t.Errorf("snapshot has %v, want %v", got, want)
	}
	if got, want := keys(tbl.Range), []string{"b/0", "b/1", "b/2"}; !slices.Equal(got, want) {
		t.Errorf("table has %v, want %v", got, want)
	}
}

func TestCheckRefusesWhatJSONWouldChange(t *testing.T) {
	r := gossip.Record{Key: "j/\xff", Stamp: gossip.Stamp{Writer: "w"}}
	if err := r.Check(); !errors.Is(err, gossip.ErrShape) {
		t.Errorf("Check of a key that is not UTF-8: %v, want ErrShape", err)
	}
}

func tblMany(n int) []gossip.Record {
	out := []gossip.Record{tblJob("web", 7, 1, "n1")}
	for i := range n - 1 {
		out = append(out, tblSlot("web", 7, i, 1, "12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2.0123456789abcdef"))
	}
	return out
}

func BenchmarkMerge10k(b *testing.B) {
	recs := tblMany(10_000)
	for b.Loop() {
		if t := tblOf(tblStart, recs); t.Len() != len(recs) {
			b.Fatalf("%d records, want %d", t.Len(), len(recs))
		}
	}
}

// A full table takes no new key and no value that is much larger; what is there can
// be changed and removed, and room comes back with what goes.
func TestFullTable(t *testing.T) {
	record := func(key string, version uint64, size int) gossip.Record {
		return gossip.Record{Key: key, Value: make([]byte, size), Stamp: gossip.Stamp{Major: 1, Minor: version, Writer: "w"}, Time: tblStart.UnixMilli()}
	}
	removed := record("j/a", 9, 1040)
	removed.Removed = true
	tests := []struct {
		name string
		in   gossip.Record
		full bool
	}{
		{"a new key", record("j/c", 1, 0), true},
		{"the same size", record("j/a", 2, 1000), false},
		{"smaller", record("j/a", 2, 10), false},
		{"a little larger", record("j/a", 2, 1040), false},
		{"much larger", record("j/a", 2, 2000), true},
		{"a removal", removed, false},
	}
	for _, bound := range []string{"records", "bytes"} {
		for _, tt := range tests {
			t.Run(bound+"/"+tt.name, func(t *testing.T) {
				tbl := gossip.NewTable(tblRules)
				tbl.MaxBytes = 2010
				if bound == "records" {
					tbl.MaxRecords = 2
				}
				if m := tbl.Merge(tblStart, record("j/a", 1, 1000), record("j/b", 1, 1000)); len(m.News) != 2 {
					t.Fatalf("below the bounds: %+v", m.Refused)
				}
				m := tbl.Merge(tblStart, tt.in)
				if full := len(m.Refused) == 1 && m.Refused[0].Err == gossip.ErrFull; full != tt.full || full == (len(m.News) == 1) {
					t.Errorf("refused %+v, want it full: %v", m.Refused, tt.full)
				}
				tbl.Merge(tblStart, record("j/b", 3, 0)) // makes room for bytes
				if got := len(tbl.Merge(tblStart, record("j/z", 1, 100)).News); (got == 1) != (bound == "bytes") {
					t.Errorf("after that %d new keys were taken", got)
				}
				if m := tbl.Load(tblStart, record("j/disk", 1, 5000)); len(m.News) != 1 {
					t.Error("what is on this node's disk was refused")
				}
			})
		}
	}
}
