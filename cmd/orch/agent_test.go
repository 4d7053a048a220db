package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/peer"
)

func TestSystemd(t *testing.T) {
	got := call(nil, setup{args: []string{"systemd", "--binary", "/opt/orch/orch"}})
	for _, line := range []string{"ExecStart=/opt/orch/orch start --data-dir /var/lib/orch", "EnvironmentFile=-/etc/orch/env", "Restart=on-failure", "Type=exec", "KillMode=process"} {
		if !strings.Contains(got.out, "\n"+line+"\n") {
			t.Errorf("the unit has no line %s:\n%s", line, got.out)
		}
	}
	for _, bad := range []string{"orch", "/a b", "/a\nExecStart=/bin/sh", "/100%"} {
		if got := call(nil, setup{args: []string{"systemd", "--binary", bad}}); got.code != exitUsage {
			t.Errorf("--binary %q: got %s", bad, got.text())
		}
	}
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd here")
	}
	self, err := os.Executable() // a program that is there
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "orch.service")
	if err := os.WriteFile(file, []byte(call(nil, setup{args: []string{"systemd", "--binary", self}}).out), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(verify, "verify", file).CombinedOutput(); strings.Contains(string(out), "orch.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestAJoinTokenIsNotSent: a client that is given one sends the API token made of it.
func TestAJoinTokenIsNotSent(t *testing.T) {
	secret := peer.NewSecret()
	for given, want := range map[string]string{
		secret.Token():          secret.APIToken(),
		secret.Token() + "\n":   secret.APIToken(),
		secret.APIToken():       secret.APIToken(),
		"orch-api-1-whatever":   "orch-api-1-whatever",
		"a token of some proxy": "a token of some proxy",
	} {
		f := exampleCluster()
		if got := call(f, setup{env: map[string]string{"ORCH_TOKEN": given}, args: []string{"jobs"}}); got.code != 0 || f.token != want {
			t.Errorf("%.14s…: sent %q, want %q (exit %d)", given, f.token, want, got.code)
		}
	}
	mistyped := secret.Token()[:40]
	got := call(exampleCluster(), setup{env: map[string]string{"ORCH_TOKEN": mistyped}, args: []string{"jobs"}})
	if got.code != exitError || !strings.Contains(got.err, "join token") || strings.Contains(got.err, mistyped[12:20]) {
		t.Errorf("mistyped: got %s", got.text())
	}
}

// TestJoinAsks: where an agent answers, join passes the token on to it.
func TestJoinAsks(t *testing.T) {
	token := peer.NewSecret().Token()
	run := func(f *fake, stdin string, more ...string) result {
		args := append([]string{"join", "n1", "n2:7171", "--token-file", "-", "--data-dir", t.TempDir()}, more...)
		return call(f, setup{stdin: stdin, args: args})
	}
	f := newCluster(nil)
	f.joined = api.Joined{Cluster: api.Cluster{ID: "p7nsv65s", Nodes: api.NodeCount{Known: 3, Alive: 3}}}
	if got := run(f, token+"\n", "--join-timeout", "20s"); got.code != 0 || got.out != "joined cluster p7nsv65s (3 nodes)\n" {
		t.Errorf("got %s", got.text())
	}
	if want := "join " + token + " [n1 n2:7171] 20s"; len(f.calls) != 1 || f.calls[0] != want {
		t.Errorf("asked %q, want %q", f.calls, want)
	}
	f.joined.Already = true
	if got := run(f, token); got.code != 0 || got.out != "already a member (3 nodes)\n" {
		t.Errorf("again: got %s", got.text())
	}
	f.refused = api.Errorf(api.OtherCluster, "this node belongs to cluster kids6ijy (3 nodes, 2 jobs)").WithHint("orch leave first")
	if got := run(f, token); got.code != exitRefused || !strings.Contains(got.err, "(3 nodes, 2 jobs)\nhint: orch leave first\n") {
		t.Errorf("of another cluster: got %s", got.text())
	}
	f.refused = api.Errorf(api.JoinFailed, "cannot reach n1")
	if got := run(f, token); got.code != exitError {
		t.Errorf("nobody there: got %s", got.text())
	}
	f = newCluster(nil)
	if got := run(f, ""); got.code != exitError || len(f.calls) > 0 {
		t.Errorf("without a token: got %s, asked %q", got.text(), f.calls)
	}
}

func TestOtherChoice(t *testing.T) {
	for _, c := range []struct{ other, note, want string }{
		{"100.64.0.3 (tailscale0)", "eth0, the default route", "tailscale0"},
		{"fd00::2 (eth0)", "eth0, the default route", "fd00::2"},
		{"10.0.0.5 (eth0)", "eth0.7, --advertise", "eth0"},
	} {
		if got := otherChoice(c.other, c.note); got != c.want {
			t.Errorf("%s beside %s: got %s, want %s", c.other, c.note, got, c.want)
		}
	}
}
