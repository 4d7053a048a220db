package scenarios_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exitae337/orchestergo/scenarios"
)

// buffer is what a program that still runs has written.
type buffer struct {
	mu  sync.Mutex // guards all
	all bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// awaitText waits until b has text.
func awaitText(ctx context.Context, t *testing.T, b *buffer, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	err := scenarios.Eventually(ctx, fmt.Sprintf("%q is shown", text), func() error {
		if !strings.Contains(b.String(), text) {
			return fmt.Errorf("there is only %.2000q", b.String())
		}
		return nil
	})
	must(t, err)
}

// TestLogsAreFollowedAcrossAMove follows a job while the host of one of its tasks
// dies and comes back.
func TestLogsAreFollowedAcrossAMove(t *testing.T) {
	ctx, lab := startLab(t, 3, scenarios.LabConfig{})
	j := sleeper("web", 3)
	j.Command = []string{"sh", "-c", `echo "hello from $ORCH_TASK@$ORCH_EPOCH"; while sleep 0.1; do echo tick >&2; done`}
	submit(ctx, t, lab.Nodes()[0], j)
	settle(ctx, t, lab, "web", 3, 20*time.Second)
	task := tasksOf(ctx, t, lab.Nodes()[0], "web")[1]
	victim := lab.NodeByID(task.Node)
	asked := lab.Nodes()[0]
	if asked == victim {
		asked = lab.Nodes()[1]
	}

	binary, err := orchBinary()
	must(t, err)
	var out, errs buffer
	follow := exec.CommandContext(ctx, binary, "logs", "-f", "-n", "all", "--api", asked.APIAddr(), "web")
	follow.Stdout, follow.Stderr = &out, &errs
	must(t, follow.Start())
	for i := range 3 {
		awaitText(ctx, t, &out, fmt.Sprintf("web.%d | hello from web.%d@1\n", i, i))
	}
	must(t, lab.KillHost(ctx, victim))
	awaitText(ctx, t, &out, "web.1 | hello from web.1@2\n")
	awaitText(ctx, t, &errs, victim.Name+": no more logs (node unreachable): web.1\n")
	must(t, follow.Process.Signal(os.Interrupt))
	var exit *exec.ExitError
	if err := follow.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("after Ctrl-C: %v, want exit status 130; stderr %q", err, errs.String())
	}

	got, err := lab.Orch(ctx, "logs", "--api", asked.APIAddr(), "web.1@1")
	must(t, err)
	if got.Code != 1 || !strings.Contains(got.Stderr, "node unreachable") || got.Took > 2*time.Second {
		t.Errorf("logs from a dead host: %+v, want exit 1 at once", got)
	}
	must(t, lab.Restart(ctx, victim))
	must(t, lab.AwaitReady(ctx))
	if got, err = lab.Orch(ctx, "logs", "-n", "all", "--api", asked.APIAddr(), "web.1@1"); err != nil || !strings.HasPrefix(got.Stdout, "hello from web.1@1\n") {
		t.Errorf("logs of the earlier attempt once its host is back: %+v, %v", got, err)
	}
	res, err := http.Get("http://" + asked.APIAddr() + "/v1/jobs/web/logs?stream=stdout")
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	if lines := strings.Count(string(body), "hello from web."); lines != 3 || strings.Contains(string(body), "tick") {
		t.Errorf("GET of the job's stdout: %.300q, want three lines", body)
	}
}
