package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/api"
	"github.com/exitae337/orchestergo/scenarios"
)

// patience is how long one scenario may take before it counts as hung.
const patience = 2 * time.Minute

// root is the environment variable with the directory for all that the tests make.
const root = "SCENARIOS_ROOT"

// TestMain runs the tests in a child of this process, which looks after them: a test
// that panics runs no clean-up, and its nodes would stay for ever.
func TestMain(m *testing.M) {
	if os.Getenv(root) != "" {
		os.Exit(m.Run())
	}
	code, err := supervise()
	if err != nil {
		fmt.Fprintln(os.Stderr, "run the scenarios:", err)
		code = 1
	}
	os.Exit(code)
}

// supervise runs this program again, with the same arguments, and ends the labs that
// it leaves up.
func supervise() (code int, err error) {
	dir, err := os.MkdirTemp("", "orch-scenarios-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	// What is marked parallel mostly waits: more of it than there are cores may.
	child := exec.Command(os.Args[0], append([]string{"-test.parallel=6"}, os.Args[1:]...)...)
	child.Env = append(os.Environ(), root+"="+dir, "TMPDIR="+dir)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	if err := child.Start(); err != nil {
		return 1, err
	}
	go func() {
		for s := range signals {
			_ = child.Process.Signal(s) // if it has ended, so do we
		}
	}()
	_ = child.Wait() // the code says it
	labs, err := filepath.Glob(filepath.Join(dir, "orch-lab-*"))
	for _, lab := range labs {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		killed, sweepErr := scenarios.Demolish(ctx, lab)
		cancel()
		fmt.Fprintf(os.Stderr, "a test left %s up: %d processes and containers ended\n", lab, killed)
		err = errors.Join(err, sweepErr)
	}
	err = errors.Join(err, forgetImage(dir))
	if len(labs) > 0 || child.ProcessState.ExitCode() < 0 {
		return 1, err
	}
	return child.ProcessState.ExitCode(), err
}

// orchBinary is $ORCH_BIN, or else is built from this tree, once.
var orchBinary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("ORCH_BIN"); path != "" {
		abs, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		_, err = os.Stat(abs) // lets the go command know that the result depends on it
		return abs, err
	}
	return build("orch", "../cmd/orch")
})

// build makes a static program of a package of this tree.
func build(name, pkg string, flags ...string) (string, error) {
	path := filepath.Join(os.Getenv(root), name)
	cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-o", path}, flags...), pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}

// regions numbers the ranges of ports that labs are given in turn: labs of tests that
// run at the same time look for theirs in different ones, also when a node that was
// killed leaves its ports free for a while.
var regions = func() *atomic.Uint32 {
	n := new(atomic.Uint32)
	n.Store(uint32(os.Getpid())) // another run of the tests begins elsewhere
	return n
}()

// newLab makes an empty lab that is closed after the test, and a context for all
// that the test does with it. If the test failed, the nodes' last words are shown.
func newLab(t testing.TB, cfg scenarios.LabConfig) (context.Context, *scenarios.Lab) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real nodes")
	}
	binary, err := orchBinary()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Binary = binary
	cfg.Log = t.Output()
	if cfg.FirstPort == 0 {
		cfg.FirstPort = 10000 + 1000*int(regions.Add(1)%22)
	}
	lab, err := scenarios.NewLab(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range lab.Nodes() {
				t.Logf("last words of %s:\n%s", n.Name, n.LastWords())
			}
		}
		if err := lab.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	return deadline(t, patience), lab
}

// startLab is newLab with so many nodes, ready.
func startLab(t testing.TB, nodes int, cfg scenarios.LabConfig) (context.Context, *scenarios.Lab) {
	t.Helper()
	ctx, lab := newLab(t, cfg)
	if err := lab.Start(ctx, nodes); err != nil {
		t.Fatal(err)
	}
	return ctx, lab
}

// sleeper is a job whose tasks do nothing.
func sleeper(name string, replicas int) api.Job {
	j := api.NewJob()
	j.Name, j.Replicas = name, replicas
	j.Driver, j.Command = "process", []string{"sleep", "100000"}
	return j
}

// submit hands a job to a node and wants it acknowledged.
func submit(ctx context.Context, t testing.TB, n *scenarios.Node, j api.Job) api.Job {
	t.Helper()
	w, err := n.Service().Submit(ctx, j, api.WriteOptions{})
	if err != nil {
		t.Fatalf("submit %s to %s: %v", j.Name, n.Name, err)
	}
	if !w.Durable() {
		t.Fatalf("submit %s to %s: on %d disks, want %d", j.Name, n.Name, w.Disks, w.Wanted)
	}
	return w.Job
}

// settle waits until a job is as it should be everywhere, within the time given.
func settle(ctx context.Context, t testing.TB, lab *scenarios.Lab, job string, want int, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	what := fmt.Sprintf("%s runs %d times", job, want)
	if err := scenarios.Eventually(ctx, what, func() error { return lab.CheckJob(ctx, job, want) }); err != nil {
		t.Fatal(err)
	}
}

// tasksOf are the tasks of a job as a node sees them.
func tasksOf(ctx context.Context, t testing.TB, n *scenarios.Node, job string) []api.Task {
	t.Helper()
	tasks, err := n.Service().Tasks(ctx, api.TaskFilter{Job: job})
	if err != nil {
		t.Fatalf("tasks of %s at %s: %v", job, n.Name, err)
	}
	return tasks
}

// must fails the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
