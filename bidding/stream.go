package bidding

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio"

	"github.com/exitae337/orchestergo/api"
)

// The stream protocols. On each, one side sends one message and the other answers
// with one.
const (
	BidProtocol   protocol.ID = "/orch/bid/1"
	AwardProtocol protocol.ID = "/orch/award/1"
)

// exchange sends request to a node on a stream of its own and returns its answer.
// It ends with ctx at the latest.
func exchange[Q, A Message](ctx context.Context, h host.Host, to target, request Q) (answer A, err error) {
	id, err := peer.Decode(string(to.node))
	if err != nil {
		return answer, fmt.Errorf("%.80q is no node id: %w", string(to.node), err)
	}
	b, err := Encode(request)
	if err != nil {
		return answer, err
	}
	s, err := h.NewStream(ctx, id, to.protocol)
	if err != nil {
		return answer, fmt.Errorf("open a stream: %w", err)
	}
	stop := resetWith(ctx, s)
	defer stop()
	if b, err = roundTrip(s, b); err != nil {
		_ = s.Reset()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return answer, err
	}
	_ = s.Close() // all is read
	return Decode[A](b)
}

// target is a protocol of a node.
type target struct {
	node     api.NodeID
	protocol protocol.ID
}

func roundTrip(s network.Stream, request []byte) ([]byte, error) {
	if err := writeFrame(s, request); err != nil {
		return nil, err
	}
	return readFrame(s)
}

// writeFrame sends a message, the only one in its direction.
func writeFrame(s network.Stream, b []byte) error {
	if err := msgio.NewVarintWriter(s).WriteMsg(b); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if err := s.CloseWrite(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// resetWith resets s when ctx ends before stop is called. Streams of in-memory
// networks have no deadlines, so this serves instead of them.
func resetWith(ctx context.Context, s network.Stream) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = s.Reset() })
}
