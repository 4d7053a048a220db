package rest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// problem is what a refusal looks like to a program that knows only the RFC.
type problem struct {
	Type, Title, Detail, Instance, Code, Hint string
	Status                                    int
	Errors                                    []struct{ Pointer, Detail string }
	Current                                   map[string]any
}

func readProblem(t *testing.T, res *http.Response, body string) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("answer %s is no problem: %v: %q", res.Status, err, body)
	}
	equal(t, "content type", res.Header.Get("Content-Type"), "application/problem+json")
	equal(t, "status in the body", p.Status, res.StatusCode)
	if p.Title == "" || p.Detail == "" || !strings.HasSuffix(p.Type, "#"+p.Code) || p.Code == "" {
		t.Errorf("the problem is not whole: %+v", p)
	}
	return p
}

func request(t *testing.T, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	return req
}

func TestBadRequests(t *testing.T) {
	const good = `{"name":"api","image":"nginx"}`
	jobs := func(body string) []string { return []string{"POST", "/v1/jobs", body} }
	scale := func(body string) []string { return []string{"POST", "/v1/jobs/web/scale", body} }
	field := func(text string) []string { return jobs(`{"name":"api","image":"nginx",` + text + `}`) }
	get := func(path string) []string { return []string{"GET", path, ""} }
	tests := []struct {
		what    string
		request []string // method, path, body, then headers
		status  int
		code    api.Code
		say     string // part of "pointer detail; …", of the detail or of the hint
	}{
		{"empty body", jobs(" "), 400, api.BadRequest, "empty"},
		{"no body", jobs(""), 400, api.BadRequest, "empty"},
		{"not JSON", jobs("{\n \"name\": web}"), 400, api.BadRequest, "line 2, column 10"},
		{"cut off", jobs(`{"name":`), 400, api.BadRequest, "not JSON"},
		{"a list", jobs(`[]`), 400, api.BadRequest, "# must be an object, not a list"},
		{"null", jobs(`null`), 400, api.BadRequest, "# must be an object, not null"},
		{"a string", jobs(`"web"`), 400, api.BadRequest, "# must be an object, not a string"},
		{"trailing garbage", jobs(good + "x"), 400, api.BadRequest, "after top-level value"},
		{"two objects", jobs(good + good), 400, api.BadRequest, "after top-level value"},
		{"not UTF-8", jobs("{\"name\":\"\xff\"}"), 400, api.BadRequest, "UTF-8"},
		{"deep", jobs(strings.Repeat("[", 20000)), 400, api.BadRequest, "depth"},
		{"unknown field", field(`"replica":3`), 400, api.UnknownField, "#/replica is not a known field; did you mean replicas?"},
		{"names its version", field(`"replica":3`), 400, api.UnknownField, "orch 0.1.0"},
		{"other case", field(`"Replicas":3`), 400, api.UnknownField, "did you mean replicas?"},
		{"unknown and far", field(`"zzzzzz":3`), 400, api.UnknownField, "#/zzzzzz is not a known field"},
		{"unknown nested", field(`"resources":{"cpu":1,"mem":1}`), 400, api.UnknownField, "did you mean cpus?"},
		{"unknown in list", field(`"ports":[{"published":1,"traget":2}]`), 400, api.UnknownField, "#/ports/0/traget is not a known field; did you mean target?"},
		{"unknown, odd name", field(`"a/b~c d":3`), 400, api.UnknownField, "#/a~1b~0c%20d"},
		{"fraction", field(`"replicas":2.5`), 400, api.BadRequest, "#/replicas must be a whole number, written in digits alone, not 2.5"},
		{"string for number", field(`"replicas":"3"`), 400, api.BadRequest, "#/replicas must be a whole number, written in digits alone, not a string"},
		{"exponent", field(`"replicas":1e12`), 400, api.BadRequest, "not 1e12"},
		{"beyond int", field(`"replicas":1000000000000000000000`), 400, api.BadRequest, "#/replicas must be"},
		{"absurd number", field(`"replicas":1000000000000`), 422, api.Invalid, "#/replicas must be from 0 to 100000"},
		{"negative", field(`"replicas":-1`), 422, api.Invalid, "#/replicas"},
		{"bool for string", field(`"image":true`), 400, api.BadRequest, "#/image must be a string, not a boolean"},
		{"string for bool", field(`"pack":"yes"`), 400, api.BadRequest, "#/pack must be true or false, not a string"},
		{"string for list", field(`"command":"sleep 1"`), 400, api.BadRequest, "#/command must be a list, not a string"},
		{"number in list", field(`"command":["sleep",1]`), 400, api.BadRequest, "#/command/1 must be a string, not 1"},
		{"null in list", field(`"command":["sleep",null]`), 400, api.BadRequest, "#/command/1 must be a string, not null"},
		{"list for map", field(`"env":["A=1"]`), 400, api.BadRequest, "#/env must be an object, not a list"},
		{"number in map", field(`"env":{"A":1}`), 400, api.BadRequest, "#/env/A must be a string, not 1"},
		{"bad cpus", field(`"resources":{"cpus":"many"}`), 400, api.BadRequest, "#/resources/cpus \"many\" is not a number of cpus"},
		{"negative cpus", field(`"resources":{"cpus":-1}`), 400, api.BadRequest, "#/resources/cpus -1 cpus is out of range"},
		{"bad memory", field(`"limits":{"memory":"64 bananas"}`), 400, api.BadRequest, "#/limits/memory"},
		{"number as duration", field(`"stop_timeout":10`), 400, api.BadRequest, "#/stop_timeout must be a duration such as \"10s\", not 10"},
		{"bad duration", field(`"stop_timeout":"soon"`), 400, api.BadRequest, "#/stop_timeout \"soon\" is not a duration"},
		{"twice", field(`"name":"web"`), 400, api.BadRequest, "#/name is given twice"},
		{"twice in a map", field(`"env":{"A/B":"1","A/B":"2"}`), 400, api.BadRequest, "#/env/A~1B is given twice"},
		{"twice in a struct", field(`"ports":[{"published":1,"published":2}]`), 400, api.BadRequest, "#/ports/0/published is given twice"},
		{"two wrong", field(`"stop_timeout":"soon","pack":1`), 400, api.BadRequest, "#/pack must be true or false, not 1; #/stop_timeout"},
		{"not in this version", field(`"constraints":[]`), 422, api.NotSupported, "#/constraints"},
		{"global", field(`"type":"global"`), 422, api.NotSupported, "#/type"},
		{"no image, bad name", jobs(`{"name":"No Name"}`), 422, api.Invalid, "#/name"},
		{"no name", jobs(`{}`), 422, api.Invalid, "#/name"},
		{"too large a job", field(`"env":{"A":"` + strings.Repeat("x", 300<<10) + `"}`), 413, api.TooLarge, "limit"},
		{"too large a body", jobs(strings.Repeat(" ", 9<<20)), 413, api.TooLarge, "limit of 1048576"},
		{"exists", jobs(`{"name":"web","image":"nginx"}`), 409, api.JobExists, "exists"},
		{"form", append(jobs(good), "Content-Type", "application/x-www-form-urlencoded"), 415, api.WrongMedia, "x-www-form"},
		{"no type", append(jobs(good), "Content-Type", ""), 415, api.WrongMedia, "Content-Type: application/json"},
		{"charset", append(jobs(good), "Content-Type", "application/json; charset=latin1"), 415, api.WrongMedia, "latin1"},
		{"compressed", append(jobs(good), "Content-Encoding", "gzip"), 415, api.WrongMedia, "gzip"},
		{"project", field(`"project":"shop"`), 422, api.NotSupported, "the label orch.project"},
		{"If-Match of a node", []string{"POST", "/v1/nodes/n1/drain", "", "If-Match", `"1"`}, 422, api.NotSupported, "If-Match"},
		{"parameter on a write", []string{"POST", "/v1/jobs?force=true", good}, 400, api.BadQuery, "force"},

		{"scale nothing", scale(`{}`), 422, api.Invalid, "#/replicas is needed"},
		{"scale null", scale(`{"replicas":null}`), 422, api.Invalid, "#/replicas is needed"},
		{"scale string", scale(`{"replicas":"5"}`), 400, api.BadRequest, "#/replicas"},
		{"scale fraction", scale(`{"replicas":5.0}`), 400, api.BadRequest, "#/replicas"},
		{"scale absurdly", scale(`{"replicas":1000000000000}`), 422, api.Invalid, "#/replicas"},
		{"scale negative", scale(`{"replicas":-5}`), 422, api.Invalid, "#/replicas"},
		{"scale unknown", scale(`{"replica":5}`), 400, api.UnknownField, "did you mean replicas?"},
		{"scale no job", []string{"POST", "/v1/jobs/nope/scale", `{"replicas":5}`}, 404, api.JobNotFound, "nope"},
		{"stop with a body", []string{"POST", "/v1/jobs/web/stop", `{"now":true}`}, 400, api.BadRequest, "takes no body"},
		{"restart with a body", []string{"POST", "/v1/jobs/web/restart", `5`}, 400, api.BadRequest, "takes no body"},

		{"cordon with a body", []string{"POST", "/v1/nodes/n1/cordon", `{"now":true}`}, 400, api.BadRequest, "takes no body"},
		{"labels of a list", []string{"PATCH", "/v1/nodes/n1/labels", `["a"]`}, 400, api.BadRequest, ""},
		{"no labels", []string{"PATCH", "/v1/nodes/n1/labels", `null`}, 400, api.BadRequest, ""},
		{"a label that is no text", []string{"PATCH", "/v1/nodes/n1/labels", `{"a":"b","c/d":5}`}, 400, api.BadRequest, "#/c~1d"},
		{"a label twice", []string{"PATCH", "/v1/nodes/n1/labels", `{"a":"b","a":null}`}, 400, api.BadRequest, "is given twice"},

		{"no such path", get("/v1/pods"), 404, api.NotFound, "/v1/pods"},
		{"trailing slash", get("/v1/jobs/"), 404, api.NotFound, "GET /"},
		{"double slash", []string{"POST", "//v1/jobs", good}, 404, api.NotFound, ""},
		{"dots", get("/v1/nodes/../jobs"), 404, api.NotFound, ""},
		{"other version", get("/v2/jobs"), 404, api.NotFound, ""},
		{"PUT", []string{"PUT", "/v1/jobs", good}, 405, api.WrongMethod, "GET, HEAD, POST"},
		{"DELETE all", []string{"DELETE", "/v1/jobs", ""}, 405, api.WrongMethod, ""},
		{"GET an action", get("/v1/jobs/web/stop"), 405, api.WrongMethod, "POST"},
		{"OPTIONS", []string{"OPTIONS", "/v1/jobs", ""}, 405, api.WrongMethod, ""},
		{"bad type", get("/v1/jobs?type=servise"), 400, api.BadQuery, "did you mean service?"},
		{"bad status", get("/v1/jobs?status=ready"), 400, api.BadQuery, "pending, running"},
		{"bad label", get("/v1/jobs?label=%20"), 400, api.BadQuery, "KEY=VALUE"},
		{"empty label", get("/v1/nodes?label="), 400, api.BadQuery, "KEY=VALUE"},
		{"bad limit", get("/v1/jobs?limit=0"), 400, api.BadQuery, "from 1"},
		{"worse limit", get("/v1/jobs?limit=1e3"), 400, api.BadQuery, "from 1"},
		{"bad node status", get("/v1/nodes?status=running"), 400, api.BadQuery, "drained"},
		{"unknown parameter", get("/v1/jobs?x=1"), 400, api.BadQuery, "\"x\""},
		{"misspelt parameter", get("/v1/tasks?jobs=web"), 400, api.BadQuery, "did you mean job?"},
		{"parameter twice", get("/v1/tasks?job=a&job=b"), 400, api.BadQuery, "2 times"},
		{"malformed query", get("/v1/tasks?job=%zz"), 400, api.BadQuery, "%zz"},
		{"bad state", get("/v1/tasks?state=runing"), 400, api.BadQuery, "did you mean running?"},
		{"bad all", get("/v1/tasks?all=yes"), 400, api.BadQuery, "neither true nor false"},
		{"no job, its tasks", get("/v1/jobs/nope/tasks"), 404, api.JobNotFound, "nope"},
		{"no task", get("/v1/tasks/web.9"), 404, api.TaskNotFound, "web.9"},
		{"no task id", get("/v1/tasks/web"), 422, api.Invalid, "JOB.INDEX"},
		{"logs of no task", get("/v1/tasks/web.9/logs"), 404, api.TaskNotFound, "web.9"},
		{"HEAD of them", []string{"HEAD", "/v1/tasks/web.9/logs?follow", ""}, 404, "", ""},
		{"bad tail", get("/v1/tasks/web.0/logs?tail=-1"), 400, api.BadQuery, "tail"},
		{"worse tail", get("/v1/tasks/web.0/logs?tail=some"), 400, api.BadQuery, "tail"},
		{"bad since", get("/v1/tasks/web.0/logs?since=yesterday"), 400, api.BadQuery, "10m"},
		{"negative since", get("/v1/tasks/web.0/logs?since=-5m"), 400, api.BadQuery, "since"},
		{"bad stream", get("/v1/tasks/web.0/logs?stream=stdin"), 400, api.BadQuery, "stdin"},
		{"bad follow", get("/v1/tasks/web.0/logs?follow=maybe"), 400, api.BadQuery, "follow"},
		{"no node", get("/v1/nodes/n9"), 404, api.NodeNotFound, "n9"},
		{"live node", []string{"DELETE", "/v1/nodes/n1", ""}, 409, api.NodeAlive, "alive"},
		{"no sheet", get("/v1/tasks/web.1/auction"), 404, api.AuctionExpired, ""},

		{"foreign host", append(get("/v1/jobs"), "Host", "evil.example"), 421, api.WrongHost, "evil.example"},
		{"foreign host, odd path", append(get("/zzz"), "Host", "127.0.0.1.evil.example:7070"), 421, api.WrongHost, ""},
		{"foreign address", append(get("/healthz"), "Host", "10.0.0.1"), 421, api.WrongHost, ""},
		{"foreign origin", append(get("/v1/jobs"), "Origin", "http://evil.example"), 403, api.Forbidden, ""},
		{"other port's origin", append(get("/v1/jobs"), "Host", "localhost:7070", "Origin", "http://localhost:3000"), 403, api.Forbidden, ""},
		{"null origin", append(get("/v1/jobs"), "Origin", "null"), 403, api.Forbidden, ""},
		{"cross-site write", append(jobs(good), "Sec-Fetch-Site", "cross-site"), 403, api.Forbidden, ""},
		{"same-site write", []string{"POST", "/v1/jobs/web/stop", "", "Sec-Fetch-Site", "same-site"}, 403, api.Forbidden, ""},
	}
	f := newFake()
	f.put(webJob())
	srv := serve(t, f, nil)
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			before := len(f.called())
			req := request(t, tt.request[0], srv.URL+tt.request[1], tt.request[2], tt.request[3:]...)
			res, body := ask(t, req)
			equal(t, "status", res.StatusCode, tt.status)
			equal(t, "Orch-Node", res.Header.Get("Orch-Node"), "n1;id=AAAAaaaa")
			equal(t, "Cache-Control", res.Header.Get("Cache-Control"), "no-store")
			if tt.code == "" { // HEAD
				equal(t, "body", body, "")
				return
			}
			p := readProblem(t, res, body)
			equal(t, "code", p.Code, string(tt.code))
			equal(t, "instance", p.Instance, req.URL.EscapedPath())
			var said []string
			for _, e := range p.Errors {
				said = append(said, e.Pointer+" "+e.Detail)
			}
			if all := strings.Join(said, "; ") + "\n" + p.Detail + "\n" + p.Hint; !strings.Contains(all, tt.say) {
				t.Errorf("the problem does not say %q: %s", tt.say, all)
			}
			for _, c := range f.called()[before:] {
				if strings.HasPrefix(c, "submit") && tt.code != api.JobExists || strings.HasPrefix(c, "stop") {
					t.Errorf("the service was called: %s", c)
				}
			}
			equal(t, "has Allow", res.Header.Get("Allow") != "", tt.status == 405)
			equal(t, "has Accept", res.Header.Get("Accept") != "", tt.status == 415)
		})
	}
	equal(t, "jobs in the end", len(f.stored), 1)
}

func TestGoodRequests(t *testing.T) {
	f := newFake()
	srv := serve(t, f, nil)
	res, body := ask(t, request(t, "POST", srv.URL+"/v1/jobs", `{
		"name":"web", "image":"nginx", "command":null, "env":null, "labels":{}, "limits":null, "pull":null,
		"resources":{"memory":"512MB"}, "replicas":2,
		"id":"nonsense", "generation":"4", "etag":5, "created_at":false, "updated_at":"x", "coordinator":[], "status":"fine"}`,
		"Content-Type", "application/json; charset=utf-8", "Origin", srv.URL, "Sec-Fetch-Site", "same-origin"))
	equal(t, "status", res.StatusCode, 201)
	for key, want := range map[string]string{"Location": "/v1/jobs/web", "ETag": `"1-abcd"`, "Orch-Durable": "3/3", "Warning": "",
		"Content-Type": "application/json", "Orch-View": "alive=2, known=3, synced", "Cache-Control": "no-store"} {
		equal(t, key, res.Header.Get(key), want)
	}
	want := api.NewJob()
	want.Name, want.Image, want.Replicas, want.Resources.Memory = "web", "nginx", 2, 512<<20
	equal(t, "stored", f.stored["web"].Spec(), want)
	for _, part := range []string{`"command":[]`, `"env":{}`, `"memory":536870912`, `"stop_timeout":"10s"`} {
		if !strings.Contains(body, part) {
			t.Errorf("the answer does not have %s: %s", part, body)
		}
	}

	// What was read can be edited and sent back.
	_, body = ask(t, request(t, "GET", srv.URL+"/v1/jobs/web", ""))
	res, body = ask(t, request(t, "POST", srv.URL+"/v1/jobs", strings.Replace(body, `"name":"web"`, `"name":"web2"`, 1)))
	equal(t, "sent back: "+body, res.StatusCode, 201)

	f.disks = 1
	for _, r := range [][]string{{"POST", "/v1/jobs/web/scale", `{"replicas":4}`}, {"POST", "/v1/jobs/web/stop", ""},
		{"POST", "/v1/jobs/web/restart", "{}"}, {"POST", "/v1/jobs", `{"name":"third","image":"x"}`}, {"DELETE", "/v1/jobs/web", ""}} {
		res, _ := ask(t, request(t, r[0], srv.URL+r[1], r[2]))
		equal(t, r[1], res.StatusCode, 202)
		equal(t, "Orch-Durable", res.Header.Get("Orch-Durable"), "1/3")
		if w := res.Header.Get("Warning"); !strings.Contains(w, "1 of 3 disks") {
			t.Errorf("Warning of %s: %q", r[1], w)
		}
	}
	equal(t, "calls", f.called()[len(f.called())-5:], []string{"scale web", "stop web", "restart web", "submit third", "remove web"})

	for path, want := range map[string]string{
		"/healthz": "ok\n", "/readyz": "ready\n", "/v1/tasks?job=none": "[]\n", "/v1/version": "", "/v1/jobs/web2/tasks?all": "", "/": "",
		"/v1/tasks/web.0@2": "", "/v1/tasks?state=running&all=false": ""} {
		res, body := ask(t, request(t, "GET", srv.URL+path, ""))
		equal(t, path, res.StatusCode, 200)
		if want != "" {
			equal(t, path, body, want)
		}
		head, none := ask(t, request(t, "HEAD", srv.URL+path, ""))
		equal(t, "HEAD "+path, none, "")
		for _, key := range []string{"Content-Type", "Content-Length", "Orch-Node", "Orch-View"} {
			equal(t, "HEAD "+path+" "+key, head.Header.Get(key), res.Header.Get(key))
		}
	}
	_, page := ask(t, request(t, "GET", srv.URL+"/", ""))
	for _, route := range []string{"GET     /v1/tasks/{id}/logs?follow&tail&since&until&stream&timestamps", "DELETE  /v1/nodes/{id}", "POST    /v1/jobs/{name}/scale"} {
		if !strings.Contains(page, route) {
			t.Errorf("the page at / does not have %q:\n%s", route, page)
		}
	}
}

func TestReadyzSaysWhyNot(t *testing.T) {
	f := newFake()
	srv := serve(t, f, nil)
	for _, tt := range []struct {
		err   error
		after string
	}{
		{&api.Error{Code: api.NotReady, Detail: "not yet synced", RetryAfter: 2500 * time.Millisecond}, "3"},
		{fmt.Errorf("not yet synced"), "1"},
	} {
		f.err = tt.err
		res, body := ask(t, request(t, "GET", srv.URL+"/readyz", ""))
		p := readProblem(t, res, body)
		equal(t, "code", p.Code, "not_ready")
		equal(t, "status", p.Status, 503)
		equal(t, "detail", p.Detail, "not yet synced")
		equal(t, "Retry-After", res.Header.Get("Retry-After"), tt.after)
		res, _ = ask(t, request(t, "GET", srv.URL+"/healthz", ""))
		equal(t, "healthz", res.StatusCode, 200)
	}
}

func TestHosts(t *testing.T) {
	srv := serve(t, newFake(), func(c *rest.Config) { c.Hosts = []string{"Vps1.example", "10.1.2.3:7070", "[fd00::1]:7070", "fd00::2"} })
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST.:7070": 200, "127.0.0.1": 200, "127.9.9.9:1": 200, "[::1]:7070": 200, "[::1]": 200,
		"vps1.example:80": 200, "10.1.2.3": 200, "10.1.2.3:99": 200, "[fd00::1]": 200, "[fd00::2]:7070": 200, "[::1": 421, "::1]": 421, "[127.0.0.1]": 200,
		"10.1.2.4": 421, "localhost.evil.example": 421, "example": 421, "0.0.0.0": 421, "[::]": 421, "vps1.example.evil": 421, "1": 421,
	} {
		res, _ := ask(t, request(t, "GET", srv.URL+"/v1/jobs", "", "Host", host))
		equal(t, "host "+host, res.StatusCode, want)
	}
}

func TestToken(t *testing.T) {
	srv := serve(t, newFake(), func(c *rest.Config) { c.Token = "s3cret" })
	for auth, want := range map[string]int{"": 401, "Bearer s3cret": 200, "bearer s3cret": 200, "Bearer s3cre": 401, "Bearer ": 401,
		"Bearer s3cret2": 401, "Basic s3cret": 401, "s3cret": 401} {
		for _, path := range []string{"/v1/jobs", "/", "/readyz", "/healthz"} {
			res, body := ask(t, request(t, "GET", srv.URL+path, "", "Authorization", auth))
			if path == "/healthz" {
				equal(t, "healthz", res.StatusCode, 200)
				continue
			}
			equal(t, path+" with "+auth, res.StatusCode, want)
			if want == 401 {
				equal(t, "code", readProblem(t, res, body).Code, "unauthorized")
				equal(t, "WWW-Authenticate", res.Header.Get("WWW-Authenticate"), "Bearer")
			}
		}
	}
	if _, err := dial(t, "wrong", srv.URL).Jobs(t.Context()); api.CodeOf(err) != api.Unauthorized {
		t.Errorf("client with a wrong token: got %v, want %s", err, api.Unauthorized)
	}
	if _, err := dial(t, "s3cret", srv.URL).Jobs(t.Context()); err != nil {
		t.Errorf("client with the token: %v", err)
	}
}

// panicky panics when it is asked for jobs, and after a log line.
type panicky struct{ *fake }

func (p panicky) Jobs(t ctx) ([]api.Job, error) { panic("secret pointer") }
func (p panicky) Logs(_ ctx, _ []string, _ api.LogOptions, each func(api.LogLine) error) error {
	_ = each(api.LogLine{Line: "one"})
	panic("secret")
}

func TestPanicIsA500(t *testing.T) {
	srv := serve(t, panicky{newFake()}, nil)
	res, body := ask(t, request(t, "GET", srv.URL+"/v1/jobs", ""))
	equal(t, "code", readProblem(t, res, body).Code, "internal")
	if strings.Contains(body, "secret") {
		t.Errorf("the answer tells of the inside: %s", body)
	}
	err := dial(t, "", srv.URL).Logs(t.Context(), []string{"web.0"}, api.LogOptions{}, func(api.LogLine) error { return nil })
	if err == nil {
		t.Error("logs that end with a panic: got no error, want one")
	}
	res, _ = ask(t, request(t, "GET", srv.URL+"/v1/nodes", ""))
	equal(t, "afterwards", res.StatusCode, 200)
}

func TestRecorderWorks(t *testing.T) { // no deadlines, no connection
	h := rest.NewServer(rest.Config{Service: newFake(), View: testView, Log: silent()})
	rec := httptest.NewRecorder()
	req := httptest.NewRequest("POST", "http://localhost/v1/jobs", strings.NewReader(`{"name":"web","image":"x"}`))
	req.Header.Set("Content-Type", "application/json")
	h.ServeHTTP(rec, req)
	equal(t, "status", rec.Code, 201)
	rec = httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "http://localhost/v1/tasks/web.0/logs?follow", nil))
	equal(t, "status", rec.Code, 200)
}

func TestASlowBodyAndHTTP10(t *testing.T) {
	srv := serve(t, newFake(), nil)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n{\"name\":\"web\",")
	fmt.Fprint(conn, `"image":"x"} `)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "status", res.StatusCode, 201)

	old, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	fmt.Fprint(old, "GET /v1/jobs HTTP/1.0\r\n\r\n")
	var all bytes.Buffer
	if _, err := all.ReadFrom(old); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(all.String(), " 421 ") {
		t.Errorf("a request without a host: got %q, want 421", all.String())
	}
}
