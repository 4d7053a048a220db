package scenarios_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
)

// A bad request, and how it is to be refused: with a status and a code, and words in
// the problem. No code is a refusal of net/http, which is text.
type bad struct {
	what   string
	m      message
	status int
	code   api.Code
	say    string
}

const goodJob = `{"name":"web","driver":"process","command":["sleep","1"]}`

// badRequests sends all that is bad, and wants nothing to be stored in the end.
func badRequests(ctx context.Context, t *testing.T, a *asker) {
	for _, group := range [][]bad{badBodies(), badFields(), badTargets(), badQueries(), badHeaders(), badFraming()} {
		for _, tt := range group {
			t.Run(tt.what, func(t *testing.T) { refused(t, a, tt) })
		}
	}
	refusedWrites(t, a)
	a.close()
	jobs, err := a.node.Service().Jobs(ctx)
	if err != nil || len(jobs) > 0 {
		t.Errorf("in the end there are %d jobs (%v), want none", len(jobs), err)
	}
}

// refusedWrites are to a job that is there, without tasks. It stays what it is.
func refusedWrites(t *testing.T, a *asker) {
	const job = `{"name":"web","driver":"process","command":["sleep","1"],"replicas":0}`
	const key = "Idempotency-Key: 7f3a"
	made, _, err := a.ask(post(job, key), 10*time.Second)
	must(t, err)
	etag := made.Header.Get("ETag")
	if made.StatusCode != 201 || etag == "" {
		t.Fatalf("a job to refuse writes to: %d, ETag %q", made.StatusCode, etag)
	}
	put := func(body string, header ...string) message { return wire("PUT", "/v1/jobs/web", body, header...) }
	for _, tt := range []bad{
		{"it exists", post(job), 409, api.JobExists, "web"},
		{"reused key", post(`{"name":"api","driver":"process","command":["sleep","1"]}`, key), 422, api.KeyReused, ""},
		{"reused key, other replicas", post(strings.Replace(job, "0", "1", 1), key), 422, api.KeyReused, ""},
		{"a key of 300 characters", post(job, "Idempotency-Key: "+strings.Repeat("k", 300)), 422, api.Invalid, "key"},
		{"stale ETag", put(job, `If-Match: "1-00000000"`), 412, api.Stale, ""},
		{"stale ETag of a scale", wire("POST", "/v1/jobs/web/scale", `{"replicas":1}`, `If-Match: "9-00000000"`), 412, api.Stale, ""},
		{"stale ETag of a stop", wire("POST", "/v1/jobs/web/stop", "", `If-Match: "9-00000000"`), 412, api.Stale, ""},
		{"stale ETag of a remove", wire("DELETE", "/v1/jobs/web", "", `If-Match: "9-00000000"`), 412, api.Stale, ""},
		{"weak ETag", put(job, "If-Match: W/"+etag), 412, api.Stale, ""},
		{"only if there is none", put(job, "If-None-Match: *"), 412, api.Stale, ""},
		{"another name in the body", put(strings.Replace(job, "web", "api", 1)), 422, api.Invalid, "#/name"},
		{"nothing in the body", put(""), 400, api.BadRequest, "empty"},
		{"PUT of what is no job", put(`{"replicas":-1}`), 422, api.Invalid, "#/replicas"},
		{"PUT to a name that is none", wire("PUT", "/v1/jobs/A.B", `{"driver":"process","command":["sleep","1"]}`), 422, api.Invalid, "#/name"},
		{"an attempt that never was", wire("GET", "/v1/tasks/web.0@7", ""), 404, api.TaskNotFound, ""},
	} {
		t.Run(tt.what, func(t *testing.T) { refused(t, a, tt) })
	}
	res, body, err := a.ask(wire("GET", "/v1/jobs/web", ""), 10*time.Second)
	must(t, err)
	if got := res.Header.Get("ETag"); got != etag {
		t.Errorf("the job was %s and is %s: %s", etag, got, body)
	}
	res, body, err = a.ask(wire("DELETE", "/v1/jobs/web", "", "If-Match: "+etag), 10*time.Second)
	must(t, err)
	if res.StatusCode != 200 {
		t.Errorf("remove it: %d %s", res.StatusCode, body)
	}
}

func refused(t *testing.T, a *asker, tt bad) {
	t.Helper()
	res, body, err := a.ask(tt.m, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != tt.status {
		t.Errorf("status %d, want %d: %.300s", res.StatusCode, tt.status, body)
	}
	if err := a.check(tt.m, res, body); err != nil {
		t.Error(err)
	}
	var p struct {
		Code         api.Code
		Detail, Hint string
		Errors       []api.FieldError
	}
	_ = json.Unmarshal(body, &p) // text stays without a code
	said := p.Detail + "\n" + p.Hint
	for _, e := range p.Errors {
		said += "\n" + e.Pointer + " " + e.Detail
	}
	if tt.code == "" {
		said = string(body)
	}
	if p.Code != tt.code || !strings.Contains(said, tt.say) {
		t.Errorf("code %q and words %q, want %q and %q", p.Code, said, tt.code, tt.say)
	}
	if len(body) > 64<<10 {
		t.Errorf("the refusal has %d bytes", len(body))
	}
}

func post(body string, header ...string) message { return wire("POST", "/v1/jobs", body, header...) }

func badBodies() []bad {
	return []bad{
		{"empty", post(""), 400, api.BadRequest, "empty"},
		{"blank", post(" \r\n\t "), 400, api.BadRequest, "empty"},
		{"malformed", post(`{"name":web}`), 400, api.BadRequest, "line 1, column 9"},
		{"cut off", post(`{"name":"web"`), 400, api.BadRequest, "not JSON"},
		{"NUL", post("\x00"), 400, api.BadRequest, "not JSON"},
		{"a list", post(`[` + goodJob + `]`), 400, api.BadRequest, "# must be an object, not a list"},
		{"a number", post(`7`), 400, api.BadRequest, "# must be an object, not 7"},
		{"null", post(`null`), 400, api.BadRequest, "# must be an object, not null"},
		{"NaN", post(`{"replicas":NaN}`), 400, api.BadRequest, "not JSON"},
		{"single quotes", post(`{'name':'web'}`), 400, api.BadRequest, "not JSON"},
		{"a comment", post(`{/* */}`), 400, api.BadRequest, "not JSON"},
		{"YAML", post("name: web\nimage: nginx\n"), 400, api.BadRequest, "not JSON"},
		{"a byte order mark", post("\xef\xbb\xbf" + goodJob), 400, api.BadRequest, "not JSON"},
		{"UTF-16", post("\xff\xfe{\x00}\x00"), 400, api.BadRequest, "UTF-8"},
		{"bad UTF-8", post("{\"name\":\"\xc3\x28\"}"), 400, api.BadRequest, "UTF-8"},
		{"trailing data", post(goodJob + `}`), 400, api.BadRequest, "after top-level value"},
		{"two jobs", post(goodJob + goodJob), 400, api.BadRequest, "after top-level value"},
		{"duplicate keys", post(`{"name":"web","name":"api","driver":"process","command":["true"]}`), 400, api.BadRequest, "#/name is given twice"},
		{"nested too deep", post(`{"env":` + strings.Repeat(`{"a":`, 50_000) + `1` + strings.Repeat(`}`, 50_000) + `}`), 400, api.BadRequest, "depth"},
		{"nested in a list", post(strings.Repeat("[", 500_000)), 400, api.BadRequest, "depth"},
		{"nested where it is not known", post(`{"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`), 400, api.UnknownField, "#/x"},
		{"2 MiB", post(`{"name":"` + strings.Repeat("a", 2<<20) + `"}`), 413, api.TooLarge, "1048576"},
		{"2 MiB of blanks", post(strings.Repeat(" ", 2<<20)), 413, api.TooLarge, "1048576"},
		{"2 MiB for nothing", wire("POST", "/v1/pods", strings.Repeat(" ", 2<<20)), 404, api.NotFound, ""},
		{"2 MiB by no method", wire("PUT", "/v1/jobs", strings.Repeat(" ", 2<<20)), 405, api.WrongMethod, ""},
		{"2 MiB to another host", post(strings.Repeat(" ", 2<<20), "Host: evil.example"), 421, api.WrongHost, ""},
		{"20 MiB", post(strings.Repeat(" ", 20<<20)), 413, api.TooLarge, "1048576"},
		{"a job of 300 KiB", post(`{"name":"web","driver":"process","command":["true"],"env":{"A":"` + strings.Repeat("x", 300<<10) + `"}}`), 413, api.TooLarge, "limit"},
		{"300 KiB of keys", post(`{` + strings.Repeat(`"k":1,`, 50_000) + `"name":"web"}`), 400, api.BadRequest, "#/k is given twice"},
		{"a body where none is taken", wire("POST", "/v1/jobs/web/stop", `{"now":true}`), 400, api.BadRequest, "takes no body"},
		{"2 MiB where none is taken", wire("DELETE", "/v1/jobs/web", strings.Repeat(" ", 2<<20)), 413, api.TooLarge, "1048576"},
	}
}

func badFields() []bad {
	with := func(field string) message {
		return post(`{"name":"web","driver":"process","command":["sleep","1"],` + field + `}`)
	}
	name := func(text string) message {
		b, _ := json.Marshal(text) // a string
		return post(fmt.Sprintf(`{"name":%s,"driver":"process","command":["sleep","1"]}`, b))
	}
	scale := func(body string) message { return wire("POST", "/v1/jobs/web/scale", body) }
	return []bad{
		{"name ../x", name("../x"), 422, api.Invalid, "#/name"},
		{"name a.b", name("a.b"), 422, api.Invalid, "#/name"},
		{"name of 300 characters", name(strings.Repeat("a", 300)), 422, api.Invalid, "#/name"},
		{"name with a control character", name("we\x01b"), 422, api.Invalid, "#/name"},
		{"name with NUL", name("web\x00"), 422, api.Invalid, "#/name"},
		{"name with a line break", name("web\n"), 422, api.Invalid, "#/name"},
		{"name with a quote", name(`web"; true`), 422, api.Invalid, "#/name"},
		{"name with $()", name("$(true)"), 422, api.Invalid, "#/name"},
		{"name in capitals", name("Web"), 422, api.Invalid, "#/name"},
		{"name not ASCII", name("wéb"), 422, api.Invalid, "#/name"},
		{"name -", name("-"), 422, api.Invalid, "#/name"},
		{"empty name", name(""), 422, api.Invalid, "#/name"},
		{"no name", post(`{"driver":"process","command":["sleep","1"]}`), 422, api.Invalid, "#/name"},
		{"nothing", post(`{}`), 422, api.Invalid, "#/image an image is needed"},
		{"unknown field", with(`"replcas":3`), 400, api.UnknownField, "#/replcas is not a known field; did you mean replicas?"},
		{"unknown field, escaped", with(`"a/b~c":3`), 400, api.UnknownField, "#/a~1b~0c"},
		{"unknown field within", with(`"restart":{"polcy":"no"}`), 400, api.UnknownField, "#/restart/polcy is not a known field; did you mean policy?"},
		{"wrong type", with(`"replicas":"3"`), 400, api.BadRequest, "#/replicas must be a whole number"},
		{"wrong type within", with(`"ports":[{"published":"80"}]`), 400, api.BadRequest, "#/ports/0/published"},
		{"all faults at once", post(`{"name":"../x","driver":"warp","replicas":"1","max_parallel":0,"x":1}`), 400, api.BadRequest, "#/max_parallel"},
		{"negative replicas", with(`"replicas":-1`), 422, api.Invalid, "#/replicas must be from 0 to 100000"},
		{"10^12 replicas", with(`"replicas":1000000000000`), 422, api.Invalid, "#/replicas must be from 0 to 100000"},
		{"1e12 replicas", with(`"replicas":1e12`), 400, api.BadRequest, "#/replicas"},
		{"10^30 replicas", with(`"replicas":1` + strings.Repeat("0", 30)), 400, api.BadRequest, "#/replicas"},
		{"half a replica", with(`"replicas":0.5`), 400, api.BadRequest, "#/replicas"},
		{"negative cpus", with(`"resources":{"cpus":-0.5}`), 400, api.BadRequest, "#/resources/cpus"},
		{"absurd cpus", with(`"resources":{"cpus":1e300}`), 400, api.BadRequest, "#/resources/cpus"},
		{"negative memory", with(`"resources":{"memory":-1}`), 422, api.Invalid, "#/resources/memory"},
		{"absurd memory", with(`"resources":{"memory":"9999999PB"}`), 400, api.BadRequest, "#/resources/memory"},
		{"limit below", with(`"resources":{"memory":"1GiB"},"limits":{"memory":1}`), 422, api.Invalid, "#/limits/memory"},
		{"port 0", with(`"ports":[{"published":0}]`), 422, api.Invalid, "#/ports/0/published"},
		{"port 65536", with(`"ports":[{"published":65536}]`), 422, api.Invalid, "#/ports/0/published"},
		{"a port twice", with(`"ports":[{"published":80},{"published":80}]`), 422, api.Invalid, "#/ports/1/published"},
		{"duration without a unit", with(`"stop_timeout":10`), 400, api.BadRequest, "#/stop_timeout"},
		{"negative duration", with(`"stop_timeout":"-1s"`), 422, api.Invalid, "#/stop_timeout"},
		{"absurd duration", with(`"stop_timeout":"99999999999h"`), 400, api.BadRequest, "#/stop_timeout"},
		{"env =", with(`"env":{"A=B":"1"}`), 422, api.Invalid, "#/env/A=B"},
		{"env with NUL", with(`"env":{"A":"\u0000"}`), 422, api.Invalid, "#/env/A"},
		{"env of orch", with(`"env":{"ORCH_JOB":"x"}`), 422, api.Invalid, "#/env/ORCH_JOB"},
		{"label key", with(`"labels":{"a b/c":"x"}`), 422, api.Invalid, "#/labels/a%20b~1c"},
		{"label value", with(`"labels":{"a":"\u001b[2J"}`), 422, api.Invalid, "#/labels/a"},
		{"empty command", post(`{"name":"web","driver":"process","command":[]}`), 422, api.Invalid, "#/command"},
		{"an image for a process", with(`"image":"nginx"`), 422, api.Invalid, "#/image"},
		{"image -x", post(`{"name":"web","image":"-x"}`), 422, api.Invalid, "#/image"},
		{"unknown driver", post(`{"name":"web","driver":"warp","command":["true"]}`), 422, api.Invalid, "#/driver"},
		{"unknown policy", with(`"restart":{"policy":"sometimes"}`), 422, api.Invalid, "#/restart/policy"},
		{"not in this version", with(`"health":{}`), 422, api.NotSupported, "#/health"},
		{"scale of no job", scale(`{"replicas":1}`), 404, api.JobNotFound, "web"},
		{"scale negative", scale(`{"replicas":-5}`), 422, api.Invalid, "#/replicas"},
		{"scale by 10^12", scale(`{"replicas":1000000000000}`), 422, api.Invalid, "#/replicas"},
		{"scale by nothing", scale(`{}`), 422, api.Invalid, "#/replicas"},
		{"scale unknown", scale(`{"replica":5}`), 400, api.UnknownField, "did you mean replicas?"},
	}
}

func badTargets() []bad {
	get := func(target string) message { return wire("GET", target, "") }
	long := strings.Repeat("a", 300)
	return []bad{
		{"unknown job", get("/v1/jobs/nope"), 404, api.JobNotFound, "nope"},
		{"job of 300 characters", get("/v1/jobs/" + long), 404, api.JobNotFound, ""},
		{"job ../x", get("/v1/jobs/..%2Fx"), 404, api.JobNotFound, ""},
		{"job with a control character", get("/v1/jobs/%01%1b"), 404, api.JobNotFound, ""},
		{"tasks of no job", get("/v1/jobs/nope/tasks"), 404, api.JobNotFound, ""},
		{"stop of no job", wire("POST", "/v1/jobs/nope/stop", ""), 404, api.JobNotFound, ""},
		{"restart of no job", wire("POST", "/v1/jobs/nope/restart", ""), 404, api.JobNotFound, ""},
		{"remove of no job", wire("DELETE", "/v1/jobs/nope", ""), 404, api.JobNotFound, ""},
		{"unknown task", get("/v1/tasks/web.0"), 404, api.TaskNotFound, "web"},
		{"no task id", get("/v1/tasks/web"), 422, api.Invalid, "JOB.INDEX"},
		{"task -1", get("/v1/tasks/web.-1"), 422, api.Invalid, "JOB.INDEX"},
		{"task 10^30", get("/v1/tasks/web.1" + strings.Repeat("0", 30)), 422, api.Invalid, "JOB.INDEX"},
		{"attempt 0", get("/v1/tasks/web.0@0"), 422, api.Invalid, "JOB.INDEX"},
		{"logs of no task", get("/v1/tasks/web.0/logs"), 404, api.TaskNotFound, "web"},
		{"sheet of no task", get("/v1/tasks/web.0/auction"), 404, api.TaskNotFound, "web"},
		{"unknown node", get("/v1/nodes/nope"), 404, api.NodeNotFound, "nope"},
		{"node of 300 characters", get("/v1/nodes/" + long), 404, api.NodeNotFound, ""},
		{"drain of no node", wire("POST", "/v1/nodes/nope/drain", ""), 404, api.NodeNotFound, ""},
		{"forget the living", wire("DELETE", "/v1/nodes/self", ""), 409, api.NodeAlive, ""},
		{"no such path", get("/v1/pods"), 404, api.NotFound, "GET / lists"},
		{"no such version", get("/v2/jobs"), 404, api.NotFound, ""},
		{"trailing slash", get("/v1/jobs/"), 404, api.NotFound, ""},
		{"double slash", wire("POST", "//v1/jobs", goodJob), 404, api.NotFound, ""},
		{"dots", get("/v1/../v1/jobs"), 404, api.NotFound, ""},
		{"etc/passwd", get("/../../etc/passwd"), 404, api.NotFound, ""},
		{"etc/passwd, escaped", get("/v1/%2e%2e%2f%2e%2e%2fetc%2fpasswd"), 404, api.NotFound, ""},
		{"bad percent-encoding", get("/v1/jobs/%zz"), 400, "", "400 Bad Request"},
		{"cut percent-encoding", get("/v1/jobs/%2"), 400, "", "400 Bad Request"},
		{"a blank in the path", get("/v1/jobs/a b"), 400, "", "400 Bad Request"},
		{"a control character in the path", get("/v1/jobs/\x01"), 400, "", "400 Bad Request"},
		{"not a path", get("v1/jobs"), 400, "", "400 Bad Request"},
		{"PUT", wire("PUT", "/v1/jobs", goodJob), 405, api.WrongMethod, "GET, HEAD, POST"},
		{"PATCH", wire("PATCH", "/v1/jobs", goodJob), 405, api.WrongMethod, ""},
		{"DELETE of all", wire("DELETE", "/v1/jobs", ""), 405, api.WrongMethod, ""},
		{"OPTIONS", wire("OPTIONS", "/v1/jobs", ""), 405, api.WrongMethod, ""},
		{"TRACE", wire("TRACE", "/v1/jobs", ""), 405, api.WrongMethod, ""},
		{"a method of lower case", wire("get", "/v1/jobs", ""), 405, api.WrongMethod, ""},
		{"a long method", wire(strings.Repeat("A", 5000), "/v1/jobs", ""), 405, api.WrongMethod, ""},
		{"GET of an action", get("/v1/jobs/web/scale"), 405, api.WrongMethod, "POST"},
		{"a star", wire("POST", "*", ""), 404, api.NotFound, ""},
		{"CONNECT", wire("CONNECT", "127.0.0.1:22", ""), 404, api.NotFound, ""},
	}
}

func badQueries() []bad {
	get := func(target string) message { return wire("GET", target, "") }
	return []bad{
		{"unknown parameter", get("/v1/jobs?page=2"), 400, api.BadQuery, "\"page\""},
		{"misspelt parameter", get("/v1/jobs?limt=2"), 400, api.BadQuery, "did you mean limit?"},
		{"parameter twice", get("/v1/jobs?limit=1&limit=2"), 400, api.BadQuery, "2 times"},
		{"semicolon", get("/v1/jobs?limit=1;after=a"), 400, api.BadQuery, "semicolon"},
		{"bad percent-encoding in it", get("/v1/jobs?label=%zz"), 400, api.BadQuery, "%zz"},
		{"limit 0", get("/v1/jobs?limit=0"), 400, api.BadQuery, "limit"},
		{"limit 10^30", get("/v1/jobs?limit=1" + strings.Repeat("0", 30)), 400, api.BadQuery, "limit"},
		{"limit word", get("/v1/jobs?limit=all"), 400, api.BadQuery, "limit"},
		{"bad type", get("/v1/jobs?type=cron"), 400, api.BadQuery, "service, batch"},
		{"bad status", get("/v1/jobs?status=runing"), 400, api.BadQuery, "did you mean running?"},
		{"bad label", get("/v1/jobs?label=%00"), 400, api.BadQuery, "KEY=VALUE"},
		{"bad node status", get("/v1/nodes?status=up"), 400, api.BadQuery, "ready"},
		{"bad state", get("/v1/tasks?state=up"), 400, api.BadQuery, "running"},
		{"bad flag", get("/v1/tasks?all=maybe"), 400, api.BadQuery, "neither true nor false"},
		{"bad tail", get("/v1/tasks/web.0/logs?tail=-5"), 400, api.BadQuery, "tail"},
		{"bad since", get("/v1/tasks/web.0/logs?since=yesterday"), 400, api.BadQuery, "10m"},
		{"bad stream", get("/v1/tasks/web.0/logs?stream=stdin"), 400, api.BadQuery, "stdin"},
		{"query on a write", wire("POST", "/v1/jobs?force=true", goodJob), 400, api.BadQuery, "force"},
		{"a large query", get("/v1/jobs?label=" + strings.Repeat("a", 10_000)), 400, api.BadQuery, "label"},
		{"a huge query", get("/v1/jobs?label=" + strings.Repeat("a", 100<<10)), 431, "", "431"},
		{"10,000 parameters", get("/v1/jobs?" + strings.Repeat("a&", 10_000)), 400, api.BadQuery, ""},
	}
}

func badHeaders() []bad {
	list := func(header ...string) message { return wire("GET", "/v1/jobs", "", header...) }
	return []bad{
		{"a form", post(goodJob, "Content-Type: application/x-www-form-urlencoded"), 415, api.WrongMedia, "x-www-form"},
		{"text", post(goodJob, "Content-Type: text/plain"), 415, api.WrongMedia, "text/plain"},
		{"no type", post(goodJob, "Content-Type:"), 415, api.WrongMedia, "Content-Type: application/json"},
		{"a type that is none", post(goodJob, "Content-Type: ;;"), 415, api.WrongMedia, ""},
		{"charset", post(goodJob, "Content-Type: application/json; charset=utf-16"), 415, api.WrongMedia, "utf-16"},
		{"gzip", post("\x1f\x8b", "Content-Encoding: gzip"), 415, api.WrongMedia, "gzip"},
		{"bad Accept", list("Accept: text/html"), 406, api.NotAcceptable, "application/json"},
		{"bad Accept on a write", post(goodJob, "Accept: application/xml"), 406, api.NotAcceptable, "application/json"},
		{"Accept of none", list("Accept: */*;q=0"), 406, api.NotAcceptable, ""},
		{"foreign Host", list("Host: evil.example"), 421, api.WrongHost, "evil.example"},
		{"Host of a page that was rebound", post(goodJob, "Host: 127.0.0.1.evil.example:7070"), 421, api.WrongHost, ""},
		{"empty Host", list("Host:"), 421, api.WrongHost, ""},
		{"absolute target", wire("GET", "http://evil.example/v1/jobs", ""), 421, api.WrongHost, "evil.example"},
		{"foreign Origin", post(goodJob, "Origin: https://evil.example"), 403, api.Forbidden, ""},
		{"Origin null", post(goodJob, "Origin: null"), 403, api.Forbidden, ""},
		{"Origin of another port", post(goodJob, "Origin: http://localhost:1"), 403, api.Forbidden, ""},
		{"cross-site", post(goodJob, "Sec-Fetch-Site: cross-site"), 403, api.Forbidden, ""},
		{"no such host name", list("Host: [::1"), 421, api.WrongHost, ""},
		{"a header without a colon", list("Nonsense"), 400, "", "400 Bad Request"},
		{"a header with a control character", list("X-A: \x01"), 400, "", "400 Bad Request"},
		{"two Hosts", list("Host: localhost", "Host: evil.example"), 400, "", "400 Bad Request"},
		{"a huge header", list("X-A: " + strings.Repeat("a", 100<<10)), 431, "", "431"},
	}
}

// badFraming are requests of which it is not clear where they end.
func badFraming() []bad {
	chunked := func(chunks string) message {
		m := wire("POST", "/v1/jobs", "", "Content-Type: application/json", "Transfer-Encoding: chunked")
		m.text, m.last = append(m.text, chunks...), true
		return m
	}
	sized := func(size string) message {
		m := wire("POST", "/v1/jobs", goodJob, "Content-Length: "+size)
		m.last = true
		return m
	}
	raw := func(text string) message { return message{method: "GET", target: "/", text: []byte(text), last: true} }
	return []bad{
		{"a transfer encoding that is none", wire("POST", "/v1/jobs", goodJob, "Transfer-Encoding: gzip"), 501, "", "Unsupported transfer encoding"},
		{"two transfer encodings", wire("POST", "/v1/jobs", goodJob, "Transfer-Encoding: gzip, chunked"), 501, "", "Unsupported transfer encoding"},
		{"a chunk that is none", chunked("zz\r\n"), 400, api.BadRequest, "did not arrive whole"},
		{"a chunk of negative size", chunked("-5\r\nhello\r\n"), 400, api.BadRequest, "did not arrive whole"},
		{"a chunk of huge size", chunked("ffffffffffffffffff\r\n"), 400, api.BadRequest, "did not arrive whole"},
		{"a chunk that goes on", chunked("2\r\n{}}\r\n0\r\n\r\n"), 400, api.BadRequest, "did not arrive whole"},
		{"2 MiB in chunks", chunked(strings.Repeat("1000\r\n"+strings.Repeat(" ", 4096)+"\r\n", 512) + "0\r\n\r\n"), 413, api.TooLarge, "1048576"},
		{"chunks and a length", func() message {
			m := wire("POST", "/v1/jobs", "", "Content-Type: application/json", "Transfer-Encoding: chunked", "Content-Length: 3")
			m.text, m.last = append(m.text, "2\r\n[]\r\n0\r\n\r\n"...), true
			return m
		}(), 400, api.BadRequest, "must be an object"},
		{"a negative length", sized("-1"), 400, "", "400 Bad Request"},
		{"a length that is none", sized("many"), 400, "", "400 Bad Request"},
		{"a huge length", sized("99999999999999999999"), 400, "", "400 Bad Request"},
		{"too short a length", sized("10"), 400, api.BadRequest, "not JSON"},
		{"two lengths", wire("POST", "/v1/jobs", goodJob, "Content-Length: 5", "Content-Length: 6"), 400, "", "400 Bad Request"},
		{"2 MiB that are only announced", func() message {
			m := wire("POST", "/v1/jobs", "", "Content-Type: application/json", "Content-Length: 2097152", "Expect: 100-continue")
			m.last = true
			return m
		}(), 413, api.TooLarge, "1048576"},
		{"an expectation that is none", func() message {
			m := wire("POST", "/v1/jobs", goodJob, "Expect: miracle")
			m.last = true
			return m
		}(), 417, "", ""},
		{"no Host", raw("GET /v1/jobs HTTP/1.1\r\n\r\n"), 400, "", "Host"},
		{"HTTP/1.0 without a Host", raw("GET / HTTP/1.0\r\n\r\n"), 421, api.WrongHost, ""},
		{"HTTP/3.0", raw("GET / HTTP/3.0\r\nHost: localhost\r\n\r\n"), 505, "", "505"},
		{"no version", raw("GET /\r\n\r\n"), 400, "", "400 Bad Request"},
		{"not HTTP", raw("SSH-2.0-OpenSSH_9.9\r\n\r\n"), 400, "", "400 Bad Request"},
		{"TLS", raw("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), 400, "", "400 Bad Request"},
	}
}
