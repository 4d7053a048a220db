package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestRefusals: what a node, or the lack of one, has to say ends with the right
// code, words that name the fault, and what to do. Nothing is stored.
func TestRefusals(t *testing.T) {
	f := exampleCluster()
	address := overTheWire(t, f, "secret")
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("<html>Hello</html>"))
	}))
	defer stranger.Close()
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	const right = "secret"
	for _, c := range []struct {
		line  string
		api   string
		token string
		code  int
		words string
		hint  string
	}{
		{"ps nosuch", address, right, exitNotFound, "cannot list tasks: there is no job nosuch", "orch jobs"},
		{"ps -f node=nosuch", address, right, exitNotFound, "there is no node nosuch", "orch nodes"},
		{"ps -f job=nosuch -o csv", address, right, exitNotFound, "there is no job nosuch", "orch jobs"},
		{"explain nosuch", address, right, exitNotFound, "cannot explain nosuch", "orch jobs"},
		{"scale nosuch=3", address, right, exitNotFound, "cannot scale nosuch", "orch jobs"},
		{"stop nosuch", address, right, exitNotFound, "cannot stop nosuch", "orch jobs"},
		{"restart nosuch", address, right, exitNotFound, "cannot restart nosuch", "orch jobs"},
		{"rm nosuch", address, right, exitNotFound, "cannot remove nosuch", "orch jobs"},
		{"node drain nosuch", address, right, exitNotFound, "cannot drain nosuch", "orch nodes"},
		{"node resume nosuch", address, right, exitNotFound, "cannot resume nosuch", "orch nodes"},
		{"node rm nosuch", address, right, exitNotFound, "cannot forget nosuch", "orch nodes"},
		{"node rm vps1", address, right, exitRefused, "node vps1 is alive", "orch node drain"},
		{"run --name web nginx", address, right, exitRefused, "cannot run web: the name is taken (generation 4", "--name"},

		{"ps", address, "wrong", exitForbidden, "cannot list tasks", "ORCH_TOKEN"},
		{"ps", address, "", exitForbidden, "cannot list tasks", "ORCH_TOKEN"},
		{"run --name api nginx", address, "wrong", exitForbidden, "cannot run api", "ORCH_TOKEN"},
		{"rm web", address, "wrong", exitForbidden, "cannot remove web", "ORCH_TOKEN"},
		{"ps", address, "a\nb", exitUsage, "the token has a line break", "--help"},

		{"ps", nobody(t), right, exitUnreachable, "no orch API can be reached", "is a node running there?"},
		{"run --name api nginx", nobody(t), right, exitUnreachable, "cannot run api", "orch start"},
		{"rm web", nobody(t), right, exitUnreachable, "cannot remove web", "orch start"},
		{"node drain vps1", nobody(t), right, exitUnreachable, "cannot drain vps1", "orch start"},
		{"leave", nobody(t), right, exitUnreachable, "cannot leave", "orch start"},
		{"ps", "/nosuch.sock", right, exitUsage, "ORCH_API: ", "--help"},
		{"ps", "unix:///nosuch.sock", right, exitUnreachable, "no orch API can be reached", "orch start"},
		{"ps", "vps1", right, exitUsage, "ORCH_API: api address \"vps1\": the port is missing", "--help"},
		{"ps", "vps1:99999", right, exitUsage, "ORCH_API: ", "--help"},
		{"ps", "http://", right, exitUsage, "the host is missing", "--help"},
		{"ps", "https://vps1:7070", right, exitUsage, "only http and unix are spoken", "--help"},
		{"ps", strings.TrimPrefix(stranger.URL, "http://"), right, exitError, "answers, but is not the API of orch", ""},
		{"ps", strings.TrimPrefix(refusing.URL, "http://"), right, exitError, "not in the form of orch's API (is that its address?)", ""},
	} {
		got := call(nil, setup{env: map[string]string{"ORCH_API": c.api, "ORCH_TOKEN": c.token}, args: strings.Fields(c.line)})
		if got.code != c.code || got.out != "" {
			t.Errorf("orch %s at %s: got exit %d and %q on stdout, want %d and nothing", c.line, c.api, got.code, got.out, c.code)
		}
		first, rest, _ := strings.Cut(got.err, "\n")
		if !strings.HasPrefix(first, "error: ") || !strings.Contains(first, c.words) || !strings.Contains(rest, c.hint) || c.hint != "" && !strings.HasPrefix(rest, "hint: ") {
			t.Errorf("orch %s at %s: got %q, want %q and the hint %q", c.line, c.api, got.err, c.words, c.hint)
		}
		if strings.Count(got.err, "\n") > 2 || strings.Contains(got.err, "api.") || strings.Contains(got.err, "rest.") {
			t.Errorf("orch %s at %s: got %q, want two lines without words of the program's inside", c.line, c.api, got.err)
		}
		if len(f.calls) > 0 {
			t.Fatalf("orch %s at %s: something was written: %q", c.line, c.api, f.calls)
		}
	}
}
