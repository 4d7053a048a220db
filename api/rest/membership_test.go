package rest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

func TestBadJoins(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat(`"a",`, 17), ",")
	f := newFake()
	srv := serve(t, f, nil)
	for _, tt := range []struct {
		what, query, body string
		status            int
		say               string
	}{
		{"nothing", "", `{}`, 422, "#/token is needed; #/peers 1 to 16"},
		{"no peer", "", `{"token":"x","peers":[]}`, 422, "#/peers 1 to 16"},
		{"too many", "", `{"token":"x","peers":[` + many + `]}`, 422, "#/peers"},
		{"for ever", "", `{"token":"x","peers":["a"],"timeout":"1h"}`, 422, "#/timeout must be from 0 to 5m0s"},
		{"no time", "", `{"token":"x","peers":["a"],"timeout":"-1s"}`, 422, "#/timeout"},
		{"one peer as a string", "", `{"token":"x","peers":"a"}`, 400, "#/peers must be a list"},
		{"misspelt", "", `{"tokn":"x","peers":["a"]}`, 400, "did you mean token?"},
		{"the token in the query", "?token=x", `{"token":"x","peers":["a"]}`, 400, ""},
	} {
		t.Run(tt.what, func(t *testing.T) {
			res, body := ask(t, request(t, "POST", srv.URL+"/v1/cluster/join"+tt.query, tt.body))
			equal(t, "status", res.StatusCode, tt.status)
			var said []string
			for _, e := range readProblem(t, res, body).Errors {
				said = append(said, e.Pointer+" "+e.Detail)
			}
			if all := strings.Join(said, "; "); !strings.Contains(all, tt.say) {
				t.Errorf("the problem says %q, want %q", all, tt.say)
			}
		})
	}
	for _, c := range f.called() {
		if strings.HasPrefix(c, "join") {
			t.Errorf("the service was called: %s", c)
		}
	}
}

// TestFront exchanges what answers while requests come in.
func TestFront(t *testing.T) {
	front := rest.NewFront(silent())
	srv := startServer(t, front.HTTP())
	res, body := ask(t, request(t, "GET", srv.URL+"/v1/version", ""))
	equal(t, "before there is one", res.StatusCode, http.StatusServiceUnavailable)
	equal(t, "its code", readProblem(t, res, body).Code, string(api.NotReady))
	equal(t, "when to come back", res.Header.Get("Retry-After"), "1")

	server := func(f *fake) *rest.Server {
		return rest.NewServer(rest.Config{Service: f, View: testView, Log: silent()})
	}
	first, second := newFake(), newFake()
	first.follow = make(chan api.LogLine) // nothing comes
	first.lines = []api.LogLine{{Line: "one"}}
	front.Set(server(first))
	c := dial(t, "", srv.URL)
	started, done := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		done <- c.Logs(t.Context(), []string{"web.0"}, api.LogOptions{Follow: true}, func(api.LogLine) error {
			started <- struct{}{}
			return nil
		})
	}()
	<-started
	front.Set(server(second))
	equal(t, "the end of the old one's stream", api.CodeOf(<-done), api.NotReady)
	equal(t, "asked of the new one", c.Ready(t.Context()), nil)
	equal(t, "by", second.called(), []string{"ready"})
}
