package rest

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/exitae337/orchestergo/api"
)

// guard refuses what must not reach a handler: a foreign Host (a page whose name
// was made to point here), a foreign Origin (a page that posts here), and a
// missing token.
func (s *Server) guard(w http.ResponseWriter, r *http.Request) error {
	if !overUnix(r) && !s.servedHost(r.Host) {
		return api.Errorf(api.WrongHost, "this API does not answer to the host %.80q", r.Host).
			WithHint("use localhost or 127.0.0.1, or an address that the node was told to serve")
	}
	if !sameOrigin(r) {
		return api.Errorf(api.Forbidden, "a web page of another origin may not use this API")
	}
	if s.cfg.Token != "" && r.URL.Path != pathHealth && !s.hasToken(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return api.Errorf(api.Unauthorized, "this API needs a token, and the request has none or another").
			WithHint("send the header Authorization: Bearer TOKEN")
	}
	return nil
}

// overUnix says whether r came through a socket in the file system, which no web
// page can reach, and where the host is whatever a client has to make up.
func overUnix(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && addr.Network() == "unix"
}

// servedHost says whether a Host header names this machine's loopback or a host
// of the configuration. Only numbers and "localhost" are loopback: any other name
// can be made to resolve to it.
func (s *Server) servedHost(host string) bool {
	name := hostName(host)
	if name == "localhost" || s.hosts[name] {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Unmap().IsLoopback()
}

// hostName is the host of "host", "host:port" or "[v6]:port", in lower case.
func hostName(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	if v6, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(v6, "]") {
		s = strings.TrimSuffix(v6, "]")
	}
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

// sameOrigin says whether r comes from no web page, or from one of this API's
// own. A page on another port of this machine is another origin: whatever runs
// there is not the user.
func sameOrigin(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
	}
	if isRead(r.Method) {
		return true
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "" || site == "none" || site == "same-origin"
}

// hasToken compares in constant time; the sums make the lengths equal.
func (s *Server) hasToken(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got, want := sha256.Sum256([]byte(strings.TrimSpace(token))), sha256.Sum256([]byte(s.cfg.Token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

func isRead(method string) bool { return method == http.MethodGet || method == http.MethodHead }
