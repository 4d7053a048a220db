package rest

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
)

// Times that a client may take, so that none holds a connection for ever. A log
// stream has none: it may be read as slowly as one likes.
const (
	headerTimeout = 10 * time.Second // to send the header of a request
	bodyTimeout   = 30 * time.Second // to send its body
	writeTimeout  = time.Minute      // to take an answer
	idleTimeout   = 2 * time.Minute  // between two requests
)

// Config is what a Server needs. Service, View and Log are required.
type Config struct {
	Service api.Service
	View    func() api.View    // called for each request; must not block
	Token   string             // demanded of every request but /healthz, unless empty
	Hosts   []string           // names and addresses answered to besides loopback; ports are ignored
	Log     logrus.FieldLogger // gets faults, and at debug level each request
}

// Server answers HTTP requests with an api.Service. It is an http.Handler, safe
// for concurrent use.
type Server struct {
	cfg        Config
	hosts      map[string]bool
	mux        *http.ServeMux
	streams    context.Context // done once the server shuts down; ends what would not end by itself
	endStreams context.CancelFunc
}

// NewServer makes a Server. It starts nothing.
func NewServer(cfg Config) *Server {
	s := &Server{cfg: cfg, hosts: map[string]bool{}, mux: http.NewServeMux()}
	s.streams, s.endStreams = context.WithCancel(context.Background())
	for _, h := range cfg.Hosts {
		s.hosts[hostName(h)] = true
	}
	paths := map[string][]route{}
	for _, rt := range routes() {
		paths[rt.path] = append(paths[rt.path], rt)
	}
	for p, methods := range paths {
		s.mux.Handle(p, s.dispatch(methods))
	}
	s.mux.Handle("/", s.dispatch(nil))
	return s
}

// HTTP is an http.Server for s with timeouts that suit it: whoever is too slow to
// ask is cut off, streams are not. Its Shutdown ends streams and waits for other
// requests; set BaseContext to end those as well.
func (s *Server) HTTP() *http.Server {
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(httpLog{s.cfg.Log}, "", 0),
	}
	h.RegisterOnShutdown(s.endStreams)
	return h
}

// ServeHTTP answers one request. A panic of a handler becomes a 500.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w, start := &answer{ResponseWriter: rw}, time.Now()
	entry := s.cfg.Log.WithFields(logrus.Fields{"method": r.Method, "path": r.URL.Path, "from": r.RemoteAddr})
	defer func() {
		v := recover()
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		if v != nil {
			entry.WithFields(logrus.Fields{"panic": v, "stack": string(debug.Stack())}).Error("a request made the program panic")
			s.refuse(w, r, api.Errorf(api.Internal, "the request met a fault in orch; the log of the node has the details"))
		}
		entry.WithFields(logrus.Fields{"status": w.status, "took": time.Since(start)}).Debug("request answered")
	}()
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	setView(w.Header(), s.cfg.View())
	if err := s.guard(w, r); err != nil {
		s.refuse(w, r, err)
		return
	}
	if p := r.URL.EscapedPath(); p != path.Clean(p) { // the mux would redirect, also a write
		s.refuse(w, r, noSuchPath(r))
		return
	}
	s.mux.ServeHTTP(w, r)
}

// dispatch answers for the routes of one path.
func (s *Server) dispatch(methods []route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := s.call(methods, w, r); err != nil {
			s.refuse(w.(*answer), r, err)
		}
	}
}

// call picks among the routes of one path by method.
func (s *Server) call(methods []route, w http.ResponseWriter, r *http.Request) error {
	if len(methods) == 0 {
		return noSuchPath(r)
	}
	var allow []string
	for _, rt := range methods {
		serves := []string{rt.method}
		if rt.method == http.MethodGet {
			serves = append(serves, http.MethodHead)
		}
		if slices.Contains(serves, r.Method) {
			if err := checkRequest(r, rt.query); err != nil {
				return err
			}
			return rt.handle(s, w, r)
		}
		allow = append(allow, serves...)
	}
	list := strings.Join(allow, ", ")
	w.Header().Set("Allow", list)
	return api.Errorf(api.WrongMethod, "%.200s does not have the method %.20q, only %s", r.URL.Path, r.Method, list)
}

// checkRequest refuses what a handler would otherwise overlook.
func checkRequest(r *http.Request, known []string) error {
	if !isRead(r.Method) && r.Header.Get("If-Match") != "" {
		return api.Errorf(api.NotSupported, "If-Match is not in this version, and to ignore it would not be safe")
	}
	return checkQuery(r.URL.RawQuery, known)
}

// refuse answers with err or, when an answer has begun, cuts it short, so that
// the client does not take it for a whole one.
func (s *Server) refuse(w *answer, r *http.Request, err error) {
	if w.status != 0 {
		s.cfg.Log.WithFields(logrus.Fields{"path": r.URL.Path, logrus.ErrorKey: err}).Debug("answer cut short")
		panic(http.ErrAbortHandler)
	}
	writeProblem(w, r, err)
}

func noSuchPath(r *http.Request) *api.Error {
	return api.Errorf(api.NotFound, "there is nothing at %.200q", r.URL.Path).WithHint("GET / lists the paths")
}

// index says what this is.
func (s *Server) index(w http.ResponseWriter, _ *http.Request) error {
	var b strings.Builder
	b.WriteString("This is the HTTP API of orch, a container scheduler without a master: every node answers for all.\n\n")
	for _, rt := range routes() {
		query := ""
		if len(rt.query) > 0 {
			query = "?" + strings.Join(rt.query, "&")
		}
		fmt.Fprintf(&b, "%-6s  %s\n        %s\n", rt.method, strings.TrimSuffix(rt.path, "{$}")+query, rt.about)
	}
	b.WriteString("\nBodies are application/json. Refusals are application/problem+json (RFC 9457).\n")
	return writeText(w, b.String())
}
