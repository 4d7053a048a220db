package rest

import (
	"time"

	"github.com/exitae337/orchestergo/api"
)

// maxStreams bounds the answers that go on until somebody ends them, so that these
// cannot take all of a node. Each costs it a connection and a few goroutines.
const maxStreams = 4096

// beginStream takes a place among the streams, which end gives back.
func (s *Server) beginStream() (end func(), err error) {
	if s.open.Add(1) > s.cfg.MaxStreams {
		s.open.Add(-1)
		e := api.Errorf(api.TooMany, "%d streams are open at this node, and it allows no more", s.cfg.MaxStreams).
			WithHint("end some, or ask another node")
		e.RetryAfter = time.Second
		return nil, e
	}
	return func() { s.open.Add(-1) }, nil
}
