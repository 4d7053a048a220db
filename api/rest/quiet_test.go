//go:build !race

package rest_test

import (
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// TestAQuietStreamShowsThatItLives: JSON lines have an empty one now and then.
func TestAQuietStreamShowsThatItLives(t *testing.T) {
	for accept, want := range map[string]string{"application/x-ndjson": "\n\n", "text/plain": ""} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.follow = make(chan api.LogLine)
			go func() {
				time.Sleep(31 * time.Second)
				close(f.follow)
			}()
			w := httptest.NewRecorder()
			req := request(t, "GET", "http://localhost/v1/tasks/web.0/logs?follow", "", "Accept", accept)
			rest.NewServer(rest.Config{Service: f, View: testView, Log: silent()}).ServeHTTP(w, req)
			equal(t, accept+" of half a minute", w.Body.String(), want)
			equal(t, "flushed", w.Flushed, true)
		})
	}
}
