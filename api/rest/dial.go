package rest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// dialTimeout is how long an address that does not answer keeps the client from
// trying the next.
const dialTimeout = 3 * time.Second

// An endpoint is one address of the API.
type endpoint struct {
	name  string // as it was given, for messages
	base  string // what paths are appended to
	reads *http.Client
	// writes has a connection of its own for each request: one that lay idle may
	// just be being closed, and then nobody could say whether a write arrived.
	writes *http.Client
}

// newEndpoint reads "host:port", "http://host:port" or "unix:///path".
func newEndpoint(s string) (*endpoint, error) {
	dialer := &net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{
		DialContext:         dialer.DialContext,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     idleTimeout / 2, // before the server closes it
	}
	e := &endpoint{name: s}
	if path, ok := strings.CutPrefix(s, "unix://"); ok {
		if !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("api address %.200q: the path of the socket must begin with / (unix:///run/orch.sock)", s)
		}
		e.base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		}
	} else {
		host := strings.TrimSuffix(strings.TrimPrefix(s, "http://"), "/")
		if err := checkHostPort(host); err != nil {
			return nil, fmt.Errorf("api address %.200q: %w (write host:port, http://host:port or unix:///path)", s, err)
		}
		e.base = "http://" + host
	}
	fresh := transport.Clone()
	fresh.DisableKeepAlives = true
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	e.reads = &http.Client{Transport: transport, CheckRedirect: stay}
	e.writes = &http.Client{Transport: fresh, CheckRedirect: stay}
	return e, nil
}

// checkHostPort says what keeps s from being an address to dial.
func checkHostPort(s string) error {
	u, err := url.Parse("http://" + s)
	switch {
	case strings.Contains(s, "://"):
		return fmt.Errorf("only http and unix are spoken")
	case err != nil:
		return fmt.Errorf("it is not an address")
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("there is more than a host and a port")
	case u.Hostname() == "":
		return fmt.Errorf("the host is missing")
	case u.Port() == "":
		return fmt.Errorf("the port is missing")
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return fmt.Errorf("the port is not from 1 to 65535")
	}
	return nil
}
