package process_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/runtime"
	"github.com/exitae337/orchestergo/runtime/process"
)

const (
	cluster = "tests"
	node    = api.NodeID("12D3KooWProcess")
	soon    = 20 * time.Second // far beyond what anything takes on a loaded machine
)

// agentDir makes the test binary play an agent that starts its arguments as a task
// in that directory, says so, and waits to be killed.
const agentDir = "PROCESS_TEST_AGENT_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(agentDir); dir != "" {
		playAgent(dir)
	}
	os.Exit(m.Run())
}

func playAgent(dir string) {
	fmt.Println("begin")
	d, err := process.New(process.Config{Dir: dir, Cluster: cluster, Node: node})
	if err == nil {
		_, err = d.Start(context.Background(), spec("web", os.Args[1:]...), nil)
	}
	fmt.Println(err)
	select {}
}

func spec(job string, command ...string) runtime.Spec {
	return runtime.Spec{
		Labels:  runtime.Labels{Cluster: cluster, Node: node, Job: job, Life: 17, Slot: 3, Epoch: 2, Boot: "b1", Lock: "/run/lock", TemplateHash: "abc"},
		Command: command,
	}
}

func open(t *testing.T, dir string) *process.Driver {
	t.Helper()
	d, err := process.New(process.Config{Dir: dir, Cluster: cluster, Node: node})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return d
}

// start starts a task that does not outlive the test.
func start(t *testing.T, d *process.Driver, s runtime.Spec) runtime.Container {
	t.Helper()
	c, err := d.Start(t.Context(), s, nil)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	stopAfter(t, d, c.ID)
	return c
}

func stopAfter(t *testing.T, d *process.Driver, id string) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		if err := d.Stop(ctx, id, 0); err != nil && !errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("cleanup: %v", err)
		}
	})
}

// eventually waits for ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(soon); time.Now().Before(end); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %s: %s", soon, what)
}

func find(t *testing.T, d *process.Driver, id string) runtime.Container {
	t.Helper()
	list, err := d.List(context.Background())
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	for _, c := range list {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("%s is not in %+v", id, list)
	return runtime.Container{}
}

func awaitExit(t *testing.T, d *process.Driver, id string) runtime.Container {
	t.Helper()
	var c runtime.Container
	eventually(t, id+" has exited", func() bool { c = find(t, d, id); return c.State == runtime.Exited })
	return c
}

// run runs a command to its end and returns what it wrote to a file of its working
// directory.
func run(t *testing.T, file string, s runtime.Spec) string {
	t.Helper()
	dir := t.TempDir()
	d := open(t, dir)
	c := awaitExit(t, d, start(t, d, s).ID)
	if c.ExitCode != 0 {
		t.Fatalf("it ended as %+v, want code 0", c)
	}
	b, err := os.ReadFile(filepath.Join(dir, c.ID, "work", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// pidFile waits until the task has written a process number, and returns it.
func pidFile(t *testing.T, path string) int {
	t.Helper()
	pid := 0
	eventually(t, path+" is written", func() bool {
		b, err := os.ReadFile(path)
		if err != nil || !strings.HasSuffix(string(b), "\n") {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	return pid
}

// alive says whether pid runs and is no zombie.
func alive(t *testing.T, pid int) bool {
	t.Helper()
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	if err != nil && len(out) > 0 {
		t.Fatalf("ps: %v", err)
	}
	state := strings.TrimSpace(string(out))
	return state != "" && !strings.HasPrefix(state, "Z")
}

func TestWordsReachTheCommandAsTheyAre(t *testing.T) {
	words := []string{"a b", `'"\`, "$(touch x)", "`touch x`", "new\nline", "-n", "*", "", "${HOME}", ";touch x", "ü\xff", "&&"}
	got := run(t, "args", spec("web", append([]string{"sh", "-c", `printf '%s\0' "$@" >args; ls >>args`, "$0"}, words...)...))
	if want := strings.Join(words, "\x00") + "\x00args\n"; got != want {
		t.Errorf("the command saw %q, want %q and no other file", got, want)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("ORCH_TOKEN", "secret")
	t.Setenv("AWS_SECRET", "secret")
	t.Setenv("TZ", "UTC")
	t.Setenv("HOME", "/agent")
	s := spec("web", "sh", "-c", "env >env")
	s.Env = map[string]string{"COLOR": "a 'b' $c", "HOME": "/job", "ORCH_PORT_80": "8080", "ORCH_JOB": "lie", "dir": "d", "go": "g"}
	got := map[string]string{}
	for line := range strings.Lines(run(t, "env", s)) {
		k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		got[k] = v
	}
	for k, want := range map[string]string{
		"COLOR": "a 'b' $c", "HOME": "/job", "TZ": "UTC", "PATH": os.Getenv("PATH"), "ORCH_PORT_80": "8080", "dir": "d", "go": "g",
		"ORCH_CLUSTER": cluster, "ORCH_NODE": string(node), "ORCH_JOB": "web", "ORCH_LIFE": "17", "ORCH_INDEX": "3",
		"ORCH_TASK": "web.3", "ORCH_EPOCH": "2", "ORCH_BOOT": "b1", "ORCH_LOCK": "/run/lock", "ORCH_TEMPLATE_HASH": "abc",
	} {
		if got[k] != want {
			t.Errorf("%s = %q, want %q", k, got[k], want)
		}
	}
	if !strings.HasSuffix(got["ORCH_DIR"], "/web.17.3.2") {
		t.Errorf("ORCH_DIR = %q, want the attempt's directory", got["ORCH_DIR"])
	}
	for k, v := range got {
		if strings.Contains(v, "secret") {
			t.Errorf("%s=%s has leaked", k, v)
		}
	}
	shells := []string{"PWD", "OLDPWD", "SHLVL", "_"} // of the task's own sh
	base := []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR", "COLOR", "dir", "go"}
	for k := range maps.Keys(got) {
		if !strings.HasPrefix(k, "ORCH_") && !slices.Contains(base, k) && !slices.Contains(shells, k) {
			t.Errorf("%s=%s is none of the task's business", k, got[k])
		}
	}
	if v, there := got["ORCH_GO"]; there {
		t.Errorf("ORCH_GO=%s is the wrapper's own", v)
	}
}

// The task reads nothing, writes to its logs, and has nothing else of ours open.
func TestStandardFiles(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc here")
	}
	d := open(t, t.TempDir())
	c := awaitExit(t, d, start(t, d, spec("web", "ls", "-l", "/proc/self/fd")).ID)
	seen := 0
	for _, line := range texts(logs(t, d, c.ID, api.LogOptions{Tail: -1, Streams: []string{"stdout"}})) {
		line, file, is := strings.Cut(line, " -> ")
		if !is || strings.HasPrefix(file, "/proc/") { // the directory that is being listed
			continue
		}
		fd := line[strings.LastIndexByte(line, ' ')+1:]
		want := map[string]string{"0": "null", "1": "stdout.log", "2": "stderr.log"}[fd]
		if want == "" { // handed down to us, and by us; or not at all
			inherited, err := os.Readlink("/proc/self/fd/" + fd)
			if err != nil {
				inherited = "nothing"
			}
			want = filepath.Base(inherited)
		} else {
			seen++
		}
		if filepath.Base(file) != want {
			t.Errorf("file %s of the task is %s, want %s", fd, file, want)
		}
	}
	if seen != 3 {
		t.Errorf("%d of the files 0 to 2 are open, want all", seen)
	}
}

func TestStartErrorsAreWordsAndLeaveNothing(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	d := open(t, dir)
	plain := filepath.Join(bin, "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		spec func(*runtime.Spec)
		want string
	}{
		{"absent", func(s *runtime.Spec) { s.Command = []string{"/no/such"} }, `start web.3@2: cannot run "/no/such": no such file or directory`},
		{"not in PATH", func(s *runtime.Spec) { s.Command = []string{"foo"}; s.Env = map[string]string{"PATH": "/nowhere:."} },
			`cannot run "foo": no such file or directory in PATH (/nowhere:.)`},
		{"builtin", func(s *runtime.Spec) { s.Command = []string{"exit", "3"} }, `cannot run "exit": no such file or directory in PATH`},
		{"relative", func(s *runtime.Spec) { s.Command = []string{"./foo"} }, `cannot run "./foo": not an absolute path, nor a name in PATH`},
		{"directory", func(s *runtime.Spec) { s.Command = []string{"/"} }, `cannot run "/": is a directory`},
		{"not executable", func(s *runtime.Spec) { s.Command = []string{plain} }, "permission denied"},
		{"not executable in PATH", func(s *runtime.Spec) { s.Command = []string{"plain"}; s.Env = map[string]string{"PATH": bin} }, "permission denied"},
		{"no command", func(s *runtime.Spec) { s.Command = nil }, "needs a command"},
		{"image", func(s *runtime.Spec) { s.Image = "nginx" }, "no image"},
		{"bad name", func(s *runtime.Spec) { s.Env = map[string]string{"A=B": ""} }, `"A=B" is not the name`},
		{"bad value", func(s *runtime.Spec) { s.Env = map[string]string{"A": "\x00"} }, "the value of A has a NUL byte"},
		{"bad word", func(s *runtime.Spec) { s.Command = []string{"sleep", "1\x00"} }, "invalid argument"},
	} {
		s := spec("web", "sleep", "1000")
		c.spec(&s)
		got, err := d.Start(t.Context(), s, nil)
		if err == nil {
			stopAfter(t, d, got.ID)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if entries, err := os.ReadDir(dir); len(entries) != 0 || err != nil {
		t.Errorf("left behind: %v (%v)", entries, err)
	}
}

func TestNewRefusesARelativeDirectory(t *testing.T) {
	if _, err := process.New(process.Config{Dir: "tasks"}); err == nil {
		t.Error("New: nil, want an error")
	}
}

// A task that is asked to end before its shell has become the command must not
// miss it.
func TestStopRightAfterStart(t *testing.T) {
	d := open(t, t.TempDir())
	for range 20 {
		c := start(t, d, spec("web", "sleep", "1000"))
		if err := d.Stop(t.Context(), c.ID, soon); err != nil {
			t.Fatalf("Stop: %v", err)
		}
		if got := find(t, d, c.ID); got.ExitCode != 143 {
			t.Fatalf("it ended as %+v, want 143", got)
		}
	}
}

func TestStopLetsTheTaskEndAsItLikes(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	c := start(t, d, spec("web", "sh", "-c", `trap 'echo bye; exit 3' TERM; echo $$ >pid; while :; do sleep 0.05; done`))
	pidFile(t, filepath.Join(dir, c.ID, "work", "pid"))
	if err := d.Stop(t.Context(), c.ID, soon); err != nil {
		t.Fatalf("Stop: %v", err)
	}
	if got := find(t, d, c.ID); got.ExitCode != 3 || got.Reason != "" {
		t.Errorf("it ended as %+v, want code 3", got)
	}
}

// What a task has started in the background ends with it, at the latest after the
// grace, and wherever it went.
func TestNothingOfATaskSurvives(t *testing.T) {
	for _, c := range []struct {
		name, script string
		end          func(t *testing.T, d *process.Driver, c runtime.Container)
		code         int
	}{
		{"command ends", "sleep 1000 & echo $! >pid", nil, 0},
		{"child in a session of its own", "setsid sleep 1000 & echo $! >pid", nil, 0},
		{"stop", "(trap '' TERM; exec sleep 1000) & echo $! >pid; wait", func(t *testing.T, d *process.Driver, c runtime.Container) {
			if err := d.Stop(t.Context(), c.ID, 100*time.Millisecond); err != nil {
				t.Errorf("Stop: %v", err)
			}
		}, 143},
		{"only the wrapper is killed", "sleep 1000 & echo $! >pid; wait", func(t *testing.T, _ *process.Driver, c runtime.Container) {
			if err := syscall.Kill(c.PID, syscall.SIGKILL); err != nil {
				t.Errorf("kill: %v", err)
			}
		}, 137},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := exec.LookPath("setsid"); err != nil && strings.Contains(c.script, "setsid") {
				t.Skip("no setsid here")
			}
			dir := t.TempDir()
			d := open(t, dir)
			got := start(t, d, spec("web", "sh", "-c", c.script))
			pid := pidFile(t, filepath.Join(dir, got.ID, "work", "pid"))
			if c.end != nil {
				c.end(t, d, got)
			}
			got = awaitExit(t, d, got.ID)
			if got.ExitCode != c.code {
				t.Errorf("it ended as %+v, want code %d", got, c.code)
			}
			if alive(t, pid) {
				t.Errorf("process %d survives its task, which is said to have exited", pid)
			}
		})
	}
}

// startAgent starts an agent that starts a task. said tells each thing it says.
func startAgent(t *testing.T, dir string, command ...string) (said func() string, kill func()) {
	t.Helper()
	agent := exec.Command(os.Args[0], command...)
	agent.Env = append(os.Environ(), agentDir+"="+dir)
	out, err := agent.StdoutPipe()
	if err == nil {
		err = agent.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	said = func() string {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Errorf("the agent says nothing: %v", err)
		}
		return line
	}
	return said, func() {
		if err := agent.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = agent.Wait() // it says that it was killed
	}
}

// killAgent starts a task by an agent, and kills that.
func killAgent(t *testing.T, dir string, command ...string) {
	t.Helper()
	said, kill := startAgent(t, dir, command...)
	begin, result := said(), said()
	kill()
	if begin != "begin\n" || result != "<nil>\n" {
		t.Fatalf("the agent said %q, %q", begin, result)
	}
}

// An agent may die at any point of Start: then either the attempt is there or
// nothing runs.
func TestAgentDiesWhileStarting(t *testing.T) {
	outcomes := map[int]int{}
	for i := range 20 {
		dir := t.TempDir()
		said, kill := startAgent(t, dir, "sleep", "1000")
		said()
		<-time.After(time.Duration(i) * time.Millisecond / 2)
		kill()
		d := open(t, dir)
		stopAfter(t, d, "web.17.3.2")
		eventually(t, "processes and list agree", func() bool {
			list, err := d.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			running := 0
			for _, c := range list {
				if c.State == runtime.Running {
					running++
				}
			}
			out, err := exec.Command("ps", "-A", "-o", "args=").Output()
			if err != nil {
				t.Fatal(err)
			}
			outcomes[running]++
			return strings.Count(string(out), filepath.Join(dir, "web.17.3.2")) == running
		})
	}
	t.Logf("looks that found none running: %d, one: %d", outcomes[0], outcomes[1])
}

func TestTaskOutlivesItsAgent(t *testing.T) {
	dir := t.TempDir()
	killAgent(t, dir, "sh", "-c", `echo one; while [ ! -e go ]; do sleep 0.02; done; echo two; exit 5`)
	d := open(t, dir)
	stopAfter(t, d, "web.17.3.2")
	if c := find(t, d, "web.17.3.2"); c.State != runtime.Running || !alive(t, c.PID) {
		t.Fatalf("after the agent's death it is %+v, want it running", c)
	}
	if err := os.WriteFile(filepath.Join(dir, "web.17.3.2", "work", "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if c := awaitExit(t, d, "web.17.3.2"); c.ExitCode != 5 || c.FinishedAt.Before(c.StartedAt) {
		t.Errorf("it ended as %+v, want code 5", c)
	}
	var lines []string
	err := d.Logs(t.Context(), "web.17.3.2", api.LogOptions{Tail: -1, Follow: true}, func(l api.LogLine) error { lines = append(lines, l.Line); return nil })
	if want := []string{"one", "two"}; err != nil || !slices.Equal(lines, want) {
		t.Errorf("it wrote %q (%v), want %q", lines, err, want)
	}
}

func TestOrphanIsWatchedAndStopped(t *testing.T) {
	for _, c := range []struct {
		name   string
		end    func(d *process.Driver, c runtime.Container) error
		code   int
		reason string
	}{
		{"wrapper killed", func(_ *process.Driver, c runtime.Container) error { return syscall.Kill(c.PID, syscall.SIGKILL) },
			-1, "ended without leaving an exit code"},
		{"stopped", func(d *process.Driver, c runtime.Container) error { return d.Stop(context.Background(), c.ID, soon) },
			143, "killed by signal 15"},
		{"killed by stop", func(d *process.Driver, c runtime.Container) error { return d.Stop(context.Background(), c.ID, 0) },
			137, "killed by signal 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			killAgent(t, dir, "sh", "-c", "sleep 1000 & echo $! >pid; wait")
			d := open(t, dir)
			stopAfter(t, d, "web.17.3.2")
			pid := pidFile(t, filepath.Join(dir, "web.17.3.2", "work", "pid"))
			ctx, cancel := context.WithCancel(t.Context())
			changed, watched := make(chan struct{}, 1), make(chan error)
			go func() {
				watched <- d.Watch(ctx, func() {
					select {
					case changed <- struct{}{}:
					default:
					}
				})
			}()
			<-changed // Watch is there
			got := find(t, d, "web.17.3.2")
			if err := c.end(d, got); err != nil {
				t.Errorf("end: %v", err)
			}
			late := time.After(soon)
			for got.State != runtime.Exited {
				select {
				case <-changed:
					got = find(t, d, got.ID)
				case <-late:
					t.Fatal("no call of changed tells of the end")
				}
			}
			if got.ExitCode != c.code || got.Reason != c.reason {
				t.Errorf("it ended as %+v, want %d, %q", got, c.code, c.reason)
			}
			if alive(t, pid) {
				t.Errorf("process %d survives its task", pid)
			}
			cancel()
			if err := <-watched; err != nil {
				t.Errorf("Watch: %v", err)
			}
		})
	}
}

// After a restart of the machine, or long enough, a number belongs to a stranger.
func TestStrangerWithTheNumberIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	c := awaitExit(t, d, start(t, d, spec("web", "true")).ID)
	stranger := exec.Command("sleep", "1000")
	stranger.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stranger.Process.Kill(); _ = stranger.Wait() })
	for _, file := range []string{"end.json", "exit"} {
		if err := os.Remove(filepath.Join(dir, c.ID, file)); err != nil {
			t.Fatal(err)
		}
	}
	leader, err := json.Marshal(map[string]any{"pid": stranger.Process.Pid, "stamp": "another/1", "started_at": time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, c.ID, "leader.json"), leader, 0o600); err != nil {
		t.Fatal(err)
	}
	next := open(t, dir)
	if got := find(t, next, c.ID); got.State != runtime.Exited || got.ExitCode != -1 {
		t.Errorf("it is %+v, want exited with -1", got)
	}
	if err := next.Stop(t.Context(), c.ID, 0); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if !alive(t, stranger.Process.Pid) {
		t.Error("a stranger was killed")
	}
}

func TestLeavingsAndForeignDirectories(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{".new-1/work", ".gone-2/attempt", "other", "web.17.3.9"} {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "web.17.3.9", "labels.json"), []byte(`{"job":"web`), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := process.New(process.Config{Dir: dir, Cluster: "other", Node: node})
	if err != nil {
		t.Fatal(err)
	}
	s := spec("theirs", "sleep", "1000")
	s.Labels.Cluster = "other"
	theirs := start(t, other, s)
	d := open(t, dir)
	if list, err := d.List(t.Context()); len(list) != 0 || err != nil {
		t.Errorf("List = %+v (%v), want nothing", list, err)
	}
	if err := d.Stop(t.Context(), theirs.ID, 0); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("Stop of another cluster's: %v, want ErrNotFound", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"other", theirs.ID, "web.17.3.9"}; !slices.Equal(names, want) {
		t.Errorf("the directory holds %q, want %q: leavings gone, all else untouched", names, want)
	}
}
