package scenarios_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/scenarios"
)

func TestFreeBlock(t *testing.T) {
	base, err := scenarios.FreeBlock(21000)
	if err != nil {
		t.Fatal(err)
	}
	for off, network := range map[int]string{0: "tcp", 1: "udp", 2: "tcp"} {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(base+off))
		var held interface{ Close() error }
		if network == "udp" {
			held, err = net.ListenPacket(network, addr)
		} else {
			held, err = net.Listen(network, addr)
		}
		if err != nil {
			t.Fatalf("FreeBlock(21000) = %d, but %s %s is taken: %v", base, network, addr, err)
		}
		got, err := scenarios.FreeBlock(base)
		if err != nil || got <= base || (got-base)%10 != 0 {
			t.Errorf("with %s %s taken, FreeBlock(%d) = %d, %v, want a later block", network, addr, base, got, err)
		}
		held.Close()
	}
	if got, err := scenarios.FreeBlock(60000); err == nil {
		t.Errorf("FreeBlock(60000) = %d, want an error: those are handed out by the system", got)
	}
}

func TestEventually(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	cause := errors.New("the kettle is cold")
	err := scenarios.Eventually(ctx, "tea", func() error { return cause })
	if !errors.Is(err, cause) || !strings.HasPrefix(err.Error(), "tea: not within") {
		t.Errorf("Eventually of what never holds = %v, want tea and the cause", err)
	}
	looks := 0
	err = scenarios.Eventually(t.Context(), "tea", func() error {
		if looks++; looks < 3 {
			return cause
		}
		return nil
	})
	if err != nil || looks != 3 {
		t.Errorf("Eventually = %v after %d looks, want nil after 3", err, looks)
	}
}

func TestThroughout(t *testing.T) {
	cause := errors.New("it boiled over")
	looks := 0
	err := scenarios.Throughout(t.Context(), time.Minute, func() error {
		if looks++; looks == 3 {
			return cause
		}
		return nil
	})
	if !errors.Is(err, cause) || looks != 3 {
		t.Errorf("Throughout = %v after %d looks, want the cause after 3", err, looks)
	}
	if err := scenarios.Throughout(t.Context(), 30*time.Millisecond, func() error { return nil }); err != nil {
		t.Errorf("Throughout of what holds = %v, want nil", err)
	}
}

func TestLabTakesNoDirectoryWithThingsInIt(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := scenarios.NewLab(scenarios.LabConfig{Binary: "/bin/sh", Dir: dir}); err == nil {
		t.Error("NewLab in a directory that is not empty = nil error: Close would remove what is there")
	}
	if _, err := scenarios.Demolish(t.Context(), dir); err == nil {
		t.Error("Demolish of a directory that is no lab = nil error, and it is gone")
	}
	if _, err := os.Stat(filepath.Join(dir, "thesis.tex")); err != nil {
		t.Errorf("what was in the directory: %v", err)
	}
	if _, err := scenarios.NewLab(scenarios.LabConfig{Binary: filepath.Join(dir, "orch")}); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("NewLab without a binary = %v, want what to do", err)
	}
}

func TestLabSaysWhyANodeDoesNotStart(t *testing.T) {
	fake := filepath.Join(t.TempDir(), "orch")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\necho \"error: $1 wants $ORCH_API a rest\" >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ORCH_API", "something that a user of the tests has set, not")
	lab, err := scenarios.NewLab(scenarios.LabConfig{Binary: fake, Dir: filepath.Join(t.TempDir(), "lab")})
	if err != nil {
		t.Fatal(err)
	}
	err = lab.Start(deadline(t, 20*time.Second), 2)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "error: start wants  a rest") {
		t.Errorf("Start of what ends at once = %v, want how it ended and its last words", err)
	}
	if got := lab.Alive(); len(got) != 0 {
		t.Errorf("Alive = %d nodes, want none", len(got))
	}
	out, err := lab.Orch(t.Context(), "token")
	if err != nil || out.Code != 3 || !strings.HasPrefix(out.Stderr, "error: token") {
		t.Errorf("Orch = %+v, %v, want code 3 and its error", out, err)
	}
	if err := lab.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}

// TestLabEndsWhatIsItsOwn starts plain processes that look like tasks: of the lab,
// and of another one.
func TestLabEndsWhatIsItsOwn(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system does not show the environment of /bin/sh")
	}
	lab, err := scenarios.NewLab(scenarios.LabConfig{Binary: "/bin/sh", Dir: filepath.Join(t.TempDir(), "lab")})
	if err != nil {
		t.Fatal(err)
	}
	own := lookAlike(t, filepath.Join(lab.Dir(), "n1/data/tasks/web.1.0.1"))
	twin := lookAlike(t, filepath.Join(lab.Dir(), "n2/data/tasks/web.1.0.1"))
	foreign := lookAlike(t, lab.Dir()+"-other/n1/data/tasks/web.1.0.1")

	err = scenarios.Eventually(deadline(t, 10*time.Second), "all processes are seen", func() error {
		procs, err := lab.Procs()
		if err == nil && len(procs) != 4 { // each shell and its child
			err = errors.New("there are " + strconv.Itoa(len(procs)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	procs, err := lab.Procs()
	if err != nil {
		t.Fatal(err)
	}
	if got := scenarios.Copies(procs)["web.0"]; len(got) != 2 {
		t.Errorf("Copies of web.0 = %v, want one of each node", got)
	}
	for _, p := range procs {
		if p.Node != "id" || p.Epoch != 7 || (p.Group != own.pid && p.Group != twin.pid) || p.Started == "" {
			t.Errorf("Procs has %+v, want node id, epoch 7 and the group %d or %d", p, own.pid, twin.pid)
		}
	}
	if err := lab.Close(); err != nil {
		t.Fatalf("Close = %v", err)
	}
	for _, c := range []child{own, twin} {
		select {
		case <-c.done:
		case <-time.After(10 * time.Second):
			t.Errorf("process %d of the lab lives after Close", c.pid)
		}
	}
	if procs, err := lab.Procs(); err != nil || len(procs) != 0 {
		t.Errorf("after Close, Procs = %v, %v, want none", procs, err)
	}
	if _, err := os.Stat(lab.Dir()); !os.IsNotExist(err) {
		t.Errorf("after Close, the directory: %v, want that it is gone", err)
	}
	select {
	case <-foreign.done:
		t.Error("Close ended a process of another lab")
	default:
	}
}

// TestDemolish ends what another program left up: a process that names the lab as
// its data directory, as an agent does.
func TestDemolish(t *testing.T) {
	lab, err := scenarios.NewLab(scenarios.LabConfig{Binary: "/bin/sh", Dir: filepath.Join(t.TempDir(), "lab")})
	if err != nil {
		t.Fatal(err)
	}
	agent := start(t, exec.Command(os.Args[0], "-test.run=^TestHelperWaits$", "--", "--data-dir", filepath.Join(lab.Dir(), "n1/data")))
	reader := start(t, exec.Command(os.Args[0], "-test.run=^TestHelperWaits$", "--", "--read", filepath.Join(lab.Dir(), "n1/data")))
	killed, err := scenarios.Demolish(deadline(t, 20*time.Second), lab.Dir())
	if err != nil || killed != 1 {
		t.Fatalf("Demolish = %d, %v, want that 1 is killed", killed, err)
	}
	select {
	case <-agent.done:
	case <-time.After(10 * time.Second):
		t.Error("the agent lives after Demolish")
	}
	select {
	case <-reader.done:
		t.Error("Demolish ended a process that only looks into the lab")
	default:
	}
	if _, err := os.Stat(lab.Dir()); !os.IsNotExist(err) {
		t.Errorf("after Demolish, the directory: %v, want that it is gone", err)
	}
}

// TestHelperWaits is no test: other tests start this program so that it stays.
func TestHelperWaits(t *testing.T) {
	if os.Getenv("SCENARIOS_HELPER") == "" {
		t.Skip("only run by other tests")
	}
	select {
	case <-t.Context().Done():
	case <-time.After(time.Minute): // in case nobody ends it
	}
}

// A child is a process that a test started.
type child struct {
	pid  int
	done <-chan struct{}
}

// lookAlike starts a shell with a child, in a session and with an environment as
// the process driver makes them.
func lookAlike(t *testing.T, dir string) child {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "sleep 60 & wait")
	cmd.Env = append(os.Environ(), "ORCH_DIR="+dir, "ORCH_NODE=id", "ORCH_TASK=web.0", "ORCH_EPOCH=7")
	return start(t, cmd)
}

// start starts a process in a session of its own and ends it after the test.
func start(t *testing.T, cmd *exec.Cmd) child {
	t.Helper()
	if cmd.Env == nil {
		cmd.Env = append(os.Environ(), "SCENARIOS_HELPER=1")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	})
	return child{pid: cmd.Process.Pid, done: done}
}

// deadline is a context for as long as a step may take.
func deadline(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
