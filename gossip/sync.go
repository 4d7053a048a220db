package gossip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrProtocol is wrapped by errors about a peer that breaks the protocol or
// speaks another version of it.
var ErrProtocol = errors.New("sync protocol")

// What one peer can make us remember during a sync: all that it has and wants.
const (
	maxListed      = 1 << 19 // keys
	maxListedBytes = 64 << 20
)

// SyncArgs is what a sync needs to know beside the table.
type SyncArgs struct {
	Peer    string // id of the other side, authenticated by the caller
	Boot    string // of this side
	Members []Peer // all members but this node
	Heard   bool   // tell the other side what is known of syncs with others
}

// Session is one side of a sync, as pure steps: message in, messages out. After
// a sync in which nothing else changed, both tables are equal.
//
//	initiator                         responder
//	hello, digest                →
//	                             ←    hello, equal: over. Or digests of the buckets
//	heads of those that differ   →
//	                             ←    heads not listed, wants, greater records
//	wants, greater and wanted    →
//	                             ←    wanted; done
//	done                         →
//
// Both sides conclude that it completed only when the other has said that it
// merged everything and has it on disk.
type Session struct {
	t     *Table
	args  SyncArgs
	state syncState
	their Hello
	began int64  // unix ms
	base  uint64 // revision up to which the other will hold our records
	floor int64  // ours and synced as we said them in the hello: both sides
	sync  int64  // must judge an absence by the same figures
	era   uint64 // of the table: what others have set aside since, this sync must not bring back

	picked  []byte
	listed  map[string]struct{} // keys whose heads came
	wants   []Want              // ours, to be sent
	give    map[string]struct{} // keys to send
	asked   []Want              // theirs
	suspect []string            // of them, what they may have removed
	refused []string            // tombstones that we did not take
	count   int                 // of keys that came
	bytes   int                 // in them
}

type syncState int

const (
	expectHello syncState = iota
	expectReply
	expectHeads
	expectAnswer
	expectGifts
	expectRest
	expectDone
	syncOver
)

// SyncOutput is what a step wants done.
type SyncOutput struct {
	Merged Merged   // what the message changed in the table
	Aside  []Record // taken out of the table after Merged: keep them in a file
	// BothWays says that there was something to set aside, but that each side
	// missed removals of the other: merged plainly.
	BothWays bool
	// Durable says that Send may go out only when all that was merged is on disk.
	Durable bool
	Send    []SyncMessage
	// Complete says that the other side holds all that we had when the sync began,
	// and we what it had. It counts when Send is out.
	Complete bool
	Over     bool // after Send nothing more comes
}

// StartSync begins a sync. All that the table has must be on disk before the
// message goes out: it is a claim to hold it.
func (t *Table) StartSync(now time.Time, a SyncArgs) (*Session, SyncMessage) {
	s := t.session(now, a)
	s.state = expectReply
	return s, SyncMessage{Hello: s.hello(), Last: true}
}

// AnswerSync is the other side of StartSync.
func (t *Table) AnswerSync(now time.Time, a SyncArgs) *Session { return t.session(now, a) }

func (t *Table) session(now time.Time, a SyncArgs) *Session {
	return &Session{
		t: t, args: a, began: now.UnixMilli(),
		floor:  t.meta.Floor,
		sync:   t.Synced(a.Members),
		era:    t.era,
		picked: make([]byte, bucketCount/8),
		listed: make(map[string]struct{}),
		give:   make(map[string]struct{}),
	}
}

// hello fixes what the sync is about: from here on, base is ours.
func (s *Session) hello() *Hello {
	s.t.bury(time.UnixMilli(s.began))
	s.base = s.t.rev
	h := &Hello{
		Min: WireMin, Max: WireMax,
		Boot:   s.args.Boot,
		Digest: s.t.Digest(),
		Offers: len(s.t.unheld(s.args.Peer)) > 0,
		Floor:  s.floor,
		Synced: s.sync,
	}
	if s.args.Heard {
		h.Heard = make(map[string]int64, len(s.args.Members))
		for _, p := range s.args.Members {
			if ms, ok := s.t.meta.Heard[p.ID]; ok {
				h.Heard[p.ID] = ms
			}
		}
	}
	return h
}

// Step takes the next message of the other side. After an error the session is
// over, and what was merged stays merged.
func (s *Session) Step(now time.Time, m SyncMessage) (SyncOutput, error) {
	out, err := s.step(now, m)
	if err != nil {
		s.state = syncOver
	}
	return out, err
}

func (s *Session) step(now time.Time, m SyncMessage) (SyncOutput, error) {
	var out SyncOutput
	if m.Error != "" {
		return out, fmt.Errorf("%w: the peer gave up: %.200s", ErrProtocol, m.Error)
	}
	switch s.state {
	case expectHello:
		return s.answerHello(now, m)
	case expectReply:
		return s.takeReply(now, m)
	case syncOver:
		return out, fmt.Errorf("%w: a message after the end", ErrProtocol)
	}
	if s.era != s.t.era {
		return out, errors.New("another sync has set records aside meanwhile: sync anew")
	}
	if err := s.take(now, m, &out); err != nil || !m.Last {
		return out, err
	}
	var p packer
	switch s.state {
	case expectHeads:
		p.heads(s.headsOf(func(e *entry) bool { _, ok := s.listed[e.rec.Key]; return !ok }))
		p.offers(s.t.unheld(s.args.Peer))
		p.wants(s.wants)
		p.records(s.gifts())
		s.state = expectGifts
	case expectAnswer:
		s.grant()
		p.wants(s.wants)
		p.records(s.gifts())
		s.state = expectRest
	case expectGifts:
		s.grant()
		s.setAside(now, &out)
		p.records(s.gifts())
		p.refused(s.refused)
		p.cur.Done = true
		out.Durable = true
		s.state = expectDone
	case expectRest:
		if !m.Done {
			return out, fmt.Errorf("%w: the last turn does not say that it is done", ErrProtocol)
		}
		s.setAside(now, &out)
		p.refused(s.refused)
		p.cur.Done = true
		out.Durable = true
		s.complete(now, &out)
	case expectDone:
		if !m.Done {
			return out, fmt.Errorf("%w: the last turn does not say that it is done", ErrProtocol)
		}
		s.complete(now, &out)
		return out, nil
	}
	s.wants = nil
	out.Send = p.finish()
	return out, nil
}

// meet checks and keeps the other's hello.
func (s *Session) meet(m SyncMessage) error {
	switch h := m.Hello; {
	case h == nil || !m.Last || h.Boot == "" || len(h.Boot) > MaxKey:
		return fmt.Errorf("%w: no hello", ErrProtocol)
	case h.Max < WireMin || h.Min > WireMax:
		return fmt.Errorf("%w: the peer speaks versions %d to %d, this node %d to %d: run one release of orch, or two that follow each other",
			ErrProtocol, h.Min, h.Max, WireMin, WireMax)
	}
	s.their = *m.Hello
	s.t.met(s.args.Peer, s.their.Boot)
	return nil
}

func (s *Session) answerHello(now time.Time, m SyncMessage) (out SyncOutput, err error) {
	if err := s.meet(m); err != nil {
		return out, err
	}
	reply := SyncMessage{Hello: s.hello(), Last: true}
	if reply.Hello.Digest == s.their.Digest && !reply.Hello.Offers && !s.their.Offers {
		reply.Equal = true
		out.Durable = true
		s.complete(now, &out)
	} else {
		reply.Sums = s.t.bucketSums()
		s.state = expectHeads
	}
	out.Send = []SyncMessage{reply}
	return out, nil
}

func (s *Session) takeReply(now time.Time, m SyncMessage) (out SyncOutput, err error) {
	if err := s.meet(m); err != nil {
		return out, err
	}
	if m.Equal {
		s.complete(now, &out)
		return out, nil
	}
	if len(m.Sums) != bucketCount*8 {
		return out, fmt.Errorf("%w: %d bytes of digests, want %d", ErrProtocol, len(m.Sums), bucketCount*8)
	}
	s.t.bury(now)
	for i, ours := range s.t.sums {
		if binary.BigEndian.Uint64(m.Sums[i*8:]) != ours {
			s.picked[i/8] |= 1 << (i % 8)
		}
	}
	var p packer
	p.room(len(s.picked)).Picked = bytes.Clone(s.picked)
	p.heads(s.headsOf(func(*entry) bool { return true }))
	p.offers(s.t.unheld(s.args.Peer))
	s.state = expectAnswer
	out.Send = p.finish()
	return out, nil
}

// take merges and notes what is in one frame.
func (s *Session) take(now time.Time, m SyncMessage, out *SyncOutput) error {
	if err := s.countKeys(m); err != nil {
		return err
	}
	if s.state == expectHeads && m.Picked != nil {
		if len(m.Picked) != len(s.picked) {
			return fmt.Errorf("%w: %d bytes of bucket bits, want %d", ErrProtocol, len(m.Picked), len(s.picked))
		}
		s.picked = m.Picked
	}
	s.t.bury(now)
	out.Merged = s.t.merge(now, m.Records, mergeAsked)
	s.noteRefused(m.Records, out.Merged.Refused)
	for _, h := range m.Heads {
		s.compare(h)
	}
	for _, h := range m.Offers {
		s.compare(h)
	}
	s.asked = append(s.asked, m.Wants...)
	for _, k := range m.Refused {
		s.t.touch(k)
	}
	return nil
}

// noteRefused keeps the tombstones that were not taken, so that the other side
// does not believe that we hold them.
func (s *Session) noteRefused(recs []Record, refused []Refused) {
	if len(refused) == 0 {
		return
	}
	no := make(map[string]bool, len(refused))
	for _, r := range refused {
		no[r.Key] = true
	}
	for _, r := range recs {
		if r.Removed && no[r.Key] && r.Check() == nil {
			s.refused = append(s.refused, r.Key)
		}
	}
}

// compare decides what to do about one version that the other side has.
func (s *Session) compare(h Head) {
	s.listed[h.Key] = struct{}{}
	e, ok := s.t.entry(h.Key)
	if !ok {
		if _, done := s.t.graves[headHash(h.Key, h.Stamp)]; !done {
			s.wants = append(s.wants, Want{Key: h.Key, Unknown: true})
		}
		return
	}
	switch c := h.Stamp.Compare(e.rec.Stamp); {
	case c > 0:
		s.wants = append(s.wants, Want{Key: h.Key})
	case c < 0:
		s.give[h.Key] = struct{}{}
	}
}

// headsOf lists our visible records in the picked buckets.
func (s *Session) headsOf(want func(*entry) bool) []Head {
	var out []Head
	s.t.tree.Ascend(func(e *entry) bool {
		b := bucketOf(e.rec.Key)
		if !e.hidden && s.picked[b/8]&(1<<(b%8)) != 0 && want(e) {
			out = append(out, Head{e.rec.Key, e.rec.Stamp})
		}
		return true
	})
	return out
}

// grant decides about what the other side asks for. What it does not know at all
// and what is older than its floor may be something whose removal we missed: that
// is not given, and set aside in the end.
func (s *Session) grant() {
	missed := s.their.Floor > s.sync && s.their.Floor <= s.began
	for _, w := range s.asked {
		s.give[w.Key] = struct{}{}
		if !w.Unknown || !missed {
			continue
		}
		if e, ok := s.t.entry(w.Key); ok && !e.rec.Removed {
			if born, ok := s.t.rules.Born(e.rec); ok && born <= s.their.Floor {
				s.suspect = append(s.suspect, w.Key)
			}
		}
	}
	s.asked = nil
	if !s.bothWays() {
		for _, k := range s.suspect {
			delete(s.give, k)
			for child := range s.t.children[k] {
				delete(s.give, child)
			}
		}
	}
}

// bothWays says whether the other side missed removals of ours as well, if we missed
// some of its. Then nobody can tell, and keeping is the lesser harm.
func (s *Session) bothWays() bool { return s.floor > s.their.Synced }

// setAside takes what may have been removed out of the table, once all that the other
// side has is in it, and its floor with it: from then on we know as much as the other
// of what was removed. Every other sync under way began before, and is void: it could
// bring back, from somebody who was away as well, what went just now.
func (s *Session) setAside(now time.Time, out *SyncOutput) {
	switch {
	case len(s.suspect) == 0:
	case s.bothWays():
		out.BothWays = true
	default:
		slices.Sort(s.suspect)
		out.Aside = s.t.setAside(s.suspect)
		s.t.noteFloor(now, s.their.Floor)
		s.era = s.t.era
	}
}

// gifts are the records to send, as they are now.
func (s *Session) gifts() []Record {
	out := make([]Record, 0, len(s.give))
	for k := range s.give {
		if e, ok := s.t.entry(k); ok {
			out = append(out, e.rec)
		}
	}
	clear(s.give)
	parentsFirst(s.t.rules, out)
	return out
}

// complete notes what the sync proved.
func (s *Session) complete(now time.Time, out *SyncOutput) {
	s.state = syncOver
	out.Complete, out.Over = true, true
	t := s.t
	if h := t.holds[s.args.Peer]; h.boot == s.their.Boot && h.rev < s.base {
		t.holds[s.args.Peer] = hold{boot: h.boot, rev: s.base}
	}
	t.noteHeard(now, s.args.Members, s.their.Heard)
	t.noteHeard(now, s.args.Members, map[string]int64{s.args.Peer: s.began})
	t.meta.LastSync = max(t.meta.LastSync, s.began)
	t.noteFloor(now, s.their.Floor)
}
