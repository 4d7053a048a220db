package gossip

import (
	"context"

	"github.com/libp2p/go-libp2p/core/network"
)

// gate bounds the streams that others open: so many are served at a time, some
// more wait, and the rest are turned away.
type gate struct{ slots, queue chan struct{} }

func newGate(slots int) gate {
	return gate{make(chan struct{}, slots), make(chan struct{}, 256)}
}

// handler wraps a server of streams: bounded by a gate, ended by Run's end, and
// proof against a panic in it.
func (r *Replica) handler(g gate, serve func(context.Context, network.Stream) error) network.StreamHandler {
	return func(s network.Stream) {
		select {
		case g.queue <- struct{}{}:
		default:
			_ = s.Reset()
			return
		}
		ok := r.spawn(func(ctx context.Context) {
			select {
			case g.slots <- struct{}{}:
				<-g.queue
				r.serve(ctx, s, serve)
				<-g.slots
			case <-ctx.Done():
				<-g.queue
				_ = s.Reset()
			}
		})
		if !ok {
			<-g.queue
			_ = s.Reset()
		}
	}
}

func (r *Replica) serve(ctx context.Context, s network.Stream, serve func(context.Context, network.Stream) error) {
	log := r.log.WithFields(map[string]any{"peer": s.Conn().RemotePeer(), "protocol": s.Protocol()})
	defer func() {
		if p := recover(); p != nil {
			_ = s.Reset()
			log.WithField("panic", p).Error("a stream was given up")
		}
	}()
	if err := serve(ctx, s); err != nil {
		_ = s.Reset()
		log.WithError(err).Debug("a stream ended early")
	}
}

// bind makes the end of ctx reset s: not every transport has deadlines. The
// function returned closes it.
func bind(ctx context.Context, s network.Stream) func() {
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	return func() {
		if stop() {
			_ = s.Close()
		}
	}
}
