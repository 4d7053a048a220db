package scenarios_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/runtime/docker/dockertest"
	"github.com/exitae337/orchestergo/scenarios"
)

// A machine has a name, addresses and a docker engine of its own, and nothing of
// ours on its disk but the program: what a person has who has just rented it. It is
// made of namespaces; nothing that is typed there reaches this machine's network,
// its /var/lib or its engine.
type machine struct {
	*dockertest.Second
	t    testing.TB
	name string
	env  []string
	log  bytes.Buffer // what its agent says on standard error
	out  bytes.Buffer // and on standard output
	cmd  *exec.Cmd    // its agent; nil while there is none
	done chan error   // how the agent ended
}

// A network joins machines, as a switch does.
type network struct {
	t testing.TB
	*scenarios.Switch
}

// newNetwork makes a network that ends with the test.
func newNetwork(t testing.TB) *network {
	t.Helper()
	needNetwork(t)
	sw, err := scenarios.NewSwitch()
	must(t, err)
	t.Cleanup(func() { must(t, sw.Close()) })
	return &network{t, sw}
}

// needNetwork skips a test where there can be no network between machines, unless the
// variable CI is true: then the test fails.
func needNetwork(t testing.TB) {
	t.Helper()
	why := ""
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		why = "it takes root on linux"
	}
	for _, program := range []string{"ip", "iptables-restore", "unshare", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil && why == "" {
			why = err.Error()
		}
	}
	switch {
	case why != "" && os.Getenv("CI") == "true":
		t.Fatalf("no network between machines, and CI must have one: %s", why)
	case why != "":
		t.Skipf("no network between machines: %s", why)
	}
}

// machine makes a machine and connects it: eth0 with the first address has the
// default route, tailscale0 has the second, if there is one.
func (n *network) machine(name string, addrs ...string) *machine {
	n.t.Helper()
	binary, err := orchBinary()
	must(n.t, err)
	m := &machine{Second: dockertest.NewSecond(n.t, dockertest.SecondConfig{Machine: name}), t: n.t, name: name}
	m.env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ORCH_") }),
		"PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"), "DOCKER_HOST="+m.Host(), "HOME=/var/lib")
	pid, err := strconv.Atoi(m.PID())
	must(n.t, err)
	for i, addr := range addrs {
		link := []string{"eth0", "tailscale0"}[i]
		must(n.t, n.Connect(n.t.Context(), pid, name+"-"+link[:1], link, addr))
	}
	m.must("ip route add default dev eth0")
	n.t.Cleanup(m.off)
	return m
}

// shell is a command line to be typed at the machine.
func (m *machine) shell(ctx context.Context, line string) *exec.Cmd {
	cmd := m.Inside(ctx, "sh", "-c", line)
	cmd.Env = m.env
	return cmd
}

// said is what came of a command line.
type said struct {
	stdout, stderr string
	code           int
}

// types types a line and waits for its end.
func (m *machine) types(ctx context.Context, line string, stdin ...string) said {
	m.t.Helper()
	cmd := m.shell(ctx, line)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(strings.Join(stdin, "")), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.t.Fatalf("%s$ %s: %v", m.name, line, err)
	}
	m.t.Logf("%s$ %s\n%s%s[%d]", m.name, line, out.String(), errs.String(), cmd.ProcessState.ExitCode())
	return said{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// must types a line that has to succeed.
func (m *machine) must(line string) {
	m.t.Helper()
	if s := m.types(m.t.Context(), line); s.code != 0 {
		m.t.Fatalf("%s$ %s: exit code %d\n%s%s", m.name, line, s.code, s.stdout, s.stderr)
	}
}

// agent types a line that becomes the machine's agent, and returns when that is
// ready.
func (m *machine) agent(ctx context.Context, line string, stdin ...string) {
	m.t.Helper()
	m.log.Reset()
	m.out.Reset()
	m.cmd, m.done = m.shell(context.WithoutCancel(ctx), "echo $$ >/run/agent; exec "+line), make(chan error, 1)
	m.cmd.Stdin, m.cmd.Stdout, m.cmd.Stderr = strings.NewReader(strings.Join(stdin, "")), &m.out, &m.log
	must(m.t, m.cmd.Start())
	go func() { m.done <- m.cmd.Wait() }()
	eventually(ctx, m.t, m.name+" is ready", 30*time.Second, func(ctx context.Context) error {
		select {
		case err := <-m.done:
			m.done <- err
			m.t.Fatalf("%s$ %s: %v\n%s", m.name, line, err, m.log.String())
		default:
		}
		s := m.types(ctx, "orch nodes --filter status=ready")
		if !strings.Contains(s.stdout, m.name+" *") {
			return fmt.Errorf("not ready: %s%s", s.stdout, s.stderr)
		}
		return nil
	})
}

// ends waits for the agent's end and returns its exit code.
func (m *machine) ends(within time.Duration) int {
	m.t.Helper()
	select {
	case <-m.done:
		code := m.cmd.ProcessState.ExitCode()
		m.cmd = nil
		return code
	case <-time.After(within):
		m.t.Fatalf("the agent of %s does not end:\n%s", m.name, m.log.String())
	}
	return -1
}

// shutdown is what a reboot does first: the agent and the engine are asked to end.
func (m *machine) shutdown() int {
	m.t.Helper()
	m.must("kill -TERM $(cat /run/agent)")
	code := m.ends(30 * time.Second)
	m.Stop()
	return code
}

// off ends the agent, if it still runs.
func (m *machine) off() {
	if m.cmd == nil {
		return
	}
	m.types(context.Background(), "kill -KILL $(cat /run/agent)") // it may have ended
	select {
	case <-m.done:
	case <-time.After(10 * time.Second):
		m.t.Errorf("the agent of %s does not end", m.name)
	}
	if m.t.Failed() {
		m.t.Logf("the agent of %s said:\n%s%s", m.name, m.out.String(), m.log.String())
	}
}

// eventually wants a line to come to print what ok wants to see.
func (m *machine) eventually(ctx context.Context, line string, ok func(said) error) {
	m.t.Helper()
	eventually(ctx, m.t, m.name+"$ "+line, 30*time.Second, func(ctx context.Context) error { return ok(m.types(ctx, line)) })
}
