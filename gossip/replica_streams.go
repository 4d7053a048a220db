package gossip

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// What peers get of this node at once. A frame takes up to MaxFrame while it comes in,
// and several times that for the moment in which it is decoded and merged.
const (
	syncsOfAll, syncsOfOne   = 64, 2
	pushesOfAll, pushesOfOne = 256, 16
	mergesAtOnce             = 4
	lastWordWait             = time.Second
	// backlogMost is how much may wait here to be written or to be told, in bytes,
	// before what comes in has to wait.
	backlogMost = 16 << 20
)

// handler wraps a server of streams: bounded by places, ended by Run's end, and proof
// against a panic in it. Who gets no place is told, and comes again.
func (r *Replica) handler(places *Places, serve func(context.Context, network.Stream) error) network.StreamHandler {
	return func(s network.Stream) {
		id := s.Conn().RemotePeer()
		if !places.Take(id) {
			r.refuse(s, places)
			return
		}
		ok := r.spawn(func(ctx context.Context) {
			defer places.Leave(id)
			r.serve(ctx, s, serve)
		})
		if !ok {
			places.Leave(id)
			_ = s.Reset()
		}
	}
}

// refuse tells a peer that it gets no place, unless it does not even listen to that.
// The answer is one of both protocols.
func (r *Replica) refuse(s network.Stream, places *Places) {
	id := s.Conn().RemotePeer()
	if !r.refusals.Take(id) {
		_ = s.Reset()
		return
	}
	defer r.refusals.Leave(id)
	lastWord(s, newFrames(s), pushReply{Busy: true, Error: fmt.Sprintf("busy: %d streams at once with one peer, %d with all: come again", places.each, places.all)})
}

// lastWord sends v, and then ends s for both sides when v was taken, or cannot be.
func lastWord(s network.Stream, f frames, v any) {
	defer func() { _ = s.Reset() }()
	defer time.AfterFunc(lastWordWait, func() { _ = s.Reset() }).Stop()
	if f.write(v) == nil && s.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, s) // who is still writing reads later
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

// takeIn decodes a frame into v and hands it to merge: a few at a time, since a frame
// takes most memory now. When it returns, what waits here for the disk or to be told
// is not too much.
func (r *Replica) takeIn(ctx context.Context, frame []byte, v any, merge func() error) error {
	if err := r.decodeAndMerge(ctx, frame, v, merge); err != nil {
		return err
	}
	if r.store.Backlog() > backlogMost {
		if err := r.store.Flush(ctx); err != nil {
			return err
		}
	}
	return r.awaitTold(ctx)
}

func (r *Replica) decodeAndMerge(ctx context.Context, frame []byte, v any, merge func() error) error {
	select {
	case r.merges <- struct{}{}:
		defer func() { <-r.merges }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := decodeFrame(frame, v); err != nil {
		return err
	}
	return merge()
}

// awaitTold waits until OnChange has heard of most of what changed.
func (r *Replica) awaitTold(ctx context.Context) error {
	r.mu.Lock()
	if r.untold <= backlogMost {
		r.mu.Unlock()
		return nil
	}
	if r.told == nil {
		r.told = make(chan struct{})
	}
	told := r.told
	r.mu.Unlock()
	select {
	case <-told:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// bind makes the end of ctx reset s: not every transport has deadlines. The
// function returned closes it, or resets it if there was an error: the other side
// may be writing.
func bind(ctx context.Context, s network.Stream) func(*error) {
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	return func(err *error) {
		if !stop() || *err != nil {
			_ = s.Reset()
			return
		}
		_ = s.Close()
	}
}
