package peer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
	"github.com/exitae337/orchestergo/runtime"
)

// Any node serves any node's data over one protocol: a question, then answers
// until one says that it was the last.
const (
	dataProtocol protocol.ID = "/orch/data/1"
	maxElements              = 1 << 17          // in a frame: there may be a slot for each replica
	dataWait                 = 2 * time.Second  // for an answer, and between two
	followWait               = 15 * time.Second // between two, when lines are followed: a busy machine is no dead one
	clockEvery               = time.Minute      // between two looks at others' clocks
	clockPeers               = 5                // whose clocks are looked at
)

// question is what one node asks another.
type question struct {
	Op   string         `json:"op"`
	Job  string         `json:"job,omitempty"`
	Life int64          `json:"life,omitempty"`
	Slot int            `json:"slot,omitempty"`
	ID   string         `json:"id,omitempty"` // of an auction
	Logs api.LogOptions `json:"logs,omitzero"`
	// Epoch selects an attempt.
	Epoch uint64 `json:"epoch,omitempty"`
	// Stamp is the asking node's version of the job.
	Stamp gossip.Stamp `json:"stamp,omitzero"`
	// For is how long a node that says goodbye wants to be waited for.
	For time.Duration `json:"for,omitempty"`
	// On is what to turn on or off.
	On bool `json:"on,omitempty"`
	// Labels is what the asked node is given.
	Labels api.LabelChange `json:"labels,omitempty"`
	// Restoring is what the asked node is to make anew, and Options those of the write.
	Restoring *api.Restoring   `json:"restoring,omitempty"`
	Options   api.WriteOptions `json:"options,omitzero"`
	// Boot is the asking node's.
	Boot string `json:"boot,omitempty"`
}

// patience is how long the first and every next answer may take. An engine with
// many containers needs its time to list them, and a write to reach other disks.
func (q question) patience() time.Duration {
	switch q.Op {
	case "containers":
		return engineWait + dataWait
	case "restore":
		return 2*writeTimeout + dataWait
	}
	return dataWait
}

// answer is one frame back.
type answer struct {
	Error   *api.Error      `json:"error,omitempty"`
	Last    bool            `json:"last,omitempty"`
	Line    *api.LogLine    `json:"line,omitempty"`
	Sheet   *api.Sheet      `json:"sheet,omitempty"`
	Pending map[int]pending `json:"pending,omitempty"`
	On      bool            `json:"on,omitempty"`
	Time    int64           `json:"time,omitempty"` // unix ms
	Held    []api.Container `json:"held,omitempty"`
	Digest  *api.Digest     `json:"digest,omitempty"`
	Nodes   []api.Node      `json:"nodes,omitempty"` // as the node that answers sees them

	Auctions []heldAuction `json:"auctions,omitempty"`
	Task     *api.Task     `json:"task,omitempty"`
	Asides   []api.Aside   `json:"asides,omitempty"`
	Written  *api.Written  `json:"written,omitempty"`

	Labels map[string]string `json:"labels,omitempty"` // of the node that answers
}

// pending is what a coordinator says of a slot that nobody has, or of one that nobody
// takes from who has it.
type pending struct {
	Why   string `json:"why"`
	Sheet string `json:"sheet"`
	Epoch uint64 `json:"epoch,omitempty"` // of the copy that stays
}

// asAPIError makes err one that crosses the wire; nil stays nil.
func asAPIError(err error) *api.Error {
	var known *api.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.Is(err, runtime.ErrNotFound): // not there yet, or no longer: no fault
		return api.Errorf(api.TaskNotFound, "%v", err)
	}
	return api.Errorf(api.Internal, "%v", err)
}

// ask puts a question to another node and hands every answer to each, the last
// one included. Without a first answer in time it fails.
func (p *Peer) ask(ctx context.Context, to peer.ID, q question, each func(answer) error) error {
	unreachable := func(err error) error {
		name := nodeID(to).Short()
		p.mu.Lock()
		if m := p.index.members[nodeID(to)]; m != nil {
			name = m.Name
		}
		p.mu.Unlock()
		return api.Errorf(api.NodeUnreachable, "node %s cannot be reached: %v", name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timeout := time.AfterFunc(q.patience(), cancel)
	defer timeout.Stop()
	if q.Op != "logs" {
		defer time.AfterFunc(q.patience()+answersWait, cancel).Stop()
	}
	s, err := p.host.NewStream(network.WithNoDial(ctx, "gossip keeps the connections"), to, dataProtocol)
	if err != nil {
		return unreachable(err)
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	defer func() { _ = s.Reset() }()
	b, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("encode a question: %w", err)
	}
	if err := msgio.NewVarintWriter(s).WriteMsg(b); err != nil {
		return unreachable(err)
	}
	r := bufio.NewReader(s)
	for total := 0; ; {
		msg, err := gossip.ReadFrame(r, maxElements)
		timeout.Stop() // whoever takes the answer may take his time
		if err != nil {
			return unreachable(err)
		}
		if total += len(msg); total > answersMost && q.Op != "logs" {
			return unreachable(fmt.Errorf("its answer is over %d bytes", answersMost))
		}
		var a answer
		if err := json.Unmarshal(msg, &a); err != nil {
			return unreachable(err)
		}
		if a.Error != nil {
			return a.Error
		}
		if err := each(a); err != nil || a.Last {
			return err
		}
		if q.Logs.Follow {
			timeout.Reset(followWait)
		} else {
			timeout.Reset(dataWait)
		}
	}
}

// askNode is ask for a node id, answered locally when it is this node.
func (p *Peer) askNode(ctx context.Context, to api.NodeID, q question, each func(answer) error) error {
	if to == p.id {
		last := p.reply(ctx, q, each)
		if last.Error != nil {
			return last.Error
		}
		return each(last)
	}
	pid, err := peerID(to)
	if err != nil {
		return err
	}
	return p.ask(ctx, pid, q, each)
}

// onIt says whether this node takes care of a job, so that lower ranks need not:
// it would itself be the coordinator, knows the job, and its loop turns.
func (p *Peer) onIt(job string, life int64) bool {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.caresFor(job, life, now)
}

// caresFor is onIt with the lock held.
func (c *core) caresFor(job string, life int64, now time.Time) bool {
	j := c.index.jobs[job]
	if !c.ready || j == nil || j.Life() != life || !c.index.canRead(job) {
		return false
	}
	ranks := Ranks(job, c.world(c.nodes(now), now).Nodes)
	return len(ranks) > 0 && ranks[0] == c.id || c.auctions[job]
}

// maxPending bounds the slots of which is told why they are open.
const maxPending = 1000

// pendingOf says what this node, as coordinator, knows of slots that are unserved or
// stay where they should not.
func (p *Peer) pendingOf(job string, life int64) map[int]pending {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[int]pending{}
	for k, m := range p.memory {
		if k.Job == job && k.Life == life && m.Sheet != "" && len(out) < maxPending {
			out[k.Slot] = pending{Why: m.Why, Sheet: m.Sheet}
		}
	}
	p.addStays(out, job, life)
	return out
}

// beginAsk asks the nodes that rank higher whether they are on it; if none is,
// this node takes over. Lock held.
func (p *Peer) beginAsk(a Ask, now time.Time) func(context.Context) {
	keys := p.asking(a, now)
	return func(ctx context.Context) {
		on := false
		for _, id := range a.Higher[:min(askedRanks, len(a.Higher))] {
			err := p.askNode(ctx, id, question{Op: "on", Job: a.Job, Life: a.Life}, func(ans answer) error {
				on = on || ans.On
				return nil
			})
			if on || err == nil && ctx.Err() != nil {
				break
			}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.heardOf(keys, on)
		if !on {
			p.log.WithField("job", a.Job).Info("its coordinator is silent, taking over")
		}
	}
}

// askedRanks is how many of the higher ranks are asked.
const askedRanks = 3

// asking remembers that the higher ranks are being asked, and about which slots.
func (c *core) asking(a Ask, now time.Time) (keys []SlotKey) {
	for _, i := range a.Slots {
		k := SlotKey{Job: a.Job, Life: a.Life, Slot: i}
		if m := c.memory[k]; m != nil {
			m.AskAt = now.Add(min(patienceMin<<min(m.Asked, 10), askMax))
			keys = append(keys, k)
		}
	}
	return keys
}

// heardOf takes in whether one of the higher ranks is on it.
func (c *core) heardOf(keys []SlotKey, on bool) {
	for _, k := range keys {
		if m := c.memory[k]; m != nil {
			m.Asked++
			m.TakeOver = !on
		}
	}
}

// sayGoodbye tells everyone that this node stops and means to be back.
func (p *Peer) sayGoodbye() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, id := range p.alivePeers() {
		wg.Go(func() {
			err := p.ask(ctx, id, question{Op: "bye", For: restartGrace, Boot: p.boot}, func(answer) error { return nil })
			if err != nil {
				p.log.WithError(err).Debug("goodbye was not heard")
			}
		})
	}
	wg.Wait()
}

// watchClocks compares this node's clock with those of a few peers every so often.
// A median needs no more of them, and asking all would cost more than gossip does.
func (p *Peer) watchClocks(ctx context.Context) error {
	tick := time.NewTimer(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		peers := p.alivePeers()
		rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
		p.mu.Lock()
		clear(p.offsets)
		p.mu.Unlock()
		for _, id := range peers[:min(clockPeers, len(peers))] {
			sent := time.Now()
			err := p.ask(ctx, id, question{Op: "time"}, func(a answer) error {
				there := time.UnixMilli(a.Time)
				p.mu.Lock()
				defer p.mu.Unlock()
				p.offsets[nodeID(id)] = there.Sub(sent.Add(time.Since(sent) / 2))
				return nil
			})
			if err != nil {
				p.log.WithError(err).Debug("a clock could not be compared")
			}
		}
		tick.Reset(clockEvery)
	}
}

// clockOff is how far this node's clock is off the median of all, its own
// included (of two nodes both are as far off). Lock held.
func (c *core) clockOff() time.Duration {
	all := []time.Duration{0}
	for _, d := range c.offsets {
		all = append(all, d)
	}
	slices.Sort(all)
	if len(all) == 2 {
		return max(all[0], all[1], -all[0], -all[1])
	}
	m := all[len(all)/2]
	return max(m, -m)
}
