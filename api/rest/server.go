package rest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
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
	View    func() api.View // called for each request; must not block
	// Revision is that of one job and its tasks or, for "", of all that is seen. It
	// is taken before what it is the revision of. If it is known, the next one is
	// waited for until ctx ends. nil: answers have none, and nobody can wait.
	Revision func(ctx context.Context, job, known string) string
	Token    string   // demanded of every request but /healthz, unless empty
	Hosts    []string // names and addresses answered to besides loopback; ports are ignored
	// Metrics answers /metrics, in the text form of Prometheus; nil: nothing is measured.
	Metrics http.Handler
	// Observe is told of each request that was answered: which route it was, "none" if
	// there is no such path, its method, and the status. nil: nobody.
	Observe func(route, method string, status int, took time.Duration)
	// Debug answers below /debug/pprof/; nil: there is nothing.
	Debug http.Handler
	// MaxStreams is how many streams may be open at once; 0 is 4096.
	MaxStreams int64
	Log        logrus.FieldLogger // gets faults, and at debug level each request
}

// Server answers HTTP requests with an api.Service. It is an http.Handler, safe
// for concurrent use.
type Server struct {
	cfg        Config
	hosts      map[string]bool
	mux        *http.ServeMux
	open       atomic.Int64    // streams
	streams    context.Context // done once the server shuts down; ends what would not end by itself
	endStreams context.CancelFunc
}

// NewServer makes a Server. It starts nothing.
func NewServer(cfg Config) *Server {
	s := &Server{cfg: cfg, hosts: map[string]bool{}, mux: http.NewServeMux()}
	s.cfg.MaxStreams = cmp.Or(cfg.MaxStreams, maxStreams)
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

// HTTP is an http.Server for s, as that of a [Front] that has s.
func (s *Server) HTTP() *http.Server {
	f := NewFront(s.cfg.Log)
	f.Set(s)
	return f.HTTP()
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
		s.observe(w, r, time.Since(start))
		entry.WithFields(logrus.Fields{"status": w.status, "took": time.Since(start)}).Debug("request answered")
	}()
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'") // an answer shown as a page can do nothing
	setView(w.Header(), s.cfg.View())
	if err := s.guard(w, r); err != nil {
		s.refuse(w, r, err)
		return
	}
	if s.cfg.Debug != nil && strings.HasPrefix(r.URL.Path, pathDebug) {
		w.route = pathDebug
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // a profile takes as long as is asked for
		s.cfg.Debug.ServeHTTP(w, r)
		return
	}
	if p := r.URL.EscapedPath(); p != path.Clean(p) || p == "*" { // the mux would redirect, also a write, or say nothing
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
		w.(*answer).route = rt.path
		if slices.Contains(serves, r.Method) {
			if err := checkRequest(r, rt.query); err != nil {
				return err
			}
			if err := checkAccept(r, rt.media()); err != nil {
				return err
			}
			if slices.Contains(rt.query, "wait") {
				return s.watch(rt, w, r)
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
	if !isRead(r.Method) && !strings.HasPrefix(r.URL.Path, pathJobs) && r.Header.Get("If-Match") != "" {
		return api.Errorf(api.NotSupported, "If-Match is for jobs; nothing else has an ETag that could be matched")
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
	drain(w, r)
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
