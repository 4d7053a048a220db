package rest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api/rest"
)

// TestReadsWaitForAChange wants a read of what is known to be answered when it
// changes, and no sooner.
func TestReadsWaitForAChange(t *testing.T) {
	f, rev := newFake(), &revision{}
	f.put(webJob())
	srv := serve(t, f, func(c *rest.Config) { c.Revision = rev.get })
	for _, path := range []string{"/v1/jobs", "/v1/jobs/web", "/v1/jobs/web/tasks", "/v1/tasks?job=web", "/v1/tasks/web.0", "/v1/nodes", "/v1/nodes/n1"} {
		res, body := ask(t, request(t, "GET", srv.URL+path, ""))
		known := res.Header.Get("Orch-Revision")
		if etag := res.Header.Get("ETag"); path != "/v1/jobs/web" && etag != known || !strings.HasPrefix(known, `"boot-`) {
			t.Errorf("%s: ETag %s, Orch-Revision %s", path, etag, known)
		}
		wait := path + "?wait=30s"
		if strings.Contains(path, "?") {
			wait = path + "&wait=30s"
		}
		answered := make(chan string)
		go func() {
			res, fresh := ask(t, request(t, "GET", srv.URL+wait, "", "If-None-Match", `"other", W/`+known))
			answered <- res.Status + fresh
		}()
		select {
		case early := <-answered:
			t.Errorf("%s was answered before anything changed: %s", wait, early)
			continue
		case <-time.After(30 * time.Millisecond):
		}
		rev.bump()
		select {
		case got := <-answered:
			equal(t, wait, got, "200 OK"+body)
		case <-time.After(patience):
			t.Fatalf("%s was not answered after a change", wait)
		}
	}
}

func TestReadsThatDoNotWait(t *testing.T) {
	f, rev := newFake(), &revision{}
	f.put(webJob())
	srv := serve(t, f, func(c *rest.Config) { c.Revision = rev.get })
	for _, c := range []struct {
		path, known string
		want        int
	}{
		{"/v1/jobs", `"boot-0"`, 304},
		{"/v1/jobs?wait=20ms", `"boot-0"`, 304},
		{"/v1/jobs?wait=20ms", `*`, 304},
		{"/v1/jobs?wait=30s", `"other-0"`, 200},
		{"/v1/jobs?wait=30s", "", 200},
		{"/v1/jobs/web?wait=20ms", `"1-abcd"`, 304}, // the job's own
		{"/v1/jobs/web?wait=20ms", `"boot-0"`, 304}, // of all that is shown of it
		{"/v1/jobs/web?wait=30s", `"0-abcd"`, 200},
		{"/v1/jobs/none?wait=30s", `"boot-0"`, 404},
		{"/v1/jobs?wait=soon", "", 400},
		{"/v1/jobs?wait=-1s", "", 400},
		{"/v1/version?wait=1s", "", 400},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			res, body := ask(t, request(t, method, srv.URL+c.path, "", "If-None-Match", c.known))
			equal(t, method+" "+c.path+" knowing "+c.known, res.StatusCode, c.want)
			if c.want == 304 && (body != "" || res.Header.Get("ETag") == "") {
				t.Errorf("%s: a 304 with the body %q and the ETag %q", c.path, body, res.Header.Get("ETag"))
			}
		}
	}
}

// TestOwnETagWaitsForAnotherVersion wants who waits with a job's own ETag not to
// be told of what only its tasks do.
func TestOwnETagWaitsForAnotherVersion(t *testing.T) {
	f, rev := newFake(), &revision{}
	f.put(webJob())
	srv := serve(t, f, func(c *rest.Config) { c.Revision = rev.get })
	answered := make(chan *http.Response)
	go func() {
		res, _ := ask(t, request(t, "GET", srv.URL+"/v1/jobs/web?wait=30s", "", "If-None-Match", `"1-abcd"`))
		answered <- res
	}()
	rev.bump() // of its tasks
	select {
	case <-answered:
		t.Fatal("answered although the job is the same")
	case <-time.After(30 * time.Millisecond):
	}
	job, _ := f.get("web")
	f.put(job)
	rev.bump()
	select {
	case res := <-answered:
		equal(t, "ETag", res.Header.Get("ETag"), `"2-abcd"`)
	case <-time.After(patience):
		t.Fatal("not answered when the job changed")
	}
}
