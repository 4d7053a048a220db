package rest

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"
)

// pathDebug is where Go's profiles are, if they are.
const pathDebug = "/debug/pprof/"

// methods are those that are told apart in measures: a client could make up others.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// observe tells of a request. Nothing that a client makes up gets through.
func (s *Server) observe(w *answer, r *http.Request, took time.Duration) {
	if s.cfg.Observe == nil {
		return
	}
	method := "other"
	if slices.Contains(methods, r.Method) {
		method = r.Method
	}
	s.cfg.Observe(strings.TrimSuffix(cmp.Or(w.route, "none"), "{$}"), method, w.status, took)
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Metrics == nil {
		return writeText(w, "")
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // a recorder in tests has none
	s.cfg.Metrics.ServeHTTP(w, r)
	return nil
}
