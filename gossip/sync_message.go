package gossip

import (
	"cmp"
	"fmt"
	"slices"
)

// SyncMessage is one frame of a sync. A turn is one or more of them, the last
// marked Last; the two sides take turns. Every field may be split over the frames
// of a turn.
type SyncMessage struct {
	Hello   *Hello   `json:"hello,omitempty"`
	Equal   bool     `json:"equal,omitempty"`   // the tables are equal: the sync is over
	Sums    []byte   `json:"sums,omitempty"`    // digests of all buckets
	Picked  []byte   `json:"picked,omitempty"`  // a bit for each bucket that differs
	Heads   []Head   `json:"heads,omitempty"`   // what the sender has in those buckets
	Offers  []Head   `json:"offers,omitempty"`  // expired tombstones that the receiver was not yet seen to hold
	Wants   []Want   `json:"wants,omitempty"`   // what the sender asks for
	Records []Record `json:"records,omitempty"` // parents before children
	Done    bool     `json:"done,omitempty"`    // all that came before is merged and on the sender's disk
	Refused []string `json:"refused,omitempty"` // tombstones that the sender did not take
	Last    bool     `json:"last,omitempty"`
	Error   string   `json:"error,omitempty"` // why the sender gives up
}

// Hello opens each side of a sync.
type Hello struct {
	Min    int              `json:"min"` // versions spoken
	Max    int              `json:"max"`
	Boot   string           `json:"boot"`
	Digest string           `json:"digest"`
	Offers bool             `json:"offers,omitempty"` // there are tombstones to offer, so equal digests are not the end
	Floor  int64            `json:"floor,omitempty"`
	Synced int64            `json:"synced,omitempty"`
	Heard  map[string]int64 `json:"heard,omitempty"` // now and then: it changes slowly, and frames should be small
}

// Head is a record without its value.
type Head struct {
	Key   string `json:"k"`
	Stamp Stamp  `json:"s"`
}

// Want asks for a record. Unknown says that the asker has nothing at all under
// that key, not even a tombstone.
type Want struct {
	Key     string `json:"k"`
	Unknown bool   `json:"u,omitempty"`
}

// countKeys bounds what a peer lists, in all frames together.
func (s *Session) countKeys(m SyncMessage) error {
	check := func(key string, st Stamp) error {
		s.count++
		s.bytes += len(key)
		switch {
		case len(key) > MaxKey || len(st.Mid) > MaxKey || len(st.Writer) > MaxKey:
			return fmt.Errorf("%w: the peer lists a key or stamp over %d bytes", ErrProtocol, MaxKey)
		case s.count > maxListed || s.bytes > maxListedBytes:
			return fmt.Errorf("%w: the peer lists more than %d keys, or %d bytes of them", ErrProtocol, maxListed, maxListedBytes)
		}
		return nil
	}
	for _, h := range slices.Concat(m.Heads, m.Offers) {
		if err := check(h.Key, h.Stamp); err != nil {
			return err
		}
	}
	for _, w := range m.Wants {
		if err := check(w.Key, Stamp{}); err != nil {
			return err
		}
	}
	for _, k := range m.Refused {
		if err := check(k, Stamp{}); err != nil {
			return err
		}
	}
	for _, r := range m.Records {
		if r.Removed && r.Check() == nil { // it may have to be listed as refused
			if err := check(r.Key, Stamp{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// framePart is the size at which a frame is closed and the next begun. One record
// can be larger; the limit of a frame leaves room for the largest.
const framePart = 256 << 10

// packer spreads the parts of a turn over frames.
type packer struct {
	done []SyncMessage
	cur  SyncMessage
	size int
}

// room makes sure that n more bytes fit into the current frame.
func (p *packer) room(n int) *SyncMessage {
	if p.size > 0 && p.size+n > framePart {
		p.done = append(p.done, p.cur)
		p.cur, p.size = SyncMessage{}, 0
	}
	p.size += n
	return &p.cur
}

func (p *packer) heads(hs []Head) {
	for _, h := range hs {
		m := p.room(headSize(h.Key, h.Stamp))
		m.Heads = append(m.Heads, h)
	}
}

func (p *packer) offers(es []*entry) {
	for _, e := range es {
		m := p.room(headSize(e.rec.Key, e.rec.Stamp))
		m.Offers = append(m.Offers, Head{e.rec.Key, e.rec.Stamp})
	}
}

func (p *packer) wants(ws []Want) {
	for _, w := range ws {
		m := p.room(headSize(w.Key, Stamp{}))
		m.Wants = append(m.Wants, w)
	}
}

func (p *packer) records(rs []Record) {
	for _, r := range rs {
		m := p.room(recordSize(r))
		m.Records = append(m.Records, r)
	}
}

func (p *packer) refused(keys []string) {
	for _, k := range keys {
		m := p.room(headSize(k, Stamp{}))
		m.Refused = append(m.Refused, k)
	}
}

func (p *packer) finish() []SyncMessage {
	p.cur.Last = true
	return append(p.done, p.cur)
}

// headSize bounds the JSON of a head from above: a byte of a string becomes six
// at the worst.
func headSize(key string, s Stamp) int {
	return 6*(len(key)+len(s.Mid)+len(s.Writer)) + 100
}

func recordSize(r Record) int {
	return headSize(r.Key, r.Stamp) + len(r.Value)*4/3 + 60
}

// parentsFirst sorts records for a receiver that merges frame by frame.
func parentsFirst(rules Rules, rs []Record) {
	rank := func(r Record) int {
		if rules.Parent(r.Key) == "" {
			return 0
		}
		return 1
	}
	slices.SortFunc(rs, func(a, b Record) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Key, b.Key))
	})
}
