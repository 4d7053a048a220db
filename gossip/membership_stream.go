package gossip

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio"
	"github.com/sirupsen/logrus"
)

// maxMemberFrame bounds what is read from a stream of this file's protocols.
const maxMemberFrame = 4 << 10

// memberCall sends req and reads one answer into resp. It ends with ctx: a reset
// stream ends every read and write, on all kinds of streams, which a deadline does
// not.
func memberCall(ctx context.Context, h host.Host, to peer.ID, proto protocol.ID, req, resp any) error {
	s, err := h.NewStream(ctx, to, proto)
	if err != nil {
		return fmt.Errorf("open %s to %s: %w", proto, to, err)
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	err = memberWrite(s, req)
	if err == nil {
		err = memberRead(s, resp)
	}
	if err != nil {
		_ = s.Reset()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("%s with %s: %w", proto, to, err)
	}
	_ = s.Close()
	return nil
}

func memberWrite(s network.Stream, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return msgio.NewVarintWriter(s).WriteMsg(body)
}

func memberRead(s network.Stream, v any) error {
	r := msgio.NewVarintReaderSize(s, maxMemberFrame)
	body, err := r.ReadMsg()
	if err != nil {
		return err
	}
	defer r.ReleaseMsg(body)
	return json.NewDecoder(bytes.NewReader(body)).Decode(v)
}

// memberServer answers streams, a bounded number at a time.
type memberServer struct {
	host  host.Host
	log   logrus.FieldLogger
	slots *Places

	mu     sync.Mutex // guards closed, and wg.Add against wg.Wait
	closed bool
	wg     sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc
	protos []protocol.ID
}

const (
	memberSlots    = 128
	memberSlotsOne = 32 // of them, for one peer: it may ask of many nodes that died with a switch
	memberDeadline = 8 * time.Second
)

func newMemberServer(h host.Host, log logrus.FieldLogger) *memberServer {
	s := &memberServer{host: h, log: log, slots: NewPlaces(memberSlots, memberSlotsOne)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// handle answers each stream of proto with what answer returns.
func (s *memberServer) handle(proto protocol.ID, answer func(ctx context.Context, st network.Stream) error) {
	s.protos = append(s.protos, proto)
	s.host.SetStreamHandler(proto, func(st network.Stream) {
		id := st.Conn().RemotePeer()
		if !s.enter(id) {
			_ = st.Reset()
			return
		}
		defer s.leave(id)
		defer func() {
			if r := recover(); r != nil {
				_ = st.Reset()
				s.log.WithFields(logrus.Fields{"protocol": proto, "panic": r}).Errorf("answering a peer: %s", debug.Stack())
			}
		}()
		ctx, cancel := context.WithTimeout(s.ctx, memberDeadline)
		defer cancel()
		defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
		if err := answer(ctx, st); err != nil {
			_ = st.Reset()
			s.log.WithError(err).WithFields(logrus.Fields{"protocol": proto, "peer": st.Conn().RemotePeer()}).Debug("peer not answered")
			return
		}
		_ = st.Close()
	})
}

func (s *memberServer) enter(id peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.slots.Take(id) {
		return false
	}
	s.wg.Add(1)
	return true
}

func (s *memberServer) leave(id peer.ID) {
	s.slots.Leave(id)
	s.wg.Done()
}

// close ends all answers, and waits for them.
func (s *memberServer) close() {
	for _, p := range s.protos {
		s.host.RemoveStreamHandler(p)
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
}
