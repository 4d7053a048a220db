package rest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

type ctx = context.Context

const patience = 20 * time.Second

// ended waits for the fake's Logs to end.
func (f *fake) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-f.logEnded:
		return err
	case <-time.After(patience):
		t.Fatalf("the service's Logs did not end within %s", patience)
		return nil
	}
}

func TestLogsAsText(t *testing.T) {
	f := newFake()
	f.lines = []api.LogLine{{Line: "one <b>"}, {Line: "tw", Partial: true}, {Line: "o"}, {Line: ""}}
	srv := serve(t, f, nil)
	res, body := ask(t, request(t, "GET", srv.URL+"/v1/tasks/web.0@2/logs?tail=all&stream=stderr&since=1767366245.5", ""))
	equal(t, "status", res.StatusCode, 200)
	equal(t, "type", res.Header.Get("Content-Type"), "text/plain; charset=utf-8")
	equal(t, "body", body, "one <b>\ntwo\n\n")
	equal(t, "options", f.logOpts, api.LogOptions{Tail: -1, Since: time.Unix(1767366245, 5e8).UTC(), Streams: []string{"stderr"}})

	_, _ = ask(t, request(t, "GET", srv.URL+"/v1/tasks/web.0/logs?follow", ""))
	equal(t, "options left out", f.logOpts, api.LogOptions{Tail: 100, Follow: true})
	_, _ = ask(t, request(t, "GET", srv.URL+"/v1/tasks/web.0/logs?since=2026-01-02T14:00:00+02:00", ""))
	if !f.logOpts.Since.Equal(noon.Truncate(time.Minute)) {
		t.Errorf("since with an unescaped +: got %v, want noon", f.logOpts.Since)
	}
	before := time.Now()
	_, _ = ask(t, request(t, "GET", srv.URL+"/v1/tasks/web.0/logs?since=10m", ""))
	if d := f.logOpts.Since.Sub(before.Add(-10 * time.Minute)); d < 0 || d > patience {
		t.Errorf("since=10m is off by %s", d)
	}

	f.lines = nil
	res, body = ask(t, request(t, "GET", srv.URL+"/v1/tasks/web.0/logs", "", "Accept", "text/html, application/x-ndjson;q=0.9"))
	equal(t, "no lines", body, "")
	equal(t, "type", res.Header.Get("Content-Type"), "application/x-ndjson")
}

func TestLogsOfAJobAsText(t *testing.T) {
	f := newFake()
	f.lines = []api.LogLine{
		{Time: noon, Task: "web.0", Stream: "stdout", Line: "ha", Partial: true},
		{Time: noon, Task: "web.1", Stream: "stdout", Line: "\xffone"},
		{Task: "web.2", Node: "n2", Fault: api.Errorf(api.NodeUnreachable, "node unreachable")},
		{Time: noon, Task: "web.0", Stream: "stdout", Line: "lf"},
	}
	srv := serve(t, f, nil)
	res, body := ask(t, request(t, "GET", srv.URL+"/v1/jobs/web/logs?until=1767366245", ""))
	equal(t, "body", body, "ha\n\xffone\nlf\n")
	equal(t, "whose lines are missing", res.Trailer.Get("Orch-Log-Faults"), "n2: web.2: node unreachable")
	equal(t, "options", f.logOpts, api.LogOptions{Tail: 100, Until: time.Unix(1767366245, 0).UTC()})
	f.lines = f.lines[1:2]
	_, body = ask(t, request(t, "GET", srv.URL+"/v1/logs?name=web,web.0&timestamps", "", "Accept", "text/*;q=0.1, image/png"))
	equal(t, "with times", body, "2026-01-02T12:00:00.123456789Z \xffone\n")
	_, body = ask(t, request(t, "GET", srv.URL+"/v1/jobs/web/logs", "", "Accept", "application/x-ndjson"))
	equal(t, "bytes that are no text", body, `{"time":"2026-01-02T12:00:00.123456789Z","task":"web.1","stream":"stdout","line_b64":"/29uZQ=="}`+"\n")
}

func TestLogsAreRefused(t *testing.T) {
	srv := serve(t, newFake(), nil)
	for _, c := range []struct {
		path, accept string
		code         api.Code
	}{
		{"/v1/jobs/web/logs", "application/json", api.NotAcceptable},
		{"/v1/jobs/web/logs", "text/plain;q=0", api.NotAcceptable},
		{"/v1/jobs/web.0/logs", "", api.JobNotFound},
		{"/v1/tasks/web/logs", "", api.Invalid},
		{"/v1/tasks/web.0/logs?until=tomorrow", "", api.BadQuery},
		{"/v1/tasks/web.0/logs?timestamps=often", "", api.BadQuery},
		{"/v1/logs", "", api.BadQuery},
		{"/v1/logs?name=" + strings.Repeat("web,", 100) + "web", "", api.BadQuery},
	} {
		res, body := ask(t, request(t, "GET", srv.URL+c.path, "", "Accept", c.accept))
		if got := api.Code(readProblem(t, res, body).Code); got != c.code {
			t.Errorf("%.60s as %q: got %s, want %s", c.path, c.accept, got, c.code)
		}
	}
}

func TestAnErrorAfterLinesIsNoCleanEnd(t *testing.T) {
	f := newFake()
	f.lines = []api.LogLine{{Line: "one", Time: noon, Task: "web.0", Epoch: 2, Node: "n1", Stream: "stdout"}}
	f.logErr = api.Errorf(api.NodeUnreachable, "n2 is gone")
	srv := serve(t, f, nil)

	_, body := ask(t, request(t, "GET", srv.URL+"/v1/tasks/web.0/logs", "", "Accept", "application/x-ndjson"))
	equal(t, "ndjson", body, `{"time":"2026-01-02T12:00:00.123456789Z","task":"web.0","epoch":2,"node":"n1","stream":"stdout","line":"one"}`+"\n"+
		`{"error":"n2 is gone","code":"node_unreachable"}`+"\n")

	res, err := http.Get(srv.URL + "/v1/tasks/web.0/logs")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	equal(t, "text", string(text), "one\n")
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("end of the text: got %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestFollowedLinesComeAtOnce(t *testing.T) {
	for _, accept := range []string{"", "application/x-ndjson"} {
		f := newFake()
		f.follow = make(chan api.LogLine)
		srv := serve(t, f, nil)
		go func() { f.follow <- api.LogLine{Line: "first"} }()
		res, err := http.DefaultTransport.RoundTrip(request(t, "GET", srv.URL+"/v1/tasks/web.0/logs?follow", "", "Accept", accept))
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(res.Body)
		for _, want := range []string{"first", "second", "third"} {
			line, err := lines.ReadString('\n')
			if err != nil || !strings.Contains(line, want) {
				t.Fatalf("got %q, %v; want %s", line, err, want)
			}
			switch want { // only now is the next written
			case "first":
				f.follow <- api.LogLine{Line: "second"}
			case "second":
				f.follow <- api.LogLine{Line: "third"}
			}
		}
		res.Body.Close() // the reader leaves
		if err := f.ended(t); !errors.Is(err, context.Canceled) {
			t.Errorf("the service's Logs ended with %v, want %v", err, context.Canceled)
		}
	}
}

func TestClientStopsFollowing(t *testing.T) {
	f := newFake()
	f.follow = make(chan api.LogLine)
	c := dial(t, "", serve(t, f, nil).URL)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { f.follow <- api.LogLine{Line: "one"} }()
	err := c.Logs(ctx, []string{"web.0"}, api.LogOptions{Follow: true}, func(api.LogLine) error {
		cancel()
		return nil
	})
	equal(t, "error", err, context.Canceled)
	if err := f.ended(t); !errors.Is(err, context.Canceled) {
		t.Errorf("the service's Logs ended with %v, want %v", err, context.Canceled)
	}

	// A quiet task: nothing has come yet.
	ctx, cancel = context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Logs(ctx, []string{"web.0"}, api.LogOptions{Follow: true}, nil) }()
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	case <-time.After(patience):
		t.Fatal("Logs went on after its context ended")
	}
}

func TestShutdownEndsStreams(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		f := newFake()
		f.follow = make(chan api.LogLine)
		if !quiet {
			f.lines = []api.LogLine{{Line: "one"}}
		}
		srv := serve(t, f, nil)
		c := dial(t, "", srv.URL)
		started, done := make(chan struct{}, 1), make(chan error, 1)
		go func() {
			done <- c.Logs(t.Context(), []string{"web.0"}, api.LogOptions{Follow: true}, func(api.LogLine) error {
				started <- struct{}{}
				return nil
			})
		}()
		if quiet {
			for deadline := time.Now().Add(patience); len(f.called()) == 0; {
				if time.Now().After(deadline) {
					t.Fatal("the service was not called")
				}
				<-time.Tick(time.Millisecond)
			}
		} else {
			<-started
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := srv.Config.Shutdown(ctx); err != nil {
			t.Errorf("shutdown with an open stream: %v", err)
		}
		cancel()
		select {
		case err := <-done:
			equal(t, "the stream's end", api.CodeOf(err), api.NotReady)
		case <-time.After(patience):
			t.Fatal("the stream went on")
		}
	}
}

func TestShutdownCutsAReaderThatDoesNotRead(t *testing.T) {
	f := newFake()
	f.follow = make(chan api.LogLine)
	srv := serve(t, f, nil)
	res, err := http.DefaultTransport.RoundTrip(request(t, "GET", srv.URL+"/v1/tasks/web.0/logs?follow&tail=0", "", "X", firstLine(f)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	full := make(chan struct{})
	go func() { // until the buffers are full and the handler hangs in its write
		line := api.LogLine{Line: strings.Repeat("x", 1<<16)}
		for {
			select {
			case f.follow <- line:
			case <-time.After(300 * time.Millisecond):
				close(full)
				return
			}
		}
	}()
	<-full
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := srv.Config.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

// firstLine has a line written in the background, so that a stream begins.
func firstLine(f *fake) string {
	go func() { f.follow <- api.LogLine{Line: "first"} }()
	return "x"
}

func TestASlowReaderGetsEverything(t *testing.T) {
	f := newFake()
	for range 400 {
		f.lines = append(f.lines, api.LogLine{Line: strings.Repeat("x", 16<<10)})
	}
	c := dial(t, "", serve(t, f, nil).URL)
	n := 0
	err := c.Logs(t.Context(), []string{"web.0"}, api.LogOptions{Tail: -1}, func(l api.LogLine) error {
		if n++; n%100 == 0 {
			<-time.Tick(20 * time.Millisecond)
		}
		if len(l.Line) != 16<<10 {
			return errors.New("a line is not whole")
		}
		return nil
	})
	equal(t, "error", err, nil)
	equal(t, "lines", n, 400)
}

func TestABrokenLogStreamIsAnError(t *testing.T) {
	raw := answering(t, "HTTP/1.1 200 OK\r\nOrch-Node: n1;id=x\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{\"line\":\"a\"}\n\r\n")
	c := dial(t, "", raw)
	n := 0
	err := c.Logs(t.Context(), []string{"web.0"}, api.LogOptions{}, func(api.LogLine) error { n++; return nil })
	if !errors.Is(err, io.ErrUnexpectedEOF) || n != 1 {
		t.Errorf("got %v after %d lines, want %v after 1", err, n, io.ErrUnexpectedEOF)
	}
	if errors.Is(err, rest.ErrOutcomeUnknown) {
		t.Error("a read has no outcome")
	}
}
