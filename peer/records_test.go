package peer_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"pgregory.net/rapid"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/bidding"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/peer"
	"github.com/exitae337/orchestergo/runtime"
)

// somebody is the id of a node.
const somebody = "12D3KooWGJe13fT97uMcmT5NSDzs1WwGMUXNPbTa2LvHbWwT7cAU"

func quiet() logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// encoded is the record of a value of the table.
func encoded[T any](t interface{ Fatal(...any) }, encode func(T, time.Time) (gossip.Record, error), v T) gossip.Record {
	r, err := encode(v, planNow)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	return r
}

func drawSlotKey(t *rapid.T) peer.SlotKey {
	return peer.SlotKey{
		Job:  rapid.StringMatching(`[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?`).Draw(t, "job"),
		Life: rapid.Int64Range(1, 1<<62).Draw(t, "life"), Slot: rapid.IntRange(0, api.MaxReplicas-1).Draw(t, "slot"),
	}
}

func TestSlotKeys(t *testing.T) {
	if got, want := peer.SlotRecordKey(peer.SlotKey{Job: "web", Life: 7, Slot: 3}), "a/web/7/3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		k := drawSlotKey(t)
		key := peer.SlotRecordKey(k)
		if got, err := peer.ParseSlotKey(key); err != nil || got != k {
			t.Fatalf("%+v became %q became %+v, %v", k, key, got, err)
		}
		if got, want := peer.Rules().Parent(key), peer.JobKey(k.Job); got != want {
			t.Fatalf("parent of %s: got %q, want %q", key, got, want)
		}
	})
}

func TestHostileSlotKeys(t *testing.T) {
	for _, key := range []string{
		"", "a", "a/", "a/web", "a/web/7", "a/web/7/", "a/web/7/0/", "a/web/7/0/1", "b/web/7/0", "A/web/7/0", " a/web/7/0", "a/web/7/0 ",
		"a//7/0", "a/Web/7/0", "a/we.b/7/0", "a/../7/0", "a/-/7/0", "a/web\x00/7/0", "a/web/7/0\n", "a/" + strings.Repeat("w", 64) + "/7/0",
		"a/web/x/0", "a/web/7.0/0", "a/web/0x7/0", "a/web/9223372036854775808/0", "a/web/-7/0",
		"a/web/7/-1", "a/web/7/-0", "a/web/7/100000", "a/web/7/99999999999999999999", "a/web/7/1e3", "a/web/7/٣",
		"a/web/+7/0", "a/web/07/0", "a/web/7/+0", "a/web/7/00", "a/web/7/1_0", // other spellings of a key would be a second record of the slot
	} {
		if k, err := peer.ParseSlotKey(key); err == nil {
			t.Errorf("%q is taken for slot %+v", key, k)
		} else if len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%q: error is not printable: %q", key, err)
		}
	}
}

func TestRecordRoundTrips(t *testing.T) {
	j := planJob("web", 3)
	prev := api.NewJob()
	prev.Name = "web"
	j.Stopped, j.RestartSeq, j.UpdatedAt, j.Previous = true, 4, planNow.UTC(), &prev
	j.Hash = j.Spec.TemplateHash(4)
	j.Spec = j.Spec.Spec()
	j.Keys, j.Forced = []peer.UsedKey{{Key: "a", Request: "b"}}, true
	r := encoded(t, peer.EncodeJob, j)
	j.ETag = peer.ETag(r)
	if r.Key != "j/web" || r.Stamp != j.Stamp || r.Removed || r.Time != planNow.UnixMilli() {
		t.Errorf("record of a job: got %+v", r)
	}
	if got, err := peer.DecodeJob(r); err != nil || !reflect.DeepEqual(got, j) {
		t.Errorf("got %+v, %v, want %+v", got, err, j)
	}

	code := 3
	a := &peer.Assignment{
		State: api.Failed, Hash: "h", Failures: 2, StopFirst: true, RanEpoch: 1, Auction: "x", Auctioneer: "n", Reason: "why", ContainerID: "c", PID: 9,
		ExitCode: &code, Restarts: 3, AcceptedAt: planNow.UTC(), StartedAt: planNow.UTC(), FinishedAt: planNow.UTC(),
		Key: j.Slot(2), Stamp: gossip.Stamp{Major: 5, Mid: "n", Minor: 2, Writer: "n.boot"},
	}
	if got, err := peer.DecodeAssignment(encoded(t, peer.EncodeAssignment, a)); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("got %+v, %v, want %+v", got, err, a)
	}
	if a.Epoch() != 5 || a.Ran() != 1 || a.Owner() != "n" {
		t.Errorf("got epoch %d, ran %d, owner %s", a.Epoch(), a.Ran(), a.Owner())
	}

	m := &peer.MemberRecord{ID: somebody, Name: "one", Address: "127.0.0.1:7071", Labels: map[string]string{"zone": "a"}, OS: "linux", Arch: "arm64",
		Draining: true, Cordoned: true, Given: map[string]string{"zone": "a"},
		Stamp: gossip.Stamp{Major: 8, Mid: peer.RemovedMid, Minor: 2, Writer: "n1.b"}, Removed: true}
	if got, err := peer.DecodeMember(encoded(t, peer.EncodeMember, m)); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("got %+v, %v, want %+v", got, err, m)
	}
}

func TestDecodeMemberRefuses(t *testing.T) {
	for _, key := range []string{"m/n1", "m/", "m/../x", "m/" + somebody + "x", somebody, "j/" + somebody, "m/" + strings.Repeat("1", 1<<10)} {
		r := encoded(t, peer.EncodeMember, &peer.MemberRecord{ID: somebody, Name: "one", Stamp: gossip.Stamp{Major: 1, Minor: 1, Writer: "n1.b"}})
		r.Key = key
		if m, err := peer.DecodeMember(r); err == nil || len(err.Error()) > 300 {
			t.Errorf("%.80q: got %+v, %v, want that it is not about a node", key, m, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	job := encoded(t, peer.EncodeJob, planJob("web", 1))
	slot := encoded(t, peer.EncodeAssignment, &peer.Assignment{State: api.Running, Key: peer.SlotKey{Job: "web", Life: 7}, Stamp: gossip.Stamp{Major: 1, Mid: "n", Minor: 1, Writer: "n.b"}})
	for what, change := range map[string]func(*gossip.Record){
		"nothing":                func(r *gossip.Record) { r.Value = nil },
		"null":                   func(r *gossip.Record) { r.Value = []byte("null") },
		"no JSON":                func(r *gossip.Record) { r.Value = []byte("{") },
		"an array":               func(r *gossip.Record) { r.Value = []byte("[]") },
		"another job":            func(r *gossip.Record) { r.Key = "j/db" },
		"a job without name":     func(r *gossip.Record) { r.Key, r.Value = "j/", []byte("{}") },
		"a hostile name":         func(r *gossip.Record) { r.Key, r.Value = "j/../x", []byte(`{"spec":{"name":"../x"}}`) },
		"a life beyond all time": func(r *gossip.Record) { r.Stamp.Major = 1<<62 + 1 },
		"a wrong type":           func(r *gossip.Record) { r.Value = []byte(`{"spec":{"name":"web","replicas":"many"}}`) },
		"too many replicas":      func(r *gossip.Record) { r.Value = []byte(`{"spec":{"name":"web","replicas":100001}}`) },
		"less than none":         func(r *gossip.Record) { r.Value = []byte(`{"spec":{"name":"web","replicas":-1}}`) },
		"a kind of the future":   func(r *gossip.Record) { r.Value = []byte(`{"spec":{"name":"web","type":"cron"}}`) },
		"a policy of the future": func(r *gossip.Record) { r.Value = []byte(`{"spec":{"name":"web","on_partition":"vote"}}`) },
		"resources below zero":   func(r *gossip.Record) { r.Value = []byte(`{"spec":{"name":"web","resources":{"cpus":-1}}}`) },
		"a port that is none":    func(r *gossip.Record) { r.Value = []byte(`{"spec":{"name":"web","ports":[{"published":99999}]}}`) },
		"no time to start in":    func(r *gossip.Record) { r.Value = []byte(`{"spec":{"name":"web","start_timeout":"0s"}}`) },
		"a format of the future": func(r *gossip.Record) { r.Value = []byte(`{"spec":{"name":"web"},"format":2}`) },
		"a hash that is a book": func(r *gossip.Record) {
			r.Value = []byte(`{"spec":{"name":"web"},"template_hash":"` + strings.Repeat("x", 200) + `"}`)
		},
		"two values": func(r *gossip.Record) { r.Value = []byte(`{"spec":{"name":"web"}} {}`) },
	} {
		r := job
		change(&r)
		if j, err := peer.DecodeJob(r); err == nil {
			t.Errorf("job record with %s: decoded as %+v", what, j)
		}
	}
	for what, change := range map[string]func(*gossip.Record){
		"nothing":               func(r *gossip.Record) { r.Value = nil },
		"no JSON":               func(r *gossip.Record) { r.Value = []byte("x") },
		"a wrong type":          func(r *gossip.Record) { r.Value = []byte(`{"state":1}`) },
		"a job's key":           func(r *gossip.Record) { r.Key = "j/web" },
		"a hostile key":         func(r *gossip.Record) { r.Key = "a/web/07/0" },
		"a state of the future": func(r *gossip.Record) { r.Value = []byte(`{"state":"hibernating"}`) },
	} {
		r := slot
		change(&r)
		if a, err := peer.DecodeAssignment(r); err == nil {
			t.Errorf("slot record with %s: decoded as %+v", what, a)
		}
	}
	// Counts below zero would break what is computed from them.
	slot.Value = []byte(`{"state":"running","failures":-5,"restarts":-1}`)
	if a, err := peer.DecodeAssignment(slot); err != nil || a.Failures != 0 || a.Restarts != 0 {
		t.Errorf("negative counts: got %+v, %v, want zeros", a, err)
	}
}

// Nothing written to a life after or beside its removal revives it, and nothing of
// an earlier life outlives the creation of the next.
func TestJobStamps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		life := rapid.Uint64Range(1, 1<<53).Draw(t, "life")
		writer := rapid.StringMatching(`[a-z]{1,3}\.[a-z]{1,3}`)
		update := gossip.Stamp{Major: life, Minor: rapid.Uint64Range(1, math.MaxUint64).Draw(t, "version"), Writer: writer.Draw(t, "writer")}
		removal := gossip.Stamp{Major: life, Mid: peer.RemovedMid, Minor: rapid.Uint64Range(1, math.MaxUint64).Draw(t, "removed"), Writer: writer.Draw(t, "remover")}
		if removal.Compare(update) <= 0 {
			t.Fatalf("removal %+v does not beat update %+v", removal, update)
		}
		next := gossip.Stamp{Major: life + 1, Minor: 1, Writer: writer.Draw(t, "creator")}
		if next.Compare(removal) <= 0 {
			t.Fatalf("new life %+v does not beat removal %+v of the old one", next, removal)
		}
		j := planJob("web", 1)
		j.Stamp = next
		gone := planJob("web", 2)
		gone.Stamp, gone.Removed = removal, true
		live := planJob("web", 3)
		live.Stamp = update
		all := []gossip.Record{encoded(t, peer.EncodeJob, j), encoded(t, peer.EncodeJob, gone), encoded(t, peer.EncodeJob, live)}
		x := peer.NewIndex(quiet())
		for _, r := range rapid.Permutation(all).Draw(t, "order") {
			x.Apply(r)
		}
		if got := x.Job("web"); got == nil || got.Stamp != next || got.Removed || got.Spec.Replicas != 1 {
			t.Fatalf("in any order the new life stays: got %+v", got)
		}
		y := peer.NewIndex(quiet())
		for _, r := range rapid.Permutation(all[1:]).Draw(t, "order") {
			y.Apply(r)
		}
		if got := y.Job("web"); got == nil || !got.Removed || len(y.Jobs()) != 0 {
			t.Fatalf("in any order the removal stays: got %+v", got)
		}
	})
}

// A label says less than any record that its owner wrote for the epoch, and more
// than anything of an epoch before.
func TestLabelStamp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		epoch := rapid.Uint64Range(2, bidding.MaxEpoch-1).Draw(t, "epoch")
		boot := rapid.StringMatching(`[a-z2-7]{8}`)
		l := &peer.Local{Self: me}
		h := &peer.Held{Container: runtime.Container{Labels: runtime.Labels{Epoch: epoch, Boot: boot.Draw(t, "boot")}}}
		label := peer.LabelStamp(l, h)
		written := gossip.Stamp{Major: epoch, Mid: string(me), Minor: rapid.Uint64Range(1, math.MaxUint64).Draw(t, "n"), Writer: string(me) + "." + boot.Draw(t, "later boot")}
		if label.Compare(written) >= 0 {
			t.Fatalf("label %+v is not below the record %+v", label, written)
		}
		earlier := gossip.Stamp{Major: epoch - 1, Mid: rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "owner"), Minor: math.MaxUint64, Writer: "z"}
		if label.Compare(earlier) <= 0 {
			t.Fatalf("label %+v is not above the record %+v", label, earlier)
		}
	})
}

func TestRules(t *testing.T) {
	rules := peer.Rules()
	j := planJob("web", 2)
	job := encoded(t, peer.EncodeJob, j)
	removed := job
	removed.Removed, removed.Stamp.Mid = true, peer.RemovedMid
	newer := job
	newer.Stamp.Major = 8
	for _, test := range []struct {
		what   string
		key    string
		parent gossip.Record
		want   bool
	}{
		{"slot of the life", "a/web/7/0", job, true},
		{"slot that is not wanted any more", "a/web/7/9", job, true},
		{"slot of a removed life: its end can still be told", "a/web/7/0", removed, true},
		{"slot of an earlier life", "a/web/7/0", newer, false},
		{"slot of a later life", "a/web/8/0", job, false},
		{"slot without a job", "a/web/7/0", gossip.Record{}, false},
		{"slot of no life without a job", "a/web/0/0", gossip.Record{}, false},
		{"no slot at all", "a/web", job, false},
		{"second spelling of a slot", "a/web/07/0", job, false},
		{"job", "j/web", gossip.Record{}, true},
		{"member", "m/n1", gossip.Record{}, true},
		{"what a later version may add", "z/whatever", gossip.Record{}, true},
	} {
		if got := rules.Keep(gossip.Record{Key: test.key}, test.parent); got != test.want {
			t.Errorf("keep %s (%s): got %v, want %v", test.what, test.key, got, test.want)
		}
	}
	for key, want := range map[string]string{"a/web/7/0": "j/web", "j/web": "", "m/n1": "", "z/x": "", "a/web/07/0": "", "a/": ""} {
		if got := rules.Parent(key); got != want {
			t.Errorf("parent of %s: got %q, want %q", key, got, want)
		}
		if rules.Parent(rules.Parent(key)) != "" {
			t.Errorf("the parent of %s has a parent", key)
		}
	}
	for what, test := range map[string]struct {
		r    gossip.Record
		born int64
		ok   bool
	}{
		"job":         {job, 7, true},
		"removed job": {removed, 0, false},
		"slot":        {gossip.Record{Key: "a/web/7/0", Stamp: gossip.Stamp{Major: 1}}, 0, false},
		"member":      {gossip.Record{Key: "m/n1", Stamp: gossip.Stamp{Major: 9}}, 0, false},
	} {
		if born, ok := rules.Born(test.r); born != test.born || ok != test.ok {
			t.Errorf("birth of a %s: got %d, %v, want %d, %v", what, born, ok, test.born, test.ok)
		}
	}
}

func TestIndex(t *testing.T) {
	x := peer.NewIndex(quiet())
	j := planJob("web", 2)
	k := j.Slot(1)
	slot := func(epoch, n uint64, owner string) gossip.Record {
		return encoded(t, peer.EncodeAssignment, &peer.Assignment{State: api.Running, Key: k, Stamp: gossip.Stamp{Major: epoch, Mid: owner, Minor: n, Writer: owner + ".b"}})
	}
	member := encoded(t, peer.EncodeMember, &peer.MemberRecord{ID: somebody, Name: "one", Stamp: gossip.Stamp{Major: 1, Minor: 1, Writer: "n1.b"}})
	for i, step := range []struct {
		r    gossip.Record
		want bool
	}{
		{encoded(t, peer.EncodeJob, j), true}, {encoded(t, peer.EncodeJob, j), false},
		{slot(2, 1, "n1"), true}, {slot(2, 1, "n1"), false}, {slot(1, 9, "n9"), false}, {slot(2, 2, "n1"), true}, {slot(2, 1, "n2"), true}, {slot(3, 1, "n1"), true},
		{member, true}, {member, false}, {gossip.Record{Key: "z/later"}, false},
		{gossip.Record{Key: "j/web", Value: []byte("{"), Stamp: gossip.Stamp{Major: 7, Minor: 9, Writer: "w"}}, false},
	} {
		if got := x.Apply(step.r); got != step.want {
			t.Errorf("step %d, %s %+v: news %v, want %v", i, step.r.Key, step.r.Stamp, got, step.want)
		}
	}
	if got := x.Slot(k); got == nil || got.Epoch() != 3 || got.Owner() != "n1" {
		t.Errorf("slot: got %+v", got)
	}
	if x.Job("web") == nil || x.Member(somebody) == nil {
		t.Error("a job or a member is missing; one bad record must not take away a good one")
	}
	for _, key := range []string{"a/web/07/1", "a/web/7/0", "j/db", "m/n2", "z/later", ""} {
		x.Drop(key)
	}
	if jobs, slots, members := x.Sizes(); jobs != 1 || slots != 1 || members != 1 {
		t.Errorf("dropping others left %d jobs, %d jobs with slots, %d members, want 1 of each", jobs, slots, members)
	}
	for _, key := range []string{"a/web/7/1", "j/web", "m/" + somebody} {
		x.Drop(key)
	}
	if jobs, slots, members := x.Sizes(); jobs+slots+members != 0 {
		t.Errorf("dropping all left %d jobs, %d jobs with slots, %d members", jobs, slots, members)
	}
}

func TestWants(t *testing.T) {
	j := planJob("web", 2)
	stopped, removed := *j, *j
	stopped.Stopped, removed.Removed = true, true
	for what, test := range map[string]struct {
		j    *peer.JobRecord
		i    int
		want bool
	}{
		"first": {j, 0, true}, "last": {j, 1, true}, "beyond": {j, 2, false}, "stopped": {&stopped, 0, false}, "removed": {&removed, 0, false}, "none": {nil, 0, false},
	} {
		if got := test.j.Wants(test.i); got != test.want {
			t.Errorf("%s: got %v, want %v", what, got, test.want)
		}
	}
}

// A world and a local view around whatever could be read must not break anything
// either: they are made of records of other nodes.
func planAround(x peer.Index, now time.Time) {
	w := peer.World{
		Self: "n", Now: now, Jobs: x.Jobs(), Slots: x.Slot, Changed: func(peer.SlotKey) time.Time { return now.Add(-time.Hour) },
		Nodes:  map[api.NodeID]peer.NodeState{"n": {ID: "n", Alive: true, State: peer.StateReady}},
		Memory: map[peer.SlotKey]*peer.Memory{}, MoveAt: map[peer.SlotKey]time.Time{}, Busy: map[string]bool{}, Random: func() float64 { return 0 },
	}
	peer.Observe(&w)
	_ = words(peer.Plan(&w))
	l := peer.Local{
		Self: "n", Now: now, Jobs: map[string]*peer.JobRecord{}, Slots: map[peer.SlotKey]*peer.Assignment{}, Busy: map[peer.SlotKey]bool{}, LivesKnown: true,
		Alive: func(api.NodeID) bool { return true }, Changed: w.Changed,
	}
	for _, j := range w.Jobs {
		l.Jobs[j.Spec.Name] = j
		for i := range 3 {
			if a := x.Slot(j.Slot(i)); a != nil {
				l.Slots[j.Slot(i)] = a
			}
		}
	}
	_ = words(peer.Reconcile(&l))
}

func FuzzDecodeJob(f *testing.F) {
	good, err := json.Marshal(planJob("web", 2))
	if err != nil {
		f.Fatal(err)
	}
	for _, value := range []string{string(good), "null", "{}", `{"spec":{"name":"web","replicas":-1}}`, `{"spec":{"name":"web","start_timeout":"-1s"},"restart_seq":1}`, `{"spec":null,"previous":null}`} {
		f.Add("j/web", []byte(value), uint64(7), "")
	}
	f.Add("j/web", good, uint64(math.MaxUint64), "removed")
	f.Fuzz(func(t *testing.T, key string, value []byte, life uint64, mid string) {
		r := gossip.Record{Key: key, Value: value, Stamp: gossip.Stamp{Major: life, Mid: mid, Minor: 1, Writer: "w"}, Removed: mid != ""}
		if r.Check() != nil {
			return
		}
		x := peer.NewIndex(quiet())
		x.Apply(r)
		x.Apply(encoded(t, peer.EncodeAssignment, &peer.Assignment{State: api.Running, Key: peer.SlotKey{Job: "web", Life: 7}, Stamp: gossip.Stamp{Major: 1, Mid: "n", Minor: 1, Writer: "n.b"}}))
		for _, j := range x.Jobs() {
			if key != peer.JobKey(j.Spec.Name) || !api.ValidJobName(j.Spec.Name) || j.Life() < 0 || j.Spec.Replicas > api.MaxReplicas {
				t.Errorf("%q was read as %+v", key, j)
			}
		}
		planAround(x, planNow)
	})
}

func FuzzDecodeAssignment(f *testing.F) {
	for _, value := range []string{`{"state":"running","template_hash":"x"}`, `{"state":"accepted","restarts":-1,"failures":-1}`, `{"state":"failed","failures":9223372036854775807}`,
		"null", `{"state":"complete","ran_epoch":3}`, `{"state":"?","exit_code":null,"started_at":"0001-01-01T00:00:00Z"}`} {
		f.Add("a/web/7/0", []byte(value), uint64(1), "n")
	}
	f.Add("a/web/07/0", []byte("{}"), uint64(math.MaxUint64), "")
	f.Fuzz(func(t *testing.T, key string, value []byte, epoch uint64, owner string) {
		r := gossip.Record{Key: key, Value: value, Stamp: gossip.Stamp{Major: epoch, Mid: owner, Minor: 1, Writer: "w"}}
		if r.Check() != nil {
			return
		}
		x := peer.NewIndex(quiet())
		x.Apply(encoded(t, peer.EncodeJob, planJob("web", 2)))
		news := x.Apply(r)
		if k, err := peer.ParseSlotKey(key); err == nil && news && peer.SlotRecordKey(k) != key {
			t.Errorf("%q was read as the record of %s", key, peer.SlotRecordKey(k))
		}
		planAround(x, planNow)
	})
}

func TestKeys(t *testing.T) {
	keys := []string{peer.JobKey("web"), peer.MemberKey("n1"), peer.SlotRecordKey(peer.SlotKey{Job: "web", Life: 7})}
	if want := []string{"j/web", "m/n1", "a/web/7/0"}; !slices.Equal(keys, want) {
		t.Errorf("got %q, want %q", keys, want)
	}
	if got, want := fmt.Sprint(peer.SlotKey{Job: "web", Life: 7, Slot: 3}), "web.3"; got != want {
		t.Errorf("a slot prints as %q, want %q", got, want)
	}
}

// An ETag is the version and a hash that no other write has.
func TestETags(t *testing.T) {
	base := planJob("web", 3)
	seen := map[string]string{}
	for what, change := range map[string]func(*peer.JobRecord){
		"as it is":         func(*peer.JobRecord) {},
		"another writer":   func(j *peer.JobRecord) { j.Stamp.Writer = "other" },
		"another life":     func(j *peer.JobRecord) { j.Stamp.Major++ },
		"another version":  func(j *peer.JobRecord) { j.Stamp.Minor++ },
		"other replicas":   func(j *peer.JobRecord) { j.Spec.Replicas++ },
		"stopped":          func(j *peer.JobRecord) { j.Stopped = true },
		"restarted":        func(j *peer.JobRecord) { j.RestartSeq++ },
		"removed for good": func(j *peer.JobRecord) { j.Stamp.Mid = peer.RemovedMid },
	} {
		j := *base
		change(&j)
		got := peer.ETag(encoded(t, peer.EncodeJob, &j))
		if other := seen[got]; other != "" {
			t.Errorf("%s and %s: both have ETag %s", what, other, got)
		}
		if want := fmt.Sprintf("%d-", j.Version()); !strings.HasPrefix(got, want) || len(got) != len(want)+8 {
			t.Errorf("%s: got ETag %s, want %s and eight digits", what, got, want)
		}
		seen[got] = what
	}
}

// TestWhatCannotBeReadIsIsolated has an index take in records of a later release.
func TestWhatCannotBeReadIsIsolated(t *testing.T) {
	x := peer.NewIndex(quiet())
	stamp := func(minor uint64) gossip.Stamp { return gossip.Stamp{Major: 7, Minor: minor, Writer: "n1.b"} }
	first := encoded(t, peer.EncodeJob, planJob("web", 2))
	first.Stamp = stamp(1)
	x.Apply(first)
	future := gossip.Record{Key: "j/web", Value: []byte(`{"format":99}`), Stamp: stamp(2)}
	if x.Apply(future); x.Job("web") == nil || !x.Unread("web") {
		t.Errorf("a version of the future: got %+v, want that the one before it is kept for the tasks that are here", x.Job("web"))
	}
	later := future
	later.Stamp.Major = 8
	other := peer.NewIndex(quiet())
	if other.Apply(first); other.Apply(later) || other.Job("web") != nil || !other.Unread("web") {
		t.Errorf("a life of the future: got %+v, want that the one before it is over", other.Job("web"))
	}
	if other.Apply(first); other.Job("web") != nil {
		t.Error("an older life came back in place of the one that cannot be read")
	}
	readable := first
	readable.Stamp = stamp(3)
	if x.Apply(readable); x.Job("web") == nil || x.Unread("web") {
		t.Error("the version after it is not read")
	}
	gone := gossip.Record{Key: "j/web", Value: []byte("?"), Stamp: gossip.Stamp{Major: 7, Mid: peer.RemovedMid, Minor: 4, Writer: "n1.b"}, Removed: true}
	if x.Apply(gone); x.Job("web") == nil || !x.Job("web").Removed || x.Unread("web") {
		t.Errorf("a removal: got %+v, want it known without being read", x.Job("web"))
	}
	x.Apply(gossip.Record{Key: "j/api", Value: []byte("?"), Stamp: stamp(1)})
	if x.Drop("j/api"); x.Unread("api") {
		t.Error("what has left the table is still said to be unreadable")
	}

	k := peer.SlotKey{Job: "web", Life: 7, Slot: 1}
	x.Apply(gossip.Record{Key: peer.SlotRecordKey(k), Value: []byte(`{"state":"hibernating"}`), Stamp: gossip.Stamp{Major: 5, Mid: "n2", Minor: 1, Writer: "n2.b"}})
	if a := x.Slot(k); a == nil || !a.Unread || a.Epoch() != 5 || a.Owner() != "n2" || !a.State.Live() {
		t.Errorf("a slot: got %+v, want that its owner serves it, and its epoch", a)
	}
	x.Apply(gossip.Record{Key: peer.MemberKey(somebody), Value: []byte(`[]`), Stamp: stamp(1)})
	if m := x.Member(somebody); m == nil || m.Removed {
		t.Errorf("a member: got %+v, want that it is one", m)
	}
}

// TestContainersOfAnUnreadableJob: nothing is done to them, however long this node is up.
func TestContainersOfAnUnreadableJob(t *testing.T) {
	held := peer.Held{Driver: "process", Container: runtime.Container{ID: "c", State: runtime.Running,
		Labels: runtime.Labels{Job: "web", Life: 7, Slot: 0, Epoch: 2, Node: "me"}}}
	ended := held
	ended.ID, ended.State = "d", runtime.Exited
	unread := false
	l := &peer.Local{Self: "me", Now: planNow, Jobs: map[string]*peer.JobRecord{}, Slots: map[peer.SlotKey]*peer.Assignment{}, Containers: []peer.Held{held, ended},
		Unread: func(string) (int64, bool) { return 7, unread }, Alive: func(api.NodeID) bool { return true }, LivesKnown: true, Changed: func(peer.SlotKey) time.Time { return planNow }}
	if got := words(peer.Reconcile(l)); len(got) != 2 {
		t.Errorf("of a job that nobody knows: got %q, want that one ends and the other is forgotten", got)
	}
	unread = true
	if got := words(peer.Reconcile(l)); len(got) != 0 {
		t.Errorf("of a job that cannot be read: got %q, want nothing", got)
	}
	l.Unread = func(string) (int64, bool) { return 8, true }
	if got := words(peer.Reconcile(l)); len(got) != 2 {
		t.Errorf("of a life before the one that cannot be read: got %q, want that one ends and the other is forgotten", got)
	}
}

// TestTheWritersHash: what a task is made of is for the one to say who wrote it. A node
// that knows less of a job must not replace tasks for it.
func TestTheWritersHash(t *testing.T) {
	r := encoded(t, peer.EncodeJob, planJob("web", 2))
	r.Value = []byte(`{"spec":{"name":"web","driver":"process","command":["sleep"],"gpu":1},"template_hash":"of-the-future","colour":"red"}`)
	j, err := peer.DecodeJob(r)
	if err != nil || j.Hash != "of-the-future" || j.Unknown == "" {
		t.Errorf("got %+v, %v, want the hash that was written and the field that is not known", j, err)
	}
	r.Value = []byte(`{"spec":{"name":"web","driver":"process","command":["sleep"]}}`)
	if j, err = peer.DecodeJob(r); err != nil || j.Hash != j.Spec.TemplateHash(0) || j.Unknown != "" {
		t.Errorf("got %+v, %v, want the hash of what is known", j, err)
	}
}
