package peer

import (
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// The keys and decoders of records, for the tests of what they let in.
var (
	JobKey           = jobKey
	MemberKey        = memberKey
	SlotRecordKey    = slotRecordKey
	ParseSlotKey     = parseSlotKey
	DecodeJob        = decodeJob
	DecodeAssignment = decodeAssignment
	DecodeMember     = decodeMember
	ETag             = etag
	Conflicting      = conflicting
	EncodeJob        = (*JobRecord).record
	EncodeAssignment = (*Assignment).record
	EncodeMember     = (*MemberRecord).record
	LabelStamp       = (*Local).labelStamp
)

// Shortened is what there is room for of a text.
func Shortened(s string, most int) string { return shortened(s, most) }

// RemovedMid is the middle of the stamp of what was removed.
const RemovedMid = removedMid

// Timing of this node's own tasks and of the coordinator's deputies.
const (
	LogsKept    = logsKept
	ExitedKept  = exitedKept
	Steady      = steady
	PatienceMin = patienceMin
	PatienceVar = patienceVar
)

// Index is the decoded table.
type Index struct{ x *index }

// NewIndex makes an empty one that logs nothing anybody sees.
func NewIndex(log logrus.FieldLogger) Index { return Index{newIndex(log)} }

// Apply takes in one record and says whether it was news.
func (x Index) Apply(r gossip.Record) bool { return x.x.apply(r) }

// Drop forgets a key.
func (x Index) Drop(key string) { x.x.drop(key) }

// Job is what the index has of a job, or nil.
func (x Index) Job(name string) *JobRecord { return x.x.jobs[name] }

// Unread says whether the job's latest record cannot be read.
func (x Index) Unread(name string) bool { _, ok := x.x.unread[name]; return ok }

// Slot is what the index has of a slot, or nil.
func (x Index) Slot(k SlotKey) *Assignment { return x.x.slot(k) }

// Member is what the index has of a member, or nil.
func (x Index) Member(id api.NodeID) *MemberRecord { return x.x.members[id] }

// Jobs lists the jobs that are not removed, by name.
func (x Index) Jobs() []*JobRecord { return x.x.sortedJobs() }

// Sizes counts jobs, names with slots, and members.
func (x Index) Sizes() (jobs, slots, members int) {
	return len(x.x.jobs), len(x.x.slots), len(x.x.members)
}

// MergeLogs merges sources that hand over each next line at once, and open ones
// beside them that have none until a time. It says how long it waited for these.
func MergeLogs(sources [][]api.LogLine, silent []time.Time, now time.Time) (out []api.LogLine, waited time.Duration) {
	var m logMerge
	for _, until := range silent {
		m.open = append(m.open, &logSource{until: until})
	}
	for _, lines := range sources {
		s := &logSource{taken: make(chan struct{}, 1)}
		m.open = append(m.open, s)
		s.feed(lines)
	}
	for {
		first, wait := m.next(now.Add(waited))
		if first == nil && wait == 0 {
			return out, waited
		}
		if waited += wait; first == nil {
			continue
		}
		out = append(out, first.line)
		i := slices.IndexFunc(sources, func(lines []api.LogLine) bool { return len(lines) > 0 && lines[0] == first.line })
		sources[i] = sources[i][1:]
		first.feed(sources[i])
	}
}

// feed gives s the first of lines or, if there is none, nothing to wait for.
func (s *logSource) feed(lines []api.LogLine) {
	if s.full = len(lines) > 0; s.full {
		s.line = lines[0]
	}
}
