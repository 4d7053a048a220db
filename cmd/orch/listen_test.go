package main

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestListenAddress(t *testing.T) {
	for _, c := range []struct{ in, want, words string }{
		{"127.0.0.1:7070", "127.0.0.1:7070", ""},
		{"http://localhost:7070/", "localhost:7070", ""},
		{":7070", ":7070", ""},
		{"0.0.0.0:7070", "0.0.0.0:7070", ""},
		{"[::1]:7070", "[::1]:7070", ""},
		{"unix:///run/../run/orch.sock", "unix:///run/orch.sock", ""},
		{"unix://run/orch.sock", "", "must begin with /"},
		{"unix://", "", "must begin with /"},
		{"192.0.2.77:7070", "", "192.0.2.77 is not an address of this machine"},
		{"[2001:db8::77]:7070", "", "is not an address of this machine"},
		{"n1:7070,n2:7070", "", "not on several"},
		{"127.0.0.1", "", "want HOST:PORT"},
		{"ssh://root@n1", "", "want HOST:PORT"},
	} {
		got, err := listenAddress(c.in)
		if c.words == "" && (err != nil || got != c.want) {
			t.Errorf("%s: got %s, %v, want %s", c.in, got, err, c.want)
		}
		if c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)) {
			t.Errorf("%s: got %s, %v, want an error with %q", c.in, got, err, c.words)
		}
	}
}

// TestORCHAPINamesANode: the variable is for the commands that ask a node.
func TestORCHAPINamesANode(t *testing.T) {
	for _, command := range []string{"start", "join n1"} {
		args := append(strings.Fields(command), "--data-dir", t.TempDir())
		got := call(nil, setup{args: args, env: map[string]string{"ORCH_API": "192.0.2.77:7070", "ORCH_TYPO": "x"}})
		if got.code != exitUsage || !strings.Contains(got.err, "ORCH_API=192.0.2.77:7070: 192.0.2.77 is not an address of this machine") {
			t.Errorf("%s: got %s", command, got.text())
		}
		if !strings.Contains(got.err, "warning: the environment variable ORCH_TYPO means nothing") || strings.Contains(got.err, "variable ORCH_API means") {
			t.Errorf("%s warns of %s", command, got.err)
		}
	}
}

// TestPortsAreTyped: what is on the command line counts more than ORCH_API, which
// may name another node.
func TestPortsAreTyped(t *testing.T) {
	for _, c := range []struct {
		args string
		env  map[string]string
		want string
	}{
		{"", nil, "127.0.0.1:7070"},
		{"", map[string]string{"ORCH_API": "127.0.0.1:9000"}, "127.0.0.1:9000"},
		{"", map[string]string{"ORCH_API": "127.0.0.1:9000", "ORCH_PORTS": "8000"}, "127.0.0.1:9000"},
		{"", map[string]string{"ORCH_PORTS": "8000"}, "127.0.0.1:8000"},
		{"--ports 8000", map[string]string{"ORCH_API": "127.0.0.1:9000"}, "127.0.0.1:8000"},
		{"--ports 8000", map[string]string{"ORCH_API": "n1:7070,n2:7070"}, "127.0.0.1:8000"},
		{"--ports 8000 --api 127.0.0.1:9001", map[string]string{"ORCH_API": "127.0.0.1:9000"}, "127.0.0.1:9001"},
	} {
		env := &Env{Getenv: func(name string) string { return c.env[name] }, Environ: func() []string { return nil }, Stderr: io.Discard}
		cmd, f := &cobra.Command{}, &agentFlags{}
		f.register(cmd.Flags(), env)
		cmd.Flags().String("api", "", "")
		if err := cmd.ParseFlags(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(fromEnvironment(cmd, env), f.place(cmd, env)); err != nil || f.api != c.want {
			t.Errorf("%q with %v: the API is at %s (%v), want %s", c.args, c.env, f.api, err, c.want)
		}
	}
}

func TestListenUnix(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	l, err := listenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket is %v, %v, want mode 660", info.Mode(), err)
	}
	wantError := func(path, words string) {
		t.Helper()
		if l, err := listenUnix(path); err == nil {
			_ = l.Close()
			t.Errorf("%s can be listened on, want %q", path, words)
		} else if !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", path, err, words)
		}
	}
	wantError(path, "another program (maybe an orch agent) listens there")
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as after kill -9
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = listenUnix(path); err != nil {
		t.Fatalf("after a dead one: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is there after it was closed")
	}

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantError(file, "it is no socket")
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file is now %q, %v", b, err)
	}
	wantError(filepath.Join(dir, "none", "s"), "there is no directory")
	wantError(filepath.Join(file, "s"), "not a directory")
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil { // whatever the umask
		t.Fatal(err)
	}
	wantError(filepath.Join(open, "s"), "everybody may change the directory")
}
