package rest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// numbered is the event n of a node's boot.
func numbered(boot string, n int) api.Event {
	e := oneEvent()
	e.ID, e.UID = fmt.Sprintf("%s.%d", boot, n), fmt.Sprint(n)
	return e
}

// stream opens a stream, and returns what reads its lines.
func stream(t *testing.T, url string, headers ...string) (*http.Response, *bufio.Reader) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	res, err := http.DefaultTransport.RoundTrip(request(t, "GET", url, "", headers...).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res, bufio.NewReader(res.Body)
}

// frame reads the lines up to the next empty one.
func frame(t *testing.T, r *bufio.Reader) []string {
	t.Helper()
	var lines []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", lines, err)
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			return lines
		}
		lines = append(lines, line)
	}
}

func TestEventsAsSSE(t *testing.T) {
	f := newFake()
	f.happens = make(chan api.Event)
	f.events = []api.Event{{ID: "boot.6", Type: api.EventMark}}
	srv := serve(t, f, nil)
	res, lines := stream(t, srv.URL+"/v1/events?type=task,node.failed,alarm.*&job=web&task=web.0@2&node=n1&after=boot.5", "Last-Event-ID", "boot.6")
	equal(t, "status", res.StatusCode, 200)
	equal(t, "type", res.Header.Get("Content-Type"), "text/event-stream")
	equal(t, "how soon to be back", frame(t, lines), []string{"retry: 2000"})
	equal(t, "a mark is no event", frame(t, lines), []string{"id: boot.6", ": ping"})
	e := oneEvent()
	e.Message = "line\nbreak <b>\u2028"
	f.happens <- e
	got := frame(t, lines)
	equal(t, "lines of an event", len(got), 3)
	equal(t, "its id and type", got[:2], []string{"id: boot.7", "event: task.running"})
	data, ok := strings.CutPrefix(got[2], "data: ")
	var read api.Event
	equal(t, "its data", ok, true)
	equal(t, "error", json.Unmarshal([]byte(data), &read), nil)
	equal(t, "the event", read, e)
	f.happens <- api.Event{ID: "boot.9", Type: api.EventReset}
	equal(t, "a reset", frame(t, lines)[:2], []string{"id: boot.9", "event: reset"})
	equal(t, "filter", f.wanted[0], api.EventFilter{After: "boot.6", Job: "web", Task: "web.0@2", Node: "n1", Follow: true,
		Types: []api.EventType{"task", api.EventNodeFailed, "alarm"}})
}

func TestEventsAsLines(t *testing.T) {
	f := newFake()
	f.events = []api.Event{oneEvent()}
	srv := serve(t, f, nil)
	res, body := ask(t, request(t, "GET", srv.URL+"/v1/events?follow=false&since=2026-01-02T12:00:00Z", "", "Accept", "text/html, application/x-ndjson"))
	equal(t, "type", res.Header.Get("Content-Type"), "application/x-ndjson")
	equal(t, "body", body, `{"id":"boot.7","type":"task.running","time":"2026-01-02T12:00:00.123456789Z","seen":"2026-01-02T12:00:00.124456789Z",`+
		`"mono_ns":12,"uid":"9f3ac1d2","message":"web.0@2 on n1  after 3s","job":"web","life":1,"task":"web.0","epoch":2,"node":"12D3KooWAAAAaaaa0001","node_name":"n1"}`+"\n")
	equal(t, "filter", f.wanted[0], api.EventFilter{Since: noon.Truncate(time.Minute)})
}

func TestEventsRefused(t *testing.T) {
	f := newFake()
	srv := serve(t, f, nil)
	for query, want := range map[string]string{
		"type=task.runing": "type=task.runing is no type of event; did you mean task.running?",
		"type=reset":       "type=reset is no type of event",
		"since=yesterday":  "since=yesterday is not a time",
		"follow=maybe":     "follow=maybe is neither true nor false",
		"task=web":         "task=web is no task",
		"job=a&job=b":      "the parameter job is given 2 times",
		"until=1h":         `the parameter "until" is not known here`,
	} {
		res, body := ask(t, request(t, "GET", srv.URL+"/v1/events?"+query, ""))
		var p rest.Problem
		equal(t, "error", json.Unmarshal([]byte(body), &p), nil)
		equal(t, query, []any{res.StatusCode, p.Code, strings.ReplaceAll(p.Detail, `"`, "")}, []any{400, api.BadQuery, strings.ReplaceAll(want, `"`, "")})
	}
	for accept, want := range map[string]int{
		"text/html": 406, "application/json": 406, "text/event-stream;q=0": 406, "text/*": 200, "*/*": 200, "application/json, */*;q=0.1": 200,
	} {
		res, _ := ask(t, request(t, "GET", srv.URL+"/v1/events?follow=false", "", "Accept", accept))
		equal(t, "status for "+accept, res.StatusCode, want)
	}
	f.err = api.Errorf(api.NotReady, "stopping")
	res, _ := ask(t, request(t, "GET", srv.URL+"/v1/events", ""))
	equal(t, "an error before anything", res.StatusCode, 503)
}

// TestShutdownEndsEventStreams wants a server that ends to end its streams
// of events.
func TestShutdownEndsEventStreams(t *testing.T) {
	f := newFake()
	f.happens = make(chan api.Event)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := rest.NewServer(rest.Config{Service: f, View: testView, Log: silent()}).HTTP()
	go func() { _ = srv.Serve(l) }()
	f.events = []api.Event{oneEvent()}
	_, lines := stream(t, "http://"+l.Addr().String()+"/v1/events", "Accept", "application/x-ndjson")
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	equal(t, "shutdown", srv.Shutdown(ctx), nil)
	if took := time.Since(begun); took > patience/2 {
		t.Errorf("shutdown took %s", took)
	}
	if line, err := lines.ReadString('\n'); err == nil {
		t.Errorf("after the shutdown the stream goes on with %q", line)
	}
}

// TestClientGoesOnAtTheNextNode has an event stream lose its node: it is to resume
// at another one, from there on, and to pass on that events were missed.
func TestClientGoesOnAtTheNextNode(t *testing.T) {
	first, second := newFake(), newFake()
	first.events, first.happens = []api.Event{numbered("a", 1), numbered("a", 2)}, make(chan api.Event)
	second.events, second.happens = []api.Event{{ID: "b.40", Type: api.EventReset}, numbered("b", 2), numbered("b", 41)}, make(chan api.Event)
	a, b := serve(t, first, nil), serve(t, second, nil)
	c := dial(t, "", a.URL, b.URL)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	enough := errors.New("enough")
	var got []string
	err := c.Events(ctx, api.EventFilter{Follow: true, Since: noon, Job: "web"}, func(e api.Event) error {
		got = append(got, e.ID)
		switch e.ID {
		case "a.2":
			a.CloseClientConnections()
			a.Listener.Close()
		case "b.41":
			return enough
		}
		return nil
	})
	equal(t, "the reader's own error", err, enough)
	equal(t, "events", got, []string{"a.1", "a.2", "b.40", "b.41"})
	equal(t, "asked the first", first.wanted[0], api.EventFilter{Follow: true, Since: noon, Job: "web"})
	equal(t, "asked the second", second.wanted[0], api.EventFilter{Follow: true, After: "a.2", Since: noon.Add(-time.Second), Job: "web"})

	equal(t, "not followed", dial(t, "", b.URL).Events(ctx, api.EventFilter{}, func(api.Event) error { return nil }), nil)
	second.err = api.Errorf(api.Unauthorized, "no")
	err = c.Events(ctx, api.EventFilter{Follow: true}, func(api.Event) error { return nil })
	equal(t, "a refusal is not tried again", api.CodeOf(err), api.Unauthorized)
}

func TestContractEvents(t *testing.T) {
	both(t, func(t *testing.T, f *fake, svc api.Service) {
		e := oneEvent()
		code := 3
		e.ExitCode, e.Generation = &code, 4
		f.events = []api.Event{e, numbered("boot", 8)}
		var got []api.Event
		want := api.EventFilter{Since: noon, After: "x.1", Types: []api.EventType{"task", api.EventNodeLeft}, Job: "web", Task: "web.0", Node: "n 1"}
		equal(t, "error", svc.Events(t.Context(), want, func(e api.Event) error {
			got = append(got, e)
			return nil
		}), nil)
		equal(t, "events", got, f.events)
		equal(t, "filter", f.wanted[0], want)
	})
}

func TestContractWait(t *testing.T) {
	both(t, func(t *testing.T, f *fake, svc api.Service) {
		f.put(webJob())
		f.inVain = true
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		job, reached, err := svc.WaitJob(ctx, "web", api.GoalComplete)
		equal(t, "in vain", []any{job.Name, job.Generation, reached, err}, []any{"web", uint64(1), false, nil})
		f.inVain = false
		job, reached, err = svc.WaitJob(t.Context(), "web", api.GoalRunning)
		equal(t, "reached", []any{job.Generation, reached, err}, []any{uint64(1), true, nil})
		_, _, err = svc.WaitJob(t.Context(), "none", api.GoalRunning)
		equal(t, "no job", api.CodeOf(err), api.JobNotFound)
	})
}

func TestWaitAsAsked(t *testing.T) {
	f := newFake()
	f.inVain = true
	f.put(webJob())
	srv := serve(t, f, nil)
	res, body := ask(t, request(t, "GET", srv.URL+"/v1/jobs/web/wait?for=complete&timeout=50ms", ""))
	var got struct {
		Name    string
		Reached *bool
	}
	equal(t, "error", json.Unmarshal([]byte(body), &got), nil)
	equal(t, "answer", []any{res.StatusCode, got.Name, *got.Reached}, []any{200, "web", false})
	for query, want := range map[string]int{"for=ever": 400, "timeout=soon": 400, "timeout=-1s": 400, "wait=1s": 400, "for=gone&timeout=0": 200} {
		res, _ := ask(t, request(t, "GET", srv.URL+"/v1/jobs/web/wait?"+query, ""))
		equal(t, query, res.StatusCode, want)
	}
	if calls := f.called(); !reflect.DeepEqual(calls, []string{"wait web complete", "wait web gone"}) {
		t.Errorf("calls: %v", calls)
	}
}
