package gossip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Limits of the peer book: more than any cluster of one gossip domain has.
const (
	maxBookPeers = 4096
	maxBookBytes = 1 << 20
)

// bookPeer is where a node was last seen alive.
type bookPeer struct {
	Addr netip.AddrPort `json:"addr"` // gossip
	Seen time.Time      `json:"seen"`
}

// peerBook remembers every node that was seen alive and has not left, so that a
// cluster of which all nodes stopped finds itself again. It is kept apart from
// Serf's own snapshot, which forgets all after a graceful stop.
type peerBook struct {
	path  string
	peers map[string]bookPeer
}

type bookFile struct {
	Version int                 `json:"version"`
	Peers   map[string]bookPeer `json:"peers"`
}

// openBook reads the book at path ("" for one that is never written). A file that
// cannot be understood is moved aside, and aside is its new name: a lost book
// costs a --join, a node that does not start costs more.
func openBook(path string) (book *peerBook, aside string, err error) {
	book = &peerBook{path: path, peers: map[string]bookPeer{}}
	if path == "" {
		return book, "", nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return book, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("peer book: %w", err)
	}
	var raw []byte
	if info.Size() <= maxBookBytes {
		if raw, err = os.ReadFile(path); err != nil {
			return nil, "", fmt.Errorf("peer book: %w", err)
		}
	}
	if peers, ok := parseBook(raw); ok {
		book.peers = peers
		return book, "", nil
	}
	aside = path + ".corrupt"
	if err := os.Rename(path, aside); err != nil {
		return nil, "", fmt.Errorf("peer book: move the corrupt file aside: %w", err)
	}
	return book, aside, nil
}

func parseBook(raw []byte) (map[string]bookPeer, bool) {
	var f bookFile
	if err := json.Unmarshal(raw, &f); err != nil || f.Version != 1 || len(f.Peers) > maxBookPeers {
		return nil, false
	}
	for id, p := range f.Peers {
		if !memberID.MatchString(id) || !p.Addr.IsValid() {
			return nil, false
		}
	}
	if f.Peers == nil {
		f.Peers = map[string]bookPeer{}
	}
	return f.Peers, true
}

// update notes where the members are, and says whether the book is worth saving
// for it: not for a mere look at the clock.
func (b *peerBook) update(members map[string]Member, self string, now time.Time) (changed bool) {
	for id, m := range members {
		have, ok := b.peers[id]
		switch {
		case id == self:
		case m.Status == MemberAlive:
			b.peers[id] = bookPeer{Addr: m.gossipAddr(), Seen: now.UTC().Round(time.Second)}
			changed = changed || !ok || have.Addr != m.gossipAddr()
		case m.Status == MemberLeft && ok:
			delete(b.peers, id)
			changed = true
		}
	}
	return b.trim() || changed
}

// trim drops the longest unseen of too many peers.
func (b *peerBook) trim() bool {
	if len(b.peers) <= maxBookPeers {
		return false
	}
	ids := make([]string, 0, len(b.peers))
	for id := range b.peers {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(x, y string) int { return b.peers[x].Seen.Compare(b.peers[y].Seen) })
	for _, id := range ids[:len(ids)-maxBookPeers] {
		delete(b.peers, id)
	}
	return true
}

// save writes the book; a crash leaves the old one or the new one.
func (b *peerBook) save() error {
	if b.path == "" {
		return nil
	}
	raw, err := json.MarshalIndent(bookFile{Version: 1, Peers: b.peers}, "", "  ")
	if err != nil {
		return fmt.Errorf("save peer book: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(b.path), filepath.Base(b.path)+".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("save peer book: %w", err)
	}
	_, err = f.Write(raw)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), b.path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("save peer book: %w", err)
	}
	return nil
}

// redialPlan spaces the attempts to reach what is not there: a pure core.
type redialPlan struct {
	first, cap time.Duration
	targets    map[string]redialTarget
}

type redialTarget struct {
	due  time.Time
	wait time.Duration
}

// due returns which of the missing addresses to try now, and when to ask again
// (zero: never). An address that is no longer missing starts afresh when it is
// missing again. jitter is in [0, 1).
func (p *redialPlan) due(missing []string, now time.Time, jitter float64) (try []string, next time.Time) {
	targets := make(map[string]redialTarget, len(missing))
	for _, addr := range missing {
		t, ok := p.targets[addr]
		if !ok {
			t = redialTarget{due: now}
		}
		if !now.Before(t.due) {
			t.wait = min(max(2*t.wait, p.first), p.cap)
			t.due = now.Add(time.Duration((0.75 + jitter/2) * float64(t.wait)))
			try = append(try, addr)
		}
		if next.IsZero() || t.due.Before(next) {
			next = t.due
		}
		targets[addr] = t
	}
	p.targets = targets
	return try, next
}
