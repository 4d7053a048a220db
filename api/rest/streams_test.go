package rest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// TestStreamsAreBounded opens as many as are allowed, one more, and one more after
// another one has ended.
func TestStreamsAreBounded(t *testing.T) {
	f := newFake()
	f.lines, f.follow = []api.LogLine{{Line: "one"}}, make(chan api.LogLine)
	srv := serve(t, f, func(cfg *rest.Config) { cfg.MaxStreams = 2 })
	follow := func() *http.Response {
		t.Helper()
		res, err := http.Get(srv.URL + "/v1/tasks/web.0/logs?follow")
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	first, second := follow(), follow()
	defer second.Body.Close()
	equal(t, "statuses", []int{first.StatusCode, second.StatusCode}, []int{200, 200})
	res, body := ask(t, request(t, "GET", srv.URL+"/v1/tasks/web.0/logs?follow", ""))
	equal(t, "one more", res.StatusCode, http.StatusTooManyRequests)
	equal(t, "its code", readProblem(t, res, body).Code, string(api.TooMany))
	equal(t, "when to come back", res.Header.Get("Retry-After"), "1")
	if _, err := dial(t, "", srv.URL).Jobs(t.Context()); err != nil {
		t.Errorf("what is no stream: %v", err)
	}
	first.Body.Close()
	for deadline := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		res := follow()
		res.Body.Close()
		if res.StatusCode == 200 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a stream that ended is not given back")
		}
	}
}
