package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/sirupsen/logrus"
)

const (
	probeProtocol = "/orch/probe/1"
	probeDial     = 500 * time.Millisecond // a refusal comes at once or not at all
	probeAsk      = time.Second
)

type probeRequest struct {
	ID string `json:"id"`
}

type probeAnswer struct {
	Result ProbeResult `json:"result"`
}

// watcher is the edge of the Detector: it feeds it with the events of the libp2p
// host and of Serf, carries out its dials, and publishes its verdicts.
type watcher struct {
	host     host.Host
	dial     DialFunc
	log      logrus.FieldLogger
	find     func(id string) (Member, bool) // the newest boot that Serf knows
	onChange func()
	wake     chan struct{}

	mu    sync.Mutex // guards inbox; held for no call to others, since libp2p's events wait for it
	inbox []func(now time.Time) []DetectorAction

	coreMu sync.Mutex // guards core
	core   *Detector
}

func newWatcher(h host.Host, dial DialFunc, log logrus.FieldLogger, find func(string) (Member, bool), onChange func()) *watcher {
	return &watcher{host: h, dial: dial, log: log, find: find, onChange: onChange,
		wake: make(chan struct{}, 1), core: NewDetector(rand.IntN)}
}

func (w *watcher) dead(id string) (bool, string, time.Time) {
	w.coreMu.Lock()
	defer w.coreMu.Unlock()
	return w.core.Dead(id)
}

// put queues an input. It never blocks, since libp2p calls it from its own
// goroutines.
func (w *watcher) put(f func(now time.Time) []DetectorAction) {
	w.mu.Lock()
	w.inbox = append(w.inbox, f)
	w.mu.Unlock()
	wakeUp(w.wake)
}

// members passes on what Serf says. The verdicts that it ends are ended when it
// returns.
func (w *watcher) members(alive map[string]string, detection time.Duration) {
	w.coreMu.Lock()
	acts := w.core.Members(alive, detection)
	w.coreMu.Unlock()
	w.put(func(time.Time) []DetectorAction { return acts })
}

func (w *watcher) run(ctx context.Context) {
	changed := func(_ network.Network, c network.Conn) {
		id := c.RemotePeer()
		w.put(func(time.Time) []DetectorAction { return w.linked(id) })
	}
	bundle := &network.NotifyBundle{ConnectedF: changed, DisconnectedF: changed}
	w.host.Network().Notify(bundle)
	defer w.host.Network().StopNotify(bundle)
	for _, id := range w.host.Network().Peers() {
		w.put(func(time.Time) []DetectorAction { return w.linked(id) })
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		acts, next := w.step(time.Now())
		for _, a := range acts {
			wg.Go(func() { w.act(ctx, a) })
		}
		timer.Reset(next)
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-timer.C:
		}
	}
}

// step feeds the core with all that waits, and returns what to do, and how long
// to wait then.
func (w *watcher) step(now time.Time) (acts []DetectorAction, wait time.Duration) {
	w.mu.Lock()
	inbox := w.inbox
	w.inbox = nil
	w.mu.Unlock()
	w.coreMu.Lock()
	before := w.core.Version()
	for _, f := range inbox {
		acts = append(acts, f(now)...)
	}
	acts = append(acts, w.core.Tick(now)...)
	wait = time.Hour
	if next := w.core.Next(); !next.IsZero() {
		wait = max(next.Sub(now), time.Millisecond)
	}
	changed := w.core.Version() != before
	w.coreMu.Unlock()
	if changed {
		w.onChange()
	}
	return acts, wait
}

// linked looks at the connections to id, rather than believe an event: of several
// connections one may be left.
func (w *watcher) linked(id peer.ID) []DetectorAction {
	if w.host.Network().Connectedness(id) == network.Connected {
		w.core.Connected(id.String())
		return nil
	}
	return w.core.Disconnected(id.String())
}

// act dials, or lets a helper dial, and queues the result.
func (w *watcher) act(ctx context.Context, a DetectorAction) {
	var r ProbeResult
	if a.Helper == "" {
		r = w.probe(ctx, a.ID)
	} else {
		r = w.ask(ctx, a.Helper, a.ID)
	}
	w.put(func(now time.Time) (acts []DetectorAction) {
		was, _, _ := w.core.Dead(a.ID)
		if a.Helper == "" {
			acts = w.core.Probed(a.ID, a.Round, r, now)
		} else {
			w.core.Confirmed(a.ID, a.Helper, a.Round, r, now)
		}
		if dead, why, _ := w.core.Dead(a.ID); dead && !was {
			w.log.WithFields(logrus.Fields{"node": a.ID, "why": why}).Warn("node is dead")
		}
		return acts
	})
}

// probe dials the peer port of id, at the address that Serf knows. It is a plain
// dial: libp2p answers the second one to a dead peer with its own "dial backoff".
func (w *watcher) probe(ctx context.Context, id string) ProbeResult {
	m, ok := w.find(id)
	if !ok || m.Status != MemberAlive {
		return ProbeUnclear
	}
	ctx, cancel := context.WithTimeout(ctx, probeDial)
	defer cancel()
	c, err := w.dial(ctx, "tcp", m.peerAddr().String())
	switch {
	case err == nil:
		_ = c.Close()
		return ProbeOpen
	case errors.Is(err, syscall.ECONNREFUSED):
		return ProbeRefused
	}
	return ProbeUnclear
}

func (w *watcher) ask(ctx context.Context, helper, id string) ProbeResult {
	to, err := peer.Decode(helper)
	if err != nil {
		return ProbeUnclear
	}
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "probe"), probeAsk)
	defer cancel()
	var answer probeAnswer
	if err := memberCall(ctx, w.host, to, probeProtocol, probeRequest{ID: id}, &answer); err != nil {
		w.log.WithError(err).WithField("node", id).Debug("no confirmation")
		return ProbeUnclear
	}
	return answer.Result
}

// serve answers what other nodes ask. Only members are dialled, at the addresses
// known here, so that nobody can point this node at anything else.
func (w *watcher) serve(ctx context.Context, st network.Stream) error {
	var req probeRequest
	if err := memberRead(st, &req); err != nil {
		return fmt.Errorf("read probe request: %w", err)
	}
	return memberWrite(st, probeAnswer{Result: w.probe(ctx, req.ID)})
}

// wakeUp wakes a loop that will look at everything.
func wakeUp(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
