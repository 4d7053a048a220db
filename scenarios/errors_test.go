package scenarios_test

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// TestStartErrors starts agents that cannot work. Each has to say so, and what to
// do about it, and end.
func TestStartErrors(t *testing.T) {
	ctx, lab := startLab(t, 1, scenarios.LabConfig{})
	first := lab.Nodes()[0]
	token, err := lab.TokenFile(ctx)
	must(t, err)
	_, other := startLab(t, 1, scenarios.LabConfig{})
	otherToken, err := other.TokenFile(ctx)
	must(t, err)

	t.Run("wrong token", func(t *testing.T) {
		base := freeBlock(t)
		wants(ctx, t, lab, []string{"token"}, "join", first.GossipAddr(), "--token-file", otherToken, "--data-dir", t.TempDir(), "--ports", base)
	})
	t.Run("no token at all", func(t *testing.T) {
		empty := filepath.Join(t.TempDir(), "token")
		must(t, os.WriteFile(empty, nil, 0o600))
		wants(ctx, t, lab, []string{"token"}, "join", first.GossipAddr(), "--token-file", empty, "--data-dir", t.TempDir(), "--ports", freeBlock(t))
	})
	t.Run("unreachable peer", func(t *testing.T) {
		const closed = "127.0.0.1:1"
		wants(ctx, t, lab, []string{closed}, "join", closed, "--token-file", token, "--data-dir", t.TempDir(), "--ports", freeBlock(t))
	})
	for offset, flag := range []string{"--api", "--gossip-port", "--peer-port"} {
		t.Run("port of "+flag+" in use", func(t *testing.T) {
			base := freeBlock(t)
			n, err := strconv.Atoi(base)
			must(t, err)
			port := strconv.Itoa(n + offset)
			l, err := net.Listen("tcp", "127.0.0.1:"+port)
			must(t, err)
			defer l.Close()
			wants(ctx, t, lab, []string{port, "in use", flag}, "start", "--data-dir", t.TempDir(), "--ports", base)
		})
	}
	t.Run("join after a start that came to nothing", func(t *testing.T) {
		const closed = "127.0.0.1:1"
		dir, base := t.TempDir(), freeBlock(t)
		l, err := net.Listen("tcp", "127.0.0.1:"+base)
		must(t, err)
		wants(ctx, t, lab, []string{"in use"}, "start", "--data-dir", dir, "--ports", base)
		must(t, l.Close())
		wants(ctx, t, lab, []string{closed}, "join", closed, "--token-file", token, "--data-dir", dir, "--ports", base)
	})
	t.Run("data directory in use", func(t *testing.T) {
		wants(ctx, t, lab, []string{first.DataDir, "in use"}, "start", "--data-dir", first.DataDir, "--ports", freeBlock(t))
	})
	t.Run("unknown driver", func(t *testing.T) {
		wants(ctx, t, lab, []string{"warp"}, "start", "--data-dir", t.TempDir(), "--ports", freeBlock(t), "--drivers", "warp")
	})
}

// TestCorruptStore damages what a node has on disk, in several ways.
func TestCorruptStore(t *testing.T) {
	ctx, lab := startLab(t, 1, scenarios.LabConfig{})
	n := lab.Nodes()[0]
	submit(ctx, t, n, sleeper("web", 1))
	must(t, lab.KillHost(ctx, n))
	store := storeOf(t, n.DataDir)
	whole, err := os.ReadFile(store)
	must(t, err)
	damage := map[string][]byte{
		"text":      []byte(strings.Repeat("this is no store\n", 1000)),
		"cut short": whole[:3*os.Getpagesize()+7], // the end may have nothing in it yet
		"zeroed":    make([]byte, len(whole)),
		"scrambled": scramble(whole),
	}
	for name, content := range damage {
		t.Run(name, func(t *testing.T) {
			must(t, os.WriteFile(store, content, 0o600))
			wants(ctx, t, lab, []string{store}, "start", "--data-dir", n.DataDir, "--ports", strconv.Itoa(n.Base))
			if now, err := os.ReadFile(store); err != nil || len(now) == 0 {
				t.Errorf("the damaged store is gone (%v): somebody might have wanted to mend it", err)
			}
		})
	}
	must(t, os.WriteFile(store, whole, 0o600))
	must(t, lab.Restart(ctx, n))
	settle(ctx, t, lab, "web", 1, 30*time.Second)
}

// wants runs orch and wants it to fail within ten seconds, with these words. It adds
// the flags that keep it on the loopback interface and off the disk of others.
func wants(ctx context.Context, t *testing.T, lab *scenarios.Lab, words []string, args ...string) {
	t.Helper()
	args = append(args, "--bind", "127.0.0.1", "--advertise", "127.0.0.1", "--profile", "fast")
	if !strings.Contains(strings.Join(args, " "), "--drivers") {
		args = append(args, "--drivers", "process")
	}
	limit, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	out, err := lab.Orch(limit, args...)
	if err != nil {
		t.Fatalf("orch %s: %v", strings.Join(args, " "), err)
	}
	t.Logf("exit code %d after %s: %s", out.Code, out.Took.Round(time.Millisecond), out.Stderr)
	if out.Code == 0 || out.Took > 10*time.Second {
		t.Errorf("orch %s: exit code %d after %s, want a failure in under 10s", args[0], out.Code, out.Took)
	}
	for _, w := range words {
		if !strings.Contains(out.Stderr, w) {
			t.Errorf("orch %s does not mention %q: %s", args[0], w, out.Stderr)
		}
	}
	if !strings.Contains(out.Stderr, "error: ") || strings.Contains(out.Stderr, "goroutine ") {
		t.Errorf("orch %s: want a line that begins with error, and no stack: %s", args[0], out.Stderr)
	}
}

// storeOf is the file with the node's table: the largest of its data directory that
// does not belong to a task.
func storeOf(t *testing.T, dir string) (path string) {
	t.Helper()
	var size int64
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(p) != ".db" {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			path, size = p, info.Size()
		}
		return err
	})
	must(t, err)
	if path == "" {
		t.Fatalf("no store (*.db) in %s", dir)
	}
	return path
}

// scramble keeps the size and the first page's beginning and breaks the rest.
func scramble(whole []byte) []byte {
	b := append([]byte{}, whole...)
	for i := 16; i < len(b); i++ {
		b[i] ^= byte(i*7 + 13)
	}
	return b
}

func freeBlock(t *testing.T) string {
	t.Helper()
	base, err := scenarios.FreeBlock(30000 + os.Getpid()%100*10)
	must(t, err)
	return strconv.Itoa(base)
}

// TestAPIErrors asks for what is not there.
func TestAPIErrors(t *testing.T) {
	ctx, lab := startLab(t, 1, scenarios.LabConfig{})
	s := lab.Nodes()[0].Service()
	submit(ctx, t, lab.Nodes()[0], sleeper("web", 1))
	_, exists := s.Submit(ctx, sleeper("web", 2), api.WriteOptions{})
	_, noJob := s.Job(ctx, "nobody")
	_, noTask := s.Task(ctx, "web.7")
	_, noNode := s.Node(ctx, "nowhere")
	_, invalid := s.Submit(ctx, sleeper("Not A Name", 1), api.WriteOptions{})
	for what, tt := range map[string]struct {
		err  error
		want api.Code
	}{
		"the same job again":  {exists, api.JobExists},
		"no such job":         {noJob, api.JobNotFound},
		"no such task":        {noTask, api.TaskNotFound},
		"no such node":        {noNode, api.NodeNotFound},
		"a name that is none": {invalid, api.Invalid},
	} {
		if got := api.CodeOf(tt.err); got != tt.want {
			t.Errorf("%s: code %q (%v), want %q", what, got, tt.err, tt.want)
		}
	}
}
