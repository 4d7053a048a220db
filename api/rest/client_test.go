package rest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// nobody is an address where nothing listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// answering is an address where each request is read to the end of its header,
// answered with text, and its connection closed.
func answering(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = req.Body.Read(make([]byte, 64<<10))
				fmt.Fprint(conn, text)
			}
			conn.Close()
		}
	}()
	return l.Addr().String()
}

func TestTheNextEndpointIsTried(t *testing.T) {
	f := newFake()
	c := dial(t, "", nobody(t), "unix://"+filepath.Join(t.TempDir(), "none.sock"), serve(t, f, nil).URL+"/")
	if _, ok := c.View(); ok {
		t.Error("a view before any answer")
	}
	for range 2 {
		_, err := c.Jobs(t.Context())
		equal(t, "read", err, nil)
	}
	_, err := c.Submit(t.Context(), webJob(), api.WriteOptions{})
	equal(t, "write", err, nil)
	view, ok := c.View()
	equal(t, "view", view, api.View{Node: "AAAAaaaa", Name: "n1", Alive: 2, Known: 3, Synced: true})
	equal(t, "has a view", ok, true)
}

func TestTheViewFollowsTheAnswers(t *testing.T) {
	var isolated atomic.Bool
	f := newFake()
	c := dial(t, "", serve(t, f, func(cfg *rest.Config) {
		cfg.View = func() api.View {
			return api.View{Node: nodeB, Name: "n2", Alive: 1, Known: 5, Isolated: isolated.Load()}
		}
	}).URL)
	_, _ = c.Job(t.Context(), "nope") // refusals have it too
	got, _ := c.View()
	equal(t, "view", got, api.View{Node: "BBBBbbbb", Name: "n2", Alive: 1, Known: 5})
	isolated.Store(true)
	_, _ = c.Jobs(t.Context())
	got, _ = c.View()
	equal(t, "isolated", got.Isolated, true)
}

func TestUnreachable(t *testing.T) {
	a, b := nobody(t), nobody(t)
	c := dial(t, "", a, b)
	_, read := c.Jobs(t.Context())
	_, write := c.Stop(t.Context(), "web", api.WriteOptions{})
	for _, err := range []error{read, write, c.Ready(t.Context())} {
		if !errors.Is(err, rest.ErrUnreachable) || errors.Is(err, rest.ErrOutcomeUnknown) ||
			!strings.Contains(err.Error(), a) || !strings.Contains(err.Error(), b) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("got %v, want %v with both addresses and why", err, rest.ErrUnreachable)
		}
	}
}

func TestAWriteToANodeIsSentOnce(t *testing.T) {
	f := newFake()
	c := dial(t, "", answering(t, ""), serve(t, f, nil).URL)
	for what, write := range map[string]func() error{
		"forget": func() error { _, err := c.RemoveNode(t.Context(), "n2"); return err },
		"drain":  func() error { _, err := c.DrainNode(t.Context(), "n2"); return err },
		"cordon": func() error { _, err := c.CordonNode(t.Context(), "n2"); return err },
		"label":  func() error { _, err := c.LabelNode(t.Context(), "n2", api.LabelChange{}); return err },
		"leave":  func() error { return c.Leave(t.Context(), false) },
	} {
		err := write()
		if !errors.Is(err, rest.ErrOutcomeUnknown) || errors.Is(err, rest.ErrUnreachable) {
			t.Errorf("%s: got %v, want %v", what, err, rest.ErrOutcomeUnknown)
		}
		equal(t, what+": code", api.CodeOf(err), api.Internal)
	}
	equal(t, "calls of the other node", len(f.called()), 0)

	_, err := c.Jobs(t.Context()) // a read may go on to the next
	equal(t, "read", err, nil)
}

func TestAWriteToAJobIsRepeatedUnderItsKey(t *testing.T) {
	const starting = "HTTP/1.1 503 Service Unavailable\r\nOrch-Node: n3;id=x\r\nContent-Length: 40\r\n\r\n" +
		`{"code":"not_ready","detail":"starting"}`
	for what, write := range map[string]func(*rest.Client, api.WriteOptions) error{
		"submit": func(c *rest.Client, o api.WriteOptions) error {
			_, err := c.Submit(t.Context(), webJob(), o)
			return err
		},
		"put":    func(c *rest.Client, o api.WriteOptions) error { _, err := c.Put(t.Context(), webJob(), o); return err },
		"remove": func(c *rest.Client, o api.WriteOptions) error { _, err := c.Remove(t.Context(), "web", o); return err },
		"scale": func(c *rest.Client, o api.WriteOptions) error {
			_, err := c.Scale(t.Context(), "web", 1, o)
			return err
		},
		"stop":    func(c *rest.Client, o api.WriteOptions) error { _, err := c.Stop(t.Context(), "web", o); return err },
		"restart": func(c *rest.Client, o api.WriteOptions) error { _, err := c.Restart(t.Context(), "web", o); return err },
	} {
		var first atomic.Value
		broken := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			first.Store(r.Header.Get("Idempotency-Key"))
			panic(http.ErrAbortHandler)
		}))
		defer broken.Close()
		f := newFake()
		if what != "submit" {
			f.put(webJob())
		}
		healthy := serve(t, f, nil).URL
		equal(t, what, write(dial(t, "", broken.URL, answering(t, starting), healthy), api.WriteOptions{}), nil)
		if key := f.opts.Key; key == "" || key != first.Load() {
			t.Errorf("%s: repeated with the key %q, first sent with %q", what, key, first.Load())
		}
		equal(t, what+" with the caller's key", write(dial(t, "", healthy), api.WriteOptions{Key: "mine"}) != nil, what == "submit" || what == "remove")

		err := write(dial(t, "", broken.URL, nobody(t)), api.WriteOptions{})
		if !errors.Is(err, rest.ErrOutcomeUnknown) {
			t.Errorf("%s: nobody else is there: got %v, want %v", what, err, rest.ErrOutcomeUnknown)
		}
	}
}

func TestAWriteThatIsGivenUp(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*1e6)
	defer cancel()
	c := dial(t, "", srv.URL)
	_, err := c.Stop(ctx, "web", api.WriteOptions{})
	if !errors.Is(err, rest.ErrOutcomeUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("write: got %v, want %v and %v", err, rest.ErrOutcomeUnknown, context.DeadlineExceeded)
	}
	_, err = c.Stop(ctx, "web", api.WriteOptions{}) // too late to be sent at all
	if errors.Is(err, rest.ErrOutcomeUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("late write: got %v, want only %v", err, context.DeadlineExceeded)
	}
	_, err = c.Jobs(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, rest.ErrUnreachable) {
		t.Errorf("read: got %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestAWriteAfterTheServerWasReplaced(t *testing.T) { // an idle connection must not be used for it
	f := newFake()
	srv := serve(t, f, nil)
	c := dial(t, "", srv.URL)
	if _, err := c.Jobs(t.Context()); err != nil {
		t.Fatal(err)
	}
	addr := srv.Listener.Addr().String()
	srv.Close()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	again := httptest.NewUnstartedServer(rest.NewServer(rest.Config{Service: f, View: testView, Log: silent()}))
	again.Listener.Close()
	again.Listener = l
	again.Start()
	defer again.Close()
	_, err = c.Submit(t.Context(), webJob(), api.WriteOptions{})
	equal(t, "error", err, nil)
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := rest.NewServer(rest.Config{Service: newFake(), View: testView, Log: silent()}).HTTP()
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	c := dial(t, "", "unix://"+path)
	_, err = c.Submit(t.Context(), webJob(), api.WriteOptions{})
	equal(t, "error", err, nil)
	raw := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) },
	}}
	res, err := raw.Get("http://orch/v1/jobs/web") // a host has to be made up
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	equal(t, "status with another host", res.StatusCode, http.StatusOK)
	srv.Close()
	<-done
}

func TestRawIsByteForByte(t *testing.T) {
	f := newFake()
	f.put(webJob())
	srv := serve(t, f, nil)
	c := dial(t, "", srv.URL)
	_, want := ask(t, request(t, "GET", srv.URL+"/v1/jobs", ""))
	got, err := c.Raw(t.Context(), "/v1/jobs")
	equal(t, "raw", string(got), want)
	equal(t, "error", err, nil)
	_, err = c.Raw(t.Context(), "/v1/jobs?x=1")
	equal(t, "refusal", api.CodeOf(err), api.BadQuery)
	for _, path := range []string{"", "v1/jobs", "/v1/a b\x00"} {
		if _, err = c.Raw(t.Context(), path); err == nil || errors.Is(err, rest.ErrUnreachable) {
			t.Errorf("Raw(%q): got %v, want an error about the path", path, err)
		}
	}
}

func TestOtherPrograms(t *testing.T) {
	for name, answer := range map[string]string{
		"another server":   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
		"a login page":     "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
		"a proxy":          "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nnope",
		"garbage":          "HTTP/1.1 200 OK\r\nOrch-Node: a;id=b\r\nContent-Length: 4\r\n\r\nnope",
		"a cut-off answer": "HTTP/1.1 200 OK\r\nOrch-Node: a;id=b\r\nContent-Length: 40\r\n\r\n{}",
	} {
		c := dial(t, "", answering(t, answer))
		_, read := c.Jobs(t.Context())
		_, write := c.Stop(t.Context(), "web", api.WriteOptions{})
		for _, err := range []error{read, write} {
			var known *api.Error
			if err == nil || errors.As(err, &known) || errors.Is(err, rest.ErrUnreachable) {
				t.Errorf("%s: got %v, want an error that is no refusal", name, err)
			}
		}
	}
}

func TestNewClientChecksAddresses(t *testing.T) {
	for address, ok := range map[string]bool{
		"localhost:7070": true, "127.0.0.1:7070": true, "[::1]:7070": true, "http://n1:7070": true, "http://n1:7070/": true, "unix:///run/orch.sock": true,
		"": false, "localhost": false, "http://": false, ":7070": false, "n1:": false, "https://n1:7070": false, "ssh://n1": false, "unix://run.sock": false,
		"http://n1:7070/v1": false, "http://me@n1:7070": false, "n1:70 70": false, "n1:7070?x": false, "::1:7070": false, "n1:99999": false, "n1:0": false,
	} {
		_, err := rest.NewClient([]string{address}, "")
		if (err == nil) != ok {
			t.Errorf("NewClient(%q): got %v, want ok %v", address, err, ok)
		}
	}
	if _, err := rest.NewClient(nil, ""); err == nil {
		t.Error("no addresses: got no error")
	}
	if _, err := rest.NewClient([]string{"n1:1"}, "a\r\nX: b"); err == nil {
		t.Error("a token of two lines: got no error")
	}
}
