package peer

import (
	"slices"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// index is the table decoded. It follows the replica record by record; applying
// a record twice, or an old one late, changes nothing.
type index struct {
	jobs        map[string]*JobRecord
	unread      map[string]unread                  // jobs whose latest record cannot be read
	slots       map[string]map[SlotKey]*Assignment // by job name, all lives that the table keeps
	members     map[api.NodeID]*MemberRecord
	generations generations
	log         logrus.FieldLogger
}

// unread is a job whose record cannot be read, since it is of a later release or
// malformed. Nothing is decided about the job here, and what runs of it is left alone.
// By the version before it, if that was of the same life and read, this node still looks
// after those of the tasks that it has.
type unread struct {
	stamp gossip.Stamp
	why   error
}

// canRead is false for a job whose latest record cannot be read.
func (x *index) canRead(job string) bool {
	_, unread := x.unread[job]
	return !unread
}

func newIndex(log logrus.FieldLogger) *index {
	return &index{
		jobs:        map[string]*JobRecord{},
		unread:      map[string]unread{},
		slots:       map[string]map[SlotKey]*Assignment{},
		members:     map[api.NodeID]*MemberRecord{},
		generations: generations{of: map[string][]version{}},
		log:         log,
	}
}

// apply takes in one record and says whether it was news. One that cannot be read stops
// nobody: the table has it and passes it on, and here is kept what is known of it anyway.
func (x *index) apply(r gossip.Record) (news bool) {
	var err error
	switch {
	case strings.HasPrefix(r.Key, "j/"):
		name := strings.TrimPrefix(r.Key, "j/")
		if old := x.jobs[name]; old != nil && old.Stamp.Compare(r.Stamp) >= 0 {
			return false
		}
		if old, ok := x.unread[name]; ok && old.stamp.Compare(r.Stamp) >= 0 {
			return false
		}
		var j *JobRecord
		if j, err = decodeJob(r); err == nil {
			x.tellConflict(x.jobs[name], j)
			x.generations.add(x.jobs[name], j)
			delete(x.unread, name)
			x.jobs[name], news = j, true
		} else {
			x.unread[name] = unread{r.Stamp, err}
			if old := x.jobs[name]; old != nil && old.Stamp.Major != r.Stamp.Major {
				delete(x.jobs, name) // its life is over, whatever has followed it
			}
		}
	case strings.HasPrefix(r.Key, "a/"):
		var a *Assignment
		if a, err = decodeAssignment(r); err != nil {
			a = unreadSlot(r, err)
		}
		if a == nil || !x.put(a) {
			return false
		}
		news = true
	case strings.HasPrefix(r.Key, "m/"):
		var m *MemberRecord
		if m, err = decodeMember(r); err != nil {
			m = unreadMember(r)
		}
		if m == nil {
			break
		}
		if old := x.members[m.ID]; old != nil && old.Stamp.Compare(m.Stamp) >= 0 {
			return false
		}
		x.members[m.ID], news = m, true
	}
	if err != nil {
		x.log.WithError(err).Warn("a record cannot be read: it is kept and passed on, and what it is about is left alone")
	}
	return news
}

// tellConflict says aloud that a write was lost to another made beside it, as when
// both sides of a partition change a job: everyone ends up with the same one.
func (x *index) tellConflict(lost, won *JobRecord) {
	if conflicting(lost, won) {
		x.log.WithField("job", won.Spec.Name).WithField("lost", lost.Stamp.Writer).WithField("won", won.Stamp.Writer).
			Warn("job.conflict: two writes were made beside each other; one of them is void")
	}
}

// entry is what the index has under one key of the table, if it is a job or a slot.
type entry struct {
	job  *JobRecord
	slot *Assignment
}

func (x *index) entry(key string) entry {
	if name, ok := strings.CutPrefix(key, "j/"); ok {
		return entry{job: x.jobs[name]}
	}
	if k, err := parseSlotKey(key); err == nil {
		return entry{slot: x.slot(k)}
	}
	return entry{}
}

func (x *index) put(a *Assignment) bool {
	of := x.slots[a.Key.Job]
	if of == nil {
		of = map[SlotKey]*Assignment{}
		x.slots[a.Key.Job] = of
	}
	if old := of[a.Key]; old == nil || old.Stamp.Compare(a.Stamp) < 0 {
		of[a.Key] = a
		return true
	}
	return false
}

// drop forgets a key that has left the table.
func (x *index) drop(key string) {
	switch {
	case strings.HasPrefix(key, "j/"):
		delete(x.jobs, strings.TrimPrefix(key, "j/"))
		delete(x.unread, strings.TrimPrefix(key, "j/"))
	case strings.HasPrefix(key, "m/"):
		delete(x.members, api.NodeID(strings.TrimPrefix(key, "m/")))
	default:
		k, err := parseSlotKey(key)
		if err != nil {
			return
		}
		delete(x.slots[k.Job], k)
		if len(x.slots[k.Job]) == 0 {
			delete(x.slots, k.Job)
		}
	}
}

func (x *index) slot(k SlotKey) *Assignment { return x.slots[k.Job][k] }

// sortedJobs lists the jobs that are not removed, by name.
func (x *index) sortedJobs() []*JobRecord {
	out := make([]*JobRecord, 0, len(x.jobs))
	for _, j := range x.jobs {
		if !j.Removed {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b *JobRecord) int { return strings.Compare(a.Spec.Name, b.Spec.Name) })
	return out
}
