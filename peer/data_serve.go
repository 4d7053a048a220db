package peer

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-msgio"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/gossip"
)

// A node that has the secret may still be buggy or hostile, so what it gets, and what
// is taken of it, is bounded.
const (
	asksOfAll, asksOfOne = 512, 32
	logsOfAll, logsOfOne = 2 * maxSources, maxSources
	takeWait             = time.Minute // for a frame to be taken by the asker
	answersWait          = time.Minute // for all answers but those of logs, on top of the first
	answersMost          = 64 << 20    // bytes of them
	maxByes              = 1024
)

// serveData registers the protocol.
func (p *Peer) serveData() {
	asks, logs, refusals := gossip.NewPlaces(asksOfAll, asksOfOne), gossip.NewPlaces(logsOfAll, logsOfOne), gossip.NewPlaces(64, 4)
	p.host.SetStreamHandler(dataProtocol, func(s network.Stream) {
		from := s.Conn().RemotePeer()
		places := asks
		if !asks.Take(from) {
			p.refuse(s, refusals)
			return
		}
		defer func() { places.Leave(from) }()
		defer func() {
			if r := recover(); r != nil {
				p.log.WithField("panic", r).Error("a question of another node broke its handler")
				_ = s.Reset()
			}
		}()
		p.asked.Add(1)
		defer p.asked.Done()
		q, err := readQuestion(s)
		if err != nil {
			p.log.WithError(err).Debug("a question of another node cannot be read")
			_ = s.Reset()
			return
		}
		if q.Op == "logs" { // which are followed for days
			if !logs.Take(from) {
				p.refuse(s, refusals)
				return
			}
			asks.Leave(from)
			places = logs
		}
		p.serveQuestion(s, q)
	})
}

// refuse tells an asker that it has too many questions open, unless it does not even
// listen to that.
func (p *Peer) refuse(s network.Stream, places *gossip.Places) {
	from := s.Conn().RemotePeer()
	defer func() { _ = s.Reset() }()
	if !places.Take(from) {
		return
	}
	defer places.Leave(from)
	defer time.AfterFunc(dataWait, func() { _ = s.Reset() }).Stop()
	b, err := json.Marshal(answer{Last: true, Error: api.Errorf(api.TooMany, "node %s answers %d questions and %d logs of one node at once, and no more", p.cfg.Name, asksOfOne, logsOfOne)})
	if err == nil && msgio.NewVarintWriter(s).WriteMsg(b) == nil && s.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, s) // else the answer would be lost with what was not read
	}
}

func (p *Peer) serveQuestion(s network.Stream, q question) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	go func() { // the asker closing its side, or its death, ends the answer; it has nothing more to say
		_, _ = s.Read(make([]byte, 1))
		cancel()
	}()
	defer context.AfterFunc(p.ctx, cancel)()
	w := msgio.NewVarintWriter(s)
	taken := time.AfterFunc(takeWait, cancel) // not every transport has deadlines
	defer taken.Stop()
	var mu sync.Mutex // guards w and taken
	send := func(a answer) error {
		b, err := json.Marshal(a)
		if err != nil {
			return fmt.Errorf("encode an answer: %w", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		taken.Reset(takeWait)
		defer taken.Stop()
		return w.WriteMsg(b)
	}
	taken.Stop()
	last := p.reply(ctx, q, send)
	last.Last = true
	if send(last) == nil {
		_ = s.CloseWrite()
	}
	_ = s.Close()
}

func readQuestion(s network.Stream) (question, error) {
	var q question
	timeout := time.AfterFunc(dataWait, func() { _ = s.Reset() })
	defer timeout.Stop()
	b, err := gossip.ReadFrame(bufio.NewReader(s), maxElements)
	if err != nil {
		return q, fmt.Errorf("read a question: %w", err)
	}
	if err := json.Unmarshal(b, &q); err != nil {
		return q, fmt.Errorf("read a question: %w", err)
	}
	return q, nil
}

// reply answers one question; what is not the last frame goes through send.
func (p *Peer) reply(ctx context.Context, q question, send func(answer) error) answer {
	switch q.Op {
	case "time":
		return answer{Time: time.Now().UnixMilli()}
	case "bye":
		p.mu.Lock()
		p.noteBye(q.Boot, time.Now(), q.For)
		p.mu.Unlock()
		p.look()
		return answer{}
	case "release":
		p.obeyRelease(SlotKey{Job: q.Job, Life: q.Life, Slot: q.Slot}, q.Epoch, q.Stamp)
		return answer{}
	case "restart":
		return p.restartOwn(ctx, SlotKey{Job: q.Job, Life: q.Life, Slot: q.Slot}, q.Epoch)
	case "drain", "cordon", "label":
		return p.obey(ctx, q)
	case "digest":
		return answer{Digest: p.ownDigest()}
	case "containers":
		return answer{Error: asAPIError(p.ownContainers(ctx, func(some []api.Container) error { return send(answer{Held: some}) }))}
	case "nodes":
		return answer{Error: asAPIError(p.ownView(ctx, func(some []api.Node) error { return send(answer{Nodes: some}) }))}
	case "asides":
		return answer{Error: asAPIError(p.ownAsides(func(some []api.Aside) error { return send(answer{Asides: some}) }))}
	case "restore":
		return p.restoreOwn(ctx, q)
	case "on":
		return answer{On: p.onIt(q.Job, q.Life)}
	case "pending":
		return answer{Pending: p.pendingOf(q.Job, q.Life)}
	case "sheet":
		return p.serveSheet(q)
	case "auctions":
		return p.serveAuctions(q)
	case "logs":
		return answer{Error: asAPIError(p.serveLogs(ctx, q, send))}
	}
	return answer{Error: api.Errorf(api.BadRequest, "node %s does not know the question %.40q", p.cfg.Name, q.Op)}
}

// noteBye remembers that a boot means to be back, as long as few do. Lock held.
func (c *core) noteBye(boot string, now time.Time, within time.Duration) {
	maps.DeleteFunc(c.byes, func(_ string, until time.Time) bool { return now.After(until) })
	if len(c.byes) < maxByes && len(boot) <= gossip.MaxKey {
		c.byes[boot] = now.Add(min(within, 10*time.Minute))
	}
}
