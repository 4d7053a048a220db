package rest

import (
	"log"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
)

// Front passes requests on to the Server of the moment, so that what answers can
// be exchanged while the program runs. It is an http.Handler.
type Front struct {
	now atomic.Pointer[Server] // nil while there is none
	log logrus.FieldLogger
}

// NewFront makes a Front without a Server.
func NewFront(log logrus.FieldLogger) *Front { return &Front{log: log} }

// Set has s answer from now on; nil has every request told to come back. Streams
// of the Server before end, its other requests are answered yet.
func (f *Front) Set(s *Server) {
	if old := f.now.Swap(s); old != nil && old != s {
		old.endStreams()
	}
}

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := f.now.Load()
	if s == nil {
		e := api.Errorf(api.NotReady, "this node is starting, stopping or changing its cluster")
		e.RetryAfter = time.Second
		writeProblem(w, r, e)
		return
	}
	s.ServeHTTP(w, r)
}

// HTTP is an http.Server for f with timeouts that suit it: whoever is too slow to
// ask is cut off, streams are not. Its Shutdown ends streams and waits for other
// requests; set BaseContext to end those as well.
func (f *Front) HTTP() *http.Server {
	h := &http.Server{
		Handler:           f,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(httpLog{f.log}, "", 0),
	}
	h.RegisterOnShutdown(func() { f.Set(nil) })
	return h
}
