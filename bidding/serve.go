package bidding

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
)

const (
	// serveTimeout ends a request that takes longer, the writing of the answer
	// included.
	serveTimeout = 10 * time.Second
	// maxServed bounds the requests served at once, and maxServedOne those of one
	// peer, so that none can take the places of the others; more are reset, and their
	// senders see silence.
	maxServed    = 512
	maxServedOne = 64
)

// Handlers are a node's answers as a bidder. They are called concurrently. The
// sender is the peer that the stream was authenticated with, never a field of a
// message; messages have been checked, and are of a protocol version spoken here.
type Handlers struct {
	Bid   func(ctx context.Context, from api.NodeID, call Call) Bid
	Award func(ctx context.Context, from api.NodeID, award Award) Answer
}

// Server answers calls and awards of other nodes.
type Server struct {
	host      host.Host
	handlers  Handlers
	log       logrus.FieldLogger
	ctx       context.Context // ends with Close; handed to handlers
	cancel    context.CancelFunc
	malformed atomic.Uint64

	mu      sync.Mutex // guards serving, of, closed, and adding to done
	serving int
	of      map[peer.ID]int // of serving, by peer
	closed  bool
	done    sync.WaitGroup
}

// Serve answers calls and awards that reach h, until Close. It starts no
// goroutine: h runs one for each stream, and Close waits for them.
func Serve(h host.Host, handlers Handlers, log logrus.FieldLogger) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{host: h, handlers: handlers, log: log, ctx: ctx, cancel: cancel, of: make(map[peer.ID]int)}
	h.SetStreamHandler(BidProtocol, s.accept(s.handlers.bid))
	h.SetStreamHandler(AwardProtocol, s.accept(s.handlers.award))
	return s
}

// Close stops answering and waits until no handler runs any more.
func (s *Server) Close() {
	s.host.RemoveStreamHandler(BidProtocol)
	s.host.RemoveStreamHandler(AwardProtocol)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.done.Wait()
}

// Malformed counts the messages that were too large or could not be understood.
func (s *Server) Malformed() uint64 { return s.malformed.Load() }

// reply answers one message in its encoded form.
type reply func(ctx context.Context, from api.NodeID, request []byte) ([]byte, error)

// accept makes a stream handler of answer.
func (s *Server) accept(answer reply) network.StreamHandler {
	return func(stream network.Stream) {
		log := s.log.WithFields(logrus.Fields{"peer": stream.Conn().RemotePeer(), "protocol": stream.Protocol()})
		from := stream.Conn().RemotePeer()
		if !s.enter(from) {
			_ = stream.Reset()
			log.Debug("refused a request: closing, or too many at once")
			return
		}
		defer s.leave(from)
		defer func() {
			if cause := recover(); cause != nil {
				_ = stream.Reset()
				log.WithFields(logrus.Fields{"panic": cause, "stack": string(debug.Stack())}).Error("a request could not be answered")
			}
		}()
		if err := s.serve(stream, answer); err != nil {
			if errors.Is(err, ErrMalformed) || errors.Is(err, ErrTooLarge) {
				s.malformed.Add(1)
			}
			_ = stream.Reset()
			log.WithError(err).Debug("a request was not answered")
		}
	}
}

func (s *Server) serve(stream network.Stream, answer reply) error {
	ctx, cancel := context.WithTimeout(s.ctx, serveTimeout)
	defer cancel()
	stop := resetWith(ctx, stream)
	defer stop()
	b, err := readFrame(stream)
	if err != nil {
		return err
	}
	if b, err = answer(ctx, api.NodeID(stream.Conn().RemotePeer().String()), b); err != nil {
		return err
	}
	if err := writeFrame(stream, b); err != nil {
		return err
	}
	return stream.Close()
}

// enter counts a handler in, unless there are too many.
func (s *Server) enter(from peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.serving == maxServed || s.of[from] == maxServedOne {
		return false
	}
	s.serving++
	s.of[from]++
	s.done.Add(1)
	return true
}

func (s *Server) leave(from peer.ID) {
	s.mu.Lock()
	s.serving--
	if s.of[from]--; s.of[from] == 0 {
		delete(s.of, from)
	}
	s.mu.Unlock()
	s.done.Done()
}

func (h Handlers) bid(ctx context.Context, from api.NodeID, request []byte) ([]byte, error) {
	call, err := Decode[Call](request)
	if err != nil {
		return nil, err
	}
	return Encode(h.answerCall(ctx, from, call))
}

func (h Handlers) award(ctx context.Context, from api.NodeID, request []byte) ([]byte, error) {
	award, err := Decode[Award](request)
	if err != nil {
		return nil, err
	}
	return Encode(h.answerAward(ctx, from, award))
}

// answerCall bids in the version of the call, or refuses one that is not spoken here.
func (h Handlers) answerCall(ctx context.Context, from api.NodeID, call Call) Bid {
	if refusal := checkWire(call.Wire); refusal != nil {
		return Bid{Wire: WireMax, Scores: []float64{}, Terms: []api.Term{}, StopFirst: []int{}, Refusal: refusal}
	}
	bid := h.Bid(ctx, from, call)
	bid.Wire = call.Wire
	return bid
}

// answerAward decides an award and answers in its version, or refuses one that is not
// spoken here.
func (h Handlers) answerAward(ctx context.Context, from api.NodeID, award Award) Answer {
	refusal := checkWire(award.Wire)
	if refusal == nil {
		answer := h.Award(ctx, from, award)
		answer.Wire = award.Wire
		return answer
	}
	answer := Answer{Wire: WireMax, Slots: []AnswerSlot{}}
	for _, slot := range award.Slots {
		answer.Slots = append(answer.Slots, AnswerSlot{Slot: slot.Slot, Refusal: refusal})
	}
	return answer
}
