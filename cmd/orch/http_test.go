package main

import (
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/api/rest"
)

// overTheWire is a real server in front of f, and its address.
func overTheWire(t *testing.T, f *fake, token string) string {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	s := httptest.NewServer(rest.NewServer(rest.Config{Service: f, View: func() api.View { return f.view }, Token: token, Log: log}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// nobody is an address that refuses connections.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestOverHTTP(t *testing.T) {
	f := exampleCluster()
	f.tasks = steps([]api.Task{task(0, api.Running, "vps1")})
	address := overTheWire(t, f, "secret")
	env := map[string]string{"ORCH_API": nobody(t) + ", " + address, "ORCH_TOKEN": "secret"}

	if got := call(nil, setup{env: env, args: []string{"nodes"}}); got.code != 0 || !strings.Contains(got.out, "vps1 *  8Qm3vT4k  ready") || got.err != "" {
		t.Errorf("nodes: got %s", got.text())
	}
	for line, path := range map[string]string{
		"ps -o json":                   "/v1/tasks",
		"ps -o json web":               "/v1/tasks?job=web",
		"ps -a -o json -f state=lost":  "/v1/tasks?all=true&state=lost",
		"jobs -o json":                 "/v1/jobs",
		"nodes -o json":                "/v1/nodes",
		"explain -o json web.1":        "/v1/tasks/web.1/auction",
		"scale -d -o json web=5":       "/v1/jobs/web",
		"run -d --name big -o json x":  "/v1/jobs/big",
		"jobs -o json -f type=service": "",
	} {
		got := call(nil, setup{env: env, args: strings.Fields(line)})
		if got.code != 0 {
			t.Errorf("%s: got %s", line, got.text())
			continue
		}
		if path == "" {
			continue
		}
		want, err := f.Raw(t.Context(), path)
		if err != nil || got.out != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s (%v)", line, got.out, want, err)
		}
	}
	if got := call(nil, setup{env: env, args: strings.Fields("jobs -o json -f type=batch")}); !strings.HasPrefix(got.out, `[{"name":"nightly"`) || strings.Contains(got.out, `"web"`) {
		t.Errorf("filtered: got %s", got.text())
	}
	if got := call(nil, setup{env: env, args: strings.Fields("run --name web --stable 0 nginx")}); got.code != exitRefused || !strings.Contains(got.err, "the name is taken (generation 4") {
		t.Errorf("run: got %s", got.text())
	}
	if got := call(nil, setup{env: env, args: strings.Fields("ps nosuch")}); got.code != exitNotFound || !strings.Contains(got.err, "error: cannot list tasks: there is no job nosuch\nhint: orch jobs") {
		t.Errorf("ps of no job: got %s", got.text())
	}
	env["ORCH_TOKEN"] = "wrong"
	if got := call(nil, setup{env: env, args: []string{"jobs"}}); got.code != exitForbidden {
		t.Errorf("with a wrong token: got %s", got.text())
	}
	if got := call(nil, setup{env: env, args: []string{"--api", nobody(t), "jobs"}}); got.code != exitUnreachable || !strings.Contains(got.err, "hint: is a node running there?") {
		t.Errorf("where nobody listens: got %s", got.text())
	}
}
