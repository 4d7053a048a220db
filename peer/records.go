package peer

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// removedMid is the middle of the stamp of a removed job or member. It orders
// above the empty middle of all that was ever written to the same life, so
// nothing written beside or after a removal revives it.
const removedMid = "removed"

// SlotKey names a slot of one life of a job.
type SlotKey struct {
	Job  string
	Life int64
	Slot int
}

func (k SlotKey) String() string { return k.Job + "." + strconv.Itoa(k.Slot) }

func jobKey(name string) string      { return "j/" + name }
func memberKey(id api.NodeID) string { return "m/" + string(id) }
func slotRecordKey(k SlotKey) string {
	return "a/" + k.Job + "/" + strconv.FormatInt(k.Life, 10) + "/" + strconv.Itoa(k.Slot)
}

// parseSlotKey undoes slotRecordKey. It takes no other spelling of a key, so that
// the table never has two records of one slot.
func parseSlotKey(key string) (SlotKey, error) {
	parts := strings.Split(key, "/")
	if len(parts) != 4 || parts[0] != "a" || !api.ValidJobName(parts[1]) {
		return SlotKey{}, fmt.Errorf("%.80q is not the key of a slot", key)
	}
	life, errLife := strconv.ParseInt(parts[2], 10, 64)
	slot, errSlot := strconv.Atoi(parts[3])
	k := SlotKey{Job: parts[1], Life: life, Slot: slot}
	if errLife != nil || errSlot != nil || life < 0 || slot < 0 || slot >= api.MaxReplicas || slotRecordKey(k) != key {
		return SlotKey{}, fmt.Errorf("%.80q is not the key of a slot", key)
	}
	return k, nil
}

// JobRecord is a job as the table has it. Values are never changed in place:
// whoever wants another version makes a copy.
type JobRecord struct {
	Spec       api.Job   `json:"spec"`
	Stopped    bool      `json:"stopped,omitempty"`
	RestartSeq uint64    `json:"restart_seq,omitempty"`
	UpdatedAt  time.Time `json:"updated_at"`
	Previous   *api.Job  `json:"previous,omitempty"` // the specification before this one, with its generation and ETag
	Keys       []UsedKey `json:"keys,omitempty"`     // of the last requests that changed it, oldest first
	Restored   int64     `json:"restored,omitempty"` // the life that this one was made of, which a node had set aside
	Forced     bool      `json:"forced,omitempty"`   // of a removed job: its tasks are killed, not asked to end
	// Hash is the template hash of what its tasks should be, as whoever wrote that
	// computed it: releases that each hashed what they know of a job would for ever
	// replace each other's tasks.
	Hash   string `json:"template_hash,omitempty"`
	Format int    `json:"format,omitempty"` // of the record, see jobFormat; none is 1

	Stamp   gossip.Stamp `json:"-"`
	Removed bool         `json:"-"`
	ETag    string       `json:"-"` // version and a hash of all that was written
	Unknown string       `json:"-"` // a field of it that this release does not know, or ""
}

// jobFormat is the form of a job's record that this release reads. It only changes
// when a node that does not know what is new must not act on the record at all.
const jobFormat = 1

// maxHash bounds what is taken for a hash.
const maxHash = 128

// Life is when the job was created, in unix ms; it tells jobs of one name apart.
func (j *JobRecord) Life() int64 { return int64(j.Stamp.Major) }

// Version counts the writes to this life.
func (j *JobRecord) Version() uint64 { return j.Stamp.Minor }

// Wants says whether slot i should be running or complete.
func (j *JobRecord) Wants(i int) bool {
	return j != nil && !j.Removed && !j.Stopped && i < j.Spec.Replicas
}

// Slot is the key of slot i.
func (j *JobRecord) Slot(i int) SlotKey {
	return SlotKey{Job: j.Spec.Name, Life: j.Life(), Slot: i}
}

func (j *JobRecord) record(now time.Time) (gossip.Record, error) {
	b, err := json.Marshal(j)
	if err == nil && len(b) > gossip.MaxValue && j.Previous != nil {
		without := *j
		without.Previous = nil // two of the largest jobs fit no record
		b, err = json.Marshal(&without)
	}
	if err != nil {
		return gossip.Record{}, fmt.Errorf("encode job %s: %w", j.Spec.Name, err)
	}
	return gossip.Record{Key: jobKey(j.Spec.Name), Value: b, Stamp: j.Stamp, Removed: j.Removed, Time: now.UnixMilli()}, nil
}

// decodeJob reads a job and checks all that the others rely on. That a job was removed
// is known without reading it.
func decodeJob(r gossip.Record) (*JobRecord, error) {
	j, err := readJob(r.Value)
	if err != nil && r.Removed {
		j = &JobRecord{Spec: api.NewJob()}
		j.Spec.Name, err = strings.TrimPrefix(r.Key, "j/"), nil
	}
	if err != nil {
		return nil, fmt.Errorf("decode %.80q: %w", r.Key, err)
	}
	if r.Key != jobKey(j.Spec.Name) || !api.ValidJobName(j.Spec.Name) || r.Stamp.Major > 1<<62 {
		return nil, fmt.Errorf("decode %.80q: it names job %.80q", r.Key, j.Spec.Name)
	}
	j.Spec = j.Spec.Spec()
	j.Stamp, j.Removed = r.Stamp, r.Removed
	if j.Hash == "" {
		j.Hash = j.Spec.TemplateHash(j.RestartSeq)
	}
	j.ETag = etag(r)
	if len(j.Keys) > keysKept {
		j.Keys = j.Keys[len(j.Keys)-keysKept:]
	}
	return j, nil
}

// readJob decodes what was written of a job. A field that is not known here is noted: it
// stays in the table, and nextVersion sees to it that nobody writes over it.
func readJob(b []byte) (*JobRecord, error) {
	j := &JobRecord{Spec: api.NewJob()}
	strict := json.NewDecoder(bytes.NewReader(b))
	strict.DisallowUnknownFields()
	if err := strict.Decode(j); err != nil || strict.InputOffset() != int64(len(b)) {
		j = &JobRecord{Spec: api.NewJob()}
		if err := json.Unmarshal(b, j); err != nil {
			return nil, err
		}
		if err != nil {
			j.Unknown = strings.TrimPrefix(err.Error(), "json: unknown field ")
		}
	}
	if j.Format > jobFormat {
		return nil, fmt.Errorf("it is of format %d, and this release of orch reads %d: upgrade orch here", j.Format, jobFormat)
	}
	if len(j.Hash) > maxHash {
		return nil, fmt.Errorf("its template hash has %d bytes (at most %d)", len(j.Hash), maxHash)
	}
	return j, j.Spec.Workable()
}

// etag is the version of a job record and a hash of its stamp and value: two sides
// of a partition may make the same version, but never the same ETag.
func etag(r gossip.Record) string {
	stamp, _ := json.Marshal(r.Stamp) // plain values: cannot fail
	sum := sha256.Sum256(append(stamp, r.Value...))
	return fmt.Sprintf("%d-%x", r.Stamp.Minor, sum[:4])
}

// Assignment says who runs a slot and how it goes. Only its owner writes it.
type Assignment struct {
	State       api.TaskState `json:"state"`
	Hash        string        `json:"template_hash"`
	Failures    int           `json:"failures,omitempty"`   // failed attempts in a row, this one included once it failed
	StopFirst   bool          `json:"stop_first,omitempty"` // the owner's old copy goes before this one starts
	RanEpoch    uint64        `json:"ran_epoch,omitempty"`  // of a complete slot: the epoch it ran in
	Auction     string        `json:"auction,omitempty"`
	Auctioneer  api.NodeID    `json:"auctioneer,omitempty"`
	Because     string        `json:"because,omitempty"` // why the slot was auctioned; stays when Reason goes
	Won         string        `json:"won,omitempty"`     // why this owner got it
	Reason      string        `json:"reason,omitempty"`
	ContainerID string        `json:"container_id,omitempty"`
	PID         int           `json:"pid,omitempty"`
	ExitCode    *int          `json:"exit_code,omitempty"`
	Restarts    int           `json:"restarts,omitempty"`
	AcceptedAt  time.Time     `json:"accepted_at,omitzero"`
	StartedAt   time.Time     `json:"started_at,omitzero"`
	FinishedAt  time.Time     `json:"finished_at,omitzero"`

	Key    SlotKey      `json:"-"`
	Stamp  gossip.Stamp `json:"-"`
	Unread bool         `json:"-"` // only Key and Stamp are known
}

// Epoch numbers the awards of the slot.
func (a *Assignment) Epoch() uint64 { return a.Stamp.Major }

// Ran is the epoch of the attempt that the record is about.
func (a *Assignment) Ran() uint64 {
	if a.RanEpoch != 0 {
		return a.RanEpoch
	}
	return a.Stamp.Major
}

// Owner is the node that has the slot.
func (a *Assignment) Owner() api.NodeID { return api.NodeID(a.Stamp.Mid) }

// waits says whether the task has ended and is to be started again in its place,
// after a pause. Its owner still serves the slot.
func (a *Assignment) waits() bool { return a.State == api.Starting && !a.FinishedAt.IsZero() }

func (a *Assignment) record(now time.Time) (gossip.Record, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return gossip.Record{}, fmt.Errorf("encode %s: %w", a.Key, err)
	}
	return gossip.Record{Key: slotRecordKey(a.Key), Value: b, Stamp: a.Stamp, Time: now.UnixMilli()}, nil
}

func decodeAssignment(r gossip.Record) (*Assignment, error) {
	key, err := parseSlotKey(r.Key)
	if err != nil {
		return nil, err
	}
	a := &Assignment{}
	if err := json.Unmarshal(r.Value, a); err != nil {
		return nil, fmt.Errorf("decode %s: %w", r.Key, err)
	}
	if !a.State.Live() && !a.State.Final() && a.State != api.Stopping {
		return nil, fmt.Errorf("decode %s: it is in the state %.40q, which this release of orch does not know", r.Key, a.State)
	}
	if len(a.Hash) > maxHash {
		return nil, fmt.Errorf("decode %s: its template hash has %d bytes (at most %d)", r.Key, len(a.Hash), maxHash)
	}
	a.Failures, a.Restarts = max(a.Failures, 0), max(a.Restarts, 0)
	a.Key, a.Stamp = key, r.Stamp
	return a, nil
}

// unreadSlot is what is known of a slot whose record cannot be read: the epoch and the
// owner, which are in the stamp. Whoever wrote it is taken to serve the slot for as long
// as it lives, and what it has is not replaced for being another than wanted.
func unreadSlot(r gossip.Record, why error) *Assignment {
	key, err := parseSlotKey(r.Key)
	if err != nil {
		return nil
	}
	return &Assignment{State: api.Running, Reason: cut(why.Error(), 200), Key: key, Stamp: r.Stamp, Unread: true}
}

// unreadMember is what is known of a node whose record cannot be read: that it is, or
// was, a member. Its word still counts.
func unreadMember(r gossip.Record) *MemberRecord {
	id := api.NodeID(strings.TrimPrefix(r.Key, "m/"))
	if _, err := peerID(id); err != nil {
		return nil
	}
	return &MemberRecord{ID: id, Name: id.Short(), Labels: map[string]string{}, Stamp: r.Stamp, Removed: r.Removed}
}

// MemberRecord is what a node says of itself for as long as it is a member,
// alive or not.
type MemberRecord struct {
	Name    string            `json:"name"`
	Address string            `json:"address"` // host:port of its gossip
	Labels  map[string]string `json:"labels"`
	OS      string            `json:"os"`
	Arch    string            `json:"arch"`
	// Draining says that the node gives up its tasks and takes none.
	Draining bool `json:"draining,omitempty"`
	// Cordoned says that the node takes no new tasks and keeps those it has.
	Cordoned bool `json:"cordoned,omitempty"`
	// Given are those of Labels that it was not started with, or above its own.
	Given map[string]string `json:"given,omitempty"`

	ID      api.NodeID   `json:"-"`
	Stamp   gossip.Stamp `json:"-"`
	Removed bool         `json:"-"`
}

func (m *MemberRecord) record(now time.Time) (gossip.Record, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return gossip.Record{}, fmt.Errorf("encode member %s: %w", m.Name, err)
	}
	return gossip.Record{Key: memberKey(m.ID), Value: b, Stamp: m.Stamp, Removed: m.Removed, Time: now.UnixMilli()}, nil
}

func decodeMember(r gossip.Record) (*MemberRecord, error) {
	m := &MemberRecord{}
	if err := json.Unmarshal(r.Value, m); err != nil {
		return nil, fmt.Errorf("decode %s: %w", r.Key, err)
	}
	m.ID = api.NodeID(strings.TrimPrefix(r.Key, "m/"))
	if _, err := peerID(m.ID); err != nil || r.Key != memberKey(m.ID) {
		return nil, fmt.Errorf("decode %.200q: it is not about a node", r.Key)
	}
	m.Stamp, m.Removed = r.Stamp, r.Removed
	if m.Labels == nil {
		m.Labels = map[string]string{}
	}
	return m, nil
}

// same says whether two member records tell the same.
func (m *MemberRecord) same(o *MemberRecord) bool {
	a, errA := m.record(time.Time{})
	b, errB := o.record(time.Time{})
	return errA == nil && errB == nil && string(a.Value) == string(b.Value) && m.Removed == o.Removed
}

// Rules tells the table about the records: an assignment depends on its job and
// lives exactly as long as that life does, and only jobs may be set aside after a
// long absence. A removed life keeps its assignments until its tombstone goes, so
// that the last of its tasks can be seen to stop.
func Rules() gossip.Rules {
	return gossip.Rules{
		Parent: func(key string) string {
			if k, err := parseSlotKey(key); err == nil {
				return jobKey(k.Job)
			}
			return ""
		},
		Keep: func(r, parent gossip.Record) bool {
			k, err := parseSlotKey(r.Key)
			if err != nil {
				return !strings.HasPrefix(r.Key, "a/")
			}
			return parent.Key != "" && int64(parent.Stamp.Major) == k.Life
		},
		Born: func(r gossip.Record) (int64, bool) {
			if !strings.HasPrefix(r.Key, "j/") || r.Removed {
				return 0, false
			}
			return int64(r.Stamp.Major), true
		},
	}
}
