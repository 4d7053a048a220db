package rest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/api"
)

// A restored job is answered for like a new one, and a request that names none is
// refused before the service hears of it.
func TestRestore(t *testing.T) {
	f := newFake()
	srv := serve(t, f, nil)
	url := srv.URL + "/v1/nodes/n2/aside/restore"
	for body, want := range map[string]struct {
		status int
		code   api.Code
		say    string
	}{
		`{}`:                            {422, api.Invalid, "#/job is needed"},
		`{"job":"../web"}`:              {422, api.Invalid, "#/job is needed"},
		`{"file":"aside-1.json"}`:       {422, api.Invalid, "#/job is needed"},
		`{"job":["web"]}`:               {400, api.BadRequest, "#/job"},
		`{"job":"web","fil":"a"}`:       {400, api.UnknownField, "did you mean file?"},
		``:                              {400, api.BadRequest, ""},
		`{"job":"web"}{"job":"nightly"`: {400, api.BadRequest, ""},
	} {
		res, text := ask(t, request(t, "POST", url, body))
		p := readProblem(t, res, text)
		var said []string
		for _, e := range p.Errors {
			said = append(said, e.Pointer+" "+e.Detail)
		}
		if res.StatusCode != want.status || p.Code != string(want.code) || !strings.Contains(strings.Join(said, "; "), want.say) {
			t.Errorf("%s: got %d %s %v, want %d %s with %q", body, res.StatusCode, p.Code, said, want.status, want.code, want.say)
		}
	}
	equal(t, "the service was asked", slices.ContainsFunc(f.called(), func(c string) bool { return strings.HasPrefix(c, "restore") }), false)

	req := request(t, "POST", url, `{"job":"web","file":"aside-1.json"}`)
	req.Header.Set("Idempotency-Key", "once")
	res, _ := ask(t, req)
	equal(t, "status", res.StatusCode, http.StatusCreated)
	equal(t, "where it is", res.Header.Get("Location"), "/v1/jobs/web")
	equal(t, "how safe it is", res.Header.Get("Orch-Durable"), "3/3")
	equal(t, "asked", slices.Contains(f.called(), "restore n2 aside-1.json"), true)
	equal(t, "the key", f.opts.Key, "once")
	res, text := ask(t, request(t, "POST", url, `{"job":"web"}`))
	equal(t, "again", readProblem(t, res, text).Code, string(api.JobExists))
	equal(t, "its status", res.StatusCode, http.StatusConflict)

	res, text = ask(t, request(t, "GET", srv.URL+"/v1/nodes/n2/aside", ""))
	equal(t, "status of the list", res.StatusCode, http.StatusOK)
	if !strings.HasPrefix(text, `[{"job":"web","life":7,`) {
		t.Errorf("the list is %s", text)
	}
}
